# `make up` and `make test` do everything on a fresh machine; the other targets are their parts.
PYTHON := .venv/bin/python
SOURCES := src tests tools bench

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

up: setup  ## install what is needed, start a cluster, deploy the demo, show it answering
	@tools/demo

test: setup-dev  ## install what is needed, run every test
	@tools/test

setup:  ## install only: .venv with the program in it, and the system packages
	@tools/setup run

setup-dev:
	@tools/setup dev

fast: setup-dev  ## the tests that need neither root nor containers
	@$(PYTHON) -m pytest -m "not e2e and not slow" tests

e2e: setup-dev  ## the tests with real containers and packets
	@$(PYTHON) -m pytest -m e2e tests

lint:  ## style and import contracts
	@.venv/bin/ruff check $(SOURCES) && .venv/bin/ruff format --check -q $(SOURCES) && .venv/bin/lint-imports

types:  ## mypy, strict
	@.venv/bin/mypy

bench: setup-dev  ## measure, and write the table in bench/results.md
	@$(PYTHON) bench/run.py

down:  ## stop the cluster; the data stays
	@.venv/bin/kybern down

.PHONY: help up test setup setup-dev fast e2e lint types bench down
