"""The network of a node: Services to nftables rules, cluster DNS, routes to other nodes' pods, the CNI configuration.

Four small machines behind one ``run`` (:mod:`network.agent`), all fed by the same informers: every one of them computes
what should be (pure), compares with what is, and changes the difference.
"""
