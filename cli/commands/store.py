"""`navarch store`: look into the store of a cluster, beside the running server and without disturbing it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import CommandError
from cli.local.layout import DEFAULT_CLUSTER, locate

if TYPE_CHECKING:
    from apiserver.storage.tools.source import Source

app = typer.Typer(no_args_is_help=True, help="Look into the store: size, objects at a revision, history, consistency.")

Name = Annotated[str, typer.Option("--name", help="Name of the local cluster.", envvar="NAVARCH_CLUSTER")]
Home = Annotated[
    str | None,
    typer.Option("--home", help="Home of a cluster or server.", envvar="NAVARCH_HOME",
                 show_default="/var/lib/navarch/NAME"),
]  # fmt: skip
File = Annotated[Path | None, typer.Option("--file", help="A database file instead of a cluster's.")]
Etcd = Annotated[str, typer.Option("--etcd", help="Endpoints of etcd, comma-separated, instead of a file.")]
CaCert = Annotated[str, typer.Option("--cacert", help="With --etcd: CA of its certificate.")]
Cert = Annotated[str, typer.Option("--cert", help="With --etcd: our certificate.")]
Key = Annotated[str, typer.Option("--key", help="With --etcd: its key.")]
Output = Annotated[str, typer.Option("-o", "--output", help="json for programs.")]
UNITS = ("B", "KiB", "MiB", "GiB")


def database_of(name: str, home: str | None, file: Path | None) -> Path:
    return file if file is not None else home_of(name, home) / "db" / "navarch.db"


def home_of(name: str, home: str | None) -> Path:
    """Any folder may be looked at; the rules for a home that a cluster runs in do not matter here."""
    return Path(home).absolute() if home is not None else locate(name, None).home


@contextmanager
def in_words() -> Iterator[None]:
    """What a store refuses is a sentence already."""
    from apiserver.storage.interface import StorageError

    try:
        yield
    except StorageError as error:
        raise CommandError(str(error)) from error


@contextmanager
def opened(
    name: str, home: str | None, file: Path | None, etcd: str, cacert: str, cert: str, key: str
) -> Iterator[Source]:
    with in_words():
        source: Source
        if etcd:
            from apiserver.storage.tools.etcd_source import EtcdSource

            source = EtcdSource(etcd.split(","), ca_file=cacert, cert_file=cert, key_file=key)
        else:
            from apiserver.storage.tools.source import FileSource

            source = FileSource(database_of(name, home, file))
        try:
            yield source
        finally:
            source.close()


def check_output(output: str) -> bool:
    if output not in ("", "json"):
        raise CommandError(f"-o {output}: only json is there", 2)
    return output == "json"


def format_bytes(size: float) -> str:
    for unit in UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {UNITS[-1]}"


def _echo_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


@app.command("status")
def status(
    name: Name = DEFAULT_CLUSTER, home: Home = None, file: File = None, etcd: Etcd = "", cacert: CaCert = "",
    cert: Cert = "", key: Key = "",
    top: Annotated[int, typer.Option(min=0, help="How many kinds; 0 for all.")] = 10,
    output: Output = "",
) -> None:  # fmt: skip
    """Show size, revisions and which kinds fill it."""
    from apiserver.storage.tools.places import read_places
    from apiserver.storage.tools.status import compute_shares
    from cli.objects.columns import print_columns

    as_json = check_output(output)
    with opened(name, home, file, etcd, cacert, cert, key) as source:
        facts = source.facts()
        shares = compute_shares(source.objects(), read_places(source))
    if as_json:
        _echo_json({**asdict(facts), "kinds": [asdict(share) for share in shares]})
        return
    count, size = sum(share.count for share in shares), sum(share.bytes for share in shares)
    owner = f"process {facts.owner}" if facts.owner else "nobody"
    rows = [
        ("store", f"{facts.engine}  {facts.place}"),
        ("revision", f"{facts.revision}, history from {facts.oldest_revision}"),
        ("objects", f"{count} in {format_bytes(size)}"),
    ]
    if facts.engine == "sqlite":
        rows.insert(1, ("open in", owner))
        rows.insert(2, ("size", f"{format_bytes(facts.size_bytes)} + {format_bytes(facts.log_bytes)} log"))
        rows.append(("versions", f"{facts.versions} kept"))
    for word, text in rows:
        typer.echo(f"{word:<9} {text}")
    typer.echo()
    shown = shares[:top] if top else shares
    print_columns(["KIND", "COUNT", "BYTES"], [[s.resource, s.count, format_bytes(s.bytes)] for s in shown])


@app.command("get")
def get(
    path: Annotated[str, typer.Argument(metavar="KEY", help="As in /registry/pods/default/web-1.")],
    at: Annotated[int, typer.Option("--at", min=0, help="At this revision.", show_default="now")] = 0,
    name: Name = DEFAULT_CLUSTER, home: Home = None, file: File = None, etcd: Etcd = "", cacert: CaCert = "",
    cert: Cert = "", key: Key = "", output: Output = "",
) -> None:  # fmt: skip
    """Print one object as it is stored, now or at a revision."""
    import orjson

    as_json = check_output(output)
    with opened(name, home, file, etcd, cacert, cert, key) as source:
        item = source.get(path, at)
    if item is None:
        raise CommandError(f"there is no {path}" + (f" at revision {at}" if at else ""))
    try:
        value = orjson.loads(item.value)
    except ValueError:
        raise CommandError(f"{path} does not decode: it begins with {item.value[:24]!r}") from None
    if as_json:
        _echo_json({"key": item.key, "revision": item.revision, "value": value})
        return
    typer.echo(f"# {item.key} as written at revision {item.revision}", err=True)
    _echo_json(value)


@app.command("history")
def history(
    kind: Annotated[str, typer.Argument(help="As in deployment, svc, widgets.example.com.")],
    object_name: Annotated[str, typer.Argument(metavar="NAME")],
    namespace: Annotated[str, typer.Option("-n", "--namespace")] = "default",
    name: Name = DEFAULT_CLUSTER, home: Home = None, file: File = None, etcd: Etcd = "", cacert: CaCert = "",
    cert: Cert = "", key: Key = "", output: Output = "",
) -> None:  # fmt: skip
    """Show what changed in an object, by whom and when, as far as history is kept (five to ten minutes)."""
    from apiserver.storage.tools.changes import compute_history
    from apiserver.storage.tools.places import find_place, read_places

    as_json = check_output(output)
    with opened(name, home, file, etcd, cacert, cert, key) as source:
        place = find_place(read_places(source), kind)
        path = place.key(namespace, object_name)
        versions = source.versions(path)
    if not versions:
        raise CommandError(f"there is no {path}, and was none as far as history is kept")
    steps = compute_history(versions)
    if as_json:
        _echo_json([asdict(step) for step in steps])
        return
    for step in steps:
        by = f" by {', '.join(step.managers)}" if step.managers else ""
        at = f" at {step.at}" if step.at else ""
        what = "as it was when history begins, written" if step.what == "kept" else step.what
        typer.echo(f"{step.revision}  {what}{by}{at}")
        for change in step.changes:
            typer.echo(f"    {change}")


@app.command("fsck")
def fsck(
    name: Name = DEFAULT_CLUSTER, home: Home = None, file: File = None, etcd: Etcd = "", cacert: CaCert = "",
    cert: Cert = "", key: Key = "", output: Output = "",
) -> None:  # fmt: skip
    """Look for what cannot be true. Exit code 1 when there is an error; warnings may be work in progress."""
    from apiserver.storage.tools.fsck import Finding, check_objects
    from apiserver.storage.tools.places import read_places

    as_json = check_output(output)
    with opened(name, home, file, etcd, cacert, cert, key) as source:
        place = source.facts().place
        findings = [Finding("error", "file", place, text) for text in source.integrity()]
        findings += check_objects(source.objects(), read_places(source))
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        _echo_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(f"{finding.severity:<7}  {finding.check:<11}  {finding.key}: {finding.text}")
        typer.echo(f"{errors} errors, {len(findings) - errors} warnings in {place}")
    if errors:
        raise typer.Exit(1)


@app.command("compact")
def compact(
    name: Name = DEFAULT_CLUSTER, home: Home = None, file: File = None, etcd: Etcd = "", cacert: CaCert = "",
    cert: Cert = "", key: Key = "", output: Output = "",
) -> None:  # fmt: skip
    """Forget history and shrink the file of a stopped cluster; of etcd, forget history while it runs."""
    as_json = check_output(output)
    with in_words():
        if etcd:
            from apiserver.storage.tools.etcd_source import EtcdSource

            source = EtcdSource(etcd.split(","), ca_file=cacert, cert_file=cert, key_file=key)
            try:
                revision = source.compact()
            finally:
                source.close()
            if as_json:
                _echo_json({"revision": revision})
            else:
                typer.echo(f"history begins at {revision} now")
            return
        from apiserver.storage.tools.compaction import compact_file

        done = compact_file(database_of(name, home, file))
    if as_json:
        _echo_json(asdict(done))
        return
    typer.echo(
        f"history begins at {done.revision} now: {done.forgotten} versions forgotten, "
        f"{format_bytes(done.bytes_before)} -> {format_bytes(done.bytes_after)}"
    )
