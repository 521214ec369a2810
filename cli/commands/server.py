"""`navarch server`: a control plane on a real machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import CommandError
from cli.local.home import OWN_ENTRIES
from cli.local.machines import remove_empty
from cli.local.preflight import is_free, require_root
from cli.machine.foreground import supervise
from cli.machine.server import ServerOptions, plan_server
from cli.machine.units import install as install_unit
from cli.machine.units import uninstall as uninstall_unit

DEFAULT_HOME = Path("/var/lib/navarch/server")


def server(
    home: Annotated[Path, typer.Option(help="Where it keeps everything.")] = DEFAULT_HOME,
    bind: Annotated[list[str], typer.Option(help="Address to serve on beside 127.0.0.1; may be repeated.")] = [],  # noqa: B006
    port: Annotated[int, typer.Option(min=1, max=65535)] = 6443,
    advertise_address: Annotated[str, typer.Option(help="Where pods reach it.", show_default="the first")] = "",
    store: Annotated[str, typer.Option(help="sqlite or etcd.")] = "sqlite",
    etcd_servers: Annotated[str, typer.Option(help="URLs, comma-separated, for --store etcd.")] = "",
    tls_san: Annotated[list[str], typer.Option(help="Further name or address in its certificate.")] = [],  # noqa: B006
    install: Annotated[bool, typer.Option("--install", help="Run it as a systemd unit from now on.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="End and remove the systemd unit.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="With --uninstall: the data too.")] = False,
) -> None:
    """Run a control plane: API server, controllers, scheduler. Ends with SIGTERM."""
    if store not in ("sqlite", "etcd") or (store == "etcd") != bool(etcd_servers):
        raise CommandError("--store is sqlite, or etcd with --etcd-servers URL", 2)
    if uninstall:
        require_root("server --uninstall")
        _uninstall(home.absolute(), purge=purge)
        return
    options = ServerOptions(
        home.absolute(), tuple(bind), port, advertise_address or (bind[0] if bind else ""), store, etcd_servers,
        tuple(tls_san),
    )  # fmt: skip
    if install:
        require_root("server --install")
        arguments = [word for word in sys.argv[1:] if word != "--install"]
        path = install_unit("server", [str(Path(sys.argv[0]).absolute()), *arguments])
        typer.echo(f"{path} is installed and runs; `navarch server --uninstall` takes it away")
        return
    if not is_free(port):
        raise CommandError(f"port {port} on 127.0.0.1 is in use: end what listens there, or choose another with --port")
    kubeconfig = f"{options.home}/kubeconfig/admin.kubeconfig"
    flag = "" if options.home == DEFAULT_HOME else f" --kubeconfig {kubeconfig}"
    typer.echo(f"kubeconfig: {kubeconfig}   logs: {options.home}/log/", err=True)
    typer.echo(f"add a node: navarch token create --print-join-command{flag}   and run there what it prints", err=True)
    supervise(options.home, plan_server(options))


def _uninstall(home: Path, *, purge: bool) -> None:
    was_there = uninstall_unit("server")
    if purge:
        for name in OWN_ENTRIES:
            shutil.rmtree(home / name, ignore_errors=True)
        remove_empty(home)
    typer.echo("the unit is gone" if was_there else "there was no unit")
