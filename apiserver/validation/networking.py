"""Network policies, ingresses and their classes, service address ranges."""

from __future__ import annotations

import ipaddress
from typing import Any

from apiserver.validation.field import IMMUTABLE, PORT_RANGE, Errors, Object, size
from apiserver.validation.networks import IP_TEXT, is_ip, validate_cidr
from apiserver.validation.objectmeta import SUBDOMAIN, validate_metadata, validate_metadata_update, validate_selector
from apiserver.validation.rules import Rules, revalidate, update_only
from apiserver.validation.services import validate_load_balancer
from machinery.meta import names

_GROUP = "networking.k8s.io"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def create_policy(errors: Errors, policy: Object) -> None:
    validate_metadata(errors, policy, True)
    _policy_spec(errors, policy)


def _policy_spec(errors: Errors, policy: Object) -> None:
    spec = policy.get("spec") or {}
    validate_selector(errors, "spec.podSelector", spec.get("podSelector") or {})
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(direction) or ()):
            for j, port in enumerate(rule.get("ports") or ()):
                _policy_port(errors, f"spec.{direction}[{i}].ports[{j}]", port)
            for j, peer in enumerate(rule.get(peers) or ()):
                _policy_peer(errors, f"spec.{direction}[{i}].{peers}[{j}]", peer)
    types = spec.get("policyTypes") or []
    if len(types) > 2:
        errors.invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
    else:
        for i, kind in enumerate(types):
            if kind not in ("Ingress", "Egress"):
                errors.not_supported(f"spec.policyTypes[{i}]", kind, ("Ingress", "Egress"))


def _policy_port(errors: Errors, path: str, port: Object) -> None:
    protocol, number, end = port.get("protocol"), port.get("port"), port.get("endPort")
    if protocol is not None and protocol not in ("TCP", "UDP", "SCTP"):
        errors.not_supported(path + ".protocol", protocol, ("TCP", "UDP", "SCTP"))
    if number is None:
        if end is not None:
            errors.invalid(path + ".endPort", end, "may not be specified when `port` is not specified")
        return
    if isinstance(number, str):
        if end is not None:
            errors.invalid(path + ".endPort", end, "may not be specified when `port` is non-numeric")
        errors.invalid_all(path + ".port", number, names.port_name(number))
        return
    if not 1 <= number <= 65535:
        errors.invalid(path + ".port", number, PORT_RANGE)
    if end is not None:
        if end < number:
            errors.invalid(path + ".endPort", number, "must be greater than or equal to `port`")
        if not 1 <= end <= 65535:
            errors.invalid(path + ".endPort", end, PORT_RANGE)


def _policy_peer(errors: Errors, path: str, peer: Object) -> None:
    count = 0
    for field in ("podSelector", "namespaceSelector"):
        if peer.get(field) is not None:
            count += 1
            validate_selector(errors, f"{path}.{field}", peer[field])
    block = peer.get("ipBlock")
    if block is not None:
        count += 1
        _ip_block(errors, path + ".ipBlock", block)
        if count > 1:
            errors.forbidden(path, "may not specify both ipBlock and another peer")
    if count == 0:
        errors.required(path, "must specify a peer")


def _ip_block(errors: Errors, path: str, block: Object) -> None:
    cidr = block.get("cidr") or ""
    if not cidr:
        errors.required(path + ".cidr")
        return
    if not validate_cidr(errors, path + ".cidr", cidr):
        return
    whole = ipaddress.ip_network(cidr, strict=False)
    for i, text in enumerate(block.get("except") or ()):
        where = f"{path}.except[{i}]"
        if not validate_cidr(errors, where, text):
            return
        part = ipaddress.ip_network(text, strict=False)
        inside = part.version == whole.version and part.prefixlen > whole.prefixlen and part.subnet_of(whole)  # type: ignore[arg-type]
        if not inside:
            errors.invalid(where, text, "must be a strict subset of `cidr`")


def create_ingress(errors: Errors, ingress: Object) -> None:
    validate_metadata(errors, ingress, True, SUBDOMAIN)
    _ingress_spec(errors, ingress.get("spec") or {})
    annotations = (ingress.get("metadata") or {}).get("annotations") or {}
    if "kubernetes.io/ingress.class" in annotations and (ingress.get("spec") or {}).get("ingressClassName") is not None:
        errors.invalid("metadata.annotations.kubernetes.io/ingress.class", annotations["kubernetes.io/ingress.class"],
                       "can not be set when the class field is also set")


def _ingress_spec(errors: Errors, spec: Object) -> None:
    rules, default = spec.get("rules") or [], spec.get("defaultBackend")
    if not rules and default is None:
        errors.append({"reason": "FieldValueInvalid", "field": "spec",
                       "message": "Invalid value: null: either `defaultBackend` or `rules` must be specified"})
    if default is not None:
        _backend(errors, "spec.defaultBackend", default)
    for i, rule in enumerate(rules):
        _ingress_rule(errors, f"spec.rules[{i}]", rule)
    for i, tls in enumerate(spec.get("tls") or ()):
        _tls(errors, f"spec.tls[{i}]", tls)
    name = spec.get("ingressClassName")
    if name is not None:
        errors.invalid_all("spec.ingressClassName", name, names.dns1123_subdomain(name))


def _host(errors: Errors, path: str, host: str, wildcard_text: bool = True) -> None:
    if "*" in host:
        errors.invalid_all(path, host, names.wildcard_dns1123_subdomain(host))
    else:
        errors.invalid_all(path, host, names.dns1123_subdomain(host))


def _tls(errors: Errors, path: str, tls: Object) -> None:
    for i, host in enumerate(tls.get("hosts") or ()):
        _host(errors, f"{path}.hosts[{i}]", host)
    secret = tls.get("secretName") or ""
    if secret:
        errors.invalid_all(path + ".secretName", secret, names.dns1123_subdomain(secret))


def _ingress_rule(errors: Errors, path: str, rule: Object) -> None:
    host = rule.get("host") or ""
    if host:
        if is_ip(host):
            errors.invalid(path + ".host", host, "must be a DNS name, not an IP address")
        _host(errors, path + ".host", host)
    http = rule.get("http")
    if http is None:
        return
    paths = http.get("paths") or []
    if not paths:
        errors.required(path + ".http.paths")
    for i, entry in enumerate(paths):
        _http_path(errors, f"{path}.http.paths[{i}]", entry)


def _http_path(errors: Errors, path: str, entry: Object) -> None:
    kind, text = entry.get("pathType"), entry.get("path") or ""
    if not kind:
        errors.required(path + ".pathType", "pathType must be specified")
        return
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            errors.invalid(path + ".path", text, "must be an absolute path")
        if text:
            for bad in ("//", "/./", "/../", "%2f", "%2F"):
                if bad in text:
                    errors.invalid(path + ".path", text, f"must not contain '{bad}'")
            for bad in ("/..", "/."):
                if text.endswith(bad):
                    errors.invalid(path + ".path", text, f"cannot end with '{bad}'")
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            errors.invalid(path + ".path", text, "must be an absolute path")
    else:
        errors.not_supported(path + ".pathType", kind, _PATH_TYPES)
    _backend(errors, path + ".backend", entry.get("backend") or {})


def _backend(errors: Errors, path: str, backend: Object) -> None:
    service, resource = backend.get("service"), backend.get("resource")
    if resource is not None and service is not None:
        errors.invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        _typed_reference(errors, path + ".resource", resource)
    elif service is None:
        errors.invalid(path, "", "resource or service backend is required")
    else:
        name, port = service.get("name") or "", service.get("port") or {}
        if not name:
            errors.required(path + ".service.name")
        else:
            errors.invalid_all(path + ".service.name", name, names.dns1123_label(name))
        if port.get("name") and port.get("number"):
            errors.invalid(path, "", "cannot set both port name & port number")
        elif port.get("name"):
            errors.invalid_all(path + ".service.port.name", port["name"], names.port_name(port["name"]))
        elif port.get("number"):
            if not 1 <= port["number"] <= 65535:
                errors.invalid(path + ".service.port.number", port["number"], PORT_RANGE)
        else:
            errors.required(path, "port name or number is required")


def _typed_reference(errors: Errors, path: str, reference: Object) -> None:
    group = reference.get("apiGroup")
    if group is not None:
        errors.invalid_all(path + ".apiGroup", group, names.dns1123_subdomain(group))
    for field in ("kind", "name"):
        value = reference.get(field) or ""
        if not value:
            errors.required(f"{path}.{field}")
        else:
            errors.invalid_all(f"{path}.{field}", value, names.path_segment(value))


def update_ingress(errors: Errors, ingress: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, ingress, old)
    if subresource == "status":
        entries = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        validate_load_balancer(errors, "status.loadBalancer", entries)
        return
    create_ingress(errors, ingress)


def create_class(errors: Errors, entry: Object) -> None:
    validate_metadata(errors, entry, False, SUBDOMAIN)
    spec = entry.get("spec") or {}
    controller = spec.get("controller") or ""
    if size(controller) > 250:
        errors.too_long("spec.controller", 250)
    _prefixed_path(errors, "spec.controller", controller)
    parameters = spec.get("parameters")
    if parameters is not None:
        _typed_reference(errors, "spec.parameters", parameters)
        scope, namespace = parameters.get("scope"), parameters.get("namespace")
        if scope is None:
            errors.required("spec.parameters.scope")
        elif scope == "Namespace":
            if namespace is None:
                errors.required("spec.parameters.namespace", "`parameters.scope` is set to 'Namespace'")
            else:
                errors.invalid_all("spec.parameters.namespace", namespace, names.dns1123_label(namespace))
        elif scope == "Cluster":
            if namespace is not None:
                errors.forbidden("spec.parameters.namespace", "`parameters.scope` is set to 'Cluster'")
        else:
            errors.not_supported("spec.parameters.scope", scope, ("Cluster", "Namespace"))


def _prefixed_path(errors: Errors, path: str, value: str) -> None:
    if not value:
        errors.required(path)
        return
    domain, slash, rest = value.partition("/")
    if not slash or not domain or not rest:
        errors.invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    errors.invalid_all(path, domain, names.dns1123_subdomain(domain))
    import re

    if not re.fullmatch(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", rest):
        errors.invalid(path, rest, "Invalid path (regex used for validation is "
                                   "'[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')")


def update_class(errors: Errors, entry: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, entry, old)
    was, now = (old.get("spec") or {}).get("controller"), (entry.get("spec") or {}).get("controller")
    errors.immutable("spec.controller", now or "", was or "")
    create_class(errors, entry)


def _ip_name(value: str, prefix: bool) -> list[str]:
    return [] if is_ip(value) else [IP_TEXT]


def create_ip_address(errors: Errors, address: Object) -> None:
    validate_metadata(errors, address, False, _ip_name)
    parent = (address.get("spec") or {}).get("parentRef")
    if not parent or not any(parent.values()):
        errors.required("spec.parentRef")
        return
    if parent.get("group"):
        errors.invalid_all("spec.parentRef.group", parent["group"], names.dns1123_subdomain(parent["group"]))
    for field, needed in (("resource", True), ("name", True), ("namespace", False)):
        value = parent.get(field) or ""
        if not value:
            if needed:
                errors.required(f"spec.parentRef.{field}")
        else:
            errors.invalid_all(f"spec.parentRef.{field}", value, names.path_segment(value))


def create_service_cidr(errors: Errors, entry: Object) -> None:
    validate_metadata(errors, entry, False)
    _cidrs(errors, entry)


def _cidrs(errors: Errors, entry: Object) -> None:
    cidrs = (entry.get("spec") or {}).get("cidrs") or []
    if not cidrs:
        errors.required("spec.cidrs", "at least one CIDR required")
        return
    if len(cidrs) > 2:
        errors.invalid("spec.cidrs", cidrs, "may only hold up to 2 values")
    fine = True
    if len(cidrs) == 2:
        versions = [ipaddress.ip_network(c, strict=False).version for c in cidrs if _is_cidr(c)]
        if len(versions) == 2 and versions[0] == versions[1]:
            errors.invalid("spec.cidrs", cidrs, "may specify no more than one IP for each IP family, "
                                                "i.e 192.168.0.0/24 and 2001:db8::/64")
    for i, cidr in enumerate(cidrs):
        fine = validate_cidr(errors, f"spec.cidrs[{i}]", cidr) and fine


def _is_cidr(text: str) -> bool:
    return validate_cidr(Errors(), "", text)


def update_service_cidr(errors: Errors, entry: Object, old: Object, subresource: str) -> None:
    validate_metadata_update(errors, entry, old)
    if subresource == "status":
        return
    was: Any = (old.get("spec") or {}).get("cidrs") or []
    now: Any = (entry.get("spec") or {}).get("cidrs") or []
    if len(was) == 1 and len(now) == 2 and now[0] == was[0]:
        _cidrs(errors, entry)  # a second family may be added
    elif now and len(now) == len(was):
        for i, (new, before) in enumerate(zip(now, was, strict=True)):
            errors.immutable(f"spec.cidrs[{i}]", new, before)
    elif now != was:
        errors.invalid("spec.cidrs", now or None, IMMUTABLE)


RULES = {
    (_GROUP, "NetworkPolicy"): update_only(create_policy, _policy_spec),
    (_GROUP, "Ingress"): Rules(create_ingress, update_ingress),
    (_GROUP, "IngressClass"): Rules(create_class, update_class),
    (_GROUP, "IPAddress"): revalidate(create_ip_address),
    (_GROUP, "ServiceCIDR"): Rules(create_service_cidr, update_service_cidr),
}
