"""`navarch describe`: one object in words, with its events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from cli.errors import CommandError
from cli.objects.describe import others, pods, workloads
from cli.objects.describe.events import write_events
from cli.objects.describe.writer import Writer
from cli.objects.flags import AllNamespaces, Cluster, Context, Kubeconfig, Namespace, Selector, Targets
from cli.objects.resources import Resource
from cli.objects.session import Session, Where, run_session
from cli.objects.targets import parse_targets
from machinery.meta.errors import ApiError, is_not_found

Object = dict[str, Any]
Describer = Callable[[Writer, Object, Object], None]

DESCRIBERS: dict[str, Describer] = {
    "Pod": pods.write_pod, "Deployment": workloads.write_deployment, "ReplicaSet": workloads.write_replica_set,
    "ReplicationController": workloads.write_replica_set, "DaemonSet": workloads.write_daemon_set,
    "StatefulSet": workloads.write_stateful_set, "Job": workloads.write_job, "Service": others.write_service,
    "Node": others.write_node, "ConfigMap": others.write_config_map, "Secret": others.write_secret,
    "Namespace": others.write_namespace, "ServiceAccount": others.write_service_account,
}  # fmt: skip
BUILTIN_GROUPS = ("", "apps", "batch")
WITHOUT_EVENTS = ("Secret", "Namespace")


def describe(
    targets: Targets = [],  # noqa: B006
    namespace: Namespace = "",
    all_namespaces: AllNamespaces = False,
    selector: Selector = "",
    show_events: Annotated[
        bool | None, typer.Option("--show-events/--no-events", help="With events.", show_default="of one object")
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Show objects in words: `describe pod web-1`, `describe node`."""

    async def work(session: Session) -> list[str]:
        found = []
        for target in parse_targets(targets):
            for resource in (await session.resources()).find_list(target.types):
                where = session.namespace if resource.namespaced and not all_namespaces else None
                found += [(resource, obj) for obj in await _fetch(session, resource, target.name, where, selector)]
        # Of many objects the events would be a request each and nobody's reading.
        events = show_events if show_events is not None else len(found) == 1
        return [await _describe(session, resource, obj, show_events=events) for resource, obj in found]

    texts = run_session(Where(kubeconfig, context, namespace, cluster_name), work)
    if not texts:
        raise CommandError(f"No resources found in {namespace or 'default'} namespace.")
    typer.echo("\n\n".join(texts), nl=False)


async def _fetch(
    session: Session, resource: Resource, name: str | None, namespace: str | None, selector: str
) -> list[Object]:
    """By name; if none is called so, all whose names begin so, as kubectl does."""
    common = {"apiVersion": resource.gv, "kind": resource.kind}
    try:
        if name is not None:
            return [await session.client.get(resource.gv, resource.plural, name, namespace=namespace)]
    except ApiError as error:
        if not is_not_found(error):
            raise
        missing = error
    found = await session.client.list(
        resource.gv, resource.plural, namespace=namespace, label_selector=selector or None
    )
    items = [{**common, **item} for item in found["items"]]
    if name is None:
        return items
    similar = [item for item in items if item["metadata"]["name"].startswith(name)]
    if not similar:
        raise missing
    return similar


async def _describe(session: Session, resource: Resource, obj: Object, *, show_events: bool) -> str:
    out = Writer()
    describer = DESCRIBERS.get(resource.kind) if resource.group in BUILTIN_GROUPS else None
    (describer or others.write_generic)(out, obj, await _related(session, resource, obj))
    if show_events and resource.kind not in WITHOUT_EVENTS:
        write_events(out, await _events(session, obj), datetime.now(UTC))
    return out.text()


async def _related(session: Session, resource: Resource, obj: Object) -> Object:
    """What the description speaks of beside the object itself."""
    metadata = obj["metadata"]
    namespace, client = metadata.get("namespace"), session.client
    if resource.kind == "Deployment":
        return {"replicasets": (await client.list("apps/v1", "replicasets", namespace=namespace))["items"]}
    if resource.kind in ("ReplicaSet", "ReplicationController", "DaemonSet", "StatefulSet"):
        return {"pods": (await client.list("v1", "pods", namespace=namespace))["items"]}
    if resource.kind == "Service":
        selector = f"kubernetes.io/service-name={metadata['name']}"
        found = await client.list(
            "discovery.k8s.io/v1", "endpointslices", namespace=namespace, label_selector=selector
        )
        return {"endpointslices": found["items"]}
    if resource.kind == "Node":
        running = await client.list("v1", "pods", field_selector=f"spec.nodeName={metadata['name']}")
        leases = await client.list(
            "coordination.k8s.io/v1", "leases", namespace="kube-node-lease",
            field_selector=f"metadata.name={metadata['name']}",
        )  # fmt: skip
        lease = next(iter(leases["items"]), None)
        return {"pods": running["items"], "lease": lease, "now": datetime.now(UTC)}
    return {}


async def _events(session: Session, obj: Object) -> list[Object]:
    metadata = obj["metadata"]
    wanted = f"involvedObject.name={metadata['name']},involvedObject.kind={obj['kind']}"
    if obj["kind"] != "Node":  # a node's events carry its name as the uid
        wanted += f",involvedObject.uid={metadata['uid']}"
    namespace = metadata.get("namespace")
    found = await session.client.list("v1", "events", namespace=namespace, field_selector=wanted)
    items: list[Object] = found["items"]
    return items
