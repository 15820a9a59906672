# Two commands to know: `make demo` shows the whole system at work, `make test` proves it.
# Everything lives in .venv, installed from the hash-locked requirement files. Another Python: make PYTHON=python3.13 test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := ledger consensus contracts network scripts tests
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test bench chaos lint format types check lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.dev ## Make .venv with everything that work on this project needs

demo: $(VENV)/.runtime ## Four validators, a thousand notarised files, a killed primary (EXIT=1 stops by itself)
	@$(BIN)/python -m scripts.demo $(if $(EXIT),--exit)

test: $(VENV)/.dev ## Every test (TESTS=tests/ledger for some)
	@$(BIN)/python -m pytest $(TESTS)

bench: $(VENV)/.runtime ## Committed transfers a second, latency, CPU, memory; also as bench.json (BENCH="--seconds 10")
	@$(BIN)/python -m scripts.bench $(BENCH)

chaos: $(VENV)/.runtime ## Half an hour of four real nodes killed, stopped, cut off, misled (CHAOS="--minutes 2 --seed 7")
	@$(BIN)/python -m scripts.chaos $(CHAOS)

lint: $(VENV)/.dev ## Lint and check the format
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

format: $(VENV)/.dev ## Format, and mend what can be mended
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

types: $(VENV)/.dev ## Strict type checks
	@$(BIN)/mypy

check: lint types test ## What continuous integration runs

lock: ## Renew the lock files (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	    --group build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
	    --group build --group dev --extra export pyproject.toml -o requirements-dev.lock

clean: ## Remove the environment, caches and what the demo, the benchmark and chaos left
	rm -rf $(VENV) .demo .bench .chaos bench.json build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment. A target that fails is made again from scratch: nothing half-made is taken for whole.

define CHECK_PYTHON
import sys
version = "%d.%d" % sys.version_info[:2]
if sys.version_info < (3, 11):
    sys.exit("Quorate needs Python 3.11 or newer, and $(PYTHON) is " + version + ". Try: make PYTHON=python3.12")
try:
    import ensurepip, venv
except ImportError:
    sys.exit("This Python cannot make environments. On Debian or Ubuntu: apt install python" + version + "-venv")
endef
export CHECK_PYTHON

define INSTALL_HINT
The packages could not be installed. If plyvel failed to build: it has wheels for Python 3.11 and 3.12, and needs a C++
compiler and LevelDB's headers (apt install g++ libleveldb-dev) on newer ones. Try: make PYTHON=python3.12
endef
export INSTALL_HINT

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here. Quorate needs Python 3.11 or newer: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@echo "Making $(VENV) with $(PYTHON)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what Quorate runs on"
	@$(PIP) install --require-hashes -r requirements.lock || { echo "$$INSTALL_HINT" >&2; exit 1; }
	@$(PIP) install --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing what the tests and checks need"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
