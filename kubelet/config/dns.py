"""What a pod's resolv.conf says, by its policy, the cluster's settings and the machine's own file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubelet.podspec import Pod, is_host_network, pod_namespace

MAX_NAMESERVERS = 3
MAX_SEARCHES = 32


@dataclass(frozen=True, slots=True)
class DnsSettings:
    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterDns:
    servers: tuple[str, ...] = ()
    domain: str = "cluster.local"


def parse_resolv_conf(text: str) -> DnsSettings:
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if not words:
            continue
        if words[0] == "nameserver" and len(words) > 1:
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            searches = [word.removesuffix(".") or "." for word in words[1:]]
        elif words[0] == "options":
            options += [word for word in words[1:] if word not in options]
    return DnsSettings(tuple(servers), tuple(searches), tuple(options))


def compute_dns(pod: Pod, cluster: ClusterDns, machine: DnsSettings) -> DnsSettings:
    policy = pod["spec"].get("dnsPolicy") or "ClusterFirst"
    in_cluster = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not is_host_network(pod))
    if policy == "None":
        settings = DnsSettings()
    elif in_cluster and cluster.servers:
        namespace, domain = pod_namespace(pod), cluster.domain
        own = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain)
        settings = DnsSettings(cluster.servers, _unique((*own, *machine.searches)), ("ndots:5",))
    else:
        settings = machine
    return _with_config(settings, pod["spec"].get("dnsConfig") or {})


def _with_config(settings: DnsSettings, config: dict[str, Any]) -> DnsSettings:
    """The pod's own additions; an option replaces one of the same name."""
    options = {option.partition(":")[0]: option for option in settings.options}
    for option in config.get("options") or ():
        name, value = option["name"], option.get("value")
        options[name] = f"{name}:{value}" if value not in (None, "") else name
    return DnsSettings(
        _unique((*settings.servers, *(config.get("nameservers") or ())))[:MAX_NAMESERVERS],
        _unique((*settings.searches, *(config.get("searches") or ())))[:MAX_SEARCHES],
        tuple(options.values()),
    )


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
