"""Custom resources: kinds that come and go with the CustomResourceDefinitions of a cluster.

Nothing of a request is answered here. A definition becomes rows of the table of kinds (``rows``), each with a ``form``
that says how its objects are read, defaulted, pruned and judged; the endpoints, the generic store, discovery and
printing treat such a row like any other. ``controller`` watches the definitions and keeps rows and conditions right.
"""
