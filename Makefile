# `make run` shows the service, `make test` proves it. Needed beforehand: Python >= 3.11 with venv, git, make.
PYTHON ?= python3
PORT ?= 8000
HOST ?= 127.0.0.1
VENV := .venv
PEERS_VENV := bench/.venv-peers
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# glibc otherwise keeps the 19 MiB of each password hash, once for every thread that ever made one.
export MALLOC_ARENA_MAX ?= 2
export MALLOC_MMAP_THRESHOLD_ ?= 1048576

# The server and the worker beside it; both end together.
SERVE = python -m mfa_site.together python manage.py worker -- granian --interface wsgi --port $(PORT) --blocking-threads 32 --no-ws \
	  --workers-kill-timeout 5 --log-level error mfa_site.wsgi:application

.PHONY: help run test serve check bench requirements clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/.installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

run: export MFA_SITE_DEBUG = 1
run: export MFA_SITE_BASE_URL ?= http://localhost:$(PORT)
run: $(VENV)/.installed ## the demo on http://localhost:8000 (PORT= to change)
	@python manage.py migrate --verbosity 0
	@python manage.py seed_demo --if-empty
	@python manage.py how_to_get_in
	@$(SERVE) --host 127.0.0.1 --workers 1

test: $(VENV)/.installed-dev ## every test; DATABASE_URL=postgres://… and CACHE_URL=redis://… for other stores
	@sh tests/install-browser.sh
	MFA_SITE_DEBUG=1 $(if $(DATABASE_URL),MFA_SITE_DATABASE_URL=$(DATABASE_URL)) $(if $(CACHE_URL),MFA_SITE_CACHE_URL=$(CACHE_URL)) python -m pytest $(ARGS)

serve: $(VENV)/.installed ## as in production: settings from the environment, unsafe ones refused
	@python manage.py migrate --verbosity 0
	@python manage.py collectstatic --noinput --verbosity 0
	@$(SERVE) --host $(HOST) --workers $${WORKERS:-2}

check: $(VENV)/.installed-dev ## format, lint, types, import contracts, migrations, settings
	ruff format --check .
	ruff check .
	MFA_SITE_DEBUG=1 mypy .
	lint-imports
	MFA_SITE_DEBUG=1 python manage.py makemigrations --check --dry-run
	MFA_SITE_BASE_URL=https://login.example.org MFA_SITE_SECRET_KEY=$$(python -c 'import secrets; print(secrets.token_urlsafe(50))') \
	  MFA_SITE_KEYS=$$(python -c 'import base64, os; print("k1:" + base64.b64encode(os.urandom(32)).decode())') \
	  python manage.py check --deploy --fail-level INFO
	MFA_SITE_DEBUG=1 python manage.py settings_reference --check
	pip-audit --progress-spinner off --disable-pip --require-hashes -r requirements.txt

$(PEERS_VENV)/.installed: bench/requirements-peers.txt
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

bench: $(VENV)/.installed-dev $(if $(filter 1,$(PEERS)),$(PEERS_VENV)/.installed) ## what each step costs, a table and JSON; ARGS="--rounds 3 --devices 100000" for less, PEERS=1 beside allauth
	python -m bench $(if $(filter 1,$(PEERS)),--peers) $(ARGS)

requirements: ## requirements*.txt from requirements*.in (needs uv)
	uv pip compile --upgrade --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate requirements.in -o requirements.txt
	uv pip compile --upgrade --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate requirements-dev.in -o requirements-dev.txt
	uv pip compile --upgrade --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate bench/requirements-peers.in -o bench/requirements-peers.txt

clean: ## forget everything that was made here, the demo's database included
	rm -rf $(VENV) $(PEERS_VENV) var staticfiles bench/results
