# `make run` on a fresh machine is enough; every target does what it needs of the ones before it.
# Work done is remembered by empty files in .venv, so a second call is quick and `rm -rf .venv` starts afresh.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CONSOLE := service/web/dist/index.html
CONSOLE_SOURCES := $(shell find service/web -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -name '*.pyc')
# A script that is a benchmark by itself says how it is called.
BENCHMARKS := $(shell grep -l 'python -m benchmarks\.' benchmarks/*.py)

PYTHON ?=
PYTHONS := $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14 python

# Tests share a machine of any size; more processes than this only wait for each other's servers and browsers.
TEST_PROCESSES ?= 2
# More arguments for the command: `make run ARGS="--port 8080"`, `make test ARGS="-k tracker"`.
ARGS ?=

.DELETE_ON_ERROR:
.PHONY: help setup run test check bench docs clean

help:
	@echo 'make setup   environment in $(VENV), with the command $(BIN)/deeplomatics'
	@echo 'make run     the simulated site on http://127.0.0.1:8000'
	@echo 'make test    all tests'
	@echo 'make check   lint, types, architecture'
	@echo 'make bench   every benchmark, results as JSON beside them (long)'
	@echo 'make docs    the manual as a site in out/docs'
	@echo 'make clean   remove what was built, the environment too'

setup: $(VENV)/.installed $(CONSOLE)

run: setup
	@exec $(BIN)/deeplomatics demo $(ARGS)

test: setup $(VENV)/.installed-dev
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy .
	$(BIN)/pytest -q tests/test_architecture.py

bench: setup $(VENV)/.installed-dev
	@set -e; for script in $(BENCHMARKS); do \
	    name=$${script#benchmarks/}; name=$${name%.py}; \
	    echo "== $$name"; $(BIN)/python -m "benchmarks.$$name" $(ARGS); \
	done

docs: $(VENV)/.installed-docs
	$(BIN)/zensical build --clean

clean:
	rm -rf $(VENV) service/web/dist service/web/node_modules out build *.egg-info .mypy_cache .ruff_cache .pytest_cache

# -- the environment ---------------------------------------------------------------------------------------------------

# The first of $(PYTHONS) that is new enough and can make environments; `make PYTHON=… setup` names another.
$(BIN)/python:
	@for python in $(PYTHONS); do \
	    $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    found=$$python; \
	    $$python -c 'import ensurepip, venv' 2>/dev/null || continue; \
	    exec $$python -m venv --clear $(VENV); \
	done; \
	if [ -n "$$found" ]; then \
	    echo "make: $$found cannot make environments: install its venv module" \
	        "(Debian, Ubuntu: apt-get install python3-venv), then call make again." >&2; \
	else \
	    echo "make: no Python 3.11 or newer found: install one, or name it: make PYTHON=/path/to/python3 setup" >&2; \
	fi; exit 1

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo 'Installing into $(VENV); the first time this downloads PyTorch and OpenVINO and takes some minutes.'
	$(PIP) install --quiet --editable '.[openvino]'
	@touch $@

# trackeval judges the tracker; its own pins are older than ours and would pull them down, hence --no-deps.
$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --editable '.[openvino,dev]'
	$(PIP) install --quiet --no-deps trackeval stonesoup ordered-set rtree ruamel.yaml utm
	@touch $@

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet 'zensical>=0.0.70'
	@touch $@

# -- the console -------------------------------------------------------------------------------------------------------

$(CONSOLE): $(CONSOLE_SOURCES) | $(VENV)/.installed
	$(BIN)/python service/web/build.py
	@touch $@
