# Everything here works on a machine with python3 (3.11 or newer, with venv), git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := uv==0.13.9

.DEFAULT_GOAL := help
.PHONY: help setup constraints demo test lint check docs self bench clean

help: ## show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(STAMP) ## install kasmgen and its tools into .venv

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "kasmgen needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Every version stays that pyproject.toml still allows. For the newest ones: make constraints UPGRADE=--upgrade,
# or UPGRADE='--upgrade-package ruff' for one.
constraints: ## write constraints.txt from pyproject.toml: each package's version, and the hashes of its files
	@test -x $(VENV)/uv/bin/uv || $(PYTHON) -m venv $(VENV)/uv
	@$(VENV)/uv/bin/python -m pip install --quiet --disable-pip-version-check $(UV)
	UV_CUSTOM_COMPILE_COMMAND='make constraints' $(VENV)/uv/bin/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --all-extras $(UPGRADE) --output-file constraints.txt pyproject.toml

demo: $(STAMP) ## build a throwaway repository with two environments in ./demo and show it
	@rm -rf demo
	@$(BIN)/kasmgen demo demo

PYTEST := -m pytest -n 2 --dist loadfile --durations=10

# COVERAGE=1 prints in the end how much of kasmgen the tests reach, and takes half as long again.
test: $(STAMP) ## run all tests and name the ten slowest; a missing program is skipped, unless CI is set
ifdef COVERAGE
	@$(BIN)/coverage erase
	$(BIN)/coverage run $(PYTEST)
	@$(BIN)/coverage combine --quiet 2>/dev/null # of processes that tests kill there is half a file
	@echo "All tests together reach $$($(BIN)/coverage report --format=total) % of the lines and branches of kasmgen."
else
	$(BIN)/python $(PYTEST)
endif

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: $(STAMP) ## the generated files of this repository are current
	$(BIN)/kasmgen render --check
	$(BIN)/python docs/generate.py --check

docs: $(STAMP) ## write docs/reference.md and docs/checks.md from the code
	$(BIN)/python docs/generate.py

self: $(STAMP) ## bring this repository's own base, overlays and clusters in line
	$(BIN)/kasmgen render --accept-chart --no-commit

bench: $(STAMP) ## measure, and write docs/performance.md
	$(BIN)/python -m bench

clean: ## remove what the other targets made
	rm -rf $(VENV) demo build dist *.egg-info .pytest_cache .coverage .mypy_cache .ruff_cache .hypothesis
