"""Options of the controllers process. Names and defaults follow kube-controller-manager's flags where both have one."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Options:
    kubeconfig: str = ""
    controllers: list[str] = field(default_factory=lambda: ["*"])
    use_service_account_credentials: bool = True
    leader_elect: bool = True
    leader_elect_resource_name: str = "kube-controller-manager"
    leader_elect_resource_namespace: str = "kube-system"
    leader_elect_lease_duration: float = 15.0
    leader_elect_renew_deadline: float = 10.0
    leader_elect_retry_period: float = 2.0
    identity: str = ""
    bind_address: str = "127.0.0.1"
    secure_port: int = -1
    log_level: str = "info"
    log_format: str = "text"

    allocate_node_cidrs: bool = True
    cluster_cidr: str = "10.244.0.0/16"
    node_cidr_mask_size: int = 24

    node_monitor_period: float = 5.0
    node_monitor_grace_period: float = 50.0
    node_startup_grace_period: float = 60.0
    node_eviction_rate: float = 0.1
    secondary_node_eviction_rate: float = 0.01
    unhealthy_zone_threshold: float = 0.55
    large_cluster_size_threshold: int = 50

    cluster_signing_cert_file: str = ""
    cluster_signing_key_file: str = ""
    cluster_signing_duration: float = 365 * 24 * 3600.0
    root_ca_file: str = ""
    service_account_private_key_file: str = ""

    terminated_pod_gc_threshold: int = 12500

    def enabled(self, name: str) -> bool:
        """``*`` turns on all, ``-name`` one off, ``name`` one on (the rule of ``--controllers``)."""
        if f"-{name}" in self.controllers:
            return False
        return "*" in self.controllers or name in self.controllers
