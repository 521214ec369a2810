"""What the agent is told at its start, and what it knows of its machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kubelet.images.pause import PAUSE_REFERENCE

DEFAULT_PORT = 10250
DEFAULT_ENDPOINT = "/run/containerd/containerd.sock"


@dataclass(frozen=True, slots=True)
class Options:
    """Paths and names; every one has a flag of the same name."""

    kubeconfig: Path
    node_name: str
    runtime_endpoint: str = DEFAULT_ENDPOINT
    root_dir: Path = Path("/var/lib/kubelet")
    pod_log_dir: Path | None = None
    container_log_dir: Path | None = None
    bootstrap_kubeconfig: Path | None = None
    cert_dir: Path | None = None
    manifest_dir: Path | None = None
    node_ip: str = ""
    node_labels: dict[str, str] = field(default_factory=dict)
    register_with_taints: tuple[dict[str, str], ...] = ()
    port: int = DEFAULT_PORT
    address: str = "0.0.0.0"
    cluster_dns: tuple[str, ...] = ("10.96.0.10",)
    cluster_domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    cgroup_prefix: str = ""
    cgroup_driver: str = ""
    pause_image: str = PAUSE_REFERENCE
    max_pods: int = 110
    allowed_sysctls: tuple[str, ...] = ()
    serialize_image_pulls: bool = True
    log_max_bytes: int = 10 * 1024 * 1024
    log_max_files: int = 5
    provider_id: str = ""

    @property
    def pod_logs(self) -> Path:
        """Under the node's own root unless told: several nodes may share a machine."""
        return self.pod_log_dir or self.root_dir / "log" / "pods"

    @property
    def container_logs(self) -> Path:
        return self.container_log_dir or self.root_dir / "log" / "containers"

    @property
    def certificates(self) -> Path:
        return self.cert_dir or self.root_dir / "pki"
