#!/bin/sh
# Gives Consul the policies beside this file and one token for each, with the secrets that the environment
# names. Runs where `consul` and a management token (CONSUL_HTTP_TOKEN) are; doing it again changes nothing.
set -eu
here=$(dirname "$0")

until consul acl policy list >/dev/null 2>&1; do
  echo "waiting for Consul's ACLs"
  sleep 1
done

# give NAME SECRET
give() {
  if consul acl policy read -name "sluice-$1" >/dev/null 2>&1; then
    consul acl policy update -name "sluice-$1" -rules "@$here/$1.hcl" >/dev/null
  else
    consul acl policy create -name "sluice-$1" -rules "@$here/$1.hcl" >/dev/null
  fi
  if CONSUL_HTTP_TOKEN=$2 consul acl token read -self >/dev/null 2>&1; then
    echo "sluice-$1: its token is there"
  else
    consul acl token create -description "sluice-$1" -policy-name "sluice-$1" -secret "$2" >/dev/null
    echo "sluice-$1: its token is made"
  fi
}

give agent "${CONSUL_AGENT_TOKEN:?}"
give gateway "${CONSUL_GATEWAY_TOKEN:?}"
give registrator "${CONSUL_REGISTRATOR_TOKEN:?}"
