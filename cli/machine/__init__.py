"""A control plane or a node on a real machine: what a local cluster runs, in the machine's own network."""
