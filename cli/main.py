"""The `navarch` command: a table of commands, each imported only when it is called.

`navarch --help` and `navarch kubeconfig` answer in a tenth of a second because of that; whoever adds a command adds a
row. Errors end here: a sentence on standard error and an exit code, never a traceback for something a person did.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer
from click import ClickException, Command, Context, HelpFormatter, UsageError
from click.exceptions import NoArgsIsHelpError
from typer.core import TyperCommand, TyperGroup

from cli.errors import CommandError

INTERRUPTED = 130
USAGE = 2


@dataclass(frozen=True)
class Row:
    module: str  # below cli.commands
    attribute: str  # a function, or a typer.Typer with subcommands
    panel: str
    help: str
    passes_arguments: bool = False  # the component parses its own flags


LOCAL, REAL = "A cluster on this machine", "On real machines"
OBJECTS, PARTS = "Objects (kubectl's flags)", "Components alone"

COMMANDS: dict[str, Row] = {
    "up": Row("cluster", "up", LOCAL, "Start a cluster, or repair it; apply manifests"),
    "down": Row("cluster", "down", LOCAL, "End a cluster and leave nothing of it"),
    "status": Row("cluster", "status", LOCAL, "One screen: components, nodes, what is unhealthy and why"),
    "kubeconfig": Row("cluster", "kubeconfig", LOCAL, "Print the path of the kubeconfig"),
    "nodes": Row("nodes", "app", LOCAL, "List, add, stop, start, cut off machines"),
    "image": Row("image", "app", LOCAL, "Load images into every node, list them"),
    "server": Row("server", "server", REAL, "Run a control plane"),
    "agent": Row("agent", "agent", REAL, "Join this machine to a cluster and run its node"),
    "snapshot": Row("snapshot", "app", REAL, "Save the cluster's store and keys, list, restore, prune"),
    "store": Row("store", "app", REAL, "Look into the store: size, history of objects, consistency"),
    "token": Row("token", "app", REAL, "Create, list, delete bootstrap tokens"),
    "get": Row("get", "get", OBJECTS, "Show objects"),
    "apply": Row("apply", "apply", OBJECTS, "Make objects as the files say"),
    "delete": Row("delete", "delete", OBJECTS, "Delete objects"),
    "describe": Row("describe", "describe", OBJECTS, "Show one object in detail, with its events"),
    "scale": Row("scale", "scale", OBJECTS, "Set the number of replicas"),
    "rollout": Row("rollout", "app", OBJECTS, "Status, history, undo, restart, pause, resume of a workload"),
    "logs": Row("logs", "logs", OBJECTS, "Print the logs of a pod or of a workload's pods"),
    "exec": Row("exec", "exec_", OBJECTS, "Run a command in a container"),
    "port-forward": Row("port_forward", "port_forward", OBJECTS, "Forward local ports to a pod or Service"),
    "top": Row("top", "app", OBJECTS, "Show what nodes and pods use"),
    "apiserver": Row("components", "apiserver", PARTS, "Run the API server", True),
    "scheduler": Row("components", "scheduler", PARTS, "Run the scheduler", True),
    "controllers": Row("components", "controllers", PARTS, "Run the controllers", True),
    "kubelet": Row("components", "kubelet", PARTS, "Run the node agent without the network part", True),
    "version": Row("version", "version", PARTS, "Print the versions of this program and of the server"),
}


class LazyGroup(TyperGroup):
    """Lists commands from the table alone; imports one when it is about to run."""

    def list_commands(self, ctx: Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        row = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=row.help, rich_help_panel=row.panel) if row else None

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Plain: the boxes of the other pages would cost this one, the most asked for, three times its time."""
        formatter.write_usage("navarch", "COMMAND [ARGUMENTS]...   (navarch COMMAND --help says more)")
        formatter.write_paragraph()
        formatter.write_text(self.help or "")
        for panel in dict.fromkeys(row.panel for row in COMMANDS.values()):
            with formatter.section(panel):
                formatter.write_dl([(name, row.help) for name, row in COMMANDS.items() if row.panel == panel])

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        self.commands = {name: TyperCommand(name) for name in COMMANDS}  # read for suggestions
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name and command else command, rest


def load(name: str) -> Command:
    row = COMMANDS[name]
    target = getattr(importlib.import_module(f"cli.commands.{row.module}"), row.attribute)
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    settings: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
    if row.passes_arguments:
        settings = {"help_option_names": [], "ignore_unknown_options": True, "allow_extra_args": True}
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    app.command(name, help=target.__doc__ or row.help, context_settings=settings)(target)
    return typer.main.get_command(app)


def run(arguments: Sequence[str]) -> int:
    arguments = list(arguments)
    if arguments and arguments[0] in COMMANDS and COMMANDS[arguments[0]].panel == OBJECTS:
        arguments = _take_globals(arguments)
    group = LazyGroup(
        name="navarch", no_args_is_help=True, suggest_commands=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="A Kubernetes-compatible cluster: on this machine in seconds, or on many.",
    )  # fmt: skip
    return group.main(arguments, prog_name="navarch", standalone_mode=False) or 0


def _take_globals(arguments: list[str]) -> list[str]:
    from cli.objects.global_flags import split_globals
    from cli.objects.session import GLOBALS

    kept, said = split_globals(arguments)
    GLOBALS.set(said)
    return kept


def main() -> None:
    sys.exit(run_to_exit_code(sys.argv[1:]))


def run_to_exit_code(arguments: Sequence[str]) -> int:
    try:
        return int(run(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except NoArgsIsHelpError as error:
        print(error.ctx.get_help() if error.ctx else error.format_message())
        return USAGE
    except UsageError as error:
        return _complain(_usage(error), USAGE)
    except ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except typer.Abort:
        return _complain("aborted", 1)
    except CommandError as error:
        return _complain(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone: nothing to flush at exit
        return 1
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        return _complain(message, 1)


def _usage(error: UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "navarch"
    return f"{error.format_message().rstrip('.')} (see `{path} --help`)"


def explain(error: Exception) -> str | None:
    """Errors of the layers below that are somebody's input or the state of the world; None for a programming error."""
    from machinery.meta.errors import ApiError

    if isinstance(error, ApiError):
        from cli.objects.refusals import refusal_text

        return refusal_text(error)
    names = {kind.__name__ for kind in type(error).__mro__}
    # By name, so that a command which never used the network need not import the client to end.
    if names & {"ConnectError", "KubeconfigError", "Unreachable", "Busy", "NoSupervisor", "LayoutError",
                "MachineError", "PowerError", "ManifestError"}:  # fmt: skip
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return None


def _complain(message: str, code: int) -> int:
    own_words = message.startswith(("Error from server", "error: ", "The "))  # what kubectl says, as kubectl says it
    print(message if own_words else f"navarch: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
