"""``python -m bench [NAME…]``: the benchmarks, one after the other, each in a process of its own; all without a name.

Every one of them can be run alone with more options: ``python -m bench.NAME --help``. What they print is JSON; results
with the machine they were measured on are kept in ``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from pathlib import Path


def names() -> list[str]:
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run benchmarks, each with its defaults.")
    parser.add_argument("name", nargs="*", choices=[[], *names()], help="which; all without one")
    chosen = parser.parse_args().name or names()
    print(f"machine: {platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}", flush=True)
    failed = []
    for name in chosen:
        print(f"--- {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
