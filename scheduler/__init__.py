"""The scheduler: which node a pod runs on.

The way of a pod: informer -> ``queue`` -> ``cycle.schedule(table, pod)`` (pure, vectorised over nodes) -> assumed in
the ``node_table`` -> bound through the API -> confirmed by the informer, or forgotten when the API refuses.
"""
