"""Where everything of a local cluster is: names of namespaces, addresses, paths. Pure: the machine is not touched.

Every name that leaves the cluster's home (a namespace, a cgroup) begins with the cluster's name, so several clusters
live side by side and `down` can tell its own from everyone else's. Interface names need no such care: each one exists
only inside a namespace of its cluster.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

NETNS_DIRECTORY = Path("/run/netns")
RUN_DIRECTORY = Path("/run/navarch")
DEFAULT_HOMES = Path("/var/lib/navarch")
DEFAULT_CLUSTER = "local"

BRIDGE = "nv0"
BRIDGE_ADDRESS = "10.200.0.1"
PREFIX_LENGTH = 24
FIRST_NODE_HOST = 11
MAX_NODES = 200
SERVICE_CIDR = "10.96.0.0/16"
POD_CIDR = "10.244.0.0/16"
API_PORT = 6443

# containerd puts names of its own below a node's folder and a socket path ends at 107 characters.
MAX_HOME_LENGTH = 60

_CLUSTER_NAME = re.compile(r"[a-z][a-z0-9]{0,14}")
_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


class LayoutError(ValueError):
    """A name or path that cannot work, in words for the person who typed it."""


@dataclass(frozen=True)
class NodeLayout:
    """One machine of a cluster. ``index`` is its number for life; addresses follow from it, never from the order."""

    cluster: str
    name: str
    index: int
    home: Path  # of the cluster

    @property
    def netns(self) -> str:
        return f"nv-{self.cluster}-{self.name}"

    @property
    def netns_path(self) -> Path:
        return NETNS_DIRECTORY / self.netns

    @property
    def address(self) -> str:
        return f"10.200.0.{FIRST_NODE_HOST + self.index}"

    @property
    def bridge_port(self) -> str:
        """The end of the cable at the switch; its other end is eth0 in the machine."""
        return f"port{self.index}"

    @property
    def directory(self) -> Path:
        return self.home / "nodes" / self.name

    @property
    def containerd(self) -> Path:
        return self.directory / "containerd"

    @property
    def containerd_root(self) -> Path:
        """What survives a power loss: images, metadata, stopped containers."""
        return self.containerd / "root"

    @property
    def containerd_state(self) -> Path:
        """What does not, as /run does not on a real machine."""
        return self.containerd / "state"

    @property
    def containerd_socket(self) -> Path:
        return self.containerd / "containerd.sock"

    @property
    def containerd_config(self) -> Path:
        return self.containerd / "config.toml"

    @property
    def cni_configuration(self) -> Path:
        return self.directory / "cni" / "net.d"

    @property
    def cni_data(self) -> Path:
        return self.directory / "cni" / "data"

    @property
    def kubelet(self) -> Path:
        return self.directory / "kubelet"

    @property
    def kubeconfig(self) -> Path:
        return self.kubelet / "kubeconfig"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def cgroup(self) -> str:
        """Below this path, in every hierarchy, is what runs on the machine and nothing else."""
        return f"/navarch/{self.cluster}/{self.name}"


@dataclass(frozen=True)
class ClusterLayout:
    name: str
    home: Path

    @property
    def netns(self) -> str:
        return f"nv-{self.name}"

    @property
    def netns_path(self) -> Path:
        return NETNS_DIRECTORY / self.netns

    @property
    def spec(self) -> Path:
        return self.home / "cluster.json"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def lock(self) -> Path:
        return self.run / "cluster.lock"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def pointer(self) -> Path:
        """Tells later commands where the home is when it is not the default one."""
        return RUN_DIRECTORY / f"{self.name}.home"

    @property
    def cgroup(self) -> str:
        return f"/navarch/{self.name}"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.home / "kubeconfig" / "admin.kubeconfig"

    def component_kubeconfig(self, component: str) -> Path:
        return self.home / "kubeconfig" / f"{component}.kubeconfig"

    @property
    def ca_certificate(self) -> Path:
        return self.home / "pki" / "ca.crt"

    @property
    def inner_server(self) -> str:
        """The API server as the machines see it."""
        return f"https://{BRIDGE_ADDRESS}:{API_PORT}"

    def node(self, name: str, index: int) -> NodeLayout:
        return NodeLayout(self.name, name, index, self.home)


def check_cluster_name(name: str) -> str:
    """No dashes: `nv-<cluster>-<node>` must not be the name of another cluster's namespace."""
    if not _CLUSTER_NAME.fullmatch(name):
        raise LayoutError(f"cluster name {name!r}: use up to 15 lower-case letters and digits, a letter first")
    return name


def check_node_name(name: str) -> str:
    if not _NODE_NAME.fullmatch(name):
        raise LayoutError(f"node name {name!r}: use up to 30 lower-case letters, digits and dashes")
    return name


def check_home(home: Path) -> Path:
    if len(str(home)) > MAX_HOME_LENGTH:
        raise LayoutError(f"home {home}: longer than {MAX_HOME_LENGTH} characters, sockets below it would not open")
    return home


def locate(name: str, home: str | None) -> ClusterLayout:
    """The cluster by name: the home that was given, or the one it was started with, or the default."""
    check_cluster_name(name)
    if home is not None:
        return ClusterLayout(name, check_home(Path(home).absolute()))
    default = ClusterLayout(name, DEFAULT_HOMES / name)
    try:
        return ClusterLayout(name, Path(default.pointer.read_text().strip()))
    except FileNotFoundError:
        return default
