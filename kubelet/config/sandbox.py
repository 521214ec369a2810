"""The request for a sandbox."""

from __future__ import annotations

from kubelet.config.dns import DnsSettings
from kubelet.config.security import pod_context, sandbox_security
from kubelet.cri import names
from kubelet.podspec import Pod, pod_name, pod_namespace, pod_uid
from proto import cri_pb2 as cri


def sandbox_config(
    pod: Pod, *, attempt: int, hostname: str, dns: DnsSettings, log_directory: str, cgroup_parent: str
) -> cri.PodSandboxConfig:
    """Host ports are not in it: the network package maps them by its own rules."""
    metadata = pod["metadata"]
    labels = dict(metadata.get("labels") or {}) | {
        names.POD_NAME: pod_name(pod), names.POD_NAMESPACE: pod_namespace(pod), names.POD_UID: pod_uid(pod),
    }  # fmt: skip
    sysctls = {entry["name"]: str(entry["value"]) for entry in pod_context(pod).get("sysctls") or ()}
    return cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(
            name=pod_name(pod), uid=pod_uid(pod), namespace=pod_namespace(pod), attempt=attempt
        ),
        hostname=hostname,
        log_directory=log_directory,
        dns_config=cri.DNSConfig(servers=dns.servers, searches=dns.searches, options=dns.options),
        labels=labels,
        annotations=dict(metadata.get("annotations") or {}),
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent=cgroup_parent, security_context=sandbox_security(pod), sysctls=sysctls
        ),
    )
