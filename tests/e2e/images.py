"""Images that the tests run, made from the machine's own static busybox: no registry is asked.

`WEB` serves, on port 8080, its pod's name and its version on `/`, and whatever was mounted below `/data`. It ends at
once on SIGTERM; a manifest that wants to lose no request holds the signal back with a preStop hook, as for any server.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from kubelet.images.oci import File, ImageConfig, build_image, busybox_layer

BUSYBOX_BINARY = Path("/bin/busybox")
BUSYBOX = "localhost/busybox:1"
KUBECTL = "localhost/kubectl:1"
WEB = "localhost/web:{version}"

_SERVE = """\
mkdir -p /tmp/www
echo "$(hostname) v{version}" > /tmp/www/index.html
ln -s /data /tmp/www/data
trap 'exit 0' TERM
echo "serving version {version}"
httpd -f -v -p 8080 -h /tmp/www & wait
"""


@functools.cache
def _layer() -> dict[str, object]:
    listed = subprocess.run([BUSYBOX_BINARY, "--list"], capture_output=True, text=True, check=True).stdout
    return busybox_layer(BUSYBOX_BINARY.read_bytes(), listed.split())  # type: ignore[return-value]


def busybox_image() -> bytes:
    return build_image(BUSYBOX, [_layer()], ImageConfig(cmd=["sh"], env=["PATH=/usr/bin:/bin"]))  # type: ignore[list-item]


def web_image(version: int) -> bytes:
    serve = _SERVE.replace("{version}", str(version))
    config = ImageConfig(cmd=["sh", "-c", serve], env=["PATH=/usr/bin:/bin"])
    return build_image(WEB.format(version=version), [_layer()], config)  # type: ignore[list-item]


def kubectl_image(kubectl: bytes) -> bytes:
    """The stock client inside a container, as an operator has it. Big, so only who needs it loads it."""
    config = ImageConfig(cmd=["sh"], env=["PATH=/usr/bin:/bin"])
    return build_image(KUBECTL, [_layer(), {"bin/kubectl": File(kubectl, 0o755)}], config)  # type: ignore[list-item]


def write_images(directory: Path) -> list[Path]:
    """Archives of all of them, to be loaded into a cluster."""
    directory.mkdir(parents=True, exist_ok=True)
    archives = {"busybox.tar": busybox_image(), "web-1.tar": web_image(1), "web-2.tar": web_image(2)}
    for name, content in archives.items():
        (directory / name).write_bytes(content)
    return [directory / name for name in archives]
