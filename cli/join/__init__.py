"""How a machine that knows a server's address and a token becomes a node."""
