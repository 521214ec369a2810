"""One step of a Deployment: its template, its ReplicaSets as they are, the time -> what to write. Pure.

The step is the same whatever happened before: find the newest ReplicaSet (or decide to make it), scale by strategy,
tidy the history, compute the status from the counts the ReplicaSets report. Sizes that this step changes are seen by
the rest of the step (working copies), counts only when the ReplicaSet controller has reported them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controllers.deployment import revisions as rev
from controllers.deployment import status as st
from controllers.deployment.math import (
    is_rolling,
    max_surge,
    new_replicas,
    proportions,
    scale_down_old,
)
from controllers.deployment.revisions import replicas_of
from controllers.pods import is_pod_finished
from machinery.meta.conditions import get_condition
from machinery.meta.objects import annotations_of, is_terminating

Object = dict[str, Any]


@dataclass
class Write:
    """A ReplicaSet to create or update. ``grew_from`` is its size before, for the event."""

    replica_set: Object
    create: bool = False
    grew_from: int | None = None


@dataclass
class Plan:
    writes: list[Write] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    status: Object | None = None
    revision: str | None = None
    requeue_seconds: float | None = None


def plan_deployment(
    deployment: Object, sets: Sequence[Object], pods_by_set: Mapping[str, Sequence[Object]], now: datetime
) -> Plan:
    """``pods_by_set``: pods by the uid of their ReplicaSet; only Recreate looks at them."""
    return _Step(deployment, sets, pods_by_set, now).run()


class _Step:
    def __init__(
        self, deployment: Object, sets: Sequence[Object], pods_by_set: Mapping[str, Sequence[Object]], now: datetime
    ) -> None:
        self.deployment, self.now, self.pods_by_set = deployment, now, pods_by_set
        self.sets = [_working_copy(item) for item in sets]
        self.new = rev.find_new(deployment, self.sets)
        self.old = [item for item in self.sets if item is not self.new]
        self.conditions = list((deployment.get("status") or {}).get("conditions") or ())
        self.touched: dict[str, Write] = {}
        self.plan = Plan()

    def run(self) -> Plan:
        if is_terminating(self.deployment):
            self._finish(rollout=False)
            return self.plan
        self._note_pause()
        paused = bool(self.deployment["spec"].get("paused"))
        if paused or self._was_scaled():
            self._sync_revision(create=False)
            self._scale_all()
            if paused:
                self.plan.delete += rev.obsolete(self.deployment, self.old)
            self._finish(rollout=False)
        elif is_rolling(self.deployment):
            self._roll()
        else:
            self._recreate()
        return self.plan

    # --- strategies ---------------------------------------------------------------------------------------------

    def _roll(self) -> None:
        self._sync_revision(create=True)
        assert self.new is not None
        if not self._resize_new():
            active_old = [item for item in self.old if replicas_of(item) > 0]
            for name, size in scale_down_old(self.deployment, self.new, active_old).items():
                self._resize(next(item for item in active_old if item["metadata"]["name"] == name), size)
            if not self.touched:
                self._tidy_history()
        self._finish(rollout=True)

    def _recreate(self) -> None:
        self._sync_revision(create=False)
        for item in self.old:
            if replicas_of(item) > 0:
                self._resize(item, 0)
        if not any(write.grew_from is not None for write in self.touched.values()) and not self._old_pods_run():
            if self.new is None:
                self._sync_revision(create=True)
            assert self.new is not None
            self._resize(self.new, replicas_of(self.deployment))
            self._tidy_history()
        self._finish(rollout=True)

    def _old_pods_run(self) -> bool:
        if sum(int((item.get("status") or {}).get("replicas") or 0) for item in self.old):
            return True
        new_uid = self.new["metadata"].get("uid") if self.new else None
        return any(
            not is_pod_finished(pod)
            for uid, pods in self.pods_by_set.items() if uid != new_uid for pod in pods
        )  # fmt: skip

    def _tidy_history(self) -> None:
        if st.is_complete(self.deployment, self.deployment.get("status") or {}):
            self.plan.delete += rev.obsolete(self.deployment, self.old)

    # --- revisions ----------------------------------------------------------------------------------------------

    def _sync_revision(self, *, create: bool) -> None:
        revision = max((rev.revision_of(item) for item in self.old), default=0) + 1
        progressing = get_condition(self.conditions, "Progressing")
        if self.new is not None:
            changed = rev.annotate(self.deployment, self.new, revision, exists=True)
            wanted = int(self.deployment["spec"].get("minReadySeconds") or 0)
            if int(self.new["spec"].get("minReadySeconds") or 0) != wanted:
                self.new["spec"]["minReadySeconds"] = wanted
                changed = True
            if changed:
                self._touch(self.new)
            if st.has_deadline(self.deployment) and progressing is None:
                self._progress("FoundNewReplicaSet", f'Found new replica set "{self.new["metadata"]["name"]}"')
        elif create:
            made = rev.make_replica_set(self.deployment)
            made["spec"]["replicas"] = new_replicas(self.deployment, self.sets, 0)
            rev.annotate(self.deployment, made, revision, exists=False)
            made["metadata"]["annotations"] = {
                **annotations_of(made), **rev.size_annotations(self.deployment, max_surge(self.deployment)),
            }  # fmt: skip
            self.new = made
            self.sets.append(made)
            self.touched[made["metadata"]["name"]] = Write(
                made, create=True, grew_from=0 if replicas_of(made) else None
            )
            if st.has_deadline(self.deployment):
                self._progress("NewReplicaSetCreated", f'Created new replica set "{made["metadata"]["name"]}"')
        else:
            return
        assert self.new is not None
        known = annotations_of(self.new).get(rev.REVISION)
        if known and annotations_of(self.deployment).get(rev.REVISION) != known:
            self.plan.revision = known

    def _progress(self, reason: str, message: str) -> None:
        self.conditions = st.put_condition(
            self.conditions, st.make_condition("Progressing", "True", reason, message, self.now)
        )

    def _note_pause(self) -> None:
        if not st.has_deadline(self.deployment):
            return
        condition = get_condition(self.conditions, "Progressing")
        if condition is not None and condition.get("reason") == "ProgressDeadlineExceeded":
            return
        paused = bool(self.deployment["spec"].get("paused"))
        noted = condition is not None and condition.get("reason") == "DeploymentPaused"
        if paused and not noted:
            reason, message = "DeploymentPaused", "Deployment is paused"
        elif noted and not paused:
            reason, message = "DeploymentResumed", "Deployment is resumed"
        else:
            return
        made = st.make_condition("Progressing", "Unknown", reason, message, self.now)
        self.conditions = st.put_condition(self.conditions, made)

    # --- sizes --------------------------------------------------------------------------------------------------

    def _was_scaled(self) -> bool:
        """Some active ReplicaSet was last sized for another number of replicas."""
        wanted = str(replicas_of(self.deployment))
        return any(
            annotations_of(item).get(rev.DESIRED_REPLICAS, wanted) != wanted
            for item in self.sets if replicas_of(item) > 0
        )  # fmt: skip

    def _scale_all(self) -> None:
        active = [item for item in self.sets if replicas_of(item) > 0]
        desired = replicas_of(self.deployment)
        if len(active) <= 1:
            only = active[0] if active else self.new or max(
                self.old, key=lambda item: item["metadata"].get("creationTimestamp") or "", default=None
            )
            if only is not None:
                self._resize(only, desired)
            return
        if self.new is not None and self._is_saturated(self.new):
            for item in active:
                if item is not self.new:
                    self._resize(item, 0)
            return
        if is_rolling(self.deployment):
            sizes = proportions(self.deployment, active)
            for item in active:
                self._resize(item, sizes[item["metadata"]["name"]], always=True)

    def _is_saturated(self, item: Object) -> bool:
        wanted = str(replicas_of(self.deployment))
        status = item.get("status") or {}
        return (
            annotations_of(item).get(rev.DESIRED_REPLICAS) == wanted
            and replicas_of(item) == replicas_of(self.deployment)
            and int(status.get("availableReplicas") or 0) == replicas_of(self.deployment)
        )

    def _resize_new(self) -> bool:
        assert self.new is not None
        current, desired = replicas_of(self.new), replicas_of(self.deployment)
        if current == desired:
            return False
        size = desired if current > desired else new_replicas(self.deployment, self.sets, current)
        return self._resize(self.new, size)

    def _resize(self, item: Object, size: int, *, always: bool = False) -> bool:
        """Set the size and the size annotations; ``always``: also when only the annotations are out of date."""
        before = replicas_of(item)
        if size == before and not always:
            return False
        annotations = {**annotations_of(item), **rev.size_annotations(self.deployment, max_surge(self.deployment))}
        if size == before and annotations == annotations_of(item):
            return False
        item["metadata"]["annotations"] = annotations
        item["spec"]["replicas"] = size
        write = self._touch(item)
        if size != before and write.grew_from is None:
            write.grew_from = before
        return True

    def _touch(self, item: Object) -> Write:
        return self.touched.setdefault(item["metadata"]["name"], Write(item))

    # --- status -------------------------------------------------------------------------------------------------

    def _finish(self, *, rollout: bool) -> None:
        self.plan.writes = list(self.touched.values())
        status = st.count(self.deployment, self.sets, self.new)
        conditions = st.with_availability(self.deployment, status, self.conditions, self.now)
        if rollout:
            conditions = st.with_progress(self.deployment, status, conditions, self.new, self.now)
            conditions = st.with_failure(conditions, self.sets, self.new)
        if conditions:
            status["conditions"] = conditions
        if status != (self.deployment.get("status") or {}) or self.plan.revision:
            self.plan.status = status
        if rollout and not st.is_complete(self.deployment, status):
            current = get_condition(conditions, "Progressing")
            deadline = st.deadline_of(self.deployment, conditions)
            if current is not None and current.get("reason") != "ProgressDeadlineExceeded" and deadline is not None:
                self.plan.requeue_seconds = max(0.0, (deadline - self.now).total_seconds()) + 1.0


def _working_copy(item: Object) -> Object:
    return {**item, "metadata": {**item["metadata"]}, "spec": {**item["spec"]}}
