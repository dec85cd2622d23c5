#!/bin/sh
# Prints the secrets that docker-compose.yml asks for, new ones each time: sh deploy/secrets.sh > .env
set -eu
for name in CONSUL_BOOTSTRAP_TOKEN CONSUL_AGENT_TOKEN CONSUL_GATEWAY_TOKEN CONSUL_REGISTRATOR_TOKEN \
  SLUICE_ADMIN_TOKEN; do
  echo "$name=$(cat /proc/sys/kernel/random/uuid)"
done
