"""ServiceAccount: every pod acts as one, and gets a token of it unless it or the account declines."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from apiserver.admission.interface import AdmissionRequest
from apiserver.admission.plugin import PODS, Plugin, refuse
from apiserver.auth.node import references
from apiserver.auth.text import quote
from apiserver.registry.interface import ObjectReader
from machinery.meta.objects import deep_copy, random_suffix

Object = dict[str, Any]

DEFAULT_ACCOUNT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
ENFORCE_ANNOTATION = "kubernetes.io/enforce-mountable-secrets"
TOKEN_SECONDS = 3607


class ServiceAccount(Plugin):
    name = "ServiceAccount"
    resources = frozenset({PODS})
    operations = frozenset({"CREATE", "UPDATE"})
    subresources = frozenset({"", "ephemeralcontainers"})

    def __init__(self, reader: ObjectReader, rng: random.Random) -> None:
        self._reader, self._rng = reader, rng

    def handles(self, request: AdmissionRequest) -> bool:
        return super().handles(request) and (request.operation == "UPDATE") == (request.subresource != "")

    async def admit(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if pod is None or request.operation != "CREATE":
            return
        if references.is_mirror(pod):
            if why := mirror_breach(pod):
                raise refuse(request, why)
            return
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT_ACCOUNT
        # The second field is the first one's old name; readers of both must agree.
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._account(request, name)
        if wants_token(pod, account):
            mount_token(spec, self._rng)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = deep_copy(account["imagePullSecrets"])

    async def validate(self, request: AdmissionRequest) -> None:
        pod = request.obj
        assert pod is not None
        if references.is_mirror(pod):
            return
        account = await self._account(request, pod["spec"].get("serviceAccountName") or DEFAULT_ACCOUNT)
        if (account["metadata"].get("annotations") or {}).get(ENFORCE_ANNOTATION) == "true":
            for why in mountable_breaches(pod, account):
                raise refuse(request, why)

    async def _account(self, request: AdmissionRequest, name: str) -> Object:
        # A pod often follows its account closely: before a refusal the store is asked.
        account = self._reader.get("", "serviceaccounts", request.namespace, name) or await self._reader.get_fresh(
            "", "serviceaccounts", request.namespace, name
        )
        if account is None:
            raise refuse(
                request,
                f"error looking up service account {request.namespace}/{name}: serviceaccount {quote(name)} not found",
            )
        return account


def wants_token(pod: Object, account: Object) -> bool:
    for flag in (pod["spec"].get("automountServiceAccountToken"), account.get("automountServiceAccountToken")):
        if flag is not None:
            return bool(flag)
    return True


def mount_token(spec: Object, rng: random.Random) -> None:
    """Mount a token into every container that has nothing at its place yet."""
    volumes = spec.get("volumes") or []
    present = next((volume["name"] for volume in volumes if volume["name"].startswith(VOLUME_PREFIX)), None)
    name = present
    while name is None or (present is None and any(volume["name"] == name for volume in volumes)):
        name = VOLUME_PREFIX + random_suffix(rng)
    mounted = False
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            mounts = container.get("volumeMounts") or []
            if any(mount.get("mountPath") == MOUNT_PATH for mount in mounts):
                continue
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]
            mounted = True
    if mounted and present is None:
        spec["volumes"] = [*volumes, {"name": name, "projected": _projection()}]


def _projection() -> Object:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [namespace]}},
        ],
        "defaultMode": 0o644,
    }


def mirror_breach(pod: Object) -> str | None:
    spec = pod["spec"]
    if spec.get("serviceAccountName"):
        return "a mirror pod may not reference service accounts"
    if any(references.secrets(pod)):
        return "a mirror pod may not reference secrets"
    for volume in spec.get("volumes") or ():
        if any("serviceAccountToken" in source for source in (volume.get("projected") or {}).get("sources") or ()):
            return "a mirror pod may not use ServiceAccountToken volume projections"
    return None


def mountable_breaches(pod: Object, account: Object) -> Iterator[str]:
    """Secrets that the pod uses and its account, which guards them, does not list."""
    name = account["metadata"]["name"]
    allowed = {reference.get("name") for reference in account.get("secrets") or ()}
    end = f"is not allowed because service account {name} does not reference that secret"
    spec = pod["spec"]
    for volume in spec.get("volumes") or ():
        for secret in _volume_secrets(volume):
            if secret not in allowed:
                yield f"volume with secret.secretName={quote(secret)} {end}"
    titles = {
        "containers": "container",
        "initContainers": "init container",
        "ephemeralContainers": "ephemeral container",
    }
    for field, container in references.containers(spec):
        title = f"{titles[field]} {container['name']}"
        for variable in container.get("env") or ():
            wanted = ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
            if wanted and wanted not in allowed:
                yield f"{title} with envVar {variable['name']} referencing secret.secretName={quote(wanted)} {end}"
        for source in container.get("envFrom") or ():
            wanted = (source.get("secretRef") or {}).get("name")
            if wanted and wanted not in allowed:
                yield f"{title} with envFrom referencing secret.secretName={quote(wanted)} {end}"
    pullers = {reference.get("name") for reference in account.get("imagePullSecrets") or ()}
    for reference in spec.get("imagePullSecrets") or ():
        if reference.get("name") not in pullers:
            yield (
                f"imagePullSecret {reference.get('name')} is not allowed because service account {name} does not "
                "reference that imagePullSecret"
            )


def _volume_secrets(volume: Object) -> Iterator[str]:
    if "secret" in volume:
        yield volume["secret"].get("secretName", "")
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "secret" in source:
            yield source["secret"].get("name", "")
