# Everything a developer types. `make run` and `make test` work on a machine that has only Python and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run psql test unit integration bench lint format types imports check dist clean

# One stamp for the whole environment: made again when the dependencies change.
$(VENV)/stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[embedded,dev]'
	touch $@

run: $(VENV)/stamp
	$(BIN)/twistd -n twistnotify --config etc/config.ini

test: $(VENV)/stamp
	$(BIN)/pytest tests

unit: $(VENV)/stamp
	$(BIN)/pytest tests -m 'not integration'

integration: $(VENV)/stamp
	$(BIN)/pytest tests -m integration

lint: $(VENV)/stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/stamp
	$(BIN)/mypy

imports: $(VENV)/stamp
	$(BIN)/lint-imports

check: test lint types imports
