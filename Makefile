# Everything a newcomer needs: `make run` and `make test`. Each sets up what is missing first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
DEV_STAMP := $(VENV)/.set-up-dev
# Where Python may not keep byte code (most containers), every process would compile all it imports.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q --durations 10

.PHONY: run test test-slow faults check format docs data mutants clean help

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STAMP)  ## The main job, quick profile: from a sweep file to a report, in a few minutes
	$(BIN)/python -m harness.sweep sweeps/part2.yaml --profile quick

test: $(DEV_STAMP)  ## The tests, a few minutes (those on real data where HEADSTART_DATA names a folder of it)
	$(PYTEST) -n 2 -m "not slow" --dist worksteal

# A third process, since those of SLURM and Ray mostly wait.
test-slow: $(DEV_STAMP)  ## The tests of over some seconds: Ray, SLURM, killed processes, hard sheets
	$(PYTEST) -n 3 -m slow --dist loadfile --no-loadscope-reorder

faults: $(DEV_STAMP)  ## Kills, signals, full disks, power cuts at every moment, with counts (by hand, over an hour)
	HEADSTART_FAULTS=all $(BIN)/python -m pytest -q --durations 10 tests/faults

check: $(DEV_STAMP)  ## Format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DEV_STAMP)  ## Write the format that `check` wants
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(DEV_STAMP)  ## Write the pages that are made from the code: docs/reference/ and first-steps.md
	$(BIN)/python docs/build.py
	$(BIN)/python docs/first_steps.py

data: $(STAMP)  ## Which data sets are found where, and how to get what is missing
	$(BIN)/python -m datasets

mutants: $(DEV_STAMP)  ## Which small mistakes in a module its own tests see (MODULES="FILE …" N=20; by hand)
	nice -n 15 $(BIN)/python benchmarks/mutants.py -n $(or $(N),20) $(MODULES)

clean:  ## Remove the environment and caches (never runs/ or data/)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12 make ..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip install -q $(COMPILE) --python $(BIN)/python -r requirements.txt
	touch $@

# What tests, checks and docs need besides: the extras too, so that they are tested.
$(DEV_STAMP): $(STAMP) requirements-dev.txt
	$(BIN)/uv pip install -q $(COMPILE) --python $(BIN)/python -r requirements-dev.txt
	touch $@
