"""`navarch token`: bootstrap tokens, with which a machine joins."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from cli.errors import CommandError
from cli.objects.flags import Cluster, Context, Kubeconfig

app = typer.Typer(no_args_is_help=True, help="Bootstrap tokens: what a machine needs to join the cluster.")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_ttl(text: str) -> float:
    """`24h`, `30m`, `0` for ever."""
    if text == "0":
        return 0.0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if match is None:
        raise CommandError(f"--ttl {text}: use a number and s, m, h or d, as in 24h; 0 is for ever", 2)
    return float(match[1]) * _UNITS[match[2]]


@app.command("create")
def create(
    token: Annotated[str | None, typer.Argument(help="The token to create; a random one without.")] = None,
    ttl: Annotated[str, typer.Option(help="How long it is valid: 30m, 24h, 7d; 0 for ever.")] = "24h",
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    server: Annotated[str, typer.Option(help="Address of the API server as machines see it.")] = "",
    print_join_command: Annotated[bool, typer.Option("--print-join-command", help="The whole command.")] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Create a token and print it."""
    from cli.join.tokens import create_token
    from cli.objects.session import Where, run_session

    ttl_seconds = parse_ttl(ttl)
    made, address = run_session(
        Where(kubeconfig, context, "", cluster_name),
        lambda session: create_token(
            session, token=token, ttl_seconds=ttl_seconds, description=description, server=server
        ),
    )
    typer.echo(f"navarch agent --server {address} --token {made}" if print_join_command else made)


@app.command("list")
def list_(
    output: Annotated[str, typer.Option("-o", "--output", help="json for programs.")] = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """List tokens, without their secrets."""
    from cli.join.tokens import list_tokens
    from cli.objects.columns import print_columns
    from cli.objects.session import Where, run_session

    found = run_session(
        Where(kubeconfig, context, "", cluster_name), lambda session: list_tokens(session, datetime.now(UTC))
    )
    shown = [{key: value for key, value in token.items() if key != "secret"} for token in found]
    if output == "json":
        typer.echo(json.dumps(shown, indent=2))
        return
    rows = [[t["id"], "never" if not t["expires"] else f"{t['expires']}{' (expired)' if t['expired'] else ''}",
             t["description"]] for t in shown]  # fmt: skip
    print_columns(["ID", "EXPIRES", "DESCRIPTION"], rows)


@app.command("delete")
def delete(
    tokens: Annotated[list[str], typer.Argument(help="Tokens or their ids.", show_default=False)],
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Delete tokens. Machines that have joined stay."""
    from cli.join.tokens import delete_token
    from cli.objects.session import Where, run_session

    for token in tokens:
        run_session(Where(kubeconfig, context, "", cluster_name), partial(delete_token, token=token))
        typer.echo(f"token {token.partition('.')[0]} deleted")
