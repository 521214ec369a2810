"""`navarch image`: images in the nodes of a local cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.cluster import Home, Name
from cli.local.layout import DEFAULT_CLUSTER, locate

app = typer.Typer(no_args_is_help=True, help="Images in the nodes of a cluster on this machine.")


@app.command("load")
def load(
    archives: Annotated[list[Path], typer.Argument(help="OCI or docker archives (tar).", show_default=False)],
    name: Name = DEFAULT_CLUSTER,
    home: Home = None,
) -> None:
    """Load images from archives into every node that is switched on."""
    from cli.local.images import load_into_all

    for archive in archives:
        for image in load_into_all(locate(name, home), archive):
            typer.echo(f"loaded {image}")


app.command("import", help="The same as load.")(load)


@app.command("list")
def list_(
    name: Name = DEFAULT_CLUSTER,
    home: Home = None,
    node: Annotated[str | None, typer.Option(help="Only this node.")] = None,
    output: Annotated[str, typer.Option("-o", "--output", help="json for programs.")] = "",
) -> None:
    """List the images of every node."""
    from cli.errors import CommandError
    from cli.local.images import list_images, print_images, running_nodes

    nodes = [machine for machine in running_nodes(locate(name, home)) if node in (None, machine.name)]
    if not nodes:
        raise CommandError(f"no node {node!r} that is switched on" if node else "no node is switched on")
    found = [image for machine in nodes for image in list_images(machine)]
    print_images(found, as_json=output == "json")
