"""What looks into a store from outside the server that owns it, and what saves and restores it.

Reading never disturbs: the database is opened read-only beside its running owner, etcd is only asked for ranges. What
writes (compaction of a file, restoring) first takes the lock that the server takes.
"""
