"""Node ports: one number a protocol in the whole cluster, counted in memory from the services that hold them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from apiserver.registry.interface import ObjectReader
from machinery.meta.errors import ApiError
from machinery.meta.objects import Object

Port = tuple[str, int]
Refuse = Callable[..., ApiError]


class PortAllocator:
    """``assign`` takes ports at once; what a failed write took is given back by ``release``."""

    def __init__(self, low: int, high: int, rng: random.Random | None = None) -> None:
        self._low = low
        self._high = high
        self._rng = rng or random.Random()
        self._stored: Counter[Port] = Counter()
        self._pending: Counter[Port] = Counter()
        self._held: dict[str, set[Port]] = {}

    def connect(self, reader: ObjectReader) -> None:
        reader.on_change("", "services", self._changed)

    def _changed(self, change: str, service: Object) -> None:
        from apiserver.registry.strategies.services import held_ports

        uid = service["metadata"]["uid"]
        for port in self._held.pop(uid, ()):
            self._stored[port] -= 1
        if change != "DELETED":
            ports = self._held[uid] = held_ports(service)
            for port in ports:
                self._stored[port] += 1

    def _taken(self, port: Port) -> bool:
        return self._stored[port] > 0 or self._pending[port] > 0

    def assign(self, service: Object, before: set[Port], refuse: Refuse) -> set[Port]:
        """Check the ports asked for and fill in the missing ones. Answers all that the service holds."""
        from apiserver.registry.strategies.services import held_ports, needs_health_port, needs_ports

        spec: dict[str, Any] = service["spec"]
        taken: set[Port] = set()
        try:
            for index, port in enumerate(spec.get("ports") or ()):
                number, protocol = port.get("nodePort"), port.get("protocol") or "TCP"
                if number and isinstance(number, int):
                    self._claim((protocol, number), before, taken, refuse, f"spec.ports[{index}].nodePort")
            if needs_ports(service):
                self._fill(spec, before, taken, refuse)
            if needs_health_port(service):
                number = spec.get("healthCheckNodePort")
                if number:
                    self._claim(("TCP", number), before, taken, refuse, "spec.healthCheckNodePort")
                else:
                    spec["healthCheckNodePort"] = self._free(("TCP",), refuse)
                    self._keep(("TCP", spec["healthCheckNodePort"]), taken)
        except ApiError:
            self.release(taken)
            raise
        return held_ports(service)

    def _claim(self, port: Port, before: set[Port], taken: set[Port], refuse: Refuse, field: str) -> None:
        if port in before or port in taken:
            return
        if not self._low <= port[1] <= self._high:
            why = f"provided port is not in the valid range. The range of valid ports is {self._low}-{self._high}"
            raise refuse(field, f"Invalid value: {port[1]}: {why}")
        if self._taken(port):
            raise refuse(field, f"Invalid value: {port[1]}: provided port is already allocated")
        self._keep(port, taken)

    def _fill(self, spec: dict[str, Any], before: set[Port], taken: set[Port], refuse: Refuse) -> None:
        given: dict[int, int] = {}
        for port in spec.get("ports") or ():
            protocol, number = port.get("protocol") or "TCP", port.get("nodePort")
            if not number:
                # The same service port of another protocol shares the number.
                number = given.get(port.get("port"))
                if number is None or self._taken((protocol, number)):
                    number = self._free((protocol,), refuse)
                port["nodePort"] = number
                self._keep((protocol, number), taken)
            given.setdefault(port.get("port"), number)

    def _keep(self, port: Port, taken: set[Port]) -> None:
        self._pending[port] += 1
        taken.add(port)

    def _free(self, protocols: tuple[str, ...], refuse: Refuse) -> int:
        size = self._high - self._low + 1
        start = self._rng.randrange(size)
        for i in range(size):
            number = self._low + (start + i) % size
            if not any(self._taken((protocol, number)) for protocol in protocols):
                return number
        raise ApiError(500, "InternalError", "Internal error occurred: failed to allocate a nodePort: range is full", {
            "causes": [{"message": "failed to allocate a nodePort: range is full"}],
        })  # fmt: skip

    def release(self, ports: set[Port]) -> None:
        """What was pending is either stored by now (and counted) or given back."""
        for port in ports:
            if self._pending[port] > 0:
                self._pending[port] -= 1
