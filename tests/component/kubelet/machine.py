"""A machine of one's own: a network namespace with a containerd in it, images made locally, and a clean end.

Everything lies below one folder; the end stops every pod through the runtime, ends containerd, and unmounts what is
left, so that a test that failed half-way leaves the computer as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import time
from pathlib import Path

from kubelet.cgroups import PodCgroups
from kubelet.cri import CriError, Runtime
from kubelet.images.importer import import_archive
from kubelet.images.oci import ImageConfig, build_image, busybox_layer
from kubelet.images.pause import PAUSE_REFERENCE, pause_image
from kubelet.volumes import mounts

BUSYBOX_REFERENCE = "localhost/busybox:1"
NODE_ADDRESS = "10.200.0.11"

CONFIG = """\
version = 2
root = "{dir}/containerd/root"
state = "{dir}/containerd/state"
[grpc]
  address = "{dir}/containerd.sock"
[debug]
  level = "warn"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{dir}/cni/net.d"
"""


def busybox_image() -> bytes:
    applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    layer = busybox_layer(Path("/bin/busybox").read_bytes(), applets)
    return build_image(BUSYBOX_REFERENCE, [layer], ImageConfig(cmd=["sh"], env=["PATH=/bin:/usr/bin"]))


def sh(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


class NodeMachine:
    """``start`` and ``stop`` are synchronous, for use in fixtures."""

    def __init__(self, directory: Path, *, name: str = "", pod_cidr: str = "10.244.0.0/24") -> None:
        self.directory = directory
        self.name = name or f"nvk-{secrets.token_hex(3)}"
        self.pod_cidr = pod_cidr
        self.endpoint = str(directory / "containerd.sock")
        self.cgroup_prefix = f"navarch-test/{self.name}"
        self._containerd: subprocess.Popen[bytes] | None = None

    @property
    def enter(self) -> list[str]:
        """The beginning of a command line that runs inside."""
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def start(self) -> None:
        sh("ip", "netns", "add", self.name)
        sh(*self.enter, "ip", "link", "set", "lo", "up")
        sh(*self.enter, "ip", "link", "add", "uplink", "type", "bridge")
        sh(*self.enter, "ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", "uplink")
        sh(*self.enter, "ip", "link", "set", "uplink", "up")
        self.write_cni()
        self.directory.joinpath("containerd.toml").write_text(CONFIG.format(dir=self.directory, pause=PAUSE_REFERENCE))
        self.start_containerd()
        for archive in (pause_image(), busybox_image()):
            asyncio.run(import_archive(self.endpoint, archive))

    def write_cni(self) -> None:
        directory = self.directory / "cni" / "net.d"
        directory.mkdir(parents=True, exist_ok=True)
        ipam = {
            "type": "host-local",
            "ranges": [[{"subnet": self.pod_cidr}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(self.directory / "cni" / "data"),
        }
        bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "ipam": ipam}
        document = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}
        (directory / "10-pods.conflist").write_text(json.dumps(document))

    def start_containerd(self) -> None:
        log = (self.directory / "containerd.log").open("ab")
        command = [*self.enter, "containerd", "--config", str(self.directory / "containerd.toml")]
        self._containerd = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        asyncio.run(self._wait())

    async def _wait(self) -> None:
        runtime = Runtime(self.endpoint)
        try:
            for _ in range(200):
                with contextlib.suppress(CriError):
                    await runtime.version()
                    return
                await asyncio.sleep(0.05)
        finally:
            await runtime.close()
        raise RuntimeError("containerd does not answer: " + (self.directory / "containerd.log").read_text()[-2000:])

    def stop_containerd(self) -> None:
        if self._containerd is not None:
            self._containerd.terminate()
            self._containerd.wait(20)
            self._containerd = None

    def power_off(self) -> None:
        """Everything of the node dies at once, as without power: containers, their shims, the runtime."""
        if self._containerd is not None:
            self._containerd.kill()
            self._containerd.wait()
            self._containerd = None
        self.kill_shims()

    def kill_shims(self) -> None:
        for pid in self._shims():
            with contextlib.suppress(OSError):  # it may end by itself meanwhile
                for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _shims(self) -> list[int]:
        """By the socket in their command line: only those of this machine."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
                if words and b"containerd-shim" in words[0] and self.endpoint.encode() in words:
                    found.append(int(entry.name))
        return found

    def stop(self) -> None:
        if self._containerd is not None:
            with contextlib.suppress(Exception):
                asyncio.run(self.remove_pods())
            self.stop_containerd()
        # containerd forgets shims whose creation was broken off by the death of the agent that asked for it.
        self.kill_shims()
        mounts.unmount_below(self.directory)
        time.sleep(0.05)
        mounts.unmount_below(self.directory)
        PodCgroups(prefix=self.cgroup_prefix).remove_all()
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)

    async def remove_pods(self) -> None:
        runtime = Runtime(self.endpoint)
        try:
            for sandbox in await runtime.list_pod_sandboxes():
                with contextlib.suppress(CriError):
                    await runtime.stop_pod_sandbox(sandbox.id)
                    await runtime.remove_pod_sandbox(sandbox.id)
        finally:
            await runtime.close()


def main() -> None:
    """``python -m tests.component.kubelet.machine DIR``: a machine until the input ends, for trying things by hand."""
    import sys

    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    machine = NodeMachine(directory, name=sys.argv[2] if len(sys.argv) > 2 else "")
    try:
        machine.start()
        print(json.dumps({"netns": machine.name, "endpoint": machine.endpoint, "pid": os.getpid()}), flush=True)
        sys.stdin.read()
    finally:
        machine.stop()


if __name__ == "__main__":
    main()
