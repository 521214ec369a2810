"""The names of the cluster. Pure: Services and EndpointSlices in, records out.

Names are kept lower-case and relative to the cluster domain (``web.default.svc``); a name "exists" when it, or a name
below it, has a record: that decides between NXDOMAIN and an empty answer. Source: the Kubernetes DNS specification
1.1.0 and what CoreDNS's kubernetes plugin answers by default.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

SPEC_VERSION = "1.1.0"


@dataclass(frozen=True, slots=True)
class Srv:
    """An SRV record; ``target`` is relative to the cluster domain."""

    port: int
    target: str


@dataclass(slots=True)
class Records:
    """What one name holds."""

    addresses: tuple[str, ...] = ()
    services: tuple[Srv, ...] = ()
    cname: str = ""
    text: str = ""

    def merged(self, other: Records) -> Records:
        return Records(
            tuple(dict.fromkeys((*self.addresses, *other.addresses))),
            tuple(dict.fromkeys((*self.services, *other.services))),
            self.cname or other.cname, self.text or other.text,
        )  # fmt: skip


@dataclass(slots=True)
class ServiceNames:
    """Everything one Service contributes. ``pointers``: address -> name (relative)."""

    names: dict[str, Records] = field(default_factory=dict)
    pointers: dict[str, str] = field(default_factory=dict)


def compute_names(service: Object, slices: Iterable[Object]) -> ServiceNames:
    """The records of one Service."""
    meta, spec = service["metadata"], service["spec"]
    base = f"{meta['name']}.{meta['namespace']}.svc".lower()
    out = ServiceNames()
    if spec.get("type") == "ExternalName":
        out.names[base] = Records(cname=str(spec.get("externalName", "")).rstrip(".").lower())
        return out
    if spec.get("clusterIP") == "None":
        _headless(out, base, slices)
        return out
    addresses = tuple(spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else ()))
    if not addresses:
        return out
    out.names[base] = Records(addresses)
    out.pointers.update(dict.fromkeys(addresses, base))
    for port in spec.get("ports") or ():
        if port.get("name"):
            _add_srv(out, base, port["name"], port.get("protocol"), Srv(int(port["port"]), base))
    return out


def _headless(out: ServiceNames, base: str, slices: Iterable[Object]) -> None:
    addresses: list[str] = []
    for each in slices:
        if each.get("addressType") not in ("IPv4", "IPv6"):
            continue
        for endpoint in each.get("endpoints") or ():
            ready = (endpoint.get("conditions") or {}).get("ready")
            if ready is False:
                continue
            for address in endpoint.get("addresses") or ():
                name = f"{(endpoint.get('hostname') or _dashed(address)).lower()}.{base}"
                addresses.append(address)
                out.names[name] = out.names.get(name, Records()).merged(Records((address,)))
                if endpoint.get("hostname"):
                    out.pointers[address] = name
                for port in each.get("ports") or ():
                    if port.get("name") and port.get("port"):
                        _add_srv(out, base, port["name"], port.get("protocol"), Srv(int(port["port"]), name))
    if addresses:
        out.names[base] = out.names.get(base, Records()).merged(Records(tuple(sorted(set(addresses)))))


def _add_srv(out: ServiceNames, base: str, port_name: str, protocol: str | None, srv: Srv) -> None:
    name = f"_{port_name}._{(protocol or 'TCP')}.{base}".lower()
    out.names[name] = out.names.get(name, Records()).merged(Records(services=(srv,)))


def _dashed(address: str) -> str:
    return address.replace(".", "-").replace(":", "-")


@dataclass(frozen=True, slots=True)
class Answer:
    """``exists`` False is NXDOMAIN. ``elsewhere``: the name is not ours, ask upstream (a CNAME may point there)."""

    exists: bool
    records: Records = field(default_factory=Records)
    elsewhere: bool = False


class Zone:
    """All names, kept by Service so that a change replaces only what that Service contributed.

    Invariant: ``_below[name]`` counts the contributed names at or below ``name``; a name exists iff it is counted.
    """

    def __init__(self, domain: str = "cluster.local") -> None:
        self.domain = domain.strip(".").lower()
        self._by_service: dict[str, ServiceNames] = {}
        self._names: dict[str, dict[str, Records]] = {}
        self._below: dict[str, int] = {}
        self._pointers: dict[str, dict[str, str]] = {}
        self._namespaces: set[str] = set()

    def set_service(self, key: str, names: ServiceNames | None) -> None:
        """Replace what the Service ``namespace/name`` contributes; None removes it."""
        before = self._by_service.pop(key, None)
        if before is not None:
            for name in before.names:
                self._drop(self._names, name, key)
                self._count(name, -1)
            for address in before.pointers:
                self._drop(self._pointers, address, key)
        if names is None:
            return
        self._by_service[key] = names
        for name, records in names.names.items():
            self._names.setdefault(name, {})[key] = records
            self._count(name, 1)
        for address, name in names.pointers.items():
            self._pointers.setdefault(address, {})[key] = name

    def set_namespaces(self, names: Iterable[str]) -> None:
        self._namespaces = set(names)

    def resolve(self, name: str) -> Answer:
        """All records of an absolute, lower-case name without the final dot."""
        if name == self.domain:
            return Answer(True)
        suffix = "." + self.domain
        if not name.endswith(suffix):
            return self._reverse(name)
        relative = name[: -len(suffix)]
        if relative in ("svc", "pod"):
            return Answer(True)
        if relative == "dns-version":
            return Answer(True, Records(text=SPEC_VERSION))
        if relative.endswith(".pod"):
            return self._pod(relative)
        found = self._names.get(relative)
        if found:
            records = Records()
            for each in found.values():
                records = records.merged(each)
            return Answer(True, records)
        namespace, _, kind = relative.rpartition(".")
        return Answer(relative in self._below or (kind == "svc" and namespace in self._namespaces))

    def absolute(self, relative: str) -> str:
        return f"{relative}.{self.domain}"

    def _pod(self, relative: str) -> Answer:
        """``10-244-0-5.default.pod``: the address is in the name."""
        parts = relative.split(".")
        if len(parts) == 2:
            return Answer(parts[0] in self._namespaces)
        if len(parts) != 3 or parts[1] not in self._namespaces:
            return Answer(False)
        dashed = parts[0]
        for candidate in (dashed.replace("-", "."), dashed.replace("-", ":")):
            try:
                return Answer(True, Records((str(ipaddress.ip_address(candidate)),)))
            except ValueError:
                continue
        return Answer(False)

    def _reverse(self, name: str) -> Answer:
        address = reverse_address(name)
        if address is None:
            return Answer(False, elsewhere=True)
        found = self._pointers.get(address)
        if not found:
            return Answer(False, elsewhere=True)
        return Answer(True, Records(cname=self.absolute(next(iter(found.values())))))

    def _count(self, name: str, by: int) -> None:
        while name:
            number = self._below.get(name, 0) + by
            if number:
                self._below[name] = number
            else:
                self._below.pop(name, None)
            name = name.partition(".")[2]

    @staticmethod
    def _drop(table: dict[str, dict[str, Any]], name: str, key: str) -> None:
        there = table.get(name)
        if there is not None:
            there.pop(key, None)
            if not there:
                del table[name]


def reverse_address(name: str) -> str | None:
    """``5.0.244.10.in-addr.arpa`` -> ``10.244.0.5``; None when it is no reverse name."""
    if name.endswith(".in-addr.arpa"):
        parts = name[: -len(".in-addr.arpa")].split(".")
        text = ".".join(reversed(parts))
    elif name.endswith(".ip6.arpa"):
        nibbles = name[: -len(".ip6.arpa")].replace(".", "")[::-1]
        text = ":".join(nibbles[i : i + 4] for i in range(0, len(nibbles), 4))
    else:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
