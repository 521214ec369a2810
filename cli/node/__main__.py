"""`python -m cli.node …`: a node's process with the kubelet's flags and a few of the network's.

Plain argparse: typer and rich would stay in the memory of a process that lives for months.
"""

from __future__ import annotations

import machinery.runtime.lean  # isort: skip  # noqa: F401 (first: before anything imports structlog)

import argparse
import sys
from collections.abc import Sequence

from cli.node.compose import run_node
from kubelet.__main__ import parse_arguments
from machinery.runtime.process import run_until_signal
from network.agent import NetworkOptions


def parse_network(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The network's flags, and the rest, which are the kubelet's."""
    parser = argparse.ArgumentParser(prog="python -m cli.node", add_help=False, allow_abbrev=False)
    parser.add_argument("--cluster-cidr", default=NetworkOptions.cluster_cidr)
    parser.add_argument("--cni-conf-dir", default=NetworkOptions.cni_conf_dir)
    parser.add_argument("--cni-data-dir", default=NetworkOptions.cni_data_dir)
    return parser.parse_known_args(list(arguments))


def main(arguments: Sequence[str]) -> None:
    given, rest = parse_network(arguments)
    options = parse_arguments(rest)
    network = NetworkOptions(
        node_name=options.node_name, cluster_cidr=given.cluster_cidr, cni_conf_dir=given.cni_conf_dir,
        cni_data_dir=given.cni_data_dir, cluster_domain=options.cluster_domain,
        dns_address=options.cluster_dns[0] if options.cluster_dns else "", resolv_conf=str(options.resolv_conf),
    )  # fmt: skip
    run_until_signal(lambda stop: run_node(options, network, stop))


if __name__ == "__main__":
    main(sys.argv[1:])
