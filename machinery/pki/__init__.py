"""Keys, certificates and kubeconfigs of a cluster."""

from machinery.pki.certificates import Authority, KeyPair, create_authority, create_csr, issue, sign_csr
from machinery.pki.cluster import ClusterPki, ensure_cluster_pki
from machinery.pki.kubeconfig import kubeconfig, write_kubeconfig

__all__ = [
    "Authority",
    "ClusterPki",
    "KeyPair",
    "create_authority",
    "create_csr",
    "ensure_cluster_pki",
    "issue",
    "kubeconfig",
    "sign_csr",
    "write_kubeconfig",
]
