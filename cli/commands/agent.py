"""`navarch agent`: make this machine a node of a cluster."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.local.preflight import require_root, require_tools
from cli.machine.agent import AgentOptions, node_layout, plan_agent, prepare
from cli.machine.foreground import supervise
from cli.machine.removal import remove_node
from cli.machine.units import install as install_unit
from cli.machine.units import uninstall as uninstall_unit

DEFAULT_HOME = Path("/var/lib/navarch/agent")


def agent(
    server: Annotated[str, typer.Option(help="https://ADDRESS:PORT of the API server.")] = "",
    token: Annotated[str, typer.Option(help="Bootstrap token.", envvar="NAVARCH_TOKEN")] = "",
    node_name: Annotated[str, typer.Option(help="Name of the node.", show_default="the host's")] = "",
    home: Annotated[Path, typer.Option(help="Where it keeps everything.")] = DEFAULT_HOME,
    ca_file: Annotated[Path | None, typer.Option(help="The cluster's CA, if it was brought here.", exists=True)] = None,
    node_ip: Annotated[str, typer.Option(help="Address of the node.", show_default="what reaches the server")] = "",
    runtime_endpoint: Annotated[str, typer.Option(help="Use this containerd.", show_default="one of its own")] = "",
    node_labels: Annotated[str, typer.Option(help="KEY=VALUE,…")] = "",
    register_with_taints: Annotated[str, typer.Option(help="KEY=VALUE:EFFECT,…")] = "",
    install: Annotated[bool, typer.Option("--install", help="Run it as a systemd unit from now on.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="End and remove the unit and all containers.")] = False,
) -> None:
    """Join a cluster and run this machine's node. Ends with SIGTERM; containers go on."""
    require_root("agent")
    options = AgentOptions(
        home.absolute(), node_name or socket.gethostname(), server, token, ca_file, node_ip, runtime_endpoint,
        node_labels, register_with_taints,
    )  # fmt: skip
    if uninstall:
        was_there = uninstall_unit("agent")
        remove_node(node_layout(options), options.home)
        typer.echo("the unit and the node's traces are gone" if was_there else "the node's traces are gone")
        return
    require_tools("sqlite")
    node = prepare(options)
    if install:
        arguments = [word for word in sys.argv[1:] if word != "--install"]
        path = install_unit("agent", [str(Path(sys.argv[0]).absolute()), *_without_token(arguments)])
        typer.echo(f"{path} is installed and runs; `navarch agent --uninstall` takes it away")
        return
    typer.echo(f"node {node.name}   logs: {node.log}/", err=True)
    supervise(options.home, plan_agent(node, options))


def _without_token(arguments: list[str]) -> list[str]:
    """A unit file is readable by everyone; the token is already where only root reads it."""
    kept, skip = [], False
    for word in arguments:
        if skip or word == "--token":
            skip = not skip
        elif not word.startswith("--token="):
            kept.append(word)
    return kept
