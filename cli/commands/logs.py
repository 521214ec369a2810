"""`navarch logs`: of a pod, or of the pods of a workload."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli.errors import CommandError
from cli.objects.durations import parse_seconds
from cli.objects.flags import Cluster, Container, Context, Kubeconfig, Namespace, Selector
from cli.objects.session import Session, Where, run_session
from cli.objects.workloads import choose_container, pods_of, preference
from machinery.client import resource_path
from machinery.meta.errors import ApiError


def logs(
    target: Annotated[str | None, typer.Argument(help="Pod, or TYPE/NAME.", show_default=False)] = None,
    container_argument: Annotated[str | None, typer.Argument(metavar="[CONTAINER]", show_default=False)] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new lines.")] = False,
    previous: Annotated[bool, typer.Option("-p", "--previous", help="Of the container before its restart.")] = False,
    tail: Annotated[int, typer.Option("--tail", help="Only so many last lines.", show_default="all")] = -1,
    since: Annotated[str, typer.Option("--since", help="Only newer than 5s, 2m or 3h.")] = "",
    since_time: Annotated[str, typer.Option("--since-time", help="Only after this time (RFC 3339).")] = "",
    timestamps: Annotated[bool, typer.Option("--timestamps", help="With times.")] = False,
    limit_bytes: Annotated[int, typer.Option("--limit-bytes", help="At most so many bytes.", show_default="all")] = 0,
    prefix: Annotated[bool, typer.Option("--prefix", help="Begin lines with pod and container.")] = False,
    all_containers: Annotated[bool, typer.Option("--all-containers", help="Every container of the pods.")] = False,
    all_pods: Annotated[bool, typer.Option("--all-pods", help="Every pod of the workload.")] = False,
    selector: Selector = "",
    container: Container = "",
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Print logs: `logs web-1`, `logs -f deploy/web`, `logs -l app=web --tail 5`."""
    if target is None and not selector:
        raise CommandError("error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.")
    params = query(follow=follow, previous=previous, tail=tail, since=since, since_time=since_time,
                   timestamps=timestamps, limit_bytes=limit_bytes, by_selector=bool(selector))  # fmt: skip

    async def work(session: Session) -> None:
        pods = await _pods(session, target, selector, everything=all_pods)
        name = container or container_argument
        sources = [source for pod in pods for source in _containers(pod, name, all_containers)]
        if follow:
            await asyncio.gather(*(_stream(session, *source, params, prefix or all_pods) for source in sources))
        else:
            for source in sources:
                await _stream(session, *source, params, prefix or all_pods)

    run_session(Where(kubeconfig, context, namespace, cluster_name), work)


def query(
    *, follow: bool, previous: bool, tail: int, since: str, since_time: str, timestamps: bool, limit_bytes: int,
    by_selector: bool,
) -> dict[str, str]:  # fmt: skip
    """The request's parameters. Many pods at once begin with their last ten lines. Pure."""
    params = {}
    for name, on in (("follow", follow), ("previous", previous), ("timestamps", timestamps)):
        if on:
            params[name] = "true"
    if since:
        params["sinceSeconds"] = str(round(parse_seconds(since)))
    if since_time:
        params["sinceTime"] = since_time
    if tail >= 0 or by_selector:
        params["tailLines"] = str(tail if tail >= 0 else 10)
    if limit_bytes:
        params["limitBytes"] = str(limit_bytes)
    return params


async def _pods(session: Session, target: str | None, selector: str, *, everything: bool) -> list[dict[str, Any]]:
    if target is None:
        found = await session.client.list("v1", "pods", namespace=session.namespace, label_selector=selector)
        if not found["items"]:
            print(f"No resources found in {session.namespace} namespace.", file=sys.stderr)
        return sorted(found["items"], key=preference)
    pods = await pods_of(session, target)
    if everything or len(pods) == 1:
        return pods
    print(f"Found {len(pods)} pods, using pod/{pods[0]['metadata']['name']}", file=sys.stderr)
    return pods[:1]


def _containers(pod: dict[str, Any], name: str | None, everything: bool) -> list[tuple[dict[str, Any], str]]:
    if everything:
        return [(pod, c["name"]) for key in ("initContainers", "containers") for c in pod["spec"].get(key) or ()]
    chosen, among_several = choose_container(pod, name or "")
    if among_several:
        names = ", ".join(c["name"] for c in pod["spec"]["containers"])
        print(f'Defaulted container "{chosen}" out of: {names}', file=sys.stderr)
    return [(pod, chosen)]


async def _stream(
    session: Session, pod: dict[str, Any], container: str, params: Mapping[str, str], prefix: bool
) -> None:
    name = pod["metadata"]["name"]
    path = resource_path("v1", "pods", pod["metadata"]["namespace"], name, "log")
    head = f"[pod/{name}/{container}] ".encode() if prefix else b""
    try:
        async with session.client.stream("GET", path, {**params, "container": container}) as answer:
            async for piece in answer.content.iter_any() if not head else answer.content:
                sys.stdout.buffer.write(head + piece)
                sys.stdout.buffer.flush()
    except ApiError as error:
        reason = f" ({error.reason})" if error.reason else ""
        raise CommandError(f"Error from server{reason}: {error.message}") from error
