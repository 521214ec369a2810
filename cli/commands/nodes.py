"""`navarch nodes`: the machines of a local cluster."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from cli.commands.cluster import Home, Name
from cli.local.layout import DEFAULT_CLUSTER, locate
from cli.progress import Progress

app = typer.Typer(
    invoke_without_command=True,
    help="Machines of a cluster on this machine. Stop is a power loss, cut is a network cut; without a word: list.",
)
Node = Annotated[str, typer.Argument(help="Name of the node.", show_default=False)]
Timeout = Annotated[float, typer.Option(help="Seconds to wait until it is Ready.")]
Output = Annotated[str, typer.Option("-o", "--output", help="json for programs.")]


@app.callback()
def nodes(ctx: typer.Context, name: Name = DEFAULT_CLUSTER, home: Home = None, output: Output = "") -> None:
    if ctx.invoked_subcommand is None:
        list_(name, home, output)
        return
    # Said before the word, it holds for the word behind it too.
    os.environ["NAVARCH_CLUSTER"] = name
    if home is not None:
        os.environ["NAVARCH_HOME"] = home


@app.command("list")
def list_(name: Name = DEFAULT_CLUSTER, home: Home = None, output: Output = "") -> None:
    """List the machines: power, cable, and what the cluster thinks of them."""
    from cli.local.nodes import describe_nodes
    from cli.objects.columns import print_columns

    rows = describe_nodes(locate(name, home))
    if output == "json":
        typer.echo(json.dumps(rows, indent=2))
    else:
        print_columns(["NAME", "ADDRESS", "POWER", "LINK", "NODE"], [list(row.values()) for row in rows])


@app.command("add")
def add(
    nodes: Annotated[list[str], typer.Argument(help="Names; the next free number without one.")] = [],  # noqa: B006
    name: Name = DEFAULT_CLUSTER, home: Home = None, timeout: Timeout = 60.0,
) -> None:  # fmt: skip
    """Add machines and wait until they are Ready."""
    from cli.local.nodes import add_nodes
    from cli.local.preflight import require_root

    require_root("nodes add")
    with Progress() as progress:
        add_nodes(locate(name, home), nodes, progress, timeout)


@app.command("stop")
def stop(node: Node, name: Name = DEFAULT_CLUSTER, home: Home = None) -> None:
    """Switch a machine off as a power loss does: every process on it is killed, its cable is dead."""
    from cli.local.nodes import stop_node
    from cli.local.preflight import require_root

    require_root("nodes stop")
    killed = stop_node(locate(name, home), node)
    typer.echo(f"{node} is off ({killed} processes killed)")


@app.command("start")
def start(node: Node, name: Name = DEFAULT_CLUSTER, home: Home = None, timeout: Timeout = 60.0) -> None:
    """Switch a machine on and wait until it is Ready."""
    from cli.local.nodes import start_node
    from cli.local.preflight import require_root

    require_root("nodes start")
    with Progress() as progress:
        start_node(locate(name, home), node, progress, timeout)


@app.command("cut")
def cut(node: Node, name: Name = DEFAULT_CLUSTER, home: Home = None) -> None:
    """Pull a machine's network cable. What runs on it goes on."""
    from cli.local.nodes import cut_node
    from cli.local.preflight import require_root

    require_root("nodes cut")
    cut_node(locate(name, home), node)
    typer.echo(f"{node} is cut off")


@app.command("heal")
def heal(node: Node, name: Name = DEFAULT_CLUSTER, home: Home = None) -> None:
    """Plug the network cable in again."""
    from cli.local.nodes import heal_node
    from cli.local.preflight import require_root

    require_root("nodes heal")
    heal_node(locate(name, home), node)
    typer.echo(f"{node} is connected")


@app.command("remove")
def remove(node: Node, name: Name = DEFAULT_CLUSTER, home: Home = None) -> None:
    """Remove a machine and its Node object for good."""
    from cli.local.nodes import remove_node
    from cli.local.preflight import require_root

    require_root("nodes remove")
    remove_node(locate(name, home), node)
    typer.echo(f"{node} is removed")
