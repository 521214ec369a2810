"""`navarch scale`: set the number of replicas, by the scale subresource."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.errors import CommandError
from cli.objects.flags import Cluster, Context, Files, Kubeconfig, Namespace, Targets
from cli.objects.manifests import read_manifests
from cli.objects.session import Session, Where, run_session
from cli.objects.targets import Target, parse_targets


def scale(
    targets: Targets = [],  # noqa: B006
    replicas: Annotated[int, typer.Option("--replicas", help="How many.", min=0, show_default=False)] = ...,  # type: ignore[assignment]
    current_replicas: Annotated[int, typer.Option("--current-replicas", help="Only if it has so many now.")] = -1,
    filename: Files = [],  # noqa: B006
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Set the number of replicas: `scale deploy/web --replicas 3`."""

    async def work(session: Session) -> None:
        chosen = parse_targets(targets) if targets else await _of_files(session, filename)
        resources = await session.resources()
        for target in chosen:
            resource = resources.find(target.types)
            if target.name is None:
                raise CommandError("error: resource(s) were provided, but no name was specified")
            if "scale" not in resource.subresources:
                raise CommandError(f"error: {resource.full_name} cannot be scaled")
            if current_replicas >= 0:
                now = await session.client.get(
                    resource.gv, resource.plural, target.name, namespace=session.namespace, subresource="scale"
                )
                found = now["spec"].get("replicas", 0)
                if found != current_replicas:
                    raise CommandError(f"error: Expected replicas to be {current_replicas}, was {found}")
            await session.client.patch(
                resource.gv, resource.plural, target.name, {"spec": {"replicas": replicas}},
                namespace=session.namespace, subresource="scale",
            )  # fmt: skip
            typer.echo(f"{resource.label}/{target.name} scaled")

    run_session(Where(kubeconfig, context, namespace, cluster_name), work)


async def _of_files(session: Session, files: list[str]) -> list[Target]:
    resources = await session.resources()
    objects = read_manifests(files)
    return [Target(resources.of_object(obj).full_name, obj["metadata"]["name"]) for obj in objects]
