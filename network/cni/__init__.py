"""The CNI configuration of a node: how the runtime wires a pod."""
