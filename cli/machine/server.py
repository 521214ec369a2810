"""The processes of a control plane on a real machine. Pure but for the paths it is given."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from cli.local.processes import ProcessSpec, controller_flags


@dataclass(frozen=True)
class ServerOptions:
    home: Path
    bind: tuple[str, ...] = ()
    port: int = 6443
    advertise_address: str = ""
    store: str = "sqlite"
    etcd_servers: str = ""
    names: tuple[str, ...] = field(default=())  # further names and addresses in the certificate


def plan_server(options: ServerOptions, python: str = sys.executable) -> list[ProcessSpec]:
    home = options.home
    api_server = [python, "-m", "apiserver", "--home", str(home), "--port", str(options.port), "--store", options.store]
    # Always on loopback too: this machine's own components and its administrator come that way.
    for address in dict.fromkeys(("127.0.0.1", *options.bind)):
        api_server += ["--bind", address]
    if options.advertise_address:
        api_server += ["--advertise-address", options.advertise_address]
    if options.etcd_servers:
        api_server += ["--etcd-servers", options.etcd_servers]
    for name in options.names:
        api_server += ["--tls-san", name]
    api_server += ["--server", f"https://127.0.0.1:{options.port}"]
    admin = str(home / "kubeconfig" / "admin.kubeconfig")
    return [
        _process(home, "apiserver", *api_server),
        _process(home, "controllers", python, "-m", "controllers", "--kubeconfig", _kubeconfig(home, "controllers"),
                 *controller_flags(home)),
        _process(home, "scheduler", python, "-m", "scheduler", "--kubeconfig", _kubeconfig(home, "scheduler")),
        _process(home, "bootstrap", python, "-m", "cli.bootstrap", admin, once=True),
    ]  # fmt: skip


def _kubeconfig(home: Path, component: str) -> str:
    return str(home / "kubeconfig" / f"{component}.kubeconfig")


def _process(home: Path, name: str, *command: str, once: bool = False) -> ProcessSpec:
    return ProcessSpec(name, command, str(home / "log" / f"{name}.log"), once=once)
