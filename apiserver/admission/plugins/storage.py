"""Storage and ingress: default classes, finalizers against deletion while in use, and who may grow."""

from __future__ import annotations

from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import Plugin, metadata_of, refuse
from apiserver.registry.interface import ObjectReader
from machinery.meta.quantity import parse_quantity

Object = dict[str, Any]

CLAIMS = ("", "persistentvolumeclaims")
BETA_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
DEFAULT_STORAGE_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
DEFAULT_INGRESS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
INGRESS_ANNOTATION = "kubernetes.io/ingress.class"

FINALIZERS = {
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "persistentvolumes": "kubernetes.io/pv-protection",
    "volumeattributesclasses": "kubernetes.io/vac-protection",
}


class DefaultStorageClass(Plugin):
    name = "DefaultStorageClass"
    resources = frozenset({CLAIMS})

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    async def admit(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        spec = request.obj.setdefault("spec", {})
        if spec.get("storageClassName") is not None or _annotated(request.obj, BETA_CLASS_ANNOTATION):
            return
        classes = self._reader.list("storage.k8s.io", "storageclasses")
        chosen = _newest([item for item in classes if _is_default(item, *DEFAULT_STORAGE_ANNOTATIONS)])
        if chosen is not None:
            spec["storageClassName"] = chosen


class DefaultIngressClass(Plugin):
    name = "DefaultIngressClass"
    resources = frozenset({("networking.k8s.io", "ingresses")})

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    async def admit(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        spec = request.obj.setdefault("spec", {})
        if spec.get("ingressClassName") is not None or _annotated(request.obj, INGRESS_ANNOTATION):
            return
        classes = self._reader.list("networking.k8s.io", "ingressclasses")
        chosen = _newest([item for item in classes if _is_default(item, DEFAULT_INGRESS_ANNOTATION)])
        if chosen is not None:
            spec["ingressClassName"] = chosen


class StorageObjectInUseProtection(Plugin):
    name = "StorageObjectInUseProtection"
    resources = frozenset({CLAIMS, ("", "persistentvolumes"), ("storage.k8s.io", "volumeattributesclasses")})

    async def admit(self, request: AdmissionRequest) -> None:
        assert request.obj is not None
        metadata = metadata_of(request.obj)
        finalizers = metadata.get("finalizers") or []
        if (wanted := FINALIZERS[request.resource]) not in finalizers:
            metadata["finalizers"] = [*finalizers, wanted]


class PersistentVolumeClaimResize(Plugin):
    name = "PersistentVolumeClaimResize"
    resources = frozenset({CLAIMS})
    operations = frozenset({"UPDATE"})

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader

    async def validate(self, request: AdmissionRequest) -> None:
        if request.obj is None or request.old is None:
            return
        size, old_size = _size(request.obj), _size(request.old)
        if size is None or old_size is None or size <= old_size:
            return
        if (request.old.get("status") or {}).get("phase") != "Bound":
            raise refuse(request, "Only bound persistent volume claims can be expanded")
        name = (request.obj.get("spec") or {}).get("storageClassName") or _annotated(request.obj, BETA_CLASS_ANNOTATION)
        storage_class = self._reader.get("storage.k8s.io", "storageclasses", "", name) if name else None
        if storage_class is None or not storage_class.get("allowVolumeExpansion"):
            raise refuse(
                request,
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                "support resize",
            )


def _size(claim: Object) -> Any:
    value = (((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
    return parse_quantity(value) if value is not None else None


def _annotated(obj: Object, annotation: str) -> str | None:
    value = (obj["metadata"].get("annotations") or {}).get(annotation)
    return str(value) if value is not None else None


def _is_default(obj: Object, *annotations: str) -> bool:
    return any(_annotated(obj, annotation) == "true" for annotation in annotations)


def _newest(defaults: list[Object]) -> str | None:
    """Of several defaults the newest counts: it is what the administrator meant last. Then the first by name."""
    if not defaults:
        return None
    newest = max(item["metadata"].get("creationTimestamp") or "" for item in defaults)
    return min(
        str(item["metadata"]["name"])
        for item in defaults
        if (item["metadata"].get("creationTimestamp") or "") == newest
    )
