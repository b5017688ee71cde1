# Every target makes the environment it needs: Python >= 3.11, pip and make are all the machine must have.
# Another Python: make test PYTHON=/path/to/python3.13

.DEFAULT_GOAL := help
SHELL := /bin/sh

# The first Python that is new enough.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)

# Real data sets, where they lie beside the repository. Tests that need them are skipped, and counted, where they do not.
ifneq ($(wildcard ../shared/data),)
export CLEARPROP_DATA ?= $(abspath ../shared/data)
endif

VENV := .venv
BENCH := .venv-bench
TORCH ?= torch==2.13.0
PEERS ?= 'jax[cpu]' 'mlx[cpu]' tinygrad gensim
# One thread for matrix products: several test processes with several threads each would only wait for one another.
PYTEST = OPENBLAS_NUM_THREADS=1 $(VENV)/bin/python -m pytest

.PHONY: help demo test test-all check bench examples clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/installed ## train a network on real handwritten digits (two minutes, installation included)
	$(VENV)/bin/clearprop train digits

test: check ## lint, types, imports between rooms, and the tests (at most 10 minutes on 2 cores)
	$(PYTEST) -n auto

test-all: check ## everything: the slow tests too, and fresh random examples
	$(PYTEST) -n auto -m "slow or not slow" --hypothesis-profile=thorough

check: $(VENV)/installed-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	PYTHONHASHSEED=0 $(VENV)/bin/mypy  # what it can infer hangs on the order of its sets
	$(VENV)/bin/lint-imports

bench: $(BENCH)/installed ## speed, side by side with PyTorch, JAX and others; some rows: make bench ROWS="tiny-mlp mlp"
	$(BENCH)/bin/python benchmarks/run.py $(or $(strip $(ROWS) $(OPTIONS)),--save)

examples: $(VENV)/installed-dev ## the networks of the lecture notes on real data, 85 minutes in all; some: make examples NAMES="gpt ntm"
	$(VENV)/bin/python examples/all.py $(NAMES)

clean: ## remove the environments and what the tools left behind
	rm -rf $(VENV) $(BENCH) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# Environments: installed again only when pyproject.toml has changed; the source is used where it lies.

$(VENV)/installed: pyproject.toml
	$(call environment,$(VENV))
	$(VENV)/bin/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml
	$(call environment,$(VENV))
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/installed

$(BENCH)/installed: pyproject.toml
	$(call environment,$(BENCH))
	$(BENCH)/bin/python -m pip install --quiet $(TORCH) --editable .
	@for peer in $(PEERS); do $(BENCH)/bin/python -m pip install --quiet "$$peer" || echo "left out: $$peer" >&2; done
	@touch $@

# A Debian without python3-venv has no ensurepip: there the machine's own pip furnishes the environment.
define environment
@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "clearprop needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
@test -x $(1)/bin/pip || $(PYTHON) -m venv $(1) >/dev/null 2>&1 || \
	{ $(PYTHON) -m venv --clear --without-pip $(1) && $(PYTHON) -m pip --python $(1)/bin/python install --quiet pip; }
endef
