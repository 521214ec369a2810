"""The controllers: each is a ``plan`` (pure: what is desired, what is there, the time -> what to do) and a thin
``controller`` that feeds it from shared informers and carries out what it says.

``manager`` has the table of them; ``context`` is all that one is given; ``pod_owner`` is the edge that the owners of
pods share; ``pods``, ``claims``, ``expectations``, ``history``, ``node_fit`` are the words they speak.
"""
