"""`navarch get`: objects, printed by the server's own columns."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cli.errors import CommandError
from cli.objects.flags import (
    AllNamespaces,
    Cluster,
    Context,
    FieldSelector,
    Files,
    Kubeconfig,
    Namespace,
    OutputFormat,
    Recursive,
    Selector,
    Targets,
)  # fmt: skip
from cli.objects.manifests import read_manifests
from cli.objects.printing import format_objects
from cli.objects.refusals import refusal_text
from cli.objects.resources import Resource
from cli.objects.session import Session, Where, run_session
from cli.objects.tables import TABLE, Style, format_table, sort_rows
from cli.objects.targets import Target, parse_targets
from machinery.client import resource_path
from machinery.client.watching import watch_lines
from machinery.meta.errors import ApiError


@dataclass(frozen=True)
class Query:
    """One request: a type, and a name or a selection."""

    resource: Resource
    name: str | None
    namespace: str | None

    @property
    def path(self) -> str:
        return resource_path(self.resource.gv, self.resource.plural, self.namespace, self.name)


@dataclass(frozen=True)
class Options:
    output: str
    all_namespaces: bool
    selection: dict[str, str]
    headers: bool
    labels: bool
    label_columns: tuple[str, ...]
    ignore_not_found: bool
    sort_by: str
    managed: bool
    watch: bool
    watch_only: bool


def get(
    targets: Targets = [],  # noqa: B006
    filename: Files = [],  # noqa: B006
    recursive: Recursive = False,
    namespace: Namespace = "",
    all_namespaces: AllNamespaces = False,
    selector: Selector = "",
    field_selector: FieldSelector = "",
    output: OutputFormat = "",
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Go on with changes.")] = False,
    watch_only: Annotated[bool, typer.Option("--watch-only", help="Only changes.")] = False,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Without the first line.")] = False,
    show_labels: Annotated[bool, typer.Option("--show-labels", help="A column of labels.")] = False,
    label_columns: Annotated[list[str], typer.Option("-L", "--label-columns", help="A column for this label.")] = [],  # noqa: B006
    sort_by: Annotated[str, typer.Option("--sort-by", help="JSONPath to sort by.")] = "",
    ignore_not_found: Annotated[bool, typer.Option("--ignore-not-found", help="Nothing found is fine.")] = False,
    show_managed_fields: Annotated[bool, typer.Option("--show-managed-fields")] = False,
    raw: Annotated[str, typer.Option("--raw", help="Print what the server answers at this path.")] = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Show objects: `get pods`, `get deploy web -o yaml`, `get all -A`, `get pods -w`."""
    selection = {"labelSelector": selector, "fieldSelector": field_selector}
    columns = tuple(key for entry in label_columns for key in entry.split(","))
    options = Options(
        output.lstrip("="), all_namespaces, {key: value for key, value in selection.items() if value}, not no_headers,
        show_labels, columns, ignore_not_found, sort_by, show_managed_fields, watch or watch_only, watch_only,
    )  # fmt: skip

    async def work(session: Session) -> int:
        if raw:
            sys.stdout.buffer.write((await session.client.request("GET", raw)).body)
            return 0
        if filename:
            queries = await _queries_of_files(session, read_manifests(filename, recursive=recursive))
        else:
            queries = await _queries(session, parse_targets(targets), options)
        if options.watch:
            return await _watch(session, queries, options)
        if options.output in ("", "wide"):
            return await _tables(session, queries, options)
        return await _documents(session, queries, options)

    code = run_session(Where(kubeconfig, context, namespace, cluster_name), work)
    if code:
        raise typer.Exit(code)


async def _queries(session: Session, targets: Sequence[Target], options: Options) -> list[Query]:
    resources = await session.resources()
    found = []
    for target in targets:
        for resource in resources.find_list(target.types):
            namespace = session.namespace if resource.namespaced and not options.all_namespaces else None
            if target.name and resource.namespaced and namespace is None:
                raise CommandError("error: a resource cannot be retrieved by name across all namespaces")
            found.append(Query(resource, target.name, namespace))
    return found


async def _queries_of_files(session: Session, objects: Sequence[dict[str, Any]]) -> list[Query]:
    resources = await session.resources()
    found = []
    for obj in objects:
        resource, metadata = resources.of_object(obj), obj.get("metadata", {})
        namespace = (metadata.get("namespace") or session.namespace) if resource.namespaced else None
        found.append(Query(resource, metadata.get("name"), namespace))
    return found


async def _tables(session: Session, queries: Sequence[Query], options: Options) -> int:
    include = {"includeObject": "Object"} if options.sort_by else {}
    results = await _all(session, queries, options, {"Accept": TABLE}, include)
    kinds = {query.resource for query, result in results if isinstance(result, dict)}
    printed, code = 0, 0
    merged: dict[Resource, dict[str, Any]] = {}
    for query, result in results:
        if isinstance(result, ApiError):
            code = _complain(result)
        elif query.resource in merged:
            merged[query.resource]["rows"] += result.get("rows") or []
        elif result.get("rows"):
            merged[query.resource] = result
    for resource, table in merged.items():
        if printed and options.headers:
            print()
        if options.sort_by:
            sort_rows(table, options.sort_by)
        several = len(kinds) > 1
        style = _style(options, prefix=f"{resource.label}/" if several else "", namespaced=resource.namespaced)
        print("\n".join(format_table(table, style)))
        printed += 1
    if not printed and not code and not options.ignore_not_found:
        _nothing(session, queries)
    return code


def _style(options: Options, *, prefix: str = "", namespaced: bool = True) -> Style:
    return Style(
        wide=options.output == "wide", headers=options.headers, namespaces=options.all_namespaces and namespaced,
        labels=options.labels, label_columns=options.label_columns, prefix=prefix,
    )  # fmt: skip


def _nothing(session: Session, queries: Sequence[Query]) -> None:
    scope = next((query.namespace for query in queries if query.namespace), None)
    where = f" in {scope} namespace" if scope else ""
    print(f"No resources found{where}", end="\n" if not scope else ".\n", file=sys.stderr)


async def _documents(session: Session, queries: Sequence[Query], options: Options) -> int:
    found: list[tuple[Resource, dict[str, Any]]] = []
    code = 0
    for query, result in await _all(session, queries, options, {}, {}):
        if isinstance(result, ApiError):
            code = _complain(result)
        elif query.name:
            found.append((query.resource, result))
        else:
            # Items of a list leave out what the list says for all of them.
            common = {"apiVersion": query.resource.gv, "kind": query.resource.kind}
            found += [(query.resource, {**common, **item}) for item in result.get("items") or ()]
    single = len(queries) == 1 and queries[0].name is not None
    if found or (not code and not single):
        sys.stdout.write(format_objects(options.output, found, single=single, managed=options.managed))
    return code


Result = tuple[Query, Any]


async def _all(
    session: Session, queries: Sequence[Query], options: Options, headers: dict[str, str], params: dict[str, str]
) -> list[Result]:
    async def one(query: Query) -> Result:
        selection = {} if query.name else options.selection
        try:
            answer = await session.client.request("GET", query.path, params={**selection, **params}, headers=headers)
        except ApiError as error:
            if error.reason == "NotFound" and options.ignore_not_found:
                return query, {}
            if error.reason == "BadRequest" and not query.name:
                gv = query.resource.gv if "/" in query.resource.gv else f"/{query.resource.gv}"
                labels, fields = selection.get("labelSelector", ""), selection.get("fieldSelector", "")
                error.add_note(f'Unable to find "{gv}, Resource={query.resource.plural}" that match label selector '
                               f'"{labels}", field selector "{fields}"')  # fmt: skip
            return query, error
        return query, answer.json()

    return await asyncio.gather(*(one(query) for query in queries))


def _complain(error: ApiError) -> int:
    print(refusal_text(error), file=sys.stderr)
    return 1


async def _watch(session: Session, queries: Sequence[Query], options: Options) -> int:
    if len(queries) != 1:
        raise CommandError("error: you may only specify a single resource type to watch")
    (query,) = queries
    selection = {"fieldSelector": f"metadata.name={query.name}"} if query.name else options.selection
    path = resource_path(query.resource.gv, query.resource.plural, query.namespace)
    as_table = options.output in ("", "wide")
    headers = {"Accept": TABLE} if as_table else {}
    answer = (await session.client.request("GET", path, params=selection, headers=headers)).json()
    printer = _WatchPrinter(query, options)
    if not options.watch_only:
        if query.name and not (answer.get("rows") or answer.get("items")):
            return _complain(ApiError(404, "NotFound", f'{query.resource.full_name} "{query.name}" not found'))
        printer.show(answer, listed=True)
    revision = answer["metadata"].get("resourceVersion", "")
    params = {**selection, "watch": "true", "resourceVersion": revision, "allowWatchBookmarks": "true"}
    async with session.client.stream("GET", path, params, headers=headers) as stream:
        async for kind, item in watch_lines(stream.content):
            if kind != "BOOKMARK":
                printer.show(item, listed=False)
    return 0


class _WatchPrinter:
    """Headers once; afterwards rows as they come, each as wide as it is alone or as the table before it."""

    def __init__(self, query: Query, options: Options) -> None:
        self.query, self.options = query, options
        self.columns: list[dict[str, Any]] | None = None

    def show(self, item: dict[str, Any], *, listed: bool) -> None:
        if item.get("kind") != "Table":
            items = item.get("items") if listed else [item]
            common = {"apiVersion": self.query.resource.gv, "kind": self.query.resource.kind}
            for obj in items or ():
                found = [(self.query.resource, {**common, **obj})]
                sys.stdout.write(format_objects(self.options.output, found, single=True, managed=self.options.managed))
        elif item.get("rows"):
            first = self.columns is None
            self.columns = item.get("columnDefinitions") or self.columns
            style = _style(self.options, namespaced=self.query.resource.namespaced)
            lines = format_table({**item, "columnDefinitions": self.columns}, style)
            print("\n".join(lines if first or not style.headers else lines[1:]))
        sys.stdout.flush()
