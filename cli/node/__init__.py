"""The process of a node: the kubelet and the network in one, which share a connection and a memory."""
