"""Rules for all tests: engines that a test needs are there, or the test says so.

A machine without root, containerd or etcd may skip what needs them; CI may not: there a missing engine is a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest

NEEDS = {
    "root": (lambda: os.geteuid() == 0, "needs root: run `sudo make test`"),
    "containerd": (lambda: bool(shutil.which("containerd") and shutil.which("runc")), "needs containerd: run `make setup`"),
    "etcd": (lambda: bool(shutil.which("etcd")), "needs etcd: run `make setup`"),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, (present, what_to_do) in NEEDS.items():
        if item.get_closest_marker(marker) and not present():
            if os.environ.get("CI") == "true":
                pytest.fail(what_to_do, pytrace=False)
            pytest.skip(what_to_do)
