# Each verb needs nothing installed but Python 3.11 or newer (with venv) and make.
FITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
# A distribution's Python comes first: it is built with profile-guided optimisation, others may not
# be, and then a lone put takes a fifth longer (docs/decisions/0012).
PYTHON ?= $(shell for python in /usr/bin/python3 python3.11 python3; do \
	$$python -c '$(FITS)' 2>/dev/null && break; done; echo $$python)
SEEDS ?= 300
WORKERS ?= auto
# MUTANTS= leaves the planted bugs out.
MUTANTS ?= 1

BIN := .venv/bin
NODES := .venv/.nodes
TOOLS := .venv/.tools
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
NEEDED := Kvorum needs Python 3.11 or newer with its venv module: \
	install python3.11 and python3.11-venv, or name another one with make PYTHON=...

.PHONY: help env up test lint check clean

help:
	@echo 'make env    .venv with everything in it'
	@echo 'make up     .venv with what a cluster needs, then one of three nodes, shown live'
	@echo 'make test   env, then every test (SEEDS=300 worlds; MUTANTS= plants no bugs)'
	@echo 'make lint   env, then format, lint and types'
	@echo 'make check  lint, then test: what CI runs'
	@echo 'make clean  remove .venv and caches'

env: $(TOOLS)

# What runs a cluster comes first, so that `make up` need not wait for what tests and measures one.
$(NODES): pyproject.toml
	@$(PYTHON) -c '$(FITS)' 2>/dev/null \
		|| { echo '$(NEEDED)' >&2; exit 1; }
	@echo 'make: installing Kvorum into .venv'
	@$(PYTHON) -m venv .venv
	@$(INSTALL) .
	@rm -rf kvorum.egg-info # what pip leaves beside the sources; .venv has its own
	@touch $@

$(TOOLS): $(NODES)
	@echo 'make: installing the tools of its tests into .venv'
	@$(INSTALL) '.[dev,bench]'
	@rm -rf kvorum.egg-info
	@touch $@

up: $(NODES)
	@$(BIN)/python launcher.py up

# Everything runs inside one pytest, so that its summary is the last word.
test: env
	@$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal --seeds=$(SEEDS) \
		$(if $(MUTANTS),--mutants) --cov --cov-report=term

lint: env
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

check: lint
	@$(MAKE) --no-print-directory test

clean:
	rm -rf .venv .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache build kvorum.egg-info
