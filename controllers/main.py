"""The controllers process: options, connection, leadership, health, then the manager until a signal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import structlog

from controllers.manager import CONTROLLERS, build_context, run_controllers
from controllers.options import Options
from machinery.client import Client
from machinery.runtime.leader import LeaderElector
from machinery.runtime.logging import configure
from machinery.runtime.process import run_until_signal
from machinery.runtime.serve import HealthServer

log = structlog.get_logger(__name__)

USER_AGENT = "kube-controller-manager"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """``1h30m``, ``40s``, ``100ms`` or plain seconds."""
    try:
        return float(text)
    except ValueError:
        pass
    total, rest = 0.0, text
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        unit = next((unit for unit in ("ms", "s", "m", "h") if rest[digits:].startswith(unit)), None)
        if digits == 0 or unit is None:
            raise argparse.ArgumentTypeError(f"not a duration: {text!r} (say 40s, 5m, 1h30m)")
        total += float(rest[:digits]) * _UNITS[unit]
        rest = rest[digits + len(unit) :]
    return total


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "1", "yes"):
        return True
    if text.lower() in ("false", "0", "no"):
        return False
    raise argparse.ArgumentTypeError(f"not true or false: {text!r}")


def parse_options(arguments: Sequence[str]) -> Options:
    """Flags are the option names with dashes: ``--node-monitor-grace-period=50s``."""
    parser = argparse.ArgumentParser(prog="navarch controllers", description="Run the cluster's controllers.")
    defaults = Options()
    for option in fields(Options):
        flag, default = f"--{option.name.replace('_', '-')}", getattr(defaults, option.name)
        shown = f"default: {default}"
        if isinstance(default, bool):
            parser.add_argument(flag, type=_boolean, nargs="?", const=True, default=default, help=shown)
        elif isinstance(default, list):
            parser.add_argument(flag, type=lambda text: text.split(","), default=default, help="default: *")
        elif isinstance(default, float):
            parser.add_argument(flag, type=parse_duration, default=default, help=shown)
        else:
            parser.add_argument(flag, type=type(default), default=default, help=shown)
    options = Options(**vars(parser.parse_args(arguments)))
    if not options.kubeconfig:
        options.kubeconfig = os.environ.get("KUBECONFIG", "")
    unknown = [name for name in options.controllers if name.removeprefix("-") not in {"*", *CONTROLLERS}]
    if unknown:
        parser.error(f"no such controller: {', '.join(unknown)}; there are: {', '.join(CONTROLLERS)}")
    if not options.kubeconfig:
        parser.error("no API server given: use --kubeconfig FILE or set KUBECONFIG")
    return options


async def run(options: Options, stop: asyncio.Event | None = None) -> None:
    """Run until ``stop`` is set (or for ever); raises when leadership is lost or a controller fails for good."""
    stop = stop or asyncio.Event()
    client = Client.from_kubeconfig(options.kubeconfig, user_agent=USER_AGENT)
    health = HealthServer()
    if options.secure_port >= 0:
        await health.start(options.secure_port, options.bind_address)
    try:
        work = asyncio.ensure_future(_lead(client, options))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (work, stopping):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
    finally:
        await health.stop()
        await client.close()


async def _lead(client: Client, options: Options) -> None:
    async def lead() -> Any:
        await run_controllers(build_context(client, options))

    if not options.leader_elect:
        await lead()
        return
    identity = options.identity or f"{socket.gethostname()}_{random.SystemRandom().getrandbits(64):016x}"
    elector = LeaderElector(
        client, options.leader_elect_resource_name, identity, namespace=options.leader_elect_resource_namespace,
        lease_duration_seconds=options.leader_elect_lease_duration,
        renew_deadline_seconds=options.leader_elect_renew_deadline,
        retry_period_seconds=options.leader_elect_retry_period,
    )  # fmt: skip
    await elector.run(lead)


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    configure("controllers", level=options.log_level, format_="json" if options.log_format == "json" else "text")
    run_until_signal(lambda stop: run(options, stop))
