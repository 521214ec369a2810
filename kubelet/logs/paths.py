"""Where logs lie: the layout that log collectors know.

``<pod log root>/<namespace>_<pod>_<uid>/<container>/<restart count>.log``, and a flat directory of links named
``<pod>_<namespace>_<container>-<id>.log``.
"""

from __future__ import annotations

from pathlib import Path

from kubelet.podspec import Pod, pod_name, pod_namespace, pod_uid


def pod_log_directory(root: Path, pod: Pod) -> Path:
    return root / f"{pod_namespace(pod)}_{pod_name(pod)}_{pod_uid(pod)}"


def parse_pod_log_directory(name: str) -> tuple[str, str, str] | None:
    """(namespace, pod, uid) of a directory's name."""
    parts = name.split("_")
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else None


def container_log_path(container: str, restart_count: int) -> str:
    """Relative to the pod's log directory, as CRI wants it."""
    return f"{container}/{restart_count}.log"


def link_name(pod: Pod, container: str, container_id: str) -> str:
    return f"{pod_name(pod)}_{pod_namespace(pod)}_{container}-{container_id}.log"
