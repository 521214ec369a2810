"""What every cluster holds from its first second beside what the API server itself makes: rights of the node agents
and the name of cluster DNS. Applied, and so repaired, at every start; server-side, so that additions of others stay.

The node agent is kubelet, service proxy and DNS in one process with one identity. The kubelet's part comes from the
Node authorizer; the rest is granted here to the group of all nodes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from cli.local.quickclient import QuickClient

RBAC = "rbac.authorization.k8s.io"
MANAGER = "navarch-bootstrap"
READY_SECONDS = 120.0
DNS_ADDRESS = "10.96.0.10"

Object = dict[str, Any]

_PATHS = {
    "ClusterRole": f"/apis/{RBAC}/v1/clusterroles",
    "ClusterRoleBinding": f"/apis/{RBAC}/v1/clusterrolebindings",
    "Service": "/api/v1/namespaces/kube-system/services",
}


def bootstrap_objects() -> list[Object]:
    return [
        {
            "apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "navarch:node-network"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "endpoints", "namespaces", "nodes"], "verbs": _READ},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
            ],
        },
        _binding("navarch:node-network", "navarch:node-network", "system:nodes"),
        _binding("navarch:node-renewal", f"{_CSR}:selfnodeclient", "system:nodes"),
        # Serving certificates of nodes are approved by a controller; approving for a signer is a right by itself.
        {
            **_binding("navarch:node-serving", "system:certificates.k8s.io:kubelet-serving-approver", ""),
            "subjects": [{"kind": "ServiceAccount", "name": "certificate-controller", "namespace": "kube-system"}],
        },
        {
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "kube-dns", "namespace": "kube-system",
                "labels": {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true",
                           "kubernetes.io/name": "CoreDNS"},
            },
            # No selector: every node answers on this address itself. The object keeps others from taking it.
            "spec": {
                "clusterIP": DNS_ADDRESS,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
                ],
            },
        },
    ]  # fmt: skip


_READ = ["get", "list", "watch"]
_CSR = "system:certificates.k8s.io:certificatesigningrequests"


def _binding(name: str, role: str, group: str) -> Object:
    return {
        "apiVersion": f"{RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}],
    }  # fmt: skip


def ensure_bootstrap(client: QuickClient) -> None:
    for obj in bootstrap_objects():
        path = f"{_PATHS[obj['kind']]}/{obj['metadata']['name']}?fieldManager={MANAGER}&force=true"
        client.request("PATCH", path, obj, content_type="application/apply-patch+yaml")



def main(kubeconfig: str) -> None:
    """As a task of `navarch server`: wait for the API server, then apply."""
    path = Path(kubeconfig)
    deadline = time.monotonic() + READY_SECONDS
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)  # the API server writes it at its first start
    client = QuickClient(path)
    client.wait_ready(deadline)
    ensure_bootstrap(client)
    client.close()


if __name__ == "__main__":
    main(sys.argv[1])
