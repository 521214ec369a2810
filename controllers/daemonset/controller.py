"""The DaemonSet controller: one pod on every node that should have one."""

from __future__ import annotations

from typing import Any

from controllers.context import Context
from controllers.daemonset.plan import compute_status, plan_placement, plan_update, pods_by_node
from controllers.daemonset.template import make_daemon_pod, target_node
from controllers.hashing import template_hash
from controllers.history import NAME_LABEL, make_revision, obsolete_revisions, plan_history
from controllers.node_fit import taints_of
from controllers.pod_owner import BURST, PodOwnerController
from controllers.pods import phase_of, seconds_to_availability
from machinery.meta.errors import ApiError, has_cause, is_already_exists, is_not_found
from machinery.meta.objects import controller_of, is_terminating, labels_of, object_key

Object = dict[str, Any]
APPS = "apps/v1"


class DaemonSetController(PodOwnerController):
    name = "daemonset"
    gv, plural, kind = APPS, "daemonsets", "DaemonSet"
    component = "daemonset-controller"
    account = "daemon-set-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.nodes = context.informers.informer("v1", "nodes")
        self.revisions = context.owned(APPS, "controllerrevisions")
        self.nodes.add_handler(
            on_add=lambda node: self._all(), on_update=self._node_updated, on_delete=lambda node: self._all()
        )
        self.revisions.add_handler(on_delete=self._revision_deleted)
        # Per node: how often failed pods were replaced, and when last.
        self._failed_counts: dict[str, tuple[int, float]] = {}

    async def wait_synced(self) -> None:
        await super().wait_synced()
        await self.nodes.wait_synced()
        await self.revisions.wait_synced()

    def _all(self) -> None:
        for owner in self.owners.items():
            self.enqueue(owner)

    def _node_updated(self, old: Object, new: Object) -> None:
        if labels_of(old) != labels_of(new) or taints_of(old) != taints_of(new):
            self._all()

    def _revision_deleted(self, revision: Object) -> None:
        reference = controller_of(revision)
        if reference is not None and reference["kind"] == self.kind:
            self.queue.add(f"{revision['metadata']['namespace']}/{reference['name']}")

    async def sync(self, key: str) -> str | None:
        daemon_set = self.owners.get(key)
        if daemon_set is None:
            self.expectations.forget(key)
            return None
        if self.selector_of(daemon_set).empty:
            self.recorder.event(daemon_set, "Warning", "SelectingAll",
                "This daemon set is selecting all pods. A non-empty selector is required.")  # fmt: skip
            return None
        if is_terminating(daemon_set):
            return None
        digest = await self._sync_history(daemon_set)
        if digest is None:
            return "revision name collision, trying another"
        nodes, now = self.nodes.items(), self.clock.now()
        decided = None
        error: Exception | None = None
        if self.expectations.satisfied(key):
            decided, error = await self._manage(daemon_set, digest)
        pods = self._owned(daemon_set)
        status = compute_status(daemon_set, nodes, pods_by_node(pods), digest, now)
        if status != daemon_set.get("status"):
            await self.write_status(daemon_set, status)
        if error is not None:
            raise error
        wait = seconds_to_availability(pods, int(daemon_set["spec"].get("minReadySeconds") or 0), now)
        if wait is not None:
            self.queue.add_after(key, wait + 0.01)
        return decided

    def _owned(self, daemon_set: Object) -> list[Object]:
        matches = self.selector_of(daemon_set).matches
        pods = self.pods.by_index("controller", daemon_set["metadata"]["uid"])
        return [pod for pod in pods if matches(labels_of(pod))]

    async def _manage(self, daemon_set: Object, digest: str) -> tuple[str | None, Exception | None]:
        nodes = self.nodes.items()
        on_node = pods_by_node(await self.claim(daemon_set))
        plan = plan_placement(daemon_set, nodes, on_node, digest)
        if not plan.create_on and not plan.delete:
            plan = plan_update(daemon_set, nodes, on_node, digest, self.clock.now())
        for pod in plan.failed:
            if self._backs_off(daemon_set, pod):
                plan.delete.remove(pod)
            else:
                self._tell_failed(daemon_set, pod)
        decided, error = [], None
        if plan.create_on:
            wanted = [make_daemon_pod(daemon_set, node, digest) for node in plan.create_on[:BURST]]
            done, error = await self.create_pods(daemon_set, wanted)
            decided.append(f"created {done} of {len(plan.create_on)} pods")
        if plan.delete:
            done, failed = await self.delete_pods(daemon_set, plan.delete[:BURST])
            error = error or failed
            decided.append(f"deleted {done} of {len(plan.delete)} pods")
        return ", ".join(decided) or None, error

    def _backs_off(self, daemon_set: Object, pod: Object) -> bool:
        """A daemon that fails again and again on a node is replaced ever more slowly (1 s … 15 min)."""
        node = target_node(pod)
        slot = f"{daemon_set['metadata']['uid']}/{daemon_set['metadata'].get('generation')}/{node}"
        count, since = self._failed_counts.get(slot, (0, 0.0))
        now = self.clock.monotonic()
        delay = min(900.0, 2.0 ** (count - 1)) if count else 0.0
        if now - since < delay:
            self.queue.add_after(object_key(daemon_set), delay - (now - since))
            return True
        self._failed_counts[slot] = (0 if count and now - since > 2 * 900.0 else count + 1, now)
        return False

    def _tell_failed(self, daemon_set: Object, pod: Object) -> None:
        node, name = target_node(pod), object_key(pod)
        if phase_of(pod) == "Failed":
            self.recorder.event(daemon_set, "Warning", "FailedDaemonPod",
                f"Found failed daemon pod {name} on node {node}, will try to kill it")  # fmt: skip
        else:
            self.recorder.event(daemon_set, "Normal", "SucceededDaemonPod",
                f"Found succeeded daemon pod {name} on node {node}, will try to delete it")  # fmt: skip

    # --- history ------------------------------------------------------------------------------------------------

    async def _sync_history(self, daemon_set: Object) -> str | None:
        """The hash of the present template, its revision written; None after a name collision."""
        template = daemon_set["spec"]["template"]
        history = plan_history(template, self.revisions.by_index("controller", daemon_set["metadata"]["uid"]))
        if history.current is not None:
            digest = str(labels_of(history.current).get(NAME_LABEL, ""))
            if history.must_renumber:
                await self.client.update(APPS, "controllerrevisions", {**history.current, "revision": history.number})
        else:
            digest = template_hash(template, (daemon_set.get("status") or {}).get("collisionCount"))
            labels = {**((template.get("metadata") or {}).get("labels") or {}), NAME_LABEL: digest}
            made = make_revision(daemon_set, self.reference_to(daemon_set), labels, digest, history.number)
            try:
                await self.client.create(APPS, "controllerrevisions", made)
            except ApiError as error:
                if has_cause(error, "NamespaceTerminating"):
                    return digest
                if not is_already_exists(error):
                    raise
                if not await self._is_ours(daemon_set, made):
                    return None
        await self._tidy_history(daemon_set, history.old)
        return digest

    async def _is_ours(self, daemon_set: Object, made: Object) -> bool:
        meta = made["metadata"]
        found = await self.client.get(APPS, "controllerrevisions", meta["name"], namespace=meta["namespace"])
        reference = controller_of(found)
        ours = reference is not None and reference["uid"] == daemon_set["metadata"]["uid"]
        if ours and found["data"] == made["data"]:
            return True
        status = dict(daemon_set.get("status") or {})
        status["collisionCount"] = int(status.get("collisionCount") or 0) + 1
        for field in ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"):
            status.setdefault(field, 0)
        await self.write_status(daemon_set, status)
        return False

    async def _tidy_history(self, daemon_set: Object, old: list[Object]) -> None:
        limit = daemon_set["spec"].get("revisionHistoryLimit")
        live = {labels_of(pod).get(NAME_LABEL, "") for pod in self._owned(daemon_set)}
        for revision in obsolete_revisions(old, live, 10 if limit is None else int(limit)):
            meta = revision["metadata"]
            try:
                await self.client.delete(APPS, "controllerrevisions", meta["name"], namespace=meta["namespace"])
            except ApiError as error:
                if not is_not_found(error):
                    raise


def build(context: Context) -> list[PodOwnerController]:
    return [DaemonSetController(context)]
