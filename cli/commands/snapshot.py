"""`navarch snapshot`: save a cluster's store and keys while it runs, and bring them back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.commands.store import Home, Name, Output, check_output, format_bytes, home_of, in_words
from cli.errors import CommandError
from cli.local.layout import DEFAULT_CLUSTER

app = typer.Typer(no_args_is_help=True, help="Snapshots: the store and the keys of a cluster in one checked file.")
Directory = Annotated[
    Path | None, typer.Option("--dir", help="Where snapshots are kept.", show_default="HOME/snapshots")
]


def _directory(name: str, home: str | None, directory: Path | None) -> Path:
    return directory if directory is not None else home_of(name, home) / "snapshots"


def _as_dict(snapshot: Any) -> dict[str, Any]:
    manifest = snapshot.manifest
    return {
        "path": str(snapshot.path), "bytes": snapshot.size_bytes,
        "created": manifest.created_at if manifest else None, "cluster": manifest.cluster if manifest else None,
        "revision": manifest.revision if manifest else None, "problem": snapshot.problem,
    }  # fmt: skip


@app.command("save")
def save(
    name: Name = DEFAULT_CLUSTER, home: Home = None, directory: Directory = None,
    keep: Annotated[int, typer.Option(min=0, help="Then keep only so many of them; 0 for all.")] = 0,
    output: Output = "",
) -> None:  # fmt: skip
    """Save the store and the keys. The server may run; its file is the only thing that is read."""
    from importlib.metadata import version

    from apiserver.storage.snapshots.save import prune
    from apiserver.storage.snapshots.save import save as save_home

    as_json = check_output(output)
    source = home_of(name, home)
    target = _directory(name, home, directory)
    # A home that was given need not be that of the default cluster: its folder names it better.
    cluster = name if home is None or name != DEFAULT_CLUSTER else source.name
    with in_words():
        made = save_home(source, target, cluster=cluster, version=version("navarch"), now=datetime.now(UTC))
        if keep:
            prune(target, keep)
    if as_json:
        typer.echo(json.dumps(_as_dict(made), indent=2))
        return
    typer.echo(f"{made.path}  {format_bytes(made.size_bytes)}, revision {_as_dict(made)['revision']}")


@app.command("list")
def list_(name: Name = DEFAULT_CLUSTER, home: Home = None, directory: Directory = None, output: Output = "") -> None:
    """List snapshots, the newest first."""
    from apiserver.storage.snapshots.save import list_snapshots
    from cli.objects.age import format_age
    from cli.objects.columns import print_columns

    as_json = check_output(output)
    target = _directory(name, home, directory)
    found = list_snapshots(target)
    if as_json:
        typer.echo(json.dumps([_as_dict(snapshot) for snapshot in found], indent=2))
        return
    if not found:
        typer.echo(f"There are no snapshots in {target}.", err=True)
        return
    now = datetime.now(UTC)
    rows = [
        [snapshot.path.name, format_age((now - snapshot.created_at).total_seconds()),
         format_bytes(snapshot.size_bytes), snapshot.manifest.revision if snapshot.manifest else snapshot.problem]
        for snapshot in found
    ]  # fmt: skip
    print_columns(["NAME", "AGE", "SIZE", "REVISION"], rows)


@app.command("restore")
def restore(
    snapshot: Annotated[str, typer.Argument(help="A file, or a name that `list` shows.")],
    name: Name = DEFAULT_CLUSTER, home: Home = None, directory: Directory = None, output: Output = "",
) -> None:  # fmt: skip
    """Put a snapshot into a home that is empty or whose server is stopped. What was there is kept aside."""
    from apiserver.storage.snapshots.restore import restore as restore_home

    as_json = check_output(output)
    target = home_of(name, home)
    path = Path(snapshot)
    if not path.is_file() and (_directory(name, home, directory) / snapshot).is_file():
        path = _directory(name, home, directory) / snapshot
    with in_words():
        done = restore_home(path, target, datetime.now(UTC))
    if as_json:
        aside = str(done.aside) if done.aside else None
        typer.echo(json.dumps({"home": str(target), "revision": done.revision, "aside": aside}, indent=2))
        return
    typer.echo(f"{target} is as it was at {done.manifest.created_at} (revision {done.manifest.revision})")
    typer.echo(f"revisions go on at {done.revision}; clients start over by themselves")
    if done.aside:
        typer.echo(f"what was there is in {done.aside}")


@app.command("prune")
def prune(
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many of the newest stay.")] = 5,
    name: Name = DEFAULT_CLUSTER, home: Home = None, directory: Directory = None, output: Output = "",
) -> None:  # fmt: skip
    """Remove all but the newest snapshots."""
    from apiserver.storage.snapshots.save import prune as prune_directory

    as_json = check_output(output)
    target = _directory(name, home, directory)
    if not target.is_dir():
        raise CommandError(f"there are no snapshots in {target}")
    gone = prune_directory(target, keep)
    if as_json:
        typer.echo(json.dumps([_as_dict(one) for one in gone], indent=2))
        return
    for one in gone:
        typer.echo(f"removed {one.path.name}")
    typer.echo(f"{len(gone)} removed")
