#!/bin/sh
# Prints settings for deploy/compose.yaml, with passwords made up for this installation alone.
set -eu

password() {
  od -An -N20 -tx1 /dev/urandom | tr -d ' \n'
}

cat <<END
COMPOSE_PROJECT_NAME=mailing
# demo: the sandbox provider; monitoring: Prometheus and Grafana. With commas between.
COMPOSE_PROFILES=demo

# Your provider, in earnest: put it here, and take demo away above.
MAILING_PROVIDER_URL=http://sandbox:8090
MAILING_PROVIDER_TOKEN=$(password)

# They are set when the volumes are made: later, change them in the servers as well.
MAILING_POSTGRES_PASSWORD=$(password)
MAILING_RABBITMQ_PASSWORD=$(password)
MAILING_GRAFANA_PASSWORD=$(password)
END
