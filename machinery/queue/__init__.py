"""Work queues: see :mod:`machinery.queue.work_queue`."""

from machinery.queue.work_queue import ShutDown, WorkQueue

__all__ = ["ShutDown", "WorkQueue"]
