#!/usr/bin/env bash
# `make up`: a cluster of the given name with the demo on it.
set -euo pipefail
cd "$(dirname "$0")/../.."
image=.cache/hello.tar
if [[ ! -e $image || deploy/demo/image.py -nt $image ]]; then
    .venv/bin/python deploy/demo/image.py $image
fi
exec .venv/bin/navarch up --name "${1:-local}" --image $image -f deploy/demo/hello.yaml
