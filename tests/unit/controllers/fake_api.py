"""An API server of one page, in memory: enough of create, update, patch, delete, watch and discovery for controllers.

It speaks at the level of HTTP requests, so that the real client and the real informers run on top of it. ``fault`` may
raise before any write: the tests use it to refuse, to conflict and to fail by chance.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from machinery.client import Client
from machinery.client.kubeconfig import ClientConfig
from machinery.client.rest import Response
from machinery.client.watching import WatchEvent
from machinery.meta import errors
from machinery.meta.objects import deep_copy, format_time
from machinery.meta.patches.merge_patch import apply_merge_patch
from machinery.runtime.clock import SYSTEM_CLOCK

Object = dict[str, Any]

RESOURCES = {
    ("v1", "pods"): ("Pod", True), ("v1", "services"): ("Service", True), ("v1", "endpoints"): ("Endpoints", True),
    ("v1", "namespaces"): ("Namespace", False), ("v1", "nodes"): ("Node", False), ("v1", "events"): ("Event", True),
    ("v1", "configmaps"): ("ConfigMap", True), ("v1", "secrets"): ("Secret", True),
    ("v1", "serviceaccounts"): ("ServiceAccount", True), ("v1", "persistentvolumes"): ("PersistentVolume", False),
    ("v1", "persistentvolumeclaims"): ("PersistentVolumeClaim", True),
    ("v1", "replicationcontrollers"): ("ReplicationController", True),
    ("v1", "resourcequotas"): ("ResourceQuota", True),
    ("apps/v1", "deployments"): ("Deployment", True), ("apps/v1", "replicasets"): ("ReplicaSet", True),
    ("apps/v1", "daemonsets"): ("DaemonSet", True), ("apps/v1", "statefulsets"): ("StatefulSet", True),
    ("apps/v1", "controllerrevisions"): ("ControllerRevision", True),
    ("autoscaling/v2", "horizontalpodautoscalers"): ("HorizontalPodAutoscaler", True),
    ("batch/v1", "jobs"): ("Job", True), ("batch/v1", "cronjobs"): ("CronJob", True),
    ("discovery.k8s.io/v1", "endpointslices"): ("EndpointSlice", True),
    ("coordination.k8s.io/v1", "leases"): ("Lease", True),
    ("policy/v1", "poddisruptionbudgets"): ("PodDisruptionBudget", True),
    ("storage.k8s.io/v1", "storageclasses"): ("StorageClass", False),
    ("apiextensions.k8s.io/v1", "customresourcedefinitions"): ("CustomResourceDefinition", False),
    ("apiregistration.k8s.io/v1", "apiservices"): ("APIService", False),
    ("rbac.authorization.k8s.io/v1", "clusterroles"): ("ClusterRole", False),
    ("certificates.k8s.io/v1", "certificatesigningrequests"): ("CertificateSigningRequest", False),
}  # fmt: skip


class FakeApi(Client):
    def __init__(self) -> None:
        super().__init__(ClientConfig("http://fake"))
        self.objects: dict[tuple[str, str], dict[str, Object]] = {key: {} for key in RESOURCES}
        self.fault: Callable[[str, str, Object | None], None] = lambda method, plural, body: None
        self.metrics: list[Object] = []
        self._revision = itertools.count(1)
        self._watchers: list[tuple[tuple[str, str], asyncio.Queue[WatchEvent]]] = []

    # --- for tests ----------------------------------------------------------------------------------------------

    def all(self, plural: str) -> list[Object]:
        return [obj for (_, name), found in self.objects.items() if name == plural for obj in found.values()]

    def one(self, plural: str, name: str) -> Object | None:
        return next((obj for obj in self.all(plural) if obj["metadata"]["name"] == name), None)

    def set_status(self, plural: str, name: str, status: Object) -> None:
        obj = self.one(plural, name)
        assert obj is not None
        kind = next(key for key in RESOURCES if key[1] == plural)
        self._store(kind, {**obj, "status": {**(obj.get("status") or {}), **status}})

    # --- the protocol -------------------------------------------------------------------------------------------

    async def request(self, method: str, path: str, **options: Any) -> Response:
        await asyncio.sleep(0)
        params, headers = options.get("params") or {}, options.get("headers") or {}
        answer = self._answer(method, path, params, options.get("body"), headers)
        return Response(200, {}, json.dumps(answer).encode())

    def _answer(self, method: str, path: str, params: Object, body: Any, headers: Any) -> Object:
        if path.startswith("/apis/metrics.k8s.io/"):
            return {"items": self.metrics, "metadata": {}}
        if path == "/livez":
            self.fault(method, path, None)
            return {}
        if path in ("/api", "/apis"):
            return self._discovery(path)
        kind, namespace, name, subresource = self._parse(path)
        if method != "GET":
            self.fault(method, kind[1], body)
        key = f"{namespace}/{name}" if namespace else name or ""
        found = self.objects[kind]
        if method == "POST":
            return self._create(kind, namespace, deep_copy(body))
        if name is None:
            items = [obj for obj in found.values() if not namespace or obj["metadata"].get("namespace") == namespace]
            if method == "DELETE":
                for obj in items:
                    self._delete(kind, obj, {"propagationPolicy": params.get("propagationPolicy")})
            return {"items": items, "metadata": {"resourceVersion": "0"}}
        if key not in found:
            raise errors.not_found(kind[0].rpartition("/")[0], kind[1], name)
        current = found[key]
        if subresource == "scale":
            return self._scale(method, kind, current, body)
        if method == "GET":
            return current
        if method == "DELETE":
            return self._delete(kind, current, body or {})
        if method == "PUT":
            return self._update(kind, current, deep_copy(body), subresource)
        content_type = headers.get("Content-Type", "")
        merged = _strategic(current, body) if "strategic" in content_type else apply_merge_patch(current, body)
        uid = (body.get("metadata") or {}).get("uid")
        if uid and uid != current["metadata"]["uid"]:
            raise errors.conflict("", kind[1], name, "uid differs")
        if "resourceVersion" not in (body.get("metadata") or {}):
            merged["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
        return self._update(kind, current, merged, subresource)

    def _scale(self, method: str, kind: tuple[str, str], current: Object, body: Any) -> Object:
        if method == "PUT":
            spec = {**current["spec"], "replicas": body["spec"]["replicas"]}
            current = self._update(kind, current, {**current, "spec": spec}, None)
        labels = current["spec"]["selector"]["matchLabels"]
        return {
            "metadata": current["metadata"], "spec": {"replicas": current["spec"]["replicas"]},
            "status": {"replicas": (current.get("status") or {}).get("replicas", 0),
                       "selector": ",".join(f"{key}={value}" for key, value in labels.items())},
        }  # fmt: skip

    def _parse(self, path: str) -> tuple[tuple[str, str], str, str | None, str | None]:
        parts = path.strip("/").split("/")
        gv = parts[1] if parts[0] == "api" else f"{parts[1]}/{parts[2]}"
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        padded = [*rest, None, None]
        return (gv, rest[0]), namespace, padded[1], padded[2]

    def _discovery(self, path: str) -> Object:
        groups: dict[str, Object] = {}
        for (gv, plural), (kind, namespaced) in RESOURCES.items():
            group, _, version = gv.rpartition("/")
            if (path == "/api") != (group == ""):
                continue
            item = groups.setdefault(group, {"metadata": {"name": group}, "versions": [
                {"version": version, "resources": []}]})  # fmt: skip
            item["versions"][0]["resources"].append({
                "resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced" if namespaced else "Cluster",
                "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            })  # fmt: skip
        return {"kind": "APIGroupDiscoveryList", "items": list(groups.values())}

    # --- writes -------------------------------------------------------------------------------------------------

    def _create(self, kind: tuple[str, str], namespace: str, obj: Object) -> Object:
        meta = obj["metadata"]
        serial = next(self._revision)
        meta.setdefault("name", f"{meta.get('generateName', '')}{serial:05d}")
        if namespace:
            meta["namespace"] = namespace
            home = self.objects["v1", "namespaces"].get(namespace)
            if home is not None and home["metadata"].get("deletionTimestamp"):
                cause = {"reason": "NamespaceTerminating", "message": "", "field": "metadata.namespace"}
                raise errors.ApiError(403, "Forbidden", "because it is being terminated", {"causes": [cause]})
        key = f"{namespace}/{meta['name']}" if namespace else meta["name"]
        if key in self.objects[kind]:
            raise errors.already_exists("", kind[1], meta["name"])
        meta |= {"uid": f"uid-{serial}", "generation": 1, "creationTimestamp": format_time(SYSTEM_CLOCK.now())}
        obj |= {"apiVersion": kind[0], "kind": RESOURCES[kind][0]}
        if kind[1] == "pods":
            obj.setdefault("status", {"phase": "Pending"})
        if kind[1] == "namespaces":
            obj.setdefault("spec", {"finalizers": ["kubernetes"]})
        return self._store(kind, obj)

    def _update(self, kind: tuple[str, str], current: Object, new: Object, subresource: str | None) -> Object:
        old, meta = current["metadata"], new["metadata"]
        if meta.get("resourceVersion") not in (None, old["resourceVersion"]):
            raise errors.conflict("", kind[1], old["name"])
        if subresource == "status":
            wanted = {**current, "status": new.get("status") or {}}
            if kind[1] == "deployments":
                wanted["metadata"] = {**old, "annotations": meta.get("annotations") or {}}
        else:
            fixed = {name: old[name] for name in ("uid", "creationTimestamp", "name", "generation")}
            gone = {"deletionTimestamp": old["deletionTimestamp"]} if "deletionTimestamp" in old else {}
            wanted = {**new, "metadata": {**meta, **fixed, **gone}, "status": current.get("status") or {}}
            if wanted.get("spec") != current.get("spec"):
                wanted["metadata"]["generation"] += 1
        if wanted == current:
            return current
        ends = wanted["metadata"].get("deletionTimestamp") and not wanted["metadata"].get("finalizers")
        if ends and kind[1] == "namespaces":
            ends = not wanted["spec"].get("finalizers")
        elif ends and kind[1] == "pods":
            ends = not wanted["spec"].get("nodeName")
        return self._remove(kind, wanted) if ends else self._store(kind, wanted)

    def _delete(self, kind: tuple[str, str], obj: Object, options: Object) -> Object:
        meta = obj["metadata"]
        wanted = options.get("preconditions") or {}
        if wanted.get("uid", meta["uid"]) != meta["uid"]:
            raise errors.conflict("", kind[1], meta["name"], "Precondition failed: UID in precondition differs")
        if wanted.get("resourceVersion", meta["resourceVersion"]) != meta["resourceVersion"]:
            raise errors.conflict("", kind[1], meta["name"])
        extra = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(options.get("propagationPolicy") or "")
        finalizers = list(meta.get("finalizers") or ())
        if extra and extra not in finalizers:
            finalizers.append(extra)
        graceful = kind[1] == "pods" and obj["spec"].get("nodeName") and options.get("gracePeriodSeconds") != 0
        if not finalizers and not graceful and kind[1] != "namespaces":
            return self._remove(kind, obj)
        if "deletionTimestamp" in meta:
            return obj
        marked = {**meta, "finalizers": finalizers, "deletionTimestamp": format_time(SYSTEM_CLOCK.now())}
        return self._store(kind, {**obj, "metadata": marked})

    def _store(self, kind: tuple[str, str], obj: Object) -> Object:
        meta = obj["metadata"] = {**obj["metadata"], "resourceVersion": str(next(self._revision))}
        key = f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]
        verb = "MODIFIED" if key in self.objects[kind] else "ADDED"
        self.objects[kind][key] = obj
        self._tell(kind, WatchEvent(verb, obj))
        return obj

    def _remove(self, kind: tuple[str, str], obj: Object) -> Object:
        meta = {**obj["metadata"], "resourceVersion": str(next(self._revision))}
        del self.objects[kind][f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else meta["name"]]
        self._tell(kind, WatchEvent("DELETED", {**obj, "metadata": meta}))
        return obj

    # --- watching -----------------------------------------------------------------------------------------------

    def _tell(self, kind: tuple[str, str], event: WatchEvent) -> None:
        for watched, queue in self._watchers:
            if watched == kind:
                queue.put_nowait(event)

    async def watch(self, gv: str, plural: str, **options: Any) -> AsyncIterator[WatchEvent]:
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        namespace, selector = options.get("namespace"), options.get("field_selector") or ""
        for obj in self.objects[gv, plural].values():
            queue.put_nowait(WatchEvent("ADDED", obj))
        end = {"metadata": {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}}
        queue.put_nowait(WatchEvent("BOOKMARK", end))
        entry = ((gv, plural), queue)
        self._watchers.append(entry)
        try:
            while True:
                event = await queue.get()
                meta = event.obj["metadata"]
                if event.type != "BOOKMARK" and namespace and meta.get("namespace") != namespace:
                    continue
                if event.type != "BOOKMARK" and selector.startswith("metadata.name=") and selector[14:] != meta["name"]:
                    continue
                yield WatchEvent(event.type, deep_copy(event.obj))
        finally:
            self._watchers.remove(entry)


def _strategic(current: Object, patch: Object) -> Object:
    """The few strategic merges that controllers send: owners by uid, finalizers, conditions by type."""
    patch = deep_copy(patch)
    meta = patch.get("metadata") or {}
    merged = deep_copy(current)
    owners = {item["uid"]: item for item in merged["metadata"].get("ownerReferences") or ()}
    for item in meta.pop("ownerReferences", ()):
        if item.pop("$patch", None) == "delete":
            owners.pop(item["uid"], None)
        else:
            owners[item["uid"]] = {**owners.get(item["uid"], {}), **item}
    merged["metadata"]["ownerReferences"] = list(owners.values())
    dropped = meta.pop("$deleteFromPrimitiveList/finalizers", ())
    finalizers = [*(merged["metadata"].get("finalizers") or ()), *meta.pop("finalizers", ())]
    merged["metadata"]["finalizers"] = [name for name in dict.fromkeys(finalizers) if name not in dropped]
    changed = {item["type"]: item for item in (patch.get("status") or {}).pop("conditions", ())}
    if changed:
        status = merged.setdefault("status", {})
        known = {item["type"]: item for item in status.get("conditions") or ()}
        status["conditions"] = list({**known, **changed}.values())
    return apply_merge_patch(merged, patch)  # type: ignore[no-any-return]
