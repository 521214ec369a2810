"""Writes OCI image archives in pure Python: layers from a table of files, a config, a manifest, an index.

The archive is an OCI layout that also carries docker's ``manifest.json``, so that `ctr image import`, docker and
skopeo all read it. Everything is deterministic (times are zero, entries sorted): the same content gives the same digest
on every machine. The agent needs this for its pause image, the tests and the demo for a busybox.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class File:
    """A regular file of a layer."""

    content: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, or with ``hard`` another name of a file in the same layer."""

    target: str
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


Entry = File | Link | Directory


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What a container of the image does when the pod does not say."""

    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Sequence[str] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
    working_dir: str = ""
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    volumes: Sequence[str] = ()
    stop_signal: str = ""


def host_architecture() -> str:
    """The machine's architecture in Go's words."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(machine, machine)


def build_layer(entries: Mapping[str, Entry]) -> bytes:
    """An uncompressed tar. Missing parent directories are added; hard links come after what they point to."""
    wanted: dict[str, Entry] = {path.strip("/"): entry for path, entry in entries.items()}
    for path in list(wanted):
        for parent in Path(path).parents:
            if str(parent) != ".":
                wanted.setdefault(str(parent), Directory())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, entry in sorted(wanted.items(), key=lambda item: (isinstance(item[1], Link), item[0])):
            _add(archive, path, entry)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, path: str, entry: Entry) -> None:
    info = tarfile.TarInfo(path)
    info.mtime = 0
    match entry:
        case Directory():
            info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, entry.mode, entry.uid, entry.gid
            archive.addfile(info)
        case Link():
            info.type = tarfile.LNKTYPE if entry.hard else tarfile.SYMTYPE
            info.linkname, info.mode = (entry.target.strip("/") if entry.hard else entry.target), 0o777
            archive.addfile(info)
        case File():
            info.size, info.mode, info.uid, info.gid = len(entry.content), entry.mode, entry.uid, entry.gid
            archive.addfile(info, io.BytesIO(entry.content))


def build_image(
    reference: str,
    layers: Sequence[Mapping[str, Entry]],
    config: ImageConfig | None = None,
    *,
    architecture: str | None = None,
) -> bytes:
    """The whole archive for one image of one platform, tagged ``reference``."""
    config = config or ImageConfig()
    blobs: dict[str, bytes] = {}
    tars = [build_layer(layer) for layer in layers]
    layer_descriptors = [_put(blobs, LAYER_TYPE, tar) for tar in tars]
    document = config_document(config, [d["digest"] for d in layer_descriptors], architecture or host_architecture())
    config_descriptor = _put(blobs, CONFIG_TYPE, _dump(document))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config_descriptor,
        "layers": layer_descriptors,
    }
    manifest_descriptor = _put(blobs, MANIFEST_TYPE, _dump(manifest)) | {
        "platform": {"architecture": architecture or host_architecture(), "os": "linux"},
        "annotations": {
            "io.containerd.image.name": reference,
            "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
        },
    }
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [manifest_descriptor]}
    docker = [
        {
            "Config": _blob_path(config_descriptor["digest"]),
            "RepoTags": [reference],
            "Layers": [_blob_path(d["digest"]) for d in layer_descriptors],
        }
    ]
    files: dict[str, Entry] = {
        "oci-layout": File(_dump({"imageLayoutVersion": "1.0.0"})),
        "index.json": File(_dump(index)),
        "manifest.json": File(_dump(docker)),
    }
    files |= {_blob_path(digest): File(blob) for digest, blob in blobs.items()}
    return build_layer(files)


def config_document(config: ImageConfig, diff_ids: Sequence[str], architecture: str) -> dict[str, Any]:
    """The image configuration as the OCI specification names it; empty parts are left out."""
    run = {
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.cmd),
        "Env": list(config.env),
        "WorkingDir": config.working_dir,
        "User": config.user,
        "Labels": dict(config.labels),
        "Volumes": {path: {} for path in config.volumes},
        "StopSignal": config.stop_signal,
    }
    return {
        "architecture": architecture,
        "os": "linux",
        "config": {key: value for key, value in run.items() if value},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created_by": "navarch"} for _ in diff_ids],
    }


def busybox_layer(binary: bytes, applets: Sequence[str]) -> dict[str, Entry]:
    """A root file system around a static busybox: a link for each applet, root in passwd, a world-writable /tmp."""
    layer: dict[str, Entry] = {
        "bin/busybox": File(binary, 0o755),
        "etc/passwd": File(b"root:x:0:0:root:/root:/bin/sh\n"),
        "etc/group": File(b"root:x:0:\n"),
        "tmp": Directory(0o1777),
        "root": Directory(0o700),
    }
    layer |= {f"bin/{name}": Link("busybox") for name in applets if name != "busybox"}
    return layer


def _dump(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _put(blobs: dict[str, bytes], media_type: str, blob: bytes) -> dict[str, Any]:
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    blobs[digest] = blob
    return {"mediaType": media_type, "digest": digest, "size": len(blob)}


def _blob_path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
