"""`navarch apply`: make objects as files say."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.errors import CommandError
from cli.objects.applying import Applied, ApplyOptions, apply_object
from cli.objects.flags import Cluster, Context, Files, Kubeconfig, Namespace, OutputFormat, Recursive
from cli.objects.manifests import read_manifests
from cli.objects.printing import format_objects
from cli.objects.refusals import refusal_text
from cli.objects.session import Session, Where, run_session
from machinery.meta.errors import ApiError

VALIDATION = {"strict": "Strict", "true": "Strict", "warn": "Warn", "ignore": "Ignore", "false": "Ignore"}
CONFLICT_ADVICE = """\
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"""


def apply(
    filename: Files = [],  # noqa: B006
    recursive: Recursive = False,
    namespace: Namespace = "",
    server_side: Annotated[bool, typer.Option("--server-side", help="Let the server merge.")] = False,
    force_conflicts: Annotated[bool, typer.Option("--force-conflicts", help="Take fields from others.")] = False,
    field_manager: Annotated[str, typer.Option("--field-manager", help="Name to own fields under.")] = "",
    dry_run: Annotated[str, typer.Option("--dry-run", help="none, server or client.")] = "none",
    validate: Annotated[str, typer.Option("--validate", help="strict, warn or ignore.")] = "strict",
    output: OutputFormat = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Make objects as files say: `apply -f web.yaml`, `apply -f folder/ --server-side`."""
    if not filename:
        raise CommandError("error: must specify one of -f and -k")
    validation = VALIDATION.get(validate)
    if validation is None or dry_run not in ("none", "server", "client"):
        raise CommandError("error: --validate is strict, warn or ignore; --dry-run is none, server or client")
    objects = read_manifests(filename, recursive=recursive)
    options = ApplyOptions(server_side, force_conflicts, field_manager, dry_run, validation)

    async def work(session: Session) -> int:
        return await apply_all(session, objects, options, output.lstrip("="))

    if run_session(Where(kubeconfig, context, namespace, cluster_name), work):
        raise typer.Exit(1)


async def apply_all(session: Session, objects: Sequence[dict[str, Any]], options: ApplyOptions, output: str) -> int:
    """One after the other, in the order of the files; a refused object does not keep the next from its turn."""
    code = 0
    results: list[Applied] = []
    for obj in objects:
        try:
            applied = await apply_object(session, obj, options)
        except ApiError as error:
            print(explain_refusal(error, obj), file=sys.stderr)
            code = 1
            continue
        except CommandError as error:
            print(error, file=sys.stderr)
            code = 1
            continue
        results.append(applied)
        if not output:
            suffix = {"server": " (server dry run)", "client": " (dry run)"}.get(options.dry_run, "")
            print(f"{applied.resource.label}/{applied.object['metadata']['name']} {applied.verb}{suffix}", flush=True)
    if output and results:
        found = [(result.resource, result.object) for result in results]
        sys.stdout.write(format_objects(output, found, single=len(objects) == 1))
    return code


def explain_refusal(error: ApiError, obj: dict[str, Any]) -> str:
    if error.reason == "Conflict" and error.causes and error.causes[0].get("reason") == "FieldManagerConflict":
        return f"error: {error.message}\n{CONFLICT_ADVICE}"
    return refusal_text(error)
