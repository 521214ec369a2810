"""`navarch delete`: by name, by selection or by file, and wait until they are gone."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cli.errors import CommandError
from cli.objects.durations import parse_seconds
from cli.objects.flags import (
    AllNamespaces,
    Cluster,
    Context,
    FieldSelector,
    Files,
    Kubeconfig,
    Namespace,
    Recursive,
    Selector,
    Targets,
)
from cli.objects.manifests import read_manifests
from cli.objects.refusals import refusal_text
from cli.objects.resources import Resource
from cli.objects.session import Session, Where, run_session
from cli.objects.targets import parse_targets
from machinery.meta.errors import ApiError, is_not_found

POLL_SECONDS = 0.1
FORCE_WARNING = (
    "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
    "The resource may continue to run on the cluster indefinitely."
)


@dataclass(frozen=True)
class Victim:
    resource: Resource
    name: str
    namespace: str | None
    from_file: bool = False


@dataclass(frozen=True)
class Options:
    ignore_not_found: bool
    grace_period: int | None
    cascade: str
    wait: bool
    timeout: float
    name_only: bool
    force: bool


def delete(
    targets: Targets = [],  # noqa: B006
    filename: Files = [],  # noqa: B006
    recursive: Recursive = False,
    namespace: Namespace = "",
    all_namespaces: AllNamespaces = False,
    selector: Selector = "",
    field_selector: FieldSelector = "",
    everything: Annotated[bool, typer.Option("--all", help="All objects of the type.")] = False,
    ignore_not_found: Annotated[bool, typer.Option("--ignore-not-found", help="Gone already is fine.")] = False,
    grace_period: Annotated[int, typer.Option("--grace-period", help="Seconds a pod has to end.")] = -1,
    now: Annotated[bool, typer.Option("--now", help="One second of grace.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Do not wait for the node's word.")] = False,
    cascade: Annotated[str, typer.Option("--cascade", help="background, foreground or orphan.")] = "background",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until they are gone.")] = True,
    timeout: Annotated[str, typer.Option("--timeout", help="How long to wait; 0 is no limit.")] = "0",
    output: Annotated[str, typer.Option("-o", "--output", help="name, or nothing.")] = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Delete objects: `delete pod web`, `delete -f web.yaml`, `delete pods -l app=web`."""
    policies = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan", "true": "Background"}
    if cascade not in policies:
        raise CommandError("error: --cascade is background, foreground or orphan")
    grace = 0 if force and grace_period < 0 else 1 if now else grace_period if grace_period >= 0 else None
    by_file_or_all = bool(filename) or everything
    options = Options(
        ignore_not_found or (by_file_or_all and not filename), grace, policies[cascade], wait and not force,
        parse_seconds(timeout), output.lstrip("=") == "name", force,
    )  # fmt: skip
    selection = {"label_selector": selector or None, "field_selector": field_selector or None}

    async def work(session: Session) -> int:
        if filename:
            victims = await _of_files(session, read_manifests(filename, recursive=recursive))
        else:
            victims = await _chosen(session, targets, selection, everything, all_namespaces)
        return await _delete_all(session, victims, options, said_all=by_file_or_all or any(selection.values()))

    if run_session(Where(kubeconfig, context, namespace, cluster_name), work):
        raise typer.Exit(1)


async def _of_files(session: Session, objects: Sequence[dict[str, Any]]) -> list[Victim]:
    resources = await session.resources()
    victims = []
    for obj in objects:
        resource, metadata = resources.of_object(obj), obj.get("metadata") or {}
        namespace = (metadata.get("namespace") or session.namespace) if resource.namespaced else None
        victims.append(Victim(resource, metadata.get("name", ""), namespace, True))
    return victims


async def _chosen(
    session: Session, words: Sequence[str], selection: dict[str, str | None], everything: bool, all_namespaces: bool
) -> list[Victim]:
    resources = await session.resources()
    victims: list[Victim] = []
    for target in parse_targets(words):
        for resource in resources.find_list(target.types):
            namespace = session.namespace if resource.namespaced and not all_namespaces else None
            if target.name is not None:
                if everything or any(selection.values()):
                    raise CommandError("error: name cannot be provided when a selector is specified")
                victims.append(Victim(resource, target.name, namespace))
                continue
            if not everything and not any(selection.values()):
                raise CommandError("error: resource(s) were provided, but no name was specified")
            found = await session.client.list(resource.gv, resource.plural, namespace=namespace, **selection)  # type: ignore[arg-type]
            victims += [
                Victim(resource, item["metadata"]["name"], item["metadata"].get("namespace")) for item in found["items"]
            ]
    return victims


async def _delete_all(session: Session, victims: Sequence[Victim], options: Options, *, said_all: bool) -> int:
    code = 0
    waiting: list[tuple[Victim, str]] = []
    if options.force:
        print(FORCE_WARNING, file=sys.stderr)
    for victim in victims:
        try:
            answer = await session.client.delete(
                victim.resource.gv, victim.resource.plural, victim.name, namespace=victim.namespace,
                grace_period_seconds=options.grace_period, propagation_policy=options.cascade,
            )  # fmt: skip
        except ApiError as error:
            if not (is_not_found(error) and options.ignore_not_found):
                doing = 'error when deleting "STDIN"' if victim.from_file else ""
                print(refusal_text(error, doing), file=sys.stderr)
                code = 1
            continue
        _say(victim, options)
        uid = (answer.get("details") or answer.get("metadata") or {}).get("uid", "")
        waiting.append((victim, uid))
    if not victims and said_all:
        print("No resources found")
    if options.wait:
        await _wait(session, waiting, options.timeout)
    return code


def _say(victim: Victim, options: Options) -> None:
    if options.name_only:
        print(f"{victim.resource.label}/{victim.name}")
        return
    where = f" from {victim.namespace} namespace" if victim.namespace else ""
    verb = "force deleted" if options.force else "deleted"
    print(f'{victim.resource.label} "{victim.name}" {verb}{where}', flush=True)


async def _wait(session: Session, waiting: Sequence[tuple[Victim, str]], timeout: float) -> None:
    deadline = time.monotonic() + timeout if timeout > 0 else None
    for victim, uid in waiting:
        while await _is_there(session, victim, uid):
            if deadline is not None and time.monotonic() >= deadline:
                name = f"{victim.resource.plural}/{victim.name}"
                raise CommandError(f"error: timed out waiting for the condition on {name}")
            await asyncio.sleep(POLL_SECONDS)


async def _is_there(session: Session, victim: Victim, uid: str) -> bool:
    try:
        found = await session.client.get(
            victim.resource.gv, victim.resource.plural, victim.name, namespace=victim.namespace
        )
    except ApiError as error:
        if is_not_found(error):
            return False
        raise
    return not uid or found["metadata"]["uid"] == uid  # another object of the same name is another object
