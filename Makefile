# All commands run in a virtual environment, which the first of them makes. `make help` lists them.

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
# Two workers, each with its own servers; one worker on servers that the environment names.
WORKERS := $(if $(MAILING_DATABASE_URL)$(MAILING_BROKER_URL),,-n 2 --dist loadfile)
CODE := services shared deploy tests

.DEFAULT_GOAL := help
# The targets share the environment, so that no two of them may run at a time.
.NOTPARALLEL:

$(INSTALLED): $(LOCK) deploy/local/mailing
	@PYTHON='$(PYTHON)' sh deploy/local/install.sh $(VENV) $(LOCK)
	@cp deploy/local/mailing $(BIN)/mailing

.PHONY: help
help: ## list the commands
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED) ## make the virtual environment, if the lock file has changed

.PHONY: demo
demo: $(INSTALLED) ## run everything here: add 10,000 clients, send one mailing, account for every message
	@$(BIN)/python -m deploy.local demo

.PHONY: run
run: $(INSTALLED) ## run everything here until Ctrl-C (SENDERS=2, MAILING_API_PORT=8000)
	@$(BIN)/python -m deploy.local run --senders $(SENDERS)

.PHONY: test
test: $(INSTALLED) ## run all tests, on real servers (TESTS=tests/unit runs those that need no server)
	@$(BIN)/pytest $(WORKERS) $(TESTS)

.PHONY: pictures
pictures: $(INSTALLED) ## every page of the console as a picture, light, dark and narrow, in each language (ARGS='--folder F')
	@$(BIN)/python -m tests.browser $(ARGS)

.PHONY: chaos
chaos: $(INSTALLED) ## send a mailing through kills, restarts, cuts and faults, and account for every message (ARGS='--seed 1')
	@$(BIN)/python -m tests.chaos $(ARGS)

.PHONY: chaos-cluster
chaos-cluster: $(INSTALLED) ## send a mailing over three RabbitMQ nodes that are killed in turn
	@$(BIN)/python -m tests.chaos.cluster

.PHONY: faults
faults: $(INSTALLED) ## hold promises against frozen processes, wrong clocks and lost connections (ARGS='--seed 1')
	@$(BIN)/python -m tests.faults $(ARGS)

.PHONY: notify
notify: $(INSTALLED) ## ten days of reports and 10,000 events for webhooks, over notifiers that are killed (ARGS='--seed 1')
	@$(BIN)/python -m tests.notify $(ARGS)

.PHONY: flat
flat: $(INSTALLED) ## compare memory and broker load at 10,000 and at a million messages (ARGS='--large 100000')
	@$(BIN)/python -m tests.chaos.flat $(ARGS)

.PHONY: rules
rules: $(INSTALLED) ## check windows, previews, control, limits, fairness and single messages on a running system
	@$(BIN)/python -m tests.rules

.PHONY: bench-import
bench-import: $(INSTALLED) ## measure the import and export of clients as CSV, against PostgreSQL alone (ARGS='--rows 100000')
	@$(BIN)/python -m tests.bench.importing $(ARGS)

# The frameworks to compare with have their own environment.
$(BENCH_VENV)/.installed.lock: $(BENCH_LOCK)
	@PYTHON='$(PYTHON)' sh deploy/local/install.sh $(BENCH_VENV) $(BENCH_LOCK)

.PHONY: bench
bench: $(INSTALLED) $(BENCH_VENV)/.installed.lock ## measure messages per second, against Celery, Dramatiq and the floor (ARGS='--only ours')
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: bench-scale
bench-scale: $(INSTALLED) ## measure 1, 2, 4 and 8 senders at a slow provider, and a mailing to a million (ARGS='--large 100000')
	@$(BIN)/python -m tests.bench.scaling $(ARGS)

.PHONY: bench-api
bench-api: $(INSTALLED) ## measure the API's answers with five million messages, and its CRUD against bare FastAPI
	@$(BIN)/python -m tests.bench.reading $(ARGS)

.PHONY: bench-growth
bench-growth: $(INSTALLED) ## release, recording and API with 1, 10 and 100 million messages (ARGS='--messages 1000000 10000000')
	@$(BIN)/python -m tests.bench.growth $(ARGS)

.PHONY: check
check: $(INSTALLED) ## check format, lint, types, borders between packages, and manifests for Kubernetes
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory kubernetes-check

# The 130 MB of schemas and kubectl have their own environment, because nothing else needs them.
$(KUBERNETES_VENV)/.installed.lock: $(KUBERNETES_LOCK)
	@PYTHON='$(PYTHON)' sh deploy/local/install.sh $(KUBERNETES_VENV) $(KUBERNETES_LOCK)

.PHONY: kubernetes-check
kubernetes-check: $(KUBERNETES_VENV)/.installed.lock ## check the manifests of deploy/kubernetes, without a cluster
	@$(KUBERNETES_VENV)/bin/python -m deploy.kubernetes

.PHONY: kubernetes-alerts
kubernetes-alerts: $(INSTALLED) ## write the Prometheus operator's alerts from deploy/prometheus/alerts.yml
	@$(BIN)/python -m deploy.kubernetes alerts

.PHONY: format
format: $(INSTALLED) ## format the code with ruff
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

# Version 2 if it is installed, else version 1.
COMPOSE = cd deploy && $$(docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

deploy/.env:
	@sh deploy/check_volumes.sh
	@umask 077 && sh deploy/environment.sh > $@.new && mv $@.new $@

.PHONY: up
up: deploy/.env ## run everything in containers by docker compose; settings and passwords are in deploy/.env
	@$(COMPOSE) build migrate
	@$(COMPOSE) up --detach
	@$(COMPOSE) ps
	@sh deploy/addresses.sh

.PHONY: down
down: deploy/.env ## stop and remove the containers; their data stays
	@$(COMPOSE) down

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links

.PHONY: lock
lock: ## write the lock files from pyproject.toml (needs uv; UPGRADE=1 takes newer versions)
	@command -v uv >/dev/null || { echo 'uv is needed: pip install uv'; exit 1; }
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --output-file requirements.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --extra dev --constraint requirements.lock --output-file $(LOCK)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group bench --constraint requirements.lock --output-file $(BENCH_LOCK)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group kubernetes --output-file $(KUBERNETES_LOCK)

.PHONY: clean
clean: ## remove the private servers' data, the logs and all caches
	@[ ! -d .local ] || find .local -type l -exec sh -c 'rm -rf "$$(readlink -f "$$1")"' sh {} \;
	rm -rf .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## do `make clean` and remove the virtual environments
	rm -rf $(VENV) $(BENCH_VENV) $(KUBERNETES_VENV)
