"""Bring a local cluster up: make what is missing, repair what is broken, wait until it is well.

Every step is an ensure, so the same way leads from nothing, from a reboot, from a crash and from a cluster that is
already up. What was begun is not left half done: a first `up` that is interrupted takes the cluster away again; one
that found a cluster leaves it as it was found, running or not.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from cli.bootstrap import ensure_bootstrap
from cli.errors import CommandError
from cli.local.control import cluster_lock, ensure_supervisor, is_running, process_states
from cli.local.down import take_down
from cli.local.home import ensure_home
from cli.local.layout import ClusterLayout
from cli.local.machines import ensure_control_plane, ensure_node
from cli.local.node_health import unready_nodes
from cli.local.preflight import choose_port, require_free, require_tools
from cli.local.processes import API_SERVER
from cli.local.quickclient import QuickClient, Unreachable
from cli.local.spec import ClusterSpec, Store, read_spec, write_spec
from cli.local.supervise.child import Records
from cli.progress import Progress
from machinery.meta.errors import ApiError

READY_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Wanted:
    """What the command line asked for; None means: as it is, or the default."""

    nodes: int | None = None
    store: Store | None = None
    port: int | None = None
    timeout_seconds: float = READY_SECONDS
    flags: tuple[str, ...] | None = None


def bring_up(layout: ClusterLayout, wanted: Wanted, progress: Progress) -> ClusterSpec:
    with _terminate_like_interrupt(), cluster_lock(layout, "up", must_exist=False):
        present = read_spec(layout)
        was_running = present is not None and is_running(layout)
        try:
            spec = decide_spec(layout.name, present, wanted)
            if API_SERVER not in Records(layout.run / "processes").living():
                require_free(spec.port)  # else it is our own server, with or without its supervisor
            require_tools(spec.store)
            _ensure(layout, spec, progress)
            _wait(layout, spec, progress, wanted.timeout_seconds)
        except KeyboardInterrupt:
            _undo(layout, existed=present is not None, was_running=was_running, progress=progress)
            raise
        except CommandError:
            if present is None and read_spec(layout) is None:
                take_down(layout, progress)  # refused before anything was made: not even the lock's folder stays
            raise
        return spec


def decide_spec(name: str, present: ClusterSpec | None, wanted: Wanted) -> ClusterSpec:
    """Pure but for the look at free ports. A running cluster is never changed under its objects' feet."""
    if present is None:
        spec = ClusterSpec(name, choose_port(wanted.port), wanted.store or "sqlite", flags=wanted.flags or ())
        return spec.grown_to(1 if wanted.nodes is None else wanted.nodes)
    if wanted.store is not None and wanted.store != present.store:
        raise CommandError(
            f"cluster {name} has its objects in {present.store}: `navarch down --name {name}` removes it and them"
        )
    if wanted.port is not None and wanted.port != present.port:
        raise CommandError(f"cluster {name} answers on port {present.port}: that is fixed until `navarch down`")
    if wanted.nodes is not None and wanted.nodes < len(present.nodes):
        raise CommandError(
            f"cluster {name} has {len(present.nodes)} nodes: `navarch nodes remove NODE` takes one away (up only adds)"
        )
    if wanted.flags is not None:
        present = replace(present, flags=wanted.flags)
    return present.grown_to(wanted.nodes or 0)


def _ensure(layout: ClusterLayout, spec: ClusterSpec, progress: Progress) -> None:
    progress.step("making machines")
    layout.home.mkdir(parents=True, exist_ok=True)
    write_spec(layout, spec)  # first: from here on `down` knows what there may be
    ensure_home(layout, spec)
    ensure_control_plane(layout)
    for node in spec.nodes:
        ensure_node(layout, layout.node(node.name, node.index), link_up=node.link == "up")
    progress.step("starting the control plane")
    ensure_supervisor(layout)


def _wait(layout: ClusterLayout, spec: ClusterSpec, progress: Progress, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    client = QuickClient(layout.admin_kubeconfig)
    try:
        try:
            # The rights of the nodes before anything else: their agents are waiting for them already.
            client.keep_trying(lambda: ensure_bootstrap(client), deadline, lambda: _check_alive(layout))
            client.wait_ready(deadline, lambda: _check_alive(layout))
        except Unreachable as error:
            raise CommandError(f"{error}; {layout.log}/apiserver.log says why") from error
        progress.done("control plane ready")
        wait_for_nodes(layout, spec, client, progress, deadline)
    finally:
        client.close()


def wait_for_nodes(
    layout: ClusterLayout, spec: ClusterSpec, client: QuickClient, progress: Progress, deadline: float
) -> None:
    """Until every machine with power and network is Ready by the word of an agent that is running now."""
    waiting = {node.name for node in spec.nodes if node.power == "on" and node.link == "up"}
    reasons: dict[str, str] = {}
    since: dict[str, float] = {}
    while waiting:
        progress.step(f"waiting for {', '.join(sorted(waiting))}")
        if not since.keys() >= waiting:
            since = agents_started_at(layout)
        try:
            reasons = unready_nodes(client, waiting, since)
        except (ApiError, Unreachable) as error:
            reasons = dict.fromkeys(waiting, str(error))
        for name in sorted(waiting - reasons.keys()):
            progress.done(f"{name} is Ready")
        waiting &= reasons.keys()
        if waiting and time.monotonic() >= deadline:
            name = min(waiting)
            raise CommandError(
                f"{name} is not Ready: {reasons[name]}; {layout.home}/nodes/{name}/log/agent.log says more"
            )
        time.sleep(POLL_SECONDS)


def agents_started_at(layout: ClusterLayout) -> dict[str, float]:
    """Node name to the start time of its running agent."""
    found = {}
    for state in process_states(layout):
        kind, _, node = state["name"].partition("@")
        if kind == "agent" and state["started_at"] is not None:
            found[node] = state["started_at"]
    return found


def _check_alive(layout: ClusterLayout) -> None:
    """Say at once when the API server keeps dying, instead of waiting for the whole time limit."""
    for state in process_states(layout):
        if state["name"] == "apiserver" and state["restarts"] >= 4:
            raise CommandError(f"the API server does not stay up; {layout.log}/apiserver.log says why")


def _undo(layout: ClusterLayout, *, existed: bool, was_running: bool, progress: Progress) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if was_running:
            return
        progress.say("interrupted: taking back what was started")
        take_down(layout, progress, keep_data=existed)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def set_node(layout: ClusterLayout, spec: ClusterSpec, name: str, **changes: Any) -> ClusterSpec:
    """Write one node's new state into the spec. The caller holds the lock and acts on it."""
    changed = spec.with_node(replace(spec.node(name), **changes))
    write_spec(layout, changed)
    return changed
