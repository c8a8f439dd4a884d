#!/bin/sh
# Print the addresses and users of the composition, from deploy/.env and the defaults of deploy/compose.yaml.
set -eu
. "$(dirname "$0")/.env"

cat <<END

  console            http://127.0.0.1:${MAILING_CONSOLE_PORT:-8080}/
  API and its docs   http://127.0.0.1:${MAILING_API_PORT:-8000}/docs/
  RabbitMQ UI        http://127.0.0.1:${MAILING_RABBITMQ_UI_PORT:-15672}  user mailing, MAILING_RABBITMQ_PASSWORD
END
case ",$COMPOSE_PROFILES," in *,demo,*)
  echo "  sandbox provider   http://127.0.0.1:${MAILING_SANDBOX_PORT:-8091}/docs" ;;
esac
case ",$COMPOSE_PROFILES," in *,monitoring,*)
  echo "  Prometheus         http://127.0.0.1:${MAILING_PROMETHEUS_PORT:-9090}"
  echo "  Grafana            http://127.0.0.1:${MAILING_GRAFANA_PORT:-3000}  user admin, MAILING_GRAFANA_PASSWORD" ;;
esac
cat <<END

  The first admin signs in at the console with a one-time link. In deploy/:
  docker compose run --rm mailing user create admin --role admin
  docker compose run --rm mailing user link admin                               then open /sign-in/link/<token>

  Passwords are in deploy/.env. \`make down\` stops everything and keeps the data. In deploy/:
  docker compose run --rm mailing check                                         look at all parts
  docker compose run --rm mailing dead-letters                                  what could not be handled
  docker compose logs --no-log-prefix | docker compose run --rm -T mailing logs --mailing 1   one mailing's log lines
END
