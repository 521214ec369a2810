"""The client library of every component: :class:`Client` speaks REST, :mod:`.kubeconfig` says where and as whom."""

from machinery.client.kubeconfig import ClientConfig, KubeconfigError, in_cluster_config, load_kubeconfig
from machinery.client.rest import Client, ConnectError, Response, resource_path
from machinery.client.watching import WatchEvent

__all__ = [
    "Client", "ClientConfig", "ConnectError", "KubeconfigError", "Response", "WatchEvent", "in_cluster_config",
    "load_kubeconfig", "resource_path",
]  # fmt: skip
