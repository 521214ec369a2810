"""`up -f`: apply manifests, wait until their workloads are available, and say where their Services answer."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from cli.errors import CommandError
from cli.local.layout import ClusterLayout
from cli.objects.applying import Applied, ApplyOptions, apply_object
from cli.objects.manifests import read_manifests
from cli.objects.rollout_state import rollout_state
from cli.objects.session import Session, Where, run_session
from cli.progress import Progress

POLL_SECONDS = 0.05
WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet")
MANAGER = "navarch-up"


def deliver(layout: ClusterLayout, files: Sequence[str], progress: Progress, *, timeout_seconds: float) -> list[str]:
    """Returns the URLs that answer."""
    objects = read_manifests(files)
    deadline = time.monotonic() + timeout_seconds

    async def work(session: Session) -> list[Applied]:
        options = ApplyOptions(server_side=True, force_conflicts=True, field_manager=MANAGER)
        progress.step("applying manifests")
        applied = [await apply_object(session, obj, options) for obj in objects]
        progress.done(f"applied {len(applied)} objects")
        for item in applied:
            if item.resource.kind in WORKLOADS:
                await _wait_available(session, item, progress, deadline)
        return applied

    applied = run_session(Where(kubeconfig=str(layout.admin_kubeconfig)), work)
    urls = [url for item in applied if item.resource.kind == "Service" for url in service_urls(item.object)]
    for url in urls:
        progress.step(f"waiting for {url}")
        _wait_answer(url, deadline)
        progress.done("its Service answers")
    return urls


async def _wait_available(session: Session, item: Applied, progress: Progress, deadline: float) -> None:
    metadata, resource = item.object["metadata"], item.resource
    name = f"{resource.kind} {metadata['name']}"
    while True:
        now = await session.client.get(
            resource.gv, resource.plural, metadata["name"], namespace=metadata.get("namespace")
        )
        state = rollout_state(now)
        if state.complete:
            progress.done(f"{name} is available")
            return
        progress.step(state.message)
        if state.failed or time.monotonic() >= deadline:
            raise CommandError(f"{name} is not available: {state.message}; `navarch status` says more")
        await asyncio.sleep(POLL_SECONDS)


def service_urls(service: dict[str, Any]) -> list[str]:
    """Where a Service answers on this machine. Pure."""
    return [
        f"{'https' if port['port'] == 443 else 'http'}://127.0.0.1:{port['nodePort']}"
        for port in service["spec"].get("ports", ())
        if port.get("nodePort") and port.get("protocol", "TCP") == "TCP"
    ]


def _wait_answer(url: str, deadline: float) -> None:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return  # an answer all the same
        except (OSError, ValueError) as error:
            if time.monotonic() >= deadline:
                raise CommandError(f"{url} does not answer: {error}") from error
        time.sleep(POLL_SECONDS)
