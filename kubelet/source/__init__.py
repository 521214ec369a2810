"""Where pods and the objects they name come from: the API server, and a directory of manifests."""
