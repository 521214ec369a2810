# The two commands of a newcomer: `make up` (a cluster with a demo) and `make test` (every test).
# NAME=other makes up/down act on another cluster; PYTEST_ARGS go to pytest.

NAME ?= local
PYTEST_ARGS ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Tests that make machines (namespaces, containers) run one after another; all others side by side, two at a time.
MACHINES := root or containerd or e2e

.PHONY: help setup up down test lint bench lock clean

help:
	@echo 'make up      set up, start a cluster on this machine, apply a demo, say where it answers'
	@echo 'make down    end that cluster and leave nothing of it'
	@echo 'make test    set up, run every test'
	@echo 'make lint    ruff, mypy, import layers'
	@echo 'make bench   measure a cluster on this machine'
	@echo 'make lock    renew the lock files from pyproject.toml'

setup:
	@deploy/setup.sh

up: setup
	@deploy/demo/up.sh $(NAME)

down:
	@[ ! -x .venv/bin/navarch ] || navarch down --name $(NAME)

test: setup
	@python -m pytest -q -n 2 --dist worksteal -m "not ($(MACHINES))" $(PYTEST_ARGS)
	@python -m pytest -q -m "$(MACHINES)" $(PYTEST_ARGS)

lint: setup
	ruff check .
	mypy machinery apiserver scheduler controllers kubelet network cli deploy
	lint-imports

bench: setup
	@python -m bench

# No index addresses in the output: the files must install wherever pip is configured to look.
PIP_COMPILE = PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= .venv/bin/pip-compile --quiet --upgrade --allow-unsafe --strip-extras \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
lock:
	$(PIP_COMPILE) --output-file requirements.txt pyproject.toml
	$(PIP_COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean:
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
