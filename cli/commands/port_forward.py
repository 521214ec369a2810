"""`navarch port-forward`: local ports to a pod, or to a pod of a workload or Service."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from cli.errors import CommandError
from cli.objects.flags import Cluster, Context, Kubeconfig, Namespace
from cli.objects.forwarding import Forward, Forwarder, parse_forwards
from cli.objects.session import Session, Where, run_session
from cli.objects.workloads import fetch_target, parse_workload, pods_of
from machinery.client import resource_path


def port_forward(
    target: Annotated[str, typer.Argument(help="Pod, or TYPE/NAME.", show_default=False)],
    ports: Annotated[list[str], typer.Argument(help="LOCAL:REMOTE, or one for both.", show_default=False)],
    address: Annotated[str, typer.Option("--address", help="Where to listen.")] = "127.0.0.1",
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Forward ports until interrupted: `port-forward svc/web 8080:80`."""

    async def work(session: Session) -> None:
        _, obj = await fetch_target(session, parse_workload(target))
        pod = (await pods_of(session, target))[0]
        if (phase := (pod.get("status") or {}).get("phase")) != "Running":
            raise CommandError(f"error: unable to forward port because pod is not running. Current status={phase}")
        forwards = parse_forwards(ports, named_ports(obj if obj["kind"] == "Service" else pod))
        if obj["kind"] == "Service":
            forwards = [Forward(forward.local, target_port(obj, pod, forward.remote)) for forward in forwards]
        path = resource_path("v1", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"], "portforward")
        forwarder = Forwarder(session.client, path)
        servers = [await forwarder.listen(forward, address) for forward in forwards]
        await asyncio.gather(*(server.serve_forever() for server in servers))

    run_session(Where(kubeconfig, context, namespace, cluster_name), work)


def named_ports(obj: dict[str, Any]) -> dict[str, int]:
    if "containers" not in obj["spec"]:  # a Service; items of a list do not say their kind
        return {port["name"]: port["port"] for port in obj["spec"].get("ports") or () if port.get("name")}
    return {
        port["name"]: port["containerPort"]
        for container in obj["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("name")
    }


def target_port(service: dict[str, Any], pod: dict[str, Any], number: int) -> int:
    """The container's port behind a Service's port. Pure."""
    for port in service["spec"].get("ports") or ():
        if port["port"] == number:
            wanted = port.get("targetPort", number)
            if isinstance(wanted, int):
                return wanted
            if wanted in (names := named_ports(pod)):
                return names[wanted]
            raise CommandError(f"error: pod {pod['metadata']['name']} has no port named {wanted!r}")
    raise CommandError(f"error: Service {service['metadata']['name']} does not have a service port {number}")
