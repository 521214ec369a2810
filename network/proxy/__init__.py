"""Service load balancing: Services and EndpointSlices -> rule set (pure) -> one atomic nftables transaction."""
