"""The spec of a pod, bare or in a template."""

from __future__ import annotations

import ipaddress

from apiserver.validation.field import Errors, Object
from apiserver.validation.pods.containers import (
    validate_containers,
    validate_ephemeral_containers,
    validate_init_containers,
)
from apiserver.validation.pods.resources import validate_amount, validate_container_resource_name
from apiserver.validation.pods.scheduling import validate_affinity, validate_spread, validate_tolerations
from apiserver.validation.pods.security import validate_pod_security
from apiserver.validation.pods.volumes import validate_volumes
from machinery.meta import names

IP_TEXT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")


def validate_pod_spec(errors: Errors, path: str, spec: Object, metadata: Object | None = None,
                      in_template: bool = False) -> None:
    name = ((metadata or {}).get("name") or "") if not in_template else ""
    volumes = validate_volumes(errors, path + ".volumes", spec.get("volumes") or [], name)
    claims = _validate_claims(errors, path + ".resourceClaims", spec.get("resourceClaims") or [])
    regular = spec.get("containers") or []
    validate_containers(errors, path + ".containers", regular, spec, volumes, claims)
    if spec.get("initContainers"):
        validate_init_containers(
            errors, path + ".initContainers", spec["initContainers"], spec, volumes, claims, regular
        )
    if spec.get("ephemeralContainers"):
        validate_ephemeral_containers(errors, path + ".ephemeralContainers", spec["ephemeralContainers"], spec, volumes)
    if spec.get("hostNetwork"):
        _validate_host_network(errors, path, spec)
    restart = spec.get("restartPolicy") or ""
    if not restart:
        errors.required(path + ".restartPolicy")
    elif restart not in ("Always", "OnFailure", "Never"):
        errors.not_supported(path + ".restartPolicy", restart, ("Always", "OnFailure", "Never"))
    policy = spec.get("dnsPolicy") or ""
    if not policy:
        errors.required(path + ".dnsPolicy")
    elif policy not in _DNS_POLICIES:
        errors.not_supported(path + ".dnsPolicy", policy, _DNS_POLICIES)
    if spec.get("nodeSelector"):
        errors.label_values(path + ".nodeSelector", spec["nodeSelector"])
    validate_pod_security(errors, path + ".securityContext", spec.get("securityContext"), spec)
    validate_affinity(errors, path + ".affinity", spec.get("affinity"))
    _validate_dns_config(errors, path + ".dnsConfig", spec.get("dnsConfig"), policy)
    for i, gate in enumerate(spec.get("readinessGates") or ()):
        kind = gate.get("conditionType") or ""
        errors.invalid_all(f"{path}.readinessGates[{i}].conditionType", kind, names.qualified_name(kind))
    _validate_gates(errors, path + ".schedulingGates", spec.get("schedulingGates") or [])
    if spec.get("topologySpreadConstraints"):
        validate_spread(errors, path + ".topologySpreadConstraints", spec["topologySpreadConstraints"])
    if spec.get("hostUsers") is False:
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(field):
                errors.forbidden(f"{path}.hostUsers", f"when `pod.Spec.{_go(field)}` is true")
    _validate_names(errors, path, spec)
    if spec.get("tolerations"):
        validate_tolerations(errors, path + ".tolerations", spec["tolerations"])
    for i, alias in enumerate(spec.get("hostAliases") or ()):
        validate_ip(errors, f"{path}.hostAliases[{i}].ip", alias.get("ip") or "")
        for j, hostname in enumerate(alias.get("hostnames") or ()):
            where = f"{path}.hostAliases[{i}].hostnames[{j}]"
            errors.invalid_all(where, hostname, names.dns1123_subdomain(hostname))
    _validate_classes(errors, path, spec)


def _go(name: str) -> str:
    return name[0].upper() + name[1:]


def validate_ip(errors: Errors, path: str, value: str) -> None:
    if not is_ip(value):
        errors.invalid(path, value, IP_TEXT)


def is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _validate_names(errors: Errors, path: str, spec: Object) -> None:
    account, node = spec.get("serviceAccountName") or "", spec.get("nodeName") or ""
    if account:
        errors.invalid_all(path + ".serviceAccountName", account, names.dns1123_subdomain(account))
    if node:
        errors.invalid_all(path + ".nodeName", node, names.dns1123_subdomain(node))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2147483647:
        errors.invalid(path + ".activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
    for field in ("hostname", "subdomain"):
        value = spec.get(field) or ""
        if value:
            errors.invalid_all(f"{path}.{field}", value, names.dns1123_label(value))


def _validate_classes(errors: Errors, path: str, spec: Object) -> None:
    priority = spec.get("priorityClassName") or ""
    if priority:
        errors.invalid_all(path + ".priorityClassName", priority, names.dns1123_subdomain(priority))
    runtime = spec.get("runtimeClassName")
    if runtime is not None:
        errors.invalid_all(path + ".runtimeClassName", runtime, names.dns1123_subdomain(runtime))
    preemption = spec.get("preemptionPolicy")
    if preemption is not None:
        if not preemption:
            errors.required(path + ".preemptionPolicy")
        elif preemption not in ("Never", "PreemptLowerPriority"):
            errors.not_supported(path + ".preemptionPolicy", preemption, ("Never", "PreemptLowerPriority"))
    for resource, amount in sorted((spec.get("overhead") or {}).items()):
        validate_container_resource_name(errors, f"{path}.overhead[{resource}]", resource)
        validate_amount(errors, f"{path}.overhead[{resource}]", resource, amount)
    system = spec.get("os")
    if system is not None:
        name = system.get("name") or ""
        if not name:
            errors.required(path + ".os.name", "cannot be empty")
        elif name not in ("linux", "windows"):
            errors.not_supported(path + ".os", name, ("linux", "windows"))


def _validate_host_network(errors: Errors, path: str, spec: Object) -> None:
    for kind in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(kind) or ()):
            for j, port in enumerate(container.get("ports") or ()):
                number = port.get("hostPort") or 0
                if number != port.get("containerPort"):
                    errors.invalid(f"{path}.{kind}[{i}].ports[{j}].hostPort", number,
                                   "must match `containerPort` when `hostNetwork` is true")


def _validate_dns_config(errors: Errors, path: str, config: Object | None, policy: str) -> None:
    if policy == "None":
        if config is None:
            errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not config.get("nameservers"):
            errors.required(path + ".nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
            return
    if config is None:
        return
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(servers) > 3:
        errors.invalid(path + ".nameservers", servers, "must not have more than 3 nameservers")
    for i, server in enumerate(servers):
        validate_ip(errors, f"{path}.nameservers[{i}]", server)
    if len(searches) > 32:
        errors.invalid(path + ".searches", searches, "must not have more than 32 search paths")
    if len(" ".join(searches)) > 2048:
        errors.invalid(path + ".searches", searches,
                       "must not have more than 2048 characters (including spaces) in the search list")
    for i, search in enumerate(searches):
        if search == ".":
            continue
        text = search.removesuffix(".").replace("_", "-")
        for complaint in names.dns1123_subdomain(text):
            errors.invalid(f"{path}.searches[{i}]", search.removesuffix("."), complaint)
    for i, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            errors.required(f"{path}.options[{i}]", "must not be empty")


def _validate_gates(errors: Errors, path: str, gates: list[Object]) -> None:
    seen: set[str] = set()
    for i, gate in enumerate(gates):
        name, where = gate.get("name") or "", f"{path}[{i}]"
        errors.invalid_all(where, name, names.qualified_name(name))
        if name in seen:
            errors.duplicate(where, name)
        seen.add(name)


def _validate_claims(errors: Errors, path: str, claims: list[Object]) -> frozenset[str]:
    seen: set[str] = set()
    for i, claim in enumerate(claims):
        where, name = f"{path}[{i}]", claim.get("name") or ""
        if not name:
            errors.required(where + ".name")
        elif name in seen:
            errors.duplicate(where + ".name", name)
        else:
            errors.invalid_all(where + ".name", name, names.dns1123_label(name))
            seen.add(name)
        given, template = claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName")
        if given is not None and template is not None:
            errors.invalid(
                where, claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            )
        elif given is None and template is None:
            errors.invalid(where, claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
        for field, value in (("resourceClaimName", given), ("resourceClaimTemplateName", template)):
            if value is not None:
                errors.invalid_all(f"{where}.{field}", value, names.dns1123_subdomain(value))
    return frozenset(seen)
