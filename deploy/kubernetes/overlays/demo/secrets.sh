#!/bin/sh
# Print the demo's Secrets, with random passwords. Run it once, before the overlay is applied:
#   sh deploy/kubernetes/overlays/demo/secrets.sh | kubectl --namespace mailing create --filename -
set -eu

password() {
  od -An -N20 -tx1 /dev/urandom | tr -d ' \n'
}

postgres=$(password) rabbitmq=$(password)

cat <<END
apiVersion: v1
kind: Secret
metadata: {name: mailing-database-app}
stringData:
  password: "$postgres"
  uri: "postgresql://mailing:$postgres@postgres:5432/mailing"
---
apiVersion: v1
kind: Secret
metadata: {name: mailing-broker-default-user}
stringData:
  username: mailing
  password: "$rabbitmq"
  connection_string: "amqp://mailing:$rabbitmq@rabbitmq:5672/"
---
apiVersion: v1
kind: Secret
metadata: {name: mailing-provider}
stringData:
  token: "$(password)"
END
