"""A pod's name and its /etc/hosts."""

from __future__ import annotations

from kubelet.podspec import Pod, is_host_network, pod_name, pod_namespace

MAX_HOSTNAME = 63
HEADER = "# Kubernetes-managed hosts file.\n"
HOST_NETWORK_HEADER = "# Kubernetes-managed hosts file (host network).\n"
LOCAL = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "fe00::0\tip6-mcastprefix\n"
    "fe00::1\tip6-allnodes\n"
    "fe00::2\tip6-allrouters\n"
)


def pod_hostname(pod: Pod) -> str:
    """The short name: the spec's, else the pod's, cut to what the kernel takes."""
    name = str(pod["spec"].get("hostnameOverride") or pod["spec"].get("hostname") or pod_name(pod))
    return name[:MAX_HOSTNAME].rstrip("-.")


def pod_domain(pod: Pod, cluster_domain: str) -> str:
    """The domain of a pod with a subdomain; empty without."""
    subdomain = pod["spec"].get("subdomain")
    if not subdomain or pod["spec"].get("hostnameOverride"):
        return ""
    return f"{subdomain}.{pod_namespace(pod)}.svc.{cluster_domain}"


def kernel_hostname(pod: Pod, cluster_domain: str) -> str:
    """What `hostname` prints inside: the full name when the pod asks for it. Empty on the host's network."""
    if is_host_network(pod) and not pod["spec"].get("hostnameOverride"):
        return ""
    name, domain = pod_hostname(pod), pod_domain(pod, cluster_domain)
    return f"{name}.{domain}" if pod["spec"].get("setHostnameAsFQDN") and domain else name


def hosts_file(pod: Pod, pod_ips: tuple[str, ...], cluster_domain: str, machine_hosts: str = "") -> str:
    """The content; ``machine_hosts`` is the node's own file, for pods on its network."""
    if is_host_network(pod):
        content = HOST_NETWORK_HEADER + machine_hosts
    else:
        name, domain = pod_hostname(pod), pod_domain(pod, cluster_domain)
        names = f"{name}.{domain}\t{name}" if domain else name
        content = HEADER + LOCAL + "".join(f"{address}\t{names}\n" for address in pod_ips)
    aliases = pod["spec"].get("hostAliases") or ()
    if aliases:
        content += "\n# Entries added by HostAliases.\n"
        content += "".join("\t".join([alias["ip"], *(alias.get("hostnames") or ())]) + "\n" for alias in aliases)
    return content
