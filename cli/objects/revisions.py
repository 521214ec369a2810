"""The revisions of a workload: ReplicaSets of a Deployment, ControllerRevisions of the others."""

from __future__ import annotations

from typing import Any, Literal

from cli.errors import CommandError
from cli.objects.session import Session
from cli.objects.workloads import selector_of
from machinery.meta.objects import controller_of

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
HASH_LABEL = "pod-template-hash"

Object = dict[str, Any]


async def list_revisions(session: Session, workload: Object) -> list[Object]:
    """The oldest first."""
    plural = {"Deployment": "replicasets", "DaemonSet": "controllerrevisions", "StatefulSet": "controllerrevisions"}
    if workload["kind"] not in plural:
        raise CommandError(f"error: no history viewer has been implemented for {workload['kind']!r}")
    metadata = workload["metadata"]
    found = await session.client.list(
        "apps/v1", plural[workload["kind"]], namespace=metadata["namespace"], label_selector=selector_of(workload)
    )
    own = [item for item in found["items"] if (controller_of(item) or {}).get("uid") == metadata["uid"]]
    return sorted(own, key=revision_number)


def revision_number(revision: Object) -> int:
    if "revision" in revision:
        return int(revision["revision"])
    return int((revision["metadata"].get("annotations") or {}).get(REVISION) or 0)


def change_cause(revision: Object) -> str:
    return (revision["metadata"].get("annotations") or {}).get(CHANGE_CAUSE) or "<none>"


def undo_patch(
    workload: Object, revisions: list[Object], to_revision: int
) -> tuple[Literal["json", "strategic"], Any] | None:
    """The patch that leads back; None when it is there already. Pure."""
    chosen = _choose(workload, revisions, to_revision)
    if workload["kind"] != "Deployment":
        return "strategic", chosen["data"]
    if workload["spec"].get("paused"):
        raise CommandError("error: you cannot rollback a paused deployment; resume it first with 'navarch rollout "
                           f"resume deployment/{workload['metadata']['name']}' and try again")  # fmt: skip
    template = chosen["spec"]["template"]
    labels = {k: v for k, v in (template["metadata"].get("labels") or {}).items() if k != HASH_LABEL}
    template = {**template, "metadata": {**template["metadata"], "labels": labels}}
    if template == workload["spec"]["template"]:
        return None
    return "json", [{"op": "replace", "path": "/spec/template", "value": template}]


def _choose(workload: Object, revisions: list[Object], to_revision: int) -> Object:
    if to_revision:
        for revision in revisions:
            if revision_number(revision) == to_revision:
                return revision
        raise CommandError(f"error: unable to find specified revision {to_revision} in history")
    if len(revisions) < 2:
        name = f"{workload['kind'].lower()} {workload['metadata']['name']!r}"
        raise CommandError(f"error: no rollout history found for {name}")
    return revisions[-2]
