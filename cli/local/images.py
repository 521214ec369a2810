"""Put images into a local cluster's nodes and see which are there. CRI has no import: containerd's own tool does it."""

from __future__ import annotations

import json
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cli.errors import CommandError
from cli.local.control import cluster_lock
from cli.local.layout import ClusterLayout, NodeLayout
from cli.local.spec import read_spec

NAMESPACE = "k8s.io"  # where containerd's CRI service keeps what the agent sees


def running_nodes(layout: ClusterLayout) -> list[NodeLayout]:
    spec = read_spec(layout)
    if spec is None:
        raise CommandError(f"there is no cluster {layout.name}; `navarch up` makes one")
    return [layout.node(node.name, node.index) for node in spec.nodes if node.power == "on"]


def check_archive(path: Path) -> None:
    """Say what is wrong with the file before every node's tool says it in its own way."""
    try:
        with tarfile.open(path) as archive:
            names = {name.removeprefix("./") for name in archive.getnames()}
    except FileNotFoundError:
        raise CommandError(f"{path}: no such file") from None
    except (tarfile.TarError, OSError) as error:
        raise CommandError(f"{path}: not a tar archive ({error})") from error
    if not names & {"index.json", "manifest.json"}:
        raise CommandError(f"{path}: neither an OCI layout (index.json) nor a docker archive (manifest.json)")


def load_into_all(layout: ClusterLayout, path: Path) -> list[str]:
    """Returns the names that the archive's images have now. All nodes at once."""
    check_archive(path)
    with cluster_lock(layout, "image load"):
        nodes = running_nodes(layout)
        if not nodes:
            raise CommandError(f"no node of cluster {layout.name} is switched on")
        with ThreadPoolExecutor(len(nodes)) as pool:
            results = list(pool.map(lambda node: _import(node, path.absolute()), nodes))
    return results[0]


def _import(node: NodeLayout, path: Path) -> list[str]:
    output = _ctr(node, "images", "import", str(path))
    return [line.split()[1] for line in output.splitlines() if line.startswith("unpacking ")]


def list_images(node: NodeLayout) -> list[dict[str, Any]]:
    """By CRI's eyes: one row a name, the digests that only repeat a name left out."""
    found = []
    for line in _ctr(node, "images", "ls").splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 5 and not fields[0].startswith("sha256:"):
            found.append({"node": node.name, "image": fields[0], "digest": fields[2], "size": " ".join(fields[3:5])})
    return found


def _ctr(node: NodeLayout, *arguments: str) -> str:
    command = ["ctr", "--address", str(node.containerd_socket), "--namespace", NAMESPACE, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise CommandError(f"{node.name}: {(result.stderr or result.stdout).strip().splitlines()[-1]}")
    return result.stdout


def print_images(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2))
        return
    from cli.objects.columns import print_columns

    print_columns(["NODE", "IMAGE", "DIGEST", "SIZE"], [list(image.values()) for image in found])
