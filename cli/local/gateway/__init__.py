"""The way between this machine and a local cluster's network.

The root namespace has no link into the cluster, so a small process per cluster serves every NodePort on 127.0.0.1 and
carries the bytes into the cluster, by sockets that were opened inside the control plane's namespace. The same process
keeps the control plane's routes to the pods, for whatever the API server has to reach there. It imports the standard
library only: it lives as long as the cluster and its memory is counted.
"""
