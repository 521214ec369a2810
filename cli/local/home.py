"""The home of a local cluster on disk: made when missing, put right when half made, removed without a trace."""

from __future__ import annotations

import base64
import shutil
from datetime import UTC, datetime
from pathlib import Path

from cli.local.containerd import may_lower_oom_score, render_config
from cli.local.layout import BRIDGE_ADDRESS, RUN_DIRECTORY, ClusterLayout, NodeLayout, locate
from cli.local.machines import remove_empty
from cli.local.spec import ClusterSpec, node_layouts
from cli.local.supervise.child import boot_id

# Only these are removed from a home that somebody chose: it may hold other things too.
OWN_ENTRIES = ("cluster.json", "cluster.new", "pki", "kubeconfig", "db", "log", "nodes", "run")


def ensure_home(layout: ClusterLayout, spec: ClusterSpec) -> None:
    layout.home.mkdir(parents=True, exist_ok=True)
    layout.home.chmod(0o700)  # below it are the keys of the cluster
    for directory in (layout.run, layout.log, layout.home / "db"):
        directory.mkdir(exist_ok=True)
    _forget_after_reboot(layout, spec)
    _ensure_credentials(layout, spec)
    for node in node_layouts(layout, spec):
        ensure_node_files(node)
    if locate(layout.name, None).home != layout.home:
        RUN_DIRECTORY.mkdir(parents=True, exist_ok=True)
        layout.pointer.write_text(f"{layout.home}\n")


def _forget_after_reboot(layout: ClusterLayout, spec: ClusterSpec) -> None:
    """containerd's state must not outlive the processes and mounts that it speaks of."""
    marker, current = layout.run / "boot", boot_id()
    if marker.exists() and marker.read_text() != current:
        for node in node_layouts(layout, spec):
            shutil.rmtree(node.containerd_state, ignore_errors=True)
    marker.write_text(current)


def _ensure_credentials(layout: ClusterLayout, spec: ClusterSpec) -> None:
    from machinery.pki.certificates import Authority, issue
    from machinery.pki.cluster import ensure_cluster_pki
    from machinery.pki.kubeconfig import kubeconfig, write_kubeconfig

    now = datetime.now(UTC)
    pki = ensure_cluster_pki(
        layout.home, now, advertise_addresses=(BRIDGE_ADDRESS,),
        server=f"https://127.0.0.1:{spec.port}", component_server=layout.inner_server,
    )  # fmt: skip
    authority: Authority | None = None
    for node in node_layouts(layout, spec):
        if _is_current(node.kubeconfig, pki.ca_certificate, now):
            continue
        authority = authority or pki.authority()
        node.kubelet.mkdir(parents=True, exist_ok=True)
        client = issue(authority, f"system:node:{node.name}", now, organizations=("system:nodes",))
        config = kubeconfig(
            layout.inner_server, authority.pair().certificate_pem, user=f"system:node:{node.name}",
            client=client, cluster=layout.name,
        )  # fmt: skip
        write_kubeconfig(node.kubeconfig, config)


def _is_current(path: Path, ca_certificate: Path, now: datetime) -> bool:
    import yaml

    from machinery.pki.certificates import KeyPair
    from machinery.pki.rotation import needs_renewal

    try:
        config = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
        user = config["users"][0]["user"]
        pair = KeyPair(base64.b64decode(user["client-certificate-data"]), base64.b64decode(user["client-key-data"]))
        ca = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
        return ca == ca_certificate.read_bytes() and not needs_renewal(pair.certificate(), now)
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, ValueError):
        return False


def ensure_node_files(node: NodeLayout) -> None:
    for directory in (
        node.containerd_root, node.containerd_state, node.cni_configuration, node.cni_data, node.kubelet, node.log,
    ):  # fmt: skip
        directory.mkdir(parents=True, exist_ok=True)
    restrict = not may_lower_oom_score(Path("/proc/self/status").read_text())
    text = render_config(node, restrict_oom_score_adj=restrict)
    if not node.containerd_config.exists() or node.containerd_config.read_text() != text:
        node.containerd_config.write_text(text)


def remove_home(layout: ClusterLayout, *, keep_data: bool) -> None:
    """Also the pointer, and parents that are empty now. With ``keep_data`` what a reboot would leave stays."""
    entries = ("run",) if keep_data else OWN_ENTRIES
    for name in entries:
        path = layout.home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    layout.pointer.unlink(missing_ok=True)
    remove_empty(RUN_DIRECTORY)
    if not keep_data:
        remove_empty(layout.home)
        if layout.home.parent.name == "navarch":
            remove_empty(layout.home.parent)
