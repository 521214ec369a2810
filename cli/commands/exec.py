"""`navarch exec`: run a command in a container, by the name of a pod or of a workload."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.errors import CommandError
from cli.objects.flags import Cluster, Container, Context, Kubeconfig, Namespace
from cli.objects.session import Session, Where, run_session
from cli.objects.workloads import choose_container, pods_of
from machinery.client import resource_path


def exec_(
    target: Annotated[str, typer.Argument(help="Pod, or TYPE/NAME.", show_default=False)],
    command: Annotated[list[str], typer.Argument(help="-- COMMAND [ARGUMENTS]…", show_default=False)] = [],  # noqa: B006
    stdin: Annotated[bool, typer.Option("-i", "--stdin", help="Pass standard input.")] = False,
    tty: Annotated[bool, typer.Option("-t", "--tty", help="With a terminal.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only the command's output.")] = False,
    container: Container = "",
    namespace: Namespace = "",
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    cluster_name: Cluster = None,
) -> None:
    """Run a command: `exec web-1 -- ls /`, `exec -it deploy/web -- sh`."""
    from cli.objects.remote import CommandFailed, run_remote

    if not command:
        raise CommandError("error: you must specify at least one command for the container")
    terminal = tty and stdin and sys.stdin.isatty()
    if tty and not terminal:
        print("Unable to use a TTY - input is not a terminal or the right kind of file", file=sys.stderr)

    async def work(session: Session) -> int:
        pod = (await pods_of(session, target))[0]
        if (phase := (pod.get("status") or {}).get("phase")) in ("Succeeded", "Failed"):
            raise CommandError(f"error: cannot exec into a container in a completed pod; current phase is {phase}")
        chosen, among_several = choose_container(pod, container)
        if among_several and not quiet:
            names = ", ".join(c["name"] for c in pod["spec"]["containers"])
            print(f"Defaulted container {chosen!r} out of: {names}", file=sys.stderr)
        params = {
            "command": command, "container": chosen, "stdin": str(stdin).lower(), "stdout": "true",
            "stderr": str(not terminal).lower(), "tty": str(terminal).lower(),
        }  # fmt: skip
        path = resource_path("v1", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"], "exec")
        try:
            return await run_remote(session.client, path, params, stdin=stdin, terminal=terminal)
        except CommandFailed as error:
            raise CommandError(f"error: {error}") from error

    code = run_session(Where(kubeconfig, context, namespace, cluster_name), work)
    if code:
        print(f"command terminated with exit code {code}", file=sys.stderr)
        raise typer.Exit(code)
