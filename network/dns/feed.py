"""From informers to the zone: a changed Service or slice replaces what that Service contributes, at once."""

from __future__ import annotations

from typing import Any

from machinery.cache import InformerFactory
from machinery.meta.objects import object_key
from network.dns.zone import Zone, compute_names
from network.proxy.model import SERVICE_NAME_LABEL

Object = dict[str, Any]


class ZoneFeed:
    """Keeps ``zone`` equal to the cluster's Services."""

    def __init__(self, factory: InformerFactory, zone: Zone) -> None:
        self._zone = zone
        self._services = factory.informer("v1", "services")
        self._slices = factory.informer(
            "discovery.k8s.io/v1", "endpointslices", indexers={"service": lambda obj: [_service_of(obj)]}
        )
        self._namespaces = factory.informer("v1", "namespaces")
        self._services.add_handler(
            on_add=self._on_service, on_update=lambda old, new: self._on_service(new), on_delete=self._on_service
        )
        self._slices.add_handler(
            on_add=self._on_slice, on_update=lambda old, new: self._on_slice(new), on_delete=self._on_slice
        )
        self._namespaces.add_handler(on_add=self._on_namespace, on_delete=self._on_namespace)

    @property
    def synced(self) -> bool:
        return self._services.synced and self._slices.synced

    async def wait_synced(self) -> None:
        await self._services.wait_synced()
        await self._slices.wait_synced()

    def _on_service(self, service: Object) -> None:
        self._refresh(object_key(service))

    def _on_slice(self, obj: Object) -> None:
        self._refresh(_service_of(obj))

    def _on_namespace(self, _obj: Object) -> None:
        self._zone.set_namespaces(self._namespaces.keys())

    def _refresh(self, key: str) -> None:
        service = self._services.get(key)
        if service is None:
            self._zone.set_service(key, None)
        else:
            self._zone.set_service(key, compute_names(service, self._slices.by_index("service", key)))


def _service_of(obj: Object) -> str:
    meta = obj["metadata"]
    return f"{meta['namespace']}/{(meta.get('labels') or {}).get(SERVICE_NAME_LABEL, '')}"
