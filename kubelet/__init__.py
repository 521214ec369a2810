"""The node agent: turns the pods bound to this machine into containers and reports what became of them.

Read in this order: ``plan/`` (pure: what to do for a pod), ``status/`` (pure: what to say about it), ``worker.py``
(one task a pod that runs the loop between the two), ``executor.py`` (does what the plan says), ``agent.py`` (assembly).
"""
