"""`navarch rollout`: follow and steer the update of a workload."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli.errors import CommandError
from cli.objects.applying import LAST_APPLIED
from cli.objects.describe.pods import write_template
from cli.objects.describe.writer import Writer, align
from cli.objects.durations import parse_seconds
from cli.objects.flags import Cluster, Context, Kubeconfig, Namespace, Targets
from cli.objects.resources import Resource
from cli.objects.revisions import change_cause, list_revisions, revision_number, undo_patch
from cli.objects.rollout_state import rollout_state
from cli.objects.session import Session, Where, run_session
from cli.objects.targets import parse_targets
from cli.objects.workloads import fetch_target

app = typer.Typer(no_args_is_help=True, help="Status, history, undo, restart, pause and resume of a workload's update.")

POLL_SECONDS = 0.1
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
UNDO_WARNING = (
    "Warning: resource {name} was previously managed with 'kubectl apply'. Rolling back will not update the "
    "kubectl.kubernetes.io/last-applied-configuration annotation, which may cause unexpected behavior on future "
    "'kubectl apply' operations. Consider using 'kubectl apply' with your previous configuration file instead."
)
Object = dict[str, Any]
Step = Callable[[Session, Resource, Object], Awaitable[None]]


def _each(words: list[str], where: Where, step: Step) -> None:
    async def work(session: Session) -> None:
        for target in parse_targets(words):
            if target.name is None:
                raise CommandError("error: required resource not specified: name it, as in deployment/web")
            await step(session, *await fetch_target(session, target))

    run_session(where, work)


@app.command("status")
def status(
    targets: Targets = [],  # noqa: B006
    watch: Annotated[bool, typer.Option("-w/ ", "--watch/--no-watch", help="Until it is done.")] = True,
    timeout: Annotated[str, typer.Option(help="How long to wait; 0 is no limit.")] = "0",
    namespace: Namespace = "", kubeconfig: Kubeconfig = None, context: Context = "", cluster_name: Cluster = None,
) -> None:  # fmt: skip
    """Say how far an update is, and wait until it is done."""

    async def step(session: Session, resource: Resource, obj: Object) -> None:
        seconds = parse_seconds(timeout)
        deadline = time.monotonic() + seconds if seconds > 0 else None
        said = ""
        while True:
            state = rollout_state(obj)
            if state.failed:
                raise CommandError(f"error: {state.message}")
            if state.message != said:
                typer.echo(state.message)
                said = state.message
            if state.complete or not watch:
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise CommandError("error: timed out waiting for the condition")
            await asyncio.sleep(POLL_SECONDS)
            metadata = obj["metadata"]
            obj = await session.client.get(
                resource.gv, resource.plural, metadata["name"], namespace=metadata.get("namespace")
            )

    _each(targets, Where(kubeconfig, context, namespace, cluster_name), step)


@app.command("history")
def history(
    targets: Targets = [],  # noqa: B006
    revision: Annotated[int, typer.Option("--revision", help="Show this one's template.")] = 0,
    namespace: Namespace = "", kubeconfig: Kubeconfig = None, context: Context = "", cluster_name: Cluster = None,
) -> None:  # fmt: skip
    """List the revisions of a workload, or show one."""
    async def step(session: Session, resource: Resource, obj: Object) -> None:
        if revision:
            found = [r for r in await list_revisions(session, obj) if revision_number(r) == revision]
            if not found or "spec" not in found[0]:
                raise CommandError(f"error: unable to find the specified revision {revision}")
            out = Writer()
            write_template(out, found[0]["spec"]["template"])
            typer.echo(f"{resource.label}/{obj['metadata']['name']} with revision #{revision}\n{out.text()}", nl=False)
            return
        typer.echo(f"{resource.label}/{obj['metadata']['name']} ")
        rows = [[str(revision_number(r)), change_cause(r)] for r in await list_revisions(session, obj)]
        typer.echo("\n".join(align([["REVISION", "CHANGE-CAUSE"], *rows])) + "\n")

    _each(targets, Where(kubeconfig, context, namespace, cluster_name), step)


@app.command("undo")
def undo(
    targets: Targets = [],  # noqa: B006
    to_revision: Annotated[int, typer.Option("--to-revision", help="Which; 0 is the one before.")] = 0,
    namespace: Namespace = "", kubeconfig: Kubeconfig = None, context: Context = "", cluster_name: Cluster = None,
) -> None:  # fmt: skip
    """Go back to an earlier revision."""

    async def step(session: Session, resource: Resource, obj: Object) -> None:
        revisions = await list_revisions(session, obj)
        patch = undo_patch(obj, revisions, to_revision)
        label = f"{resource.label}/{obj['metadata']['name']}"
        if patch is None:
            typer.echo(f"{label} skipped rollback (current template already matches revision {to_revision})")
            return
        if LAST_APPLIED in (obj["metadata"].get("annotations") or {}):
            print(UNDO_WARNING.format(name=f"{resource.plural}/{obj['metadata']['name']}"), file=sys.stderr)
        kind, body = patch
        metadata = obj["metadata"]
        await session.client.patch(
            resource.gv, resource.plural, metadata["name"], body, namespace=metadata["namespace"], patch_type=kind
        )
        typer.echo(f"{label} rolled back")

    _each(targets, Where(kubeconfig, context, namespace, cluster_name), step)


@app.command("restart")
def restart(
    targets: Targets = [],  # noqa: B006
    namespace: Namespace = "", kubeconfig: Kubeconfig = None, context: Context = "", cluster_name: Cluster = None,
) -> None:  # fmt: skip
    """Replace every pod by a new one, as an update does."""

    async def step(session: Session, resource: Resource, obj: Object) -> None:
        if obj["spec"].get("paused"):
            raise CommandError(f"error: {resource.label} {obj['metadata']['name']!r} can't restart paused deployment "
                               f"(run rollout resume first)")  # fmt: skip
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        patch = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}}
        await _patch(session, resource, obj, patch)
        typer.echo(f"{resource.label}/{obj['metadata']['name']} restarted")

    _each(targets, Where(kubeconfig, context, namespace, cluster_name), step)


def _pausing(paused: bool) -> Step:
    async def step(session: Session, resource: Resource, obj: Object) -> None:
        word = "paused" if paused else "resumed"
        label = f"{resource.label}/{obj['metadata']['name']}"
        if resource.kind != "Deployment":
            raise CommandError(f"error: {label} cannot be {word}: only a deployment can")
        if bool(obj["spec"].get("paused")) == paused:
            raise CommandError(f"error: {resource.full_name} \"{obj['metadata']['name']}\" is already {word}")
        await _patch(session, resource, obj, {"spec": {"paused": paused or None}})
        typer.echo(f"{label} {word}")

    return step


@app.command("pause")
def pause(
    targets: Targets = [],  # noqa: B006
    namespace: Namespace = "", kubeconfig: Kubeconfig = None, context: Context = "", cluster_name: Cluster = None,
) -> None:  # fmt: skip
    """Hold an update where it is."""
    _each(targets, Where(kubeconfig, context, namespace, cluster_name), _pausing(True))


@app.command("resume")
def resume(
    targets: Targets = [],  # noqa: B006
    namespace: Namespace = "", kubeconfig: Kubeconfig = None, context: Context = "", cluster_name: Cluster = None,
) -> None:  # fmt: skip
    """Go on with an update that was held."""
    _each(targets, Where(kubeconfig, context, namespace, cluster_name), _pausing(False))


async def _patch(session: Session, resource: Resource, obj: Object, patch: Object) -> None:
    metadata = obj["metadata"]
    await session.client.patch(resource.gv, resource.plural, metadata["name"], patch, namespace=metadata["namespace"])
