"""What can happen to a machine of a local cluster: bought, unplugged, switched off and on, scrapped.

Each action changes the spec first and then makes it so; interrupted in between, the next `up` completes it.
"""

from __future__ import annotations

import time
from typing import Any

from cli.errors import CommandError
from cli.local.control import NoSupervisor, ask, cluster_lock, ensure_supervisor
from cli.local.down import take_down_node
from cli.local.home import ensure_home
from cli.local.layout import ClusterLayout, NodeLayout, check_node_name
from cli.local.machines import ensure_node, set_link
from cli.local.power import power_off
from cli.local.quickclient import QuickClient
from cli.local.spec import ClusterSpec, read_spec, write_spec
from cli.local.up import set_node, wait_for_nodes
from cli.progress import Progress
from machinery.meta.errors import ApiError, is_not_found


def require_spec(layout: ClusterLayout) -> ClusterSpec:
    spec = read_spec(layout)
    if spec is None:
        raise CommandError(f"there is no cluster {layout.name}; `navarch up` makes one")
    return spec


def _require_node(layout: ClusterLayout, spec: ClusterSpec, name: str) -> NodeLayout:
    try:
        node = spec.node(name)
    except KeyError as error:
        raise CommandError(str(error.args[0])) from None
    return layout.node(node.name, node.index)


def add_nodes(layout: ClusterLayout, names: list[str], progress: Progress, timeout_seconds: float) -> list[str]:
    """Without a name, one with the next free number."""
    with cluster_lock(layout, "nodes add"):
        spec = require_spec(layout)
        ask(layout, "status")  # a cluster that is down gets its nodes by `up`
        fresh = []
        wanted: list[str | None] = [*names] or [None]
        for name in wanted:
            if name is not None:
                check_node_name(name)
            try:
                node = spec.new_node(name)
            except ValueError as error:
                raise CommandError(str(error)) from None
            fresh.append(node)
            spec = spec.with_node(node)
        write_spec(layout, spec)
        ensure_home(layout, spec)
        for node in fresh:
            ensure_node(layout, layout.node(node.name, node.index))
        ensure_supervisor(layout)
        _wait(layout, spec, {node.name for node in fresh}, progress, timeout_seconds)
    return [node.name for node in fresh]


def stop_node(layout: ClusterLayout, name: str) -> int:
    """Power loss: nothing is asked, everything ends at once. Returns how many processes died."""
    with cluster_lock(layout, "nodes stop"):
        node = _require_node(layout, require_spec(layout), name)
        set_node(layout, require_spec(layout), name, power="off")
        set_link(layout, node, up=False)
        _reconcile(layout)
        return power_off(node)


def start_node(layout: ClusterLayout, name: str, progress: Progress, timeout_seconds: float) -> None:
    with cluster_lock(layout, "nodes start"):
        spec = require_spec(layout)
        node = _require_node(layout, spec, name)
        spec = set_node(layout, spec, name, power="on")
        ensure_home(layout, spec)
        ensure_node(layout, node, link_up=spec.node(name).link == "up")
        ensure_supervisor(layout)
        if spec.node(name).link == "up":
            _wait(layout, spec, {name}, progress, timeout_seconds)


def cut_node(layout: ClusterLayout, name: str) -> None:
    """The machine goes on, alone."""
    _set_link(layout, name, "cut")


def heal_node(layout: ClusterLayout, name: str) -> None:
    _set_link(layout, name, "up")


def _set_link(layout: ClusterLayout, name: str, link: str) -> None:
    with cluster_lock(layout, f"nodes {'heal' if link == 'up' else 'cut'}"):
        spec = require_spec(layout)
        node = _require_node(layout, spec, name)
        set_node(layout, spec, name, link=link)
        if spec.node(name).power == "on":
            set_link(layout, node, up=link == "up")


def remove_node(layout: ClusterLayout, name: str) -> None:
    """Scrap the machine and take its Node object away, so that its pods are replaced at once."""
    with cluster_lock(layout, "nodes remove"):
        spec = require_spec(layout)
        node = _require_node(layout, spec, name)
        write_spec(layout, spec.without_node(name))
        _reconcile(layout)
        take_down_node(layout, node)
        client = QuickClient(layout.admin_kubeconfig)
        try:
            client.request("DELETE", f"/api/v1/nodes/{name}")
        except ApiError as error:
            if not is_not_found(error):
                raise
        finally:
            client.close()


def _reconcile(layout: ClusterLayout) -> None:
    try:
        ask(layout, "reconcile")
    except NoSupervisor:
        pass  # nothing runs, so nothing has to be ended by it


def _wait(
    layout: ClusterLayout, spec: ClusterSpec, names: set[str], progress: Progress, timeout_seconds: float
) -> None:
    only = ClusterSpec(spec.name, spec.port, spec.store, tuple(n for n in spec.nodes if n.name in names))
    client = QuickClient(layout.admin_kubeconfig)
    try:
        wait_for_nodes(layout, only, client, progress, time.monotonic() + timeout_seconds)
    finally:
        client.close()


def describe_nodes(layout: ClusterLayout) -> list[dict[str, Any]]:
    """Machines as the spec has them, with what the API says of each."""
    spec = require_spec(layout)
    known: dict[str, Any] = {}
    try:
        client = QuickClient(layout.admin_kubeconfig, timeout_seconds=3)
        known = {node["metadata"]["name"]: node for node in client.get("/api/v1/nodes")["items"]}
        client.close()
    except (OSError, ApiError):
        pass  # the machines are there whether or not the API answers
    rows = []
    for node in spec.nodes:
        api = known.get(node.name)
        conditions = (api or {}).get("status", {}).get("conditions", ())
        ready = next((c["status"] for c in conditions if c["type"] == "Ready"), None)
        rows.append({
            "name": node.name,
            "address": layout.node(node.name, node.index).address,
            "power": node.power,
            "link": node.link,
            "ready": {"True": "Ready", None: "unknown"}.get(ready, "NotReady"),
        })  # fmt: skip
    return rows
