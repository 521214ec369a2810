"""Labels and annotations on sandboxes and containers: the agent's only memory of what it started.

Label names are those that every CRI tool looks for. The annotations under ``navarch.io`` hold what a restarted agent
cannot compute again: the step of the restart back-off, and the kind of the container.
"""

from __future__ import annotations

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"

CONTAINER_HASH = "io.kubernetes.container.hash"
CONTAINER_RESTART_COUNT = "io.kubernetes.container.restartCount"
CONTAINER_MESSAGE_PATH = "io.kubernetes.container.terminationMessagePath"
CONTAINER_MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy"
POD_GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod"
POD_DELETION_GRACE_PERIOD = "io.kubernetes.pod.deletionGracePeriod"

CONTAINER_BACKOFF = "navarch.io/restart-backoff"
CONTAINER_KIND = "navarch.io/container-kind"
CONTAINER_MESSAGE_FILE = "navarch.io/termination-message-file"

#: The containerd namespace of everything that CRI makes.
CONTAINERD_NAMESPACE = "k8s.io"
