"""Where a pod's files lie on the node."""

from __future__ import annotations

from pathlib import Path

PLUGINS = {
    "emptyDir": "kubernetes.io~empty-dir",
    "configMap": "kubernetes.io~configmap",
    "secret": "kubernetes.io~secret",
    "downwardAPI": "kubernetes.io~downward-api",
    "projected": "kubernetes.io~projected",
    "hostPath": "kubernetes.io~host-path",
}


def pod_directory(root: Path, uid: str) -> Path:
    return root / "pods" / uid


def volume_directory(root: Path, uid: str, kind: str, name: str) -> Path:
    return pod_directory(root, uid) / "volumes" / PLUGINS[kind] / name


def sub_path_target(root: Path, uid: str, volume: str, container: str, index: int) -> Path:
    return pod_directory(root, uid) / "volume-subpaths" / volume / container / str(index)


def hosts_path(root: Path, uid: str) -> Path:
    return pod_directory(root, uid) / "etc-hosts"


def container_directory(root: Path, uid: str, container: str) -> Path:
    return pod_directory(root, uid) / "containers" / container
