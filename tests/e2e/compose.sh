#!/usr/bin/env bash
# Test the composition: send a mailing to 20,000 clients while senders are scaled 1 → 4 → 2, RabbitMQ restarts, and
# then everything but the provider restarts. The last line is the reckoning; status 0 means that it adds up.
#
# Needs docker, docker compose (version 2, or docker-compose 1.29) and curl. Leaves nothing behind but the image.
set -euo pipefail
cd "$(dirname "$0")/../.."

image=${MAILING_IMAGE:-mailing-service}
unset "${!MAILING_@}" "${!COMPOSE_@}" # they would come before the file
if docker compose version >/dev/null 2>&1; then program=(docker compose); else program=(docker-compose); fi
work=$(mktemp -d)
sh deploy/environment.sh >"$work/env"
cat >>"$work/env" <<END
COMPOSE_PROJECT_NAME=mailing-e2e-$$
MAILING_IMAGE=$image
MAILING_API_PORT=0
MAILING_SANDBOX_PORT=0
MAILING_RABBITMQ_UI_PORT=0
END

compose() {
  "${program[@]}" --env-file "$work/env" --file deploy/compose.yaml "$@"
}

quietly() {
  "$@" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }
}

say() {
  printf '%4d s  %s\n' "$SECONDS" "$*"
}

clean() {
  local status=$?
  ((status == 0)) || compose logs --no-color --tail=20 || true
  compose down --volumes --remove-orphans >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$status"
}
trap clean EXIT
trap 'exit 130' INT TERM

# Runs in a container like the services', with this repository before the image's code.
inside() {
  compose run --rm --no-deps -T --user "$(id -u)" --volume "$PWD:/src:ro" --workdir /src migrate tests.e2e.composition "$@"
}

sent() {
  curl --silent --fail --max-time 5 "http://$api/api/mailing/$mailing/" | sed -n 's/.*"sent":\([0-9]*\).*/\1/p'
}

until_sent() {
  local count=0
  for _ in $(seq 600); do
    count=$(sent || true)
    if ((${count:-0} >= $1)); then
      say "sent=$count"
      return
    fi
    sleep 0.2
  done
  say "only ${count:-none} of $1 were sent in two minutes"
  return 1
}

say "building the image"
quietly compose build migrate
say "starting everything"
quietly compose up --detach
mailing=$(inside begin 2>"$work/log") || { cat "$work/log"; exit 1; }
api=$(compose port api 8000)
say "mailing $mailing to 20,000 is on its way, with 1 sender"
until_sent 2000
say "4 senders"
quietly compose up --detach --scale sender=4
until_sent 8000
say "2 senders"
quietly compose up --detach --scale sender=2
until_sent 11000
say "restarting RabbitMQ"
quietly compose restart rabbitmq
until_sent 14000
say "stopping everything but the provider, and starting it again"
# Not `restart`: senders stop while there is a RabbitMQ to hand their reports to.
quietly compose stop sender planner api rabbitmq postgres
quietly compose start postgres rabbitmq api planner sender
say "waiting for the end"
inside end "$mailing" 2>"$work/log" || { cat "$work/log"; exit 1; }
