"""``python -m scheduler``: the component by itself, without the ``navarch`` command."""

from __future__ import annotations

import machinery.runtime.lean  # isort: skip  # noqa: F401 (first: before anything imports structlog)

import argparse

from machinery.runtime.logging import configure
from machinery.runtime.process import run_until_signal
from scheduler.main import SchedulerOptions, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="navarch scheduler", description="Assigns pods to nodes.")
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--scheduler-name", default="default-scheduler")
    parser.add_argument("--leader-elect", default="true", choices=("true", "false"))
    parser.add_argument("--health-port", type=int, default=0)
    parser.add_argument("--log-level", default="info")
    given = parser.parse_args()
    configure("scheduler", level=given.log_level)
    options = SchedulerOptions(
        kubeconfig=given.kubeconfig, scheduler_name=given.scheduler_name, leader_elect=given.leader_elect == "true",
        health_port=given.health_port,
    )  # fmt: skip
    run_until_signal(lambda stop: run(options, stop))


if __name__ == "__main__":
    main()
