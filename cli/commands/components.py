"""The components alone, with their own flags: `navarch apiserver --home DIR --port P`."""

from __future__ import annotations

import runpy
import sys

import typer


def _run(package: str, ctx: typer.Context) -> None:
    """As `python -m` does it. The component is the program from here on: it parses, it logs, it ends the process."""
    sys.argv = [f"navarch {package}", *ctx.args]
    runpy.run_module(package, run_name="__main__", alter_sys=False)


def apiserver(ctx: typer.Context) -> None:
    _run("apiserver", ctx)


def scheduler(ctx: typer.Context) -> None:
    _run("scheduler", ctx)


def controllers(ctx: typer.Context) -> None:
    _run("controllers", ctx)


def kubelet(ctx: typer.Context) -> None:
    _run("kubelet", ctx)
