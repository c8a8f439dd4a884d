#!/bin/sh
# Refuse to make new passwords while Docker still has the volumes of an earlier installation, which has other ones.
set -eu

for volume in mailing_postgres mailing_rabbitmq; do
  if docker volume inspect "$volume" >/dev/null 2>&1; then
    cat >&2 <<END
Docker has the volume $volume of another installation, and its passwords are not in deploy/.env of this folder.
Choose one:
  use that installation    copy its deploy/.env into this folder, then: make up
  run a second one beside  sh deploy/environment.sh > deploy/.env, and change COMPOSE_PROJECT_NAME and ports in it
  delete its data          docker volume rm mailing_postgres mailing_rabbitmq, then: make up
END
    exit 1
  fi
done
