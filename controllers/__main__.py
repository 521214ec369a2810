"""``python -m controllers --kubeconfig FILE``."""

import machinery.runtime.lean  # isort: skip  # noqa: F401 (first: before anything imports structlog)

import sys

from controllers.main import main

main(sys.argv[1:])
