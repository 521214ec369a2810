"""`navarch up`, `down`, `status`, `kubeconfig`: a cluster on this machine as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.errors import CommandError
from cli.local.layout import DEFAULT_CLUSTER, ClusterLayout, locate
from cli.progress import Progress

Name = Annotated[str, typer.Option("--name", help="Name of the cluster.", envvar="NAVARCH_CLUSTER")]
Home = Annotated[
    str | None,
    typer.Option(
        "--home", help="Where it keeps everything.", envvar="NAVARCH_HOME", show_default="/var/lib/navarch/NAME"
    ),
]


def up(
    name: Name = DEFAULT_CLUSTER,
    home: Home = None,
    nodes: Annotated[int | None, typer.Option(min=0, max=200, help="How many machines.", show_default="1")] = None,
    store: Annotated[str | None, typer.Option(help="sqlite or etcd.", show_default="sqlite")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="On 127.0.0.1.", show_default="6443 or free")
    ] = None,
    file: Annotated[list[str], typer.Option("-f", "--filename", help="Manifest to apply; may be repeated.")] = [],  # noqa: B006
    image: Annotated[list[Path], typer.Option(help="Image archive to load first; may be repeated.", exists=True)] = [],  # noqa: B006
    flag: Annotated[
        list[str],
        typer.Option("--flag", metavar="COMPONENT:FLAG", help="For apiserver, controllers, scheduler or agent: "
                     "`controllers:--node-monitor-grace-period=20`; may be repeated."),
    ] = [],  # noqa: B006
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the nodes.")] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing unless it fails.")] = False,
) -> None:
    """Start a cluster on this machine, or repair the one that is there.

    Every node is a network namespace with its own containerd and its own agent. A second `up` changes nothing that is
    well; after a reboot it brings the same cluster back with its data.
    """
    from cli.local.preflight import require_root
    from cli.local.processes import CONFIGURABLE
    from cli.local.up import Wanted, bring_up

    require_root("up")
    if store not in (None, "sqlite", "etcd"):
        raise CommandError(f"--store {store}: use sqlite or etcd", 2)
    for manifest in file:
        if manifest != "-" and not Path(manifest).exists():
            raise CommandError(f"{manifest}: no such manifest", 2)
    for text in flag:
        if text.partition(":")[0] not in CONFIGURABLE or not text.partition(":")[2].startswith("--"):
            raise CommandError(f"--flag {text}: use COMPONENT:--FLAG=VALUE, one of {', '.join(CONFIGURABLE)}", 2)
    layout = locate(name, home)
    with Progress(quiet=quiet) as progress:
        bring_up(layout, Wanted(nodes, store, port, timeout, tuple(flag) or None), progress)  # type: ignore[arg-type]
        urls: list[str] = []
        if image:
            from cli.local.images import load_into_all

            for path in image:
                progress.step(f"loading {path.name}")
                load_into_all(layout, path)
                progress.done(f"loaded {path.name}")
        if file:
            from cli.local.deliver import deliver

            urls = deliver(layout, file, progress, timeout_seconds=timeout)
        progress.close()
        if not quiet:
            _next_steps(layout, urls)


def _next_steps(layout: ClusterLayout, urls: list[str]) -> None:
    flag = "" if layout.name == DEFAULT_CLUSTER else f" --name {layout.name}"
    for url in urls:
        typer.echo(url)
    typer.echo(
        f"\nNext:\n"
        f"  export KUBECONFIG=$(navarch kubeconfig{flag})\n"
        f"  kubectl get pods -A -o wide\n"
        f"  navarch status{flag}"
    )


def down(
    name: Name = DEFAULT_CLUSTER,
    home: Home = None,
    keep_data: Annotated[bool, typer.Option("--keep-data", help="Keep the home for a later `up`.")] = False,
) -> None:
    """End a cluster: its processes, namespaces, mounts, cgroups and files."""
    from cli.local.control import cluster_lock
    from cli.local.down import take_down
    from cli.local.preflight import require_root

    require_root("down")
    layout = locate(name, home)
    if not layout.spec.exists() and not layout.run.exists():
        typer.echo(f"There is no cluster {name}.", err=True)
        return
    with Progress() as progress, cluster_lock(layout, "down", must_exist=False):
        take_down(layout, progress, keep_data=keep_data)
        progress.done(f"cluster {name} is gone" + (f"; its data stays in {layout.home}" if keep_data else ""))


def kubeconfig(name: Name = DEFAULT_CLUSTER, home: Home = None) -> None:
    """Print the path of a kubeconfig for the cluster's administrator."""
    layout = locate(name, home)
    if not layout.admin_kubeconfig.exists():
        raise CommandError(f"there is no cluster {name} in {layout.home}; `navarch up` makes one")
    typer.echo(layout.admin_kubeconfig)


def status(
    name: Name = DEFAULT_CLUSTER,
    home: Home = None,
    output: Annotated[str, typer.Option("-o", "--output", help="json for programs.")] = "",
) -> None:
    """Show components, nodes and what is unhealthy and why. Exit code 1 when something is."""
    from cli.local.status import collect_status, print_status

    if output not in ("", "json"):
        raise CommandError(f"-o {output}: only json is there", 2)
    found = collect_status(locate(name, home))
    print_status(found, as_json=output == "json")
    if found["problems"]:
        raise typer.Exit(1)
