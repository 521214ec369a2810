"""``python -m apiserver``: the server alone, for tests and benchmarks. People use ``navarch apiserver``."""

from __future__ import annotations

import machinery.runtime.lean  # isort: skip  # noqa: F401 (first: before anything imports structlog)

import argparse
import logging
import sys
from pathlib import Path

import structlog
import uvloop

from apiserver.main import Options, run


def parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="navarch apiserver", description="A Kubernetes-compatible API server.")
    parser.add_argument("--home", type=Path, required=True, help="folder of certificates, kubeconfigs and data")
    parser.add_argument("--port", type=int, default=6443, help="0 picks a free one")
    parser.add_argument("--bind", action="append", help="address to listen on; may be repeated")
    parser.add_argument("--store", default="sqlite", help="sqlite, sqlite:PATH, etcd or memory")
    parser.add_argument("--etcd-servers", default="", help="comma-separated URLs")
    parser.add_argument("--etcd-cafile", default="")
    parser.add_argument("--etcd-certfile", default="")
    parser.add_argument("--etcd-keyfile", default="")
    parser.add_argument("--token-auth-file", type=Path)
    parser.add_argument("--authorization-mode", default="Node,RBAC")
    parser.add_argument("--anonymous-auth", default="true")
    parser.add_argument("--service-cluster-ip-range", default="10.96.0.0/16")
    parser.add_argument("--service-node-port-range", default="30000-32767")
    parser.add_argument("--advertise-address", default="")
    parser.add_argument("--endpoint-reconciler-type", default="lease")
    parser.add_argument("--kubelet-preferred-address-types", default="InternalIP,Hostname,ExternalIP")
    parser.add_argument("--kubelet-certificate-authority", type=Path)
    parser.add_argument("--tls-san", action="append", default=[], help="further name or address of this server")
    parser.add_argument("--enable-admission-plugins", default="")
    parser.add_argument("--disable-admission-plugins", default="")
    parser.add_argument("--server", default="", help="address in the kubeconfigs that are written")
    parser.add_argument("--component-server", default="")
    parser.add_argument("--metrics-api", action="store_true", help="serve metrics.k8s.io by asking the node agents")
    given = parser.parse_args(arguments)
    return Options(
        given.home, given.port, tuple(given.bind or ("127.0.0.1",)), given.store, _words(given.etcd_servers),
        given.etcd_cafile, given.etcd_certfile, given.etcd_keyfile, given.token_auth_file,
        _words(given.authorization_mode), given.anonymous_auth != "false", given.service_cluster_ip_range,
        given.service_node_port_range, given.advertise_address, given.endpoint_reconciler_type,
        _words(given.kubelet_preferred_address_types), given.kubelet_certificate_authority, tuple(given.tls_san),
        _words(given.enable_admission_plugins), _words(given.disable_admission_plugins), given.server,
        given.component_server, metrics_api=given.metrics_api,
    )  # fmt: skip


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
                        logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    uvloop.run(run(parse(sys.argv[1:])))


if __name__ == "__main__":
    main()
