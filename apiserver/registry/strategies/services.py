"""Services: what follows from the type, and the addresses and ports that they hold.

A cluster IP is claimed by creating its IPAddress object, so two servers cannot give one address twice. Node ports are
counted in memory from the services themselves. What a client leaves out in an update is what it was; what a change of
type makes meaningless is cleared.
"""

from __future__ import annotations

from typing import Any

from apiserver.registry.interface import ObjectReader, ObjectWriter
from apiserver.registry.strategies.addresses import AddressAllocator
from apiserver.registry.strategies.nodeports import PortAllocator
from apiserver.registry.strategy import Strategy, Write, keep
from machinery.api.kinds import Kind
from machinery.meta.errors import ApiError, internal, invalid
from machinery.meta.objects import Object

HEADLESS = "None"


class ServiceStrategy(Strategy):
    create_on_update = True
    returns_deleted = True

    def __init__(self, kind: Kind, node_ports: tuple[int, int]) -> None:
        super().__init__(kind)
        self._ports = PortAllocator(*node_ports)
        self._addresses: AddressAllocator | None = None

    def connect(self, reader: ObjectReader, writer: ObjectWriter) -> None:
        self._addresses = AddressAllocator(reader, writer)
        self._ports.connect(reader)

    def prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        keep(obj, old, "status")

    # Allocation comes before prepare and validation, so that both see the whole service.

    async def begin_write(self, write: Write, obj: Object, old: Object | None) -> Any:
        if write.subresource:
            return None
        normalize_addresses(obj, old)
        if old is not None:
            inherit_allocated(obj, old)
            drop_meaningless(obj, old)
        claim = Claim(self, write)
        try:
            await self._take(claim, obj, old)
        except ApiError:
            await self._give_back(claim)
            raise
        return claim

    async def end_write(self, write: Write, taken: Any, *, stored: bool) -> None:
        if taken is None:
            return
        if stored and not write.dry_run:
            self._ports.release(taken.ports)  # counted as stored from now on
            await taken.release_old()
        else:
            await self._give_back(taken)

    async def after_delete(self, obj: Object) -> None:
        if self._addresses is not None:
            for address in held_addresses(obj):
                await self._addresses.release(address)
        self._ports.release(held_ports(obj))

    async def _take(self, claim: Claim, obj: Object, old: Object | None) -> None:
        spec = obj.setdefault("spec", {})
        await self._take_addresses(claim, obj, old)
        before = held_ports(old) if old is not None else set()
        wanted = self._ports.assign(obj, before, _invalid(obj))
        claim.ports = wanted - before
        claim.old_ports = before - held_ports(obj)
        if old is not None and needs_health_port(old) and not needs_health_port(obj):
            spec.pop("healthCheckNodePort", None)

    async def _take_addresses(self, claim: Claim, obj: Object, old: Object | None) -> None:
        allocator = self._addresses
        before = set(held_addresses(old)) if old is not None else set()
        if allocator is None:
            return
        spec = obj["spec"]
        if needs_address(obj) and spec.get("clusterIP") != HEADLESS:
            wanted = list(spec.get("clusterIPs") or ())
            if not wanted:
                address = await allocator.allocate(obj, dry_run=claim.dry_run)
                if address is None:
                    raise internal("failed to allocate a serviceIP: range is full")
                spec["clusterIP"], spec["clusterIPs"] = address, [address]
                claim.addresses.append(address)
            else:
                for address in wanted:
                    if address in before:
                        continue
                    problem = await allocator.claim(address, obj, dry_run=claim.dry_run)
                    if problem:
                        shown = '["' + '","'.join(wanted) + '"]'
                        raise invalid("", "Service", obj["metadata"].get("name") or "", [{
                            "reason": "FieldValueInvalid", "field": "spec.clusterIPs",
                            "message": f"Invalid value: {shown}: failed to allocate IP {address}: {problem}",
                        }])  # fmt: skip
                    claim.addresses.append(address)
            default_families(spec)
        claim.old_addresses = [address for address in before if address not in held_addresses(obj)]

    async def _give_back(self, claim: Claim) -> None:
        self._ports.release(claim.ports)
        if self._addresses is not None and not claim.dry_run:
            for address in claim.addresses:
                await self._addresses.release(address)


class Claim:
    """What one write took and what it will no longer need."""

    def __init__(self, strategy: ServiceStrategy, write: Write) -> None:
        self._strategy = strategy
        self.dry_run = write.dry_run
        self.addresses: list[str] = []
        self.ports: set[tuple[str, int]] = set()
        self.old_addresses: list[str] = []
        self.old_ports: set[tuple[str, int]] = set()

    async def release_old(self) -> None:
        allocator = self._strategy._addresses
        if allocator is not None:
            for address in self.old_addresses:
                await allocator.release(address)
        self._strategy._ports.release(self.old_ports)


def _invalid(obj: Object) -> Any:
    def make(field: str, message: str, reason: str = "FieldValueInvalid") -> ApiError:
        name = obj["metadata"].get("name") or ""
        return invalid("", "Service", name, [{"reason": reason, "message": message, "field": field}])

    return make


# -- what a type needs -------------------------------------------------------------------------------------------------


def _type(obj: Object) -> str:
    return (obj.get("spec") or {}).get("type") or "ClusterIP"


def needs_address(obj: Object) -> bool:
    return _type(obj) in ("ClusterIP", "NodePort", "LoadBalancer")


def needs_ports(obj: Object) -> bool:
    if _type(obj) == "NodePort":
        return True
    return _type(obj) == "LoadBalancer" and (obj["spec"].get("allocateLoadBalancerNodePorts") is not False)


def needs_health_port(obj: Object) -> bool:
    return _type(obj) == "LoadBalancer" and obj["spec"].get("externalTrafficPolicy") == "Local"


def held_addresses(obj: Object) -> list[str]:
    spec = obj.get("spec") or {}
    if not needs_address(obj):
        return []
    return [address for address in spec.get("clusterIPs") or [spec.get("clusterIP")] if address and address != HEADLESS]


def held_ports(obj: Object) -> set[tuple[str, int]]:
    spec = obj.get("spec") or {}
    ports = {
        (port.get("protocol") or "TCP", port["nodePort"]) for port in spec.get("ports") or () if port.get("nodePort")
    }
    if spec.get("healthCheckNodePort"):
        ports.add(("TCP", spec["healthCheckNodePort"]))
    return ports


def default_families(spec: Object) -> None:
    if not spec.get("ipFamilies"):
        addresses = spec.get("clusterIPs") or ()
        spec["ipFamilies"] = ["IPv6" if ":" in address else "IPv4" for address in addresses] or ["IPv4"]
    spec.setdefault("ipFamilyPolicy", "SingleStack")


# -- what an update means ----------------------------------------------------------------------------------------------


def normalize_addresses(obj: Object, old: Object | None) -> None:
    """clusterIP and clusterIPs say the same; who changes one need not know the other."""
    spec = obj.setdefault("spec", {})
    first, several = spec.get("clusterIP") or "", list(spec.get("clusterIPs") or ())
    if old is None:
        if first and not several:
            spec["clusterIPs"] = [first]
        if spec.get("clusterIP") == HEADLESS and needs_address(obj):
            if not spec.get("ipFamilies"):
                dual = not spec.get("selector")
                spec["ipFamilies"] = ["IPv4"]
                spec.setdefault("ipFamilyPolicy", "RequireDualStack" if dual else "SingleStack")
                if dual:
                    spec["ipFamilies"] = ["IPv4", "IPv6"]
            spec.setdefault("ipFamilyPolicy", "SingleStack")
        return
    before = old.get("spec") or {}
    old_first, old_several = before.get("clusterIP") or "", list(before.get("clusterIPs") or ())
    if first == old_first and several == old_several:
        return
    if first != old_first and several == old_several:
        if old_first and not first:
            spec.pop("clusterIPs", None)
        elif not old_first and first and not several:
            spec["clusterIPs"] = [first]
        elif first != old_first:
            spec["clusterIPs"] = [first, *several[1:]]
    elif not several and old_several and first and first != old_first:
        spec["clusterIPs"] = [first]


def inherit_allocated(obj: Object, old: Object) -> None:
    spec, before = obj["spec"], old.get("spec") or {}
    if needs_address(obj) and needs_address(old):
        if not spec.get("clusterIP") and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if not spec.get("clusterIPs") and spec.get("clusterIP") == before.get("clusterIP") and before.get("clusterIPs"):
            spec["clusterIPs"] = list(before["clusterIPs"])
    for name in ("ipFamilies", "ipFamilyPolicy"):
        if needs_address(obj) and needs_address(old) and not spec.get(name) and before.get(name):
            spec[name] = before[name]
    if needs_ports(obj) and needs_ports(old):
        _inherit_ports(spec, before)
    if needs_health_port(obj) and needs_health_port(old) and not spec.get("healthCheckNodePort"):
        if before.get("healthCheckNodePort"):
            spec["healthCheckNodePort"] = before["healthCheckNodePort"]


def _inherit_ports(spec: Object, before: Object) -> None:
    known = {
        (port.get("protocol") or "TCP", port.get("port")): port["nodePort"]
        for port in before.get("ports") or () if port.get("nodePort")
    }
    used = {port.get("nodePort") for port in spec.get("ports") or () if port.get("nodePort")}
    for port in spec.get("ports") or ():
        if not port.get("nodePort"):
            found = known.get((port.get("protocol") or "TCP", port.get("port")))
            if found and found not in used:
                port["nodePort"] = found
                used.add(found)


def drop_meaningless(obj: Object, old: Object) -> None:
    """What only the old type had, unless the client changed it at the same time."""
    spec, before = obj["spec"], old.get("spec") or {}

    def same(name: str) -> bool:
        return bool(spec.get(name) == before.get(name))

    if needs_address(old) and not needs_address(obj) and same("clusterIP"):
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            spec.pop(name, None)
    if needs_ports(old) and not needs_ports(obj) and _type(obj) != "LoadBalancer":
        old_ports = [port.get("nodePort") for port in before.get("ports") or ()]
        if [port.get("nodePort") for port in spec.get("ports") or ()] == old_ports:
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)
    if needs_health_port(old) and not needs_health_port(obj) and same("healthCheckNodePort"):
        spec.pop("healthCheckNodePort", None)
    if _type(old) == "LoadBalancer" and _type(obj) != "LoadBalancer":
        for name in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if same(name):
                spec.pop(name, None)
    external = _type(obj) in ("NodePort", "LoadBalancer") or bool(spec.get("externalIPs"))
    if _type(old) in ("NodePort", "LoadBalancer") and not external and same("externalTrafficPolicy"):
        spec.pop("externalTrafficPolicy", None)
    if _type(old) != "ExternalName" and _type(obj) == "ExternalName" and same("internalTrafficPolicy"):
        spec.pop("internalTrafficPolicy", None)
    if _type(old) == "ExternalName" and _type(obj) != "ExternalName" and same("externalName"):
        spec.pop("externalName", None)
