"""`navarch status`: what there is, how it is, and for everything that is not well the reason and where to look."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from cli.errors import CommandError
from cli.local.control import NoSupervisor, process_states
from cli.local.layout import ClusterLayout
from cli.local.node_health import why_not_ready
from cli.local.quickclient import QuickClient
from cli.local.spec import ClusterSpec, read_spec
from machinery.meta.errors import ApiError

Status = dict[str, Any]


def collect_status(layout: ClusterLayout) -> Status:
    spec = read_spec(layout)
    if spec is None:
        raise CommandError(f"there is no cluster {layout.name} in {layout.home}; `navarch up` makes one")
    status: Status = {
        "name": layout.name, "home": str(layout.home), "store": spec.store,
        "server": f"https://127.0.0.1:{spec.port}", "kubeconfig": str(layout.admin_kubeconfig),
        "version": None, "components": [], "nodes": [], "pods": {}, "problems": [],
    }  # fmt: skip
    try:
        states = process_states(layout)
    except NoSupervisor:
        status["problems"] = ["the cluster is not running: `navarch up` starts it"]
        return status
    status["components"] = [_component(state) for state in states]
    status["problems"] += component_problems(states, layout)
    try:
        _ask_api(layout, spec, states, status)
    except (OSError, ApiError) as error:
        status["problems"].append(f"the API server does not answer: {error}; {layout.log}/apiserver.log says why")
    return status


def _component(state: dict[str, Any]) -> Status:
    age = None if state["started_at"] is None else round(time.time() - state["started_at"])
    return {"name": state["name"], "state": state["state"], "pid": state["pid"], "restarts": state["restarts"],
            "age_seconds": age}  # fmt: skip


def component_problems(states: list[dict[str, Any]], layout: ClusterLayout) -> list[str]:
    problems = []
    for state in states:
        if state["state"] == "waiting":
            kind, _, node = state["name"].partition("@")
            log = layout.home / "nodes" / node / "log" if node else layout.log
            due = state["next_start_seconds"] or 0.0
            problems.append(f"{state['name']} ended and starts again in {due:.0f} s: {log}/{kind}.log says why")
    return problems


def _ask_api(layout: ClusterLayout, spec: ClusterSpec, states: list[dict[str, Any]], status: Status) -> None:
    client = QuickClient(layout.admin_kubeconfig, timeout_seconds=5)
    status["version"] = client.get("/version")["gitVersion"]
    nodes = {node["metadata"]["name"]: node for node in client.get("/api/v1/nodes")["items"]}
    pods = client.get("/api/v1/pods")["items"]
    client.close()
    since = {state["name"].partition("@")[2]: state["started_at"] for state in states if state["name"][:6] == "agent@"}
    for machine in spec.nodes:
        node = nodes.pop(machine.name, None)
        reason = why_not_ready(node, None, since.get(machine.name) and 0.0)
        if machine.power == "off":
            reason = f"it is switched off: `navarch nodes start {machine.name}`"
        elif machine.link == "cut":
            reason = f"its network is cut: `navarch nodes heal {machine.name}`"
        status["nodes"].append(_node(machine.name, node, reason, pods))
        if reason is not None:
            status["problems"].append(f"node {machine.name} is not Ready: {reason}")
    for name, node in nodes.items():  # joined by hand
        reason = why_not_ready(node, None, 0.0)
        status["nodes"].append(_node(name, node, reason, pods))
        if reason is not None:
            status["problems"].append(f"node {name} is not Ready: {reason}")
    for pod in pods:
        phase = pod.get("status", {}).get("phase", "Unknown")
        status["pods"][phase] = status["pods"].get(phase, 0) + 1
    status["problems"] += [problem for pod in pods if (problem := pod_problem(pod))]


def _node(name: str, node: dict[str, Any] | None, reason: str | None, pods: list[dict[str, Any]]) -> Status:
    info = (node or {}).get("status", {}).get("nodeInfo", {})
    addresses = (node or {}).get("status", {}).get("addresses", ())
    created = (node or {}).get("metadata", {}).get("creationTimestamp")
    age = None
    if created:
        age = round((datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds())
    return {
        "name": name, "ready": reason is None, "reason": reason, "version": info.get("kubeletVersion"),
        "address": next((a["address"] for a in addresses if a["type"] == "InternalIP"), None),
        "pods": sum(1 for pod in pods if pod["spec"].get("nodeName") == name), "age_seconds": age,
    }  # fmt: skip


def pod_problem(pod: dict[str, Any]) -> str | None:
    """A container that cannot start or keeps failing, or a pod that no node takes. Pure."""
    name = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{name}: {container['name']}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{name}: {condition.get('reason')}: {condition.get('message', '')}".rstrip(": ")
    return None


def print_status(status: Status, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(status, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    from cli.objects.age import format_age

    def age(seconds: int | None) -> str:
        return "-" if seconds is None else format_age(seconds)

    console = Console(highlight=False)
    version = status["version"] or "not answering"
    console.print(f"cluster {status['name']}  {version}  {status['server']}  store {status['store']}")
    console.print(f"home {status['home']}", style="dim")
    if status["components"]:
        table = Table("COMPONENT", "STATE", "PID", "RESTARTS", "AGE", box=None, padding=(0, 3, 0, 0))
        for c in status["components"]:
            style = None if c["state"] == "running" else "red"
            row = (c["name"], c["state"], str(c["pid"] or "-"), str(c["restarts"]), age(c["age_seconds"]))
            table.add_row(*row, style=style)
        console.print(table)
    if status["nodes"]:
        table = Table("NODE", "READY", "ADDRESS", "PODS", "VERSION", "AGE", box=None, padding=(0, 3, 0, 0))
        for n in status["nodes"]:
            row = (n["name"], "yes" if n["ready"] else "no", n["address"] or "-", str(n["pods"]), n["version"] or "-")
            table.add_row(*row, age(n["age_seconds"]), style=None if n["ready"] else "red")
        console.print(table)
    if status["pods"]:
        console.print("pods  " + "  ".join(f"{phase} {count}" for phase, count in sorted(status["pods"].items())))
    for problem in status["problems"]:
        console.print(f"! {problem}", style="yellow")
    if not status["problems"]:
        console.print("everything is well", style="green")
