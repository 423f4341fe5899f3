# Everything lives in this checkout: packages in .venv, the database, keys and logs in .data.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
PORT ?= 8000
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help setup demo serve test lint schema bench soak screenshots lock clean

help: ## Say what can be made.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) $(BIN)/cpctl ## Install Python packages into .venv (about a minute; again only when the lock has changed).

$(INSTALLED): requirements-dev.lock
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo "Installing the packages of requirements-dev.lock into .venv"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(BIN)/cpctl: deploy/cpctl $(INSTALLED)
	@install -m 755 $< $@

demo: setup ## Run real jobs on a fresh deployment in .data/demo, and print what happened.
	@exec $(BIN)/python deploy/demo.py

serve: export DEBUG ?= 1
serve: setup ## Run web and workers on 127.0.0.1:PORT (8000) until Ctrl-C.
	@$(BIN)/python manage.py migrate --verbosity 0
	@exec $(BIN)/python manage.py serve --port $(PORT)

test: setup ## Run every test on SQLite and on PostgreSQL.
	@exec $(BIN)/python -m tests.run

lint: export SECRET_KEY = lint
lint: setup ## Check style, types, imports between apps, settings, migrations and the OpenAPI schema.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	DEBUG=1 $(BIN)/python manage.py check
	DEBUG=1 $(BIN)/python manage.py makemigrations --check --dry-run
	DEBUG=1 $(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

schema: setup ## Write docs/openapi.yaml anew, which a test holds to what is served.
	@DEBUG=1 $(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

bench: setup ## Measure speed (minutes).
	@exec $(BIN)/python -m tests.bench

soak: setup ## Run under load and faults for long.
	@exec $(BIN)/python -m tests.soak

screenshots: setup ## Take pictures of the admin, light and dark, into docs/screenshots (needs chromium).
	@exec $(BIN)/python deploy/screenshots.py

lock: ## Choose package versions anew from requirements.txt and requirements-dev.in.
	@test -x .data/lock/bin/uv || { $(PYTHON) -m venv .data/lock && .data/lock/bin/pip install --quiet uv; }
	@.data/lock/bin/uv pip compile --quiet --no-header --python-version 3.11 --generate-hashes --upgrade \
		requirements.txt --output-file requirements.lock
	@.data/lock/bin/uv pip compile --quiet --no-header --python-version 3.11 --generate-hashes --upgrade \
		--constraint requirements.lock requirements-dev.in --output-file requirements-dev.lock

clean: ## Remove .venv and the tools' caches; .data with your database and keys stays.
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
