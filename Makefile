# Everything runs from a virtual environment that is made when it is first needed; `make help` lists what there is.

VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements-dev.lock
BENCH_VENV := .venv-bench
BENCH_LOCK := requirements-bench.lock
KUBERNETES_VENV := .venv-kubernetes
KUBERNETES_LOCK := requirements-kubernetes.lock
INSTALLED := $(VENV)/.installed.lock
SENDERS ?= 2
TESTS ?= tests
# Two at a time, each with servers of its own; one at a time on servers that are given.
WORKERS := $(if $(MAILING_DATABASE_URL)$(MAILING_BROKER_URL),,-n 2 --dist loadfile)
CODE := services shared deploy tests

.DEFAULT_GOAL := help
# The environment is shared by the targets: no two of them at a time, whatever -j says.
.NOTPARALLEL:

$(INSTALLED): $(LOCK) deploy/local/mailing
	@PYTHON='$(PYTHON)' sh deploy/local/install.sh $(VENV) $(LOCK)
	@cp deploy/local/mailing $(BIN)/mailing

.PHONY: help
help: ## what can be made
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED) ## the virtual environment, made anew only when the lock file has changed

.PHONY: demo
demo: $(INSTALLED) ## the whole system here: 10,000 clients, one mailing, a reckoning of every message
	@$(BIN)/python -m deploy.local demo

.PHONY: run
run: $(INSTALLED) ## the whole system here until Ctrl-C (SENDERS=2, MAILING_API_PORT=8000)
	@$(BIN)/python -m deploy.local run --senders $(SENDERS)

.PHONY: test
test: $(INSTALLED) ## all tests, on real servers (TESTS=tests/unit for some of them)
	@$(BIN)/pytest $(WORKERS) $(TESTS)

.PHONY: chaos
chaos: $(INSTALLED) ## a mailing through kills, restarts, cuts and faults, reckoned to the last message (ARGS='--seed 1')
	@$(BIN)/python -m tests.chaos $(ARGS)

.PHONY: chaos-cluster
chaos-cluster: $(INSTALLED) ## a mailing over three RabbitMQ nodes that are killed in turn
	@$(BIN)/python -m tests.chaos.cluster

.PHONY: flat
flat: $(INSTALLED) ## memory and broker at 10,000 and at a million messages, and over 200 mailings (ARGS='--large 100000')
	@$(BIN)/python -m tests.chaos.flat $(ARGS)

.PHONY: rules
rules: $(INSTALLED) ## local windows, previews, control, limits, fairness and single messages, held against the running system
	@$(BIN)/python -m tests.rules

.PHONY: bench-import
bench-import: $(INSTALLED) ## how fast clients go in and out as CSV, against PostgreSQL alone (ARGS='--rows 100000')
	@$(BIN)/python -m tests.bench.importing $(ARGS)

# What it compares with has an environment of its own.
$(BENCH_VENV)/.installed.lock: $(BENCH_LOCK)
	@PYTHON='$(PYTHON)' sh deploy/local/install.sh $(BENCH_VENV) $(BENCH_LOCK)

.PHONY: bench
bench: $(INSTALLED) $(BENCH_VENV)/.installed.lock ## messages a second, against Celery, Dramatiq and the bare HTTP loop (ARGS='--only ours')
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: bench-scale
bench-scale: $(INSTALLED) ## 1, 2, 4 and 8 senders at a slow provider, and a mailing to a million (ARGS='--large 100000')
	@$(BIN)/python -m tests.bench.scaling $(ARGS)

.PHONY: bench-api
bench-api: $(INSTALLED) ## how soon the API answers with five million messages, and its CRUD against bare FastAPI
	@$(BIN)/python -m tests.bench.reading $(ARGS)

.PHONY: bench-growth
bench-growth: $(INSTALLED) ## release, recording and API with 1, 10 and 100 million messages (ARGS='--messages 1000000 10000000')
	@$(BIN)/python -m tests.bench.growth $(ARGS)

.PHONY: check
check: $(INSTALLED) ## format, lint, types, the borders between packages, and the manifests for Kubernetes
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory kubernetes-check

# 130 MB of schemas and a kubectl, which nothing else needs: an environment of its own.
$(KUBERNETES_VENV)/.installed.lock: $(KUBERNETES_LOCK)
	@PYTHON='$(PYTHON)' sh deploy/local/install.sh $(KUBERNETES_VENV) $(KUBERNETES_LOCK)

.PHONY: kubernetes-check
kubernetes-check: $(KUBERNETES_VENV)/.installed.lock ## the manifests of deploy/kubernetes, against schemas and rules, without a cluster
	@$(KUBERNETES_VENV)/bin/python -m deploy.kubernetes

.PHONY: kubernetes-alerts
kubernetes-alerts: $(INSTALLED) ## the alerts for the Prometheus operator, from deploy/prometheus/alerts.yml
	@$(BIN)/python -m deploy.kubernetes alerts

.PHONY: format
format: $(INSTALLED) ## the code as ruff would write it
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

# Version 2, else version 1.
COMPOSE = cd deploy && $$(docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

deploy/.env:
	@umask 077 && sh deploy/environment.sh > $@.new && mv $@.new $@

.PHONY: up
up: deploy/.env ## the whole system in containers, by docker compose; settings and passwords are in deploy/.env
	@$(COMPOSE) build migrate
	@$(COMPOSE) up --detach
	@$(COMPOSE) ps

.PHONY: down
down: deploy/.env ## stop and remove the containers; what they have stored stays
	@$(COMPOSE) down

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links

.PHONY: lock
lock: ## the lock files from pyproject.toml (needs uv; UPGRADE=1 for newer versions)
	@command -v uv >/dev/null || { echo 'uv is needed: pip install uv'; exit 1; }
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --output-file requirements.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --extra dev --constraint requirements.lock --output-file $(LOCK)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group bench --constraint requirements.lock --output-file $(BENCH_LOCK)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group kubernetes --output-file $(KUBERNETES_LOCK)

.PHONY: clean
clean: ## remove the private servers' data, logs and all caches
	rm -rf .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## and the virtual environment
	rm -rf $(VENV) $(BENCH_VENV) $(KUBERNETES_VENV)
