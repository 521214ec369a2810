"""Build the demo's image from the machine's own static busybox: no registry is asked.

The container writes a page that says which pod and which node it is, and serves it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kubelet.images.oci import ImageConfig, build_image, busybox_layer

REFERENCE = "navarch.local/hello:1"
BUSYBOX = Path("/bin/busybox")
SCRIPT = """\
mkdir -p /tmp/www
echo "Hello from pod $POD on node $NODE" > /tmp/www/index.html
trap 'exit 0' TERM
httpd -f -p 8080 -h /tmp/www & wait
"""


def build() -> bytes:
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    return build_image(REFERENCE, [busybox_layer(BUSYBOX.read_bytes(), applets)], ImageConfig(cmd=["sh", "-c", SCRIPT]))


def main(target: str) -> None:
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(build())


if __name__ == "__main__":
    main(sys.argv[1])
