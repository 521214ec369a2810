"""The configuration of a node's containerd. Pure: a layout in, text out.

Everything that containerd keeps is below the node's folder, so that a node can lose power (state goes, root stays) and
be removed (the folder goes) without touching its neighbours or the machine's own containerd.
"""

from __future__ import annotations

import json

from cli.local.layout import NodeLayout

PAUSE_IMAGE = "registry.navarch.local/pause:1"
CNI_BINARIES = "/usr/lib/cni"

# Plugins that could never work here only cost start-up time and warnings in the log.
DISABLED_PLUGINS = (
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.restart",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.native",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
)


def render_config(node: NodeLayout, *, restrict_oom_score_adj: bool) -> str:
    """``restrict_oom_score_adj``: the machine does not let us lower a score, so runc must not be asked to."""
    text = json.dumps  # a TOML basic string is a JSON string
    return f"""\
version = 2
root = {text(str(node.containerd_root))}
state = {text(str(node.containerd_state))}
disabled_plugins = {text(list(DISABLED_PLUGINS))}

[grpc]
  address = {text(str(node.containerd_socket))}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {text(PAUSE_IMAGE)}
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = {text(restrict_oom_score_adj)}
  tolerate_missing_hugetlb_controller = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {text(CNI_BINARIES)}
    conf_dir = {text(str(node.cni_configuration))}

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = {text(str(node.containerd_state / "runc"))}
        SystemdCgroup = false
"""


def may_lower_oom_score(status: str) -> bool:
    """From the text of /proc/self/status: CAP_SYS_RESOURCE (24) in the effective set."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> 24 & 1)
    return False
