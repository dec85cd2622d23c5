# What a gateway's token must be allowed: docs/consul.md and docs/documents.md say why.
key_prefix "sluice/" {
  policy = "read"
}
key_prefix "sluice/live/" {
  policy = "write"
}
key_prefix "sluice/history/" {
  policy = "write"
}
key_prefix "sluice/versions/" {
  policy = "write"
}
key_prefix "sluice/gateways/" {
  policy = "write"
}
# What cookies name servers by (sticky sessions).
key_prefix "sluice/keys/" {
  policy = "write"
}
session_prefix "" {
  policy = "write"
}
service_prefix "" {
  policy = "read"
}
# Its own registration (--service-name).
service "sluice" {
  policy = "write"
}
node_prefix "" {
  policy = "read"
}

# The admin API writes these with the gateway's own token. Leave them out where operators write with
# tokens of their own (`sluice script push`, `host push`, `upstream push`); peers are set over the admin API alone.
key_prefix "sluice/scripts/" {
  policy = "write"
}
key_prefix "sluice/modules/" {
  policy = "write"
}
key_prefix "sluice/hosts/" {
  policy = "write"
}
key_prefix "sluice/upstreams/" {
  policy = "write"
}
key_prefix "sluice/peers/" {
  policy = "write"
}

# Certificates that gateways order (--acme-directory). Without it, leave these out.
key_prefix "sluice/acme/" {
  policy = "write"
}
key_prefix "sluice/certificates/acme-" {
  policy = "write"
}
