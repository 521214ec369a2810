"""``python -m controllers --kubeconfig FILE``."""

import sys

from controllers.main import main

main(sys.argv[1:])
