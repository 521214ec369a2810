"""Regenerates the Python stubs beside the .proto files: `python -m proto.generate` from the root of the repository.

The stubs are committed, so that an installation needs no compiler; run this after a change of a .proto file. The
include path is the repository's root, which makes the generated imports (`from proto import …`) match the package.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def generate(root: Path = ROOT) -> list[str]:
    """Compiles every .proto file; returns their names relative to the root."""
    from grpc_tools import protoc  # a development dependency

    sources = sorted(str(path.relative_to(root)) for path in (root / "proto").glob("*.proto"))
    arguments = ["protoc", f"-I{root}", f"--python_out={root}", f"--pyi_out={root}"]
    plain = [name for name in sources if "\nservice " not in (root / name).read_text()]
    served = [name for name in sources if name not in plain]
    for extra, names in (([], plain), ([f"--grpc_python_out={root}"], served)):
        if names and protoc.main([*arguments, f"-I{_include()}", *extra, *names]) != 0:
            raise SystemExit(f"protoc failed on {', '.join(names)}")
    return sources


def _include() -> str:
    import grpc_tools

    return str(Path(grpc_tools.__file__).parent / "_proto")


if __name__ == "__main__":
    print("\n".join(generate()), file=sys.stdout)
