"""What a Pod or PersistentVolume refers to: pure walks over their specs, for the node authorizer and for admission."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"

# volume source -> the field that names a secret
_SECRET_SOURCES = {
    "azureFile": "secretName",
    "cephfs": "secretRef",
    "cinder": "secretRef",
    "csi": "nodePublishSecretRef",
    "flexVolume": "secretRef",
    "iscsi": "secretRef",
    "rbd": "secretRef",
    "scaleIO": "secretRef",
    "storageos": "secretRef",
}

# Those that the node uses; the others are the controllers' and stay hidden from it.
_CSI_SECRETS = ("nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef")


def containers(spec: Object) -> Iterator[tuple[str, Object]]:
    """(field, container) of every container a pod may run, ephemeral ones too."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            yield field, container


def secrets(pod: Object) -> Iterator[str]:
    spec = pod["spec"]
    for reference in spec.get("imagePullSecrets") or ():
        yield reference.get("name", "")
    for _, container in containers(spec):
        yield from _environment(container, "secretRef", "secretKeyRef")
    for volume in spec.get("volumes") or ():
        if "secret" in volume:
            yield volume["secret"].get("secretName", "")
        for source in (volume.get("projected") or {}).get("sources") or ():
            if "secret" in source:
                yield source["secret"].get("name", "")
        for kind, field in _SECRET_SOURCES.items():
            reference = (volume.get(kind) or {}).get(field)
            if reference:
                yield reference if isinstance(reference, str) else reference.get("name", "")


def config_maps(pod: Object) -> Iterator[str]:
    spec = pod["spec"]
    for _, container in containers(spec):
        yield from _environment(container, "configMapRef", "configMapKeyRef")
    for volume in spec.get("volumes") or ():
        if "configMap" in volume:
            yield volume["configMap"].get("name", "")
        for source in (volume.get("projected") or {}).get("sources") or ():
            if "configMap" in source:
                yield source["configMap"].get("name", "")


def claims(pod: Object) -> Iterator[str]:
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"].get("claimName", "")
        elif "ephemeral" in volume:
            yield f"{pod['metadata']['name']}-{volume['name']}"


def resource_claims(pod: Object) -> Iterator[str]:
    status = pod.get("status") or {}
    for claim in pod["spec"].get("resourceClaims") or ():
        if claim.get("resourceClaimName"):
            yield claim["resourceClaimName"]
    for claim in status.get("resourceClaimStatuses") or ():
        if claim.get("resourceClaimName"):
            yield claim["resourceClaimName"]
    if name := (status.get("extendedResourceClaimStatus") or {}).get("resourceClaimName"):
        yield name


def is_mirror(pod: Object) -> bool:
    return MIRROR_ANNOTATION in (pod["metadata"].get("annotations") or {})


def volume_secrets(volume: Object) -> Iterator[tuple[str, str]]:
    """(namespace, name) of the secrets of a PersistentVolume that its node needs."""
    spec = volume["spec"]
    claim_namespace = (spec.get("claimRef") or {}).get("namespace", "")
    for kind, fields in (("csi", _CSI_SECRETS), *((kind, (field,)) for kind, field in _SECRET_SOURCES.items())):
        source = spec.get(kind) or {}
        for field in fields:
            reference = source.get(field)
            if isinstance(reference, str):
                yield source.get("secretNamespace") or claim_namespace, reference
            elif reference:
                yield reference.get("namespace") or claim_namespace, reference.get("name", "")


def _environment(container: Object, whole: str, key: str) -> Iterator[str]:
    for source in container.get("envFrom") or ():
        if whole in source:
            yield source[whole].get("name", "")
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        if key in source:
            yield source[key].get("name", "")
