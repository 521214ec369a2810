"""The node's own HTTPS server: exec, attach, port-forward, logs, statistics; what the API server proxies to."""
