# Everything that a person does with this repository. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup demo test check bench bench-cluster mutants

help:
	@echo "make demo   set everything up and watch an erasure from end to end"
	@echo "make test   run all tests"
	@echo "make check  lint, types, layers"
	@echo "make bench  measure; make bench-cluster measures on a real Kafka and Neo4j"
	@echo "make mutants  make small mistakes in the decision modules and see which the tests notice"
	@echo "make setup  install into $(VENV)"

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed; name it: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/python -m demo

test: setup
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m streams.cli check

bench: setup
	$(BIN)/python -m bench.embedded --events 200000
	$(BIN)/python -m bench.asking

bench-cluster: setup
	$(BIN)/python -m bench.cluster

mutants: setup
	$(BIN)/python tests/mutation/run.py --least 85
