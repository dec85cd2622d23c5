# What Consul's own agents must be allowed: to register their nodes, and to check the services of all.
node_prefix "" {
  policy = "write"
}
service_prefix "" {
  policy = "read"
}
