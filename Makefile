# Kanta: `make help` lists everything one can do here.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080
export KANTA_HOME ?= $(CURDIR)/data
export AIRFLOW_HOME := $(CURDIR)
# What a module compiles to is kept by the first who imports it: Airflow and the judge then start in a third of the time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo analysts test check up down bench docs lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not here; next: apt-get install python3 python3-venv, then make PYTHON=python3 $@"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.development: $(VENV)/.runtime requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements-dev.txt
	touch $@

setup: $(VENV)/.development  ## the environment, with what tests and checks need
	@test ! -e .git || $(BIN)/pre-commit install >/dev/null \
		|| echo "The commit hooks are not installed, which harms nothing else.  next: $(BIN)/pre-commit install"

demo: $(VENV)/.runtime  ## six weeks of real receipts, night by night, the last one through the real DAGs
	$(BIN)/kanta demo --airflow

analysts: $(VENV)/.runtime  ## the analysts' page, in the browser
	$(BIN)/kanta analysts

up: $(VENV)/.runtime  ## Airflow on this home, in the background; says where it is (PORT=8080)
	@$(BIN)/python scripts/airflow_server.py up $(PORT)

down:  ## stops it, and all its processes
	@$(BIN)/python scripts/airflow_server.py down

test: setup  ## every test
	$(BIN)/python -m pytest -n auto --dist worksteal --durations=20

check: setup  ## lint, types, and the tests that take no whole nights: some two minutes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m kanta.documents --check
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

bench: setup  ## how fast, how much memory, as ratios in one run
	$(BIN)/python bench/run.py

docs: setup  ## the generated pages: data dictionary, DAGs, programme schema
	$(BIN)/python -m kanta.documents

lock:  ## requirements.txt and requirements-dev.txt anew from pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --no-annotate --custom-compile-command "make lock" pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --no-annotate --custom-compile-command "make lock" --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt

clean:  ## what the demo and the checks made; never programme or sample
	rm -rf data/.kanta-demo data/lake data/landing data/outbox data/inbox data/reports data/stores build .airflow .mypy_cache .ruff_cache .pytest_cache .hypothesis
