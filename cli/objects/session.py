"""A connection for one command: which cluster, as whom, in which namespace."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from cli.errors import CommandError
from cli.local.layout import DEFAULT_CLUSTER, DEFAULT_HOMES, locate
from cli.objects.global_flags import Globals
from cli.objects.resources import Resources, fetch_resources
from machinery.client import Client, ClientConfig, load_kubeconfig

T = TypeVar("T")
SERVER_KUBECONFIG = DEFAULT_HOMES / "server" / "kubeconfig" / "admin.kubeconfig"


@dataclass(frozen=True)
class Where:
    """What the flags said."""

    kubeconfig: str | None = None
    context: str = ""
    namespace: str = ""
    cluster: str | None = None


@dataclass
class Session:
    client: Client
    namespace: str
    _resources: Resources | None = None

    async def resources(self) -> Resources:
        if self._resources is None:
            self._resources = await fetch_resources(self.client)
        return self._resources


#: Set once, by the command line, before a verb runs.
GLOBALS: ContextVar[Globals] = ContextVar("GLOBALS", default=Globals())  # noqa: B039 (it is frozen)


def _with_globals(config: ClientConfig, said: Globals) -> ClientConfig:
    if said.impersonate:
        config = replace(config, impersonate=said.impersonate)
    if said.token:
        config = replace(config, token=said.token, token_file="", cert_file="", cert_data=b"")
    if said.server:
        config = replace(config, server=said.server.rstrip("/"))
    if said.insecure:
        config = replace(config, insecure=True)
    return config


def find_kubeconfig(where: Where, environment: dict[str, str]) -> str:
    """As kubectl looks; then the control plane that this machine is, or the local cluster: nothing needs to be set."""
    if where.kubeconfig:
        return where.kubeconfig
    if where.cluster is not None:
        return str(_of_cluster(where.cluster))
    for path in environment.get("KUBECONFIG", "").split(":"):
        if path and Path(path).exists():
            return path
    home = Path(environment.get("HOME", "/root")) / ".kube" / "config"
    if home.exists():
        return str(home)
    if SERVER_KUBECONFIG.exists() and "NAVARCH_CLUSTER" not in environment:
        return str(SERVER_KUBECONFIG)
    return str(_of_cluster(environment.get("NAVARCH_CLUSTER", DEFAULT_CLUSTER)))


def _of_cluster(name: str) -> Path:
    path = locate(name, None).admin_kubeconfig
    if not path.exists():
        raise CommandError(
            f"no cluster to talk to: name a file with --kubeconfig, set KUBECONFIG, or start {name} with `navarch up`"
        )
    return path


def run_session(where: Where, work: Callable[[Session], Awaitable[T]]) -> T:
    config = _with_globals(load_kubeconfig(find_kubeconfig(where, dict(os.environ)), where.context), GLOBALS.get())

    async def run() -> T:
        async with Client(config, user_agent="navarch-cli") as client:
            return await work(Session(client, where.namespace or config.namespace))

    return asyncio.run(run())
