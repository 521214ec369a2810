"""`navarch version`."""

from __future__ import annotations

import json
from importlib.metadata import version as package_version
from typing import Annotated, Any

import typer

from cli.objects.flags import Cluster, Context, Kubeconfig


def version(
    client: Annotated[bool, typer.Option("--client", help="Only of this program; ask no server.")] = False,
    output: Annotated[str, typer.Option("-o", "--output", help="json for programs.")] = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Print the version of this program, and of the server that it talks to."""
    found: dict[str, Any] = {"navarch": package_version("navarch")}
    if not client:
        from cli.objects.session import Session, Where, run_session

        async def work(session: Session) -> Any:
            return (await session.client.request("GET", "/version")).json()

        found["server"] = run_session(Where(kubeconfig, context, "", cluster_name), work)["gitVersion"]
    if output == "json":
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo("\n".join(f"{name}: {value}" for name, value in found.items()))
