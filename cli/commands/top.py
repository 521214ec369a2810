"""`navarch top`: what nodes and pods use now, from the metrics API."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.errors import CommandError
from cli.objects.columns import print_columns
from cli.objects.flags import AllNamespaces, Cluster, Context, Kubeconfig, Namespace, Selector
from cli.objects.session import Session, Where, run_session
from machinery.meta.errors import ApiError
from machinery.meta.quantity import parse_quantity

app = typer.Typer(no_args_is_help=True, help="What nodes and pods use of CPU and memory.")
GV = "metrics.k8s.io/v1beta1"
NoHeaders = Annotated[bool, typer.Option("--no-headers", help="Without the first line.")]
SortBy = Annotated[str, typer.Option("--sort-by", help="cpu or memory.")]


def millicores(usage: dict[str, Any]) -> int:
    return parse_quantity(usage.get("cpu", 0)).milli_value()


def mebibytes(usage: dict[str, Any]) -> int:
    return parse_quantity(usage.get("memory", 0)).value() // (1 << 20)


async def _list(session: Session, plural: str, **options: Any) -> list[dict[str, Any]]:
    try:
        items: list[dict[str, Any]] = (await session.client.list(GV, plural, **options))["items"]
        return items
    except ApiError as error:
        if error.code in (404, 503):
            raise CommandError("error: Metrics API not available") from error
        raise


@app.command("node")
@app.command("nodes", hidden=True)
def nodes(
    name: Annotated[str | None, typer.Argument(show_default=False)] = None,
    selector: Selector = "", no_headers: NoHeaders = False, sort_by: SortBy = "",
    kubeconfig: Kubeconfig = None, context: Context = "", cluster_name: Cluster = None,
) -> None:  # fmt: skip
    """What nodes use, and how much of what they have."""

    async def work(session: Session) -> list[list[Any]]:
        used = await _list(session, "nodes", label_selector=selector or None)
        known = {n["metadata"]["name"]: n for n in (await session.client.list("v1", "nodes"))["items"]}
        rows = []
        for metrics in used:
            node = metrics["metadata"]["name"]
            if name not in (None, node) or node not in known:
                continue
            allocatable = known[node]["status"].get("allocatable") or {}
            cpu, memory = millicores(metrics["usage"]), mebibytes(metrics["usage"])
            rows.append([node, cpu, _percent(cpu, millicores(allocatable)), memory,
                         _percent(memory, mebibytes(allocatable))])  # fmt: skip
        if name is not None and not rows:
            raise CommandError(f'Error from server (NotFound): nodemetrics.metrics.k8s.io "{name}" not found')
        return rows

    rows = run_session(Where(kubeconfig, context, "", cluster_name), work)
    rows.sort(key=_order(sort_by, cpu=1, memory=3))
    shown = [[node, f"{cpu}m", cpu_share, f"{memory}Mi", share] for node, cpu, cpu_share, memory, share in rows]
    header = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    print_columns(None if no_headers else header, shown, closed=True)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part // whole}%" if whole else "<unknown>"


def _order(sort_by: str, *, cpu: int, memory: int) -> Any:
    if sort_by not in ("", "cpu", "memory"):
        raise CommandError("error: --sort-by accepts only cpu or memory")
    column = {"cpu": cpu, "memory": memory}.get(sort_by)
    return (lambda row: row[:2]) if column is None else (lambda row: -row[column])


@app.command("pod")
@app.command("pods", hidden=True)
def pods(
    name: Annotated[str | None, typer.Argument(show_default=False)] = None,
    namespace: Namespace = "", all_namespaces: AllNamespaces = False, selector: Selector = "",
    containers: Annotated[bool, typer.Option("--containers", help="A line a container.")] = False,
    no_headers: NoHeaders = False, sort_by: SortBy = "",
    kubeconfig: Kubeconfig = None, context: Context = "", cluster_name: Cluster = None,
) -> None:  # fmt: skip
    """What pods use."""

    async def work(session: Session) -> list[dict[str, Any]]:
        where = None if all_namespaces else session.namespace
        found = await _list(session, "pods", namespace=where, label_selector=selector or None)
        found = [metrics for metrics in found if name in (None, metrics["metadata"]["name"])]
        if not found:
            if name is not None:
                what = f'podmetrics.metrics.k8s.io "{where}/{name}"'
                raise CommandError(f"Error from server (NotFound): {what} not found")
            raise CommandError(f"No resources found in {where} namespace." if where else "No resources found")
        return found

    rows = []
    for metrics in run_session(Where(kubeconfig, context, namespace, cluster_name), work):
        pod = [metrics["metadata"]["namespace"], metrics["metadata"]["name"]]
        usages = [(c["name"], millicores(c["usage"]), mebibytes(c["usage"])) for c in metrics["containers"]]
        if containers:
            rows += [[*pod, *usage] for usage in usages]
        else:
            rows.append([*pod, "", sum(cpu for _, cpu, _ in usages), sum(memory for _, _, memory in usages)])
    rows.sort(key=_order(sort_by, cpu=3, memory=4))
    shown = [
        ([ns] if all_namespaces else []) + ([pod, c] if containers else [pod]) + [f"{cpu}m", f"{memory}Mi"]
        for ns, pod, c, cpu, memory in rows
    ]
    header = (["NAMESPACE"] if all_namespaces else []) + (["POD", "NAME"] if containers else ["NAME"])
    print_columns(None if no_headers else [*header, "CPU(cores)", "MEMORY(bytes)"], shown, closed=True)
