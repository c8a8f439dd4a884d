#!/bin/sh
# Print settings for deploy/compose.yaml, with random passwords for this installation.
set -eu

password() {
  od -An -N20 -tx1 /dev/urandom | tr -d ' \n'
}

cat <<END
COMPOSE_PROJECT_NAME=mailing
# demo: the sandbox provider; monitoring: Prometheus and Grafana. Separate several by commas.
COMPOSE_PROFILES=demo

# For real messages, put your provider's address and token here, and remove demo above.
MAILING_PROVIDER_URL=http://sandbox:8090
MAILING_PROVIDER_TOKEN=$(password)

# The servers take these when their volumes are made. Later, change them in the servers as well.
MAILING_POSTGRES_PASSWORD=$(password)
MAILING_RABBITMQ_PASSWORD=$(password)
MAILING_GRAFANA_PASSWORD=$(password)
END
