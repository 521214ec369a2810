"""Workload kinds: generations, the labels that the server gives to jobs, orphaning by default in the old ones."""

from __future__ import annotations

from apiserver.registry.strategy import SpecStrategy, Strategy, Write, keep
from machinery.meta.objects import Object

JOB_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
OLD_JOB_UID = "controller-uid"
OLD_JOB_NAME = "job-name"

ORPHANED_JOBS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)


class DeploymentStrategy(SpecStrategy):
    def prepare_status_update(self, write: Write, obj: Object, old: Object) -> None:
        super().prepare_status_update(write, obj, old)
        keep(obj["metadata"], old["metadata"], "labels")


TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


class DaemonSetStrategy(SpecStrategy):
    """Keeps the old counter of template changes, which only the server may move."""

    def complete(self, obj: Object, old: Object | None) -> None:
        meta = obj["metadata"]
        counted = ((old or {}).get("metadata", {}).get("annotations") or {}).get(TEMPLATE_GENERATION, "0")
        meta["annotations"] = {TEMPLATE_GENERATION: counted, **(meta.get("annotations") or {})}

    def prepare_create(self, write: Write, obj: Object) -> None:
        super().prepare_create(write, obj)
        self._set(obj, 1)

    def prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        counted = (old["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "")
        number = int(counted) if counted.isascii() and counted.isdigit() else 0
        if (obj.get("spec") or {}).get("template") != (old.get("spec") or {}).get("template"):
            number += 1
        self._set(obj, number)
        super().prepare_update(write, obj, old)

    @staticmethod
    def _set(obj: Object, number: int) -> None:
        meta = obj["metadata"]
        meta["annotations"] = {**(meta.get("annotations") or {}), TEMPLATE_GENERATION: str(number)}


class JobStrategy(SpecStrategy):
    default_propagation = "Orphan"

    def prepare_create(self, write: Write, obj: Object) -> None:
        super().prepare_create(write, obj)
        if not (obj.get("spec") or {}).get("manualSelector"):
            generate_selector(obj)

    def propagation(self, write: Write) -> str:
        write.warn(ORPHANED_JOBS)
        return self.default_propagation


def generate_selector(job: Object) -> None:
    """A job selects its own pods by its uid, so that no two jobs can fight for a pod."""
    meta, spec = job["metadata"], job.get("spec") or {}
    template = spec.get("template")
    if not isinstance(template, dict):
        return
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    ours = {OLD_JOB_UID: meta["uid"], OLD_JOB_NAME: meta.get("name", ""), JOB_UID: meta["uid"],
            JOB_NAME: meta.get("name", "")}  # fmt: skip
    if any(name in labels and labels[name] != value for name, value in ours.items()):
        return  # validation says what is wrong with it
    labels.update(ours)
    selector = spec.get("selector")
    if selector is None:
        selector = spec["selector"] = {}
    selector.setdefault("matchLabels", {}).setdefault(JOB_UID, meta["uid"])


class ReplicationControllerStrategy(SpecStrategy):
    default_propagation = "Orphan"


class PodTemplateStrategy(Strategy):
    generation_fields = ("template",)
    returns_deleted = True


class ConditionalSpecStrategy(SpecStrategy):
    unconditional_update = False


class BudgetStrategy(SpecStrategy):
    unconditional_update = False


class CertificateRequestStrategy(Strategy):
    """Who asks is written by the server; spec never changes; approval and status are separate rights."""

    def prepare_create(self, write: Write, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        for name in ("username", "uid", "groups", "extra"):
            spec.pop(name, None)
        user = write.user
        spec["username"] = user.name
        if user.uid:
            spec["uid"] = user.uid
        if user.groups:
            spec["groups"] = list(user.groups)
        if user.extra:
            spec["extra"] = {key: list(values) for key, values in user.extra.items()}
        obj["status"] = {}

    def prepare_update(self, write: Write, obj: Object, old: Object) -> None:
        keep(obj, old, "spec", "status")

    def prepare_subresource_update(self, write: Write, obj: Object, old: Object) -> None:
        keep(obj, old, "spec")
        if write.subresource == "approval":
            wanted = (obj.get("status") or {}).get("conditions")
            status = dict(old.get("status") or {})
            if wanted is None:
                status.pop("conditions", None)
            else:
                status["conditions"] = wanted
            obj["status"] = status
        stamp_conditions(obj, old, write.now)


def stamp_conditions(obj: Object, old: Object, now: str) -> None:
    """Times that a client left out: those of the same condition before, else now."""
    before = {c.get("type"): c for c in (old.get("status") or {}).get("conditions") or ()}
    for condition in (obj.get("status") or {}).get("conditions") or ():
        known = before.get(condition.get("type"))
        if not condition.get("lastTransitionTime"):
            same = known is not None and known.get("status") == condition.get("status")
            condition["lastTransitionTime"] = known["lastTransitionTime"] if same and known else now
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = now


class EventStrategy(Strategy):
    ttl_seconds = 3600
    create_on_update = True


class LeaseStrategy(Strategy):
    create_on_update = True
    unconditional_update = False


class CreateOnUpdateStrategy(Strategy):
    create_on_update = True


class ConditionalStrategy(Strategy):
    unconditional_update = False


class RuntimeClassStrategy(Strategy):
    create_on_update = True
    unconditional_update = False


class ReturnsDeletedStrategy(Strategy):
    returns_deleted = True


class DriverStrategy(Strategy):
    unconditional_update = False
    returns_deleted = True


class AttachmentStrategy(Strategy):
    unconditional_update = False
    returns_deleted = True


class DeviceClassStrategy(SpecStrategy):
    returns_deleted = True


class NodeStrategy(Strategy):
    """A node registers together with its status."""

    def prepare_create(self, write: Write, obj: Object) -> None:
        return


class WebhooksStrategy(Strategy):
    unconditional_update = False
    generation_fields = ("webhooks",)


class PriorityClassStrategy(Strategy):
    generation_fields = ("metadata",)

    def count_generation(self, obj: Object, old: Object) -> None:
        return


class WholeStrategy(Strategy):
    """Generation counts changes of anything but metadata (EndpointSlice)."""

    def prepare_create(self, write: Write, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def count_generation(self, obj: Object, old: Object) -> None:
        def content(whole: Object) -> Object:
            return {name: value for name, value in whole.items() if name != "metadata"}

        meta, before = obj["metadata"], old["metadata"]
        if content(obj) != content(old) or meta.get("labels") != before.get("labels"):
            meta["generation"] = (before.get("generation") or 0) + 1
