"""``pods/eviction``: a deletion that asks the disruption budgets first.

The budget's count is taken by an update of its status, so of two evictions that race for the last allowed disruption
one loses and is told to wait. The pod gets the condition DisruptionTarget before it goes.
"""

from __future__ import annotations

from typing import Any

from apiserver.endpoints.options import DeleteOptions, delete_options_from_body, read_write_options
from apiserver.endpoints.request import Request, reply
from apiserver.registry import deletion, objectmeta
from apiserver.registry.access import SERVER_USER
from apiserver.registry.store import ResourceStore
from apiserver.registry.strategy import Write
from apiserver.server.negotiate import OBJECT_TYPES, negotiate
from apiserver.server.responses import Reply, encode_document
from apiserver.storage.cacher import make_predicate
from machinery.api.schema import schema_for_kind
from machinery.meta.conditions import is_pod_ready, set_condition
from machinery.meta.errors import ApiError, bad_request, conflict, forbidden, too_many_requests
from machinery.meta.objects import Object
from machinery.meta.selectors import label_selector_from_dict

SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
MAX_DISRUPTED = 2000
RETRY_SECONDS = 10


async def create_eviction(request: Request) -> Reply:
    context, route, store = request.context, request.route, request.store
    media = negotiate(context.accept, OBJECT_TYPES, transforms=True)
    options = read_write_options(context.query, "CreateOptions")
    obj = await request.parts.bodies.read_object(
        context, "policy", "v1", "Eviction", schema_for_kind("policy", "v1", "Eviction"),
        strictness=options.strictness,
    )  # fmt: skip
    objectmeta.check_namespace(obj, route.namespace, namespaced=True)
    if (obj["metadata"].get("name") or "") != route.name:
        raise bad_request("name in URL does not match name in Eviction object")
    wanted = delete_options_from_body(obj.get("deleteOptions") or {})
    write = request.write(options, options_kind="CreateOptions")
    write.dry_run = write.dry_run or wanted.dry_run
    await store.pipeline.admit(write, "CREATE", obj, None)
    await store.pipeline.validate_admission(write, "CREATE", obj, None)
    entry = await store.cacher.get(store.key(route.namespace, route.name))
    if entry is None:
        raise store.not_found(route.kind, route.name)
    pod = entry.parsed
    if not _may_ignore_budgets(pod):
        await _ask_budget(request, write, pod)
    await _evict(store, write, pod, wanted)
    return reply(encode_document(dict(SUCCESS), media), media, 201)


def _may_ignore_budgets(pod: Object) -> bool:
    """What is over, has not begun, or is already going disrupts nobody."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


async def _ask_budget(request: Request, write: Write, pod: Object) -> None:
    budgets = request.parts.resources.find("policy", "poddisruptionbudgets")
    assert budgets is not None
    matching = matching_budgets(budgets, pod)
    if not matching:
        return
    if len(matching) > 1:
        raise ApiError(500, "", SEVERAL, None)
    budget = matching[0]
    if not is_pod_ready(pod) and _spares_unhealthy(budget):
        return
    name = budget["metadata"]["name"]
    taking = Write(budgets.kind, SERVER_USER, write.namespace, name, "status", write.dry_run, "kube-apiserver")

    def take(live: Object) -> Object:
        take_disruption(live, pod["metadata"]["name"], write.now or budgets.pipeline.now())
        return live

    try:
        await budgets.update(taking, take, patch=True)
    except ApiError as error:
        if error.reason == "Conflict":
            raise too_many_requests(REFUSED, RETRY_SECONDS) from None
        raise


def matching_budgets(budgets: ResourceStore, pod: Object) -> list[Object]:
    labels = pod["metadata"].get("labels") or {}
    entries = budgets.cacher.list_cached(make_predicate(namespace=pod["metadata"]["namespace"]))
    return [
        entry.parsed for entry in entries
        if label_selector_from_dict((entry.parsed.get("spec") or {}).get("selector")).matches(labels)
    ]  # fmt: skip


def _spares_unhealthy(budget: Object) -> bool:
    """A pod that is not healthy may go: always, or while enough others are healthy."""
    spec, status = budget.get("spec") or {}, budget.get("status") or {}
    if spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    healthy, desired = status.get("currentHealthy") or 0, status.get("desiredHealthy") or 0
    return bool(healthy >= desired > 0)


def take_disruption(budget: Object, pod_name: str, now: str) -> None:
    """Count one disruption in the budget's status, in place; raises 429 when none is left."""
    meta, status = budget["metadata"], budget.setdefault("status", {})
    name = meta["name"]
    if (status.get("observedGeneration") or 0) < (meta.get("generation") or 0):
        raise _refused(f"The disruption budget {name} is still being processed by the server.", RETRY_SECONDS)
    allowed = status.get("disruptionsAllowed") or 0
    if allowed < 0:
        raise forbidden("", "poddisruptionbudgets", name, "pdb disruptions allowed is negative")
    disrupted = status.setdefault("disruptedPods", {})
    if len(disrupted) > MAX_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise forbidden("", "poddisruptionbudgets", name, why)
    if allowed == 0:
        needs, has = status.get("desiredHealthy") or 0, status.get("currentHealthy") or 0
        raise _refused(f"The disruption budget {name} needs {needs} healthy pods and has {has} currently", 0)
    status["disruptionsAllowed"] = allowed - 1
    if allowed == 1:
        condition = {"type": "DisruptionAllowed", "status": "False", "observedGeneration": status["observedGeneration"],
                     "lastTransitionTime": now, "reason": "InsufficientPods", "message": ""}  # fmt: skip
        status["conditions"] = set_condition(status.get("conditions"), condition, now)
    disrupted[pod_name] = now


def _refused(cause: str, retry_seconds: int) -> ApiError:
    causes = [{"reason": "DisruptionBudget", "message": cause}]
    return too_many_requests(REFUSED, retry_seconds, causes=causes)


async def _evict(store: ResourceStore, write: Write, pod: Object, wanted: DeleteOptions) -> None:
    uid = wanted.uid or pod["metadata"]["uid"]
    if not write.dry_run:
        await _mark(store, write, uid)
    going = Write(store.kind, write.user, write.namespace, write.name, "", write.dry_run, bypass=True)
    await deletion.delete(
        store, going, policy=wanted.propagation_policy, orphan_dependents=wanted.orphan_dependents,
        grace_seconds=wanted.grace_period_seconds, uid=uid,
    )  # fmt: skip


async def _mark(store: ResourceStore, write: Write, uid: str) -> None:
    marking = Write(store.kind, write.user, write.namespace, write.name, "status", bypass=True)

    def mark(pod: Object) -> Object:
        if pod["metadata"]["uid"] != uid:
            raise conflict("", "pods", write.name)
        condition: dict[str, Any] = {
            "type": "DisruptionTarget", "status": "True", "lastProbeTime": None,
            "lastTransitionTime": marking.now, "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
        }  # fmt: skip
        status = pod.setdefault("status", {})
        known = status.get("conditions") or []
        if not any(each.get("type") == "DisruptionTarget" and each.get("status") == "True" for each in known):
            status["conditions"] = set_condition(known, condition, marking.now)
        return pod

    await store.update(marking, mark, patch=True)
