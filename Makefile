# What a newcomer types. Needs git, make and Python 3.11 or newer with venv; brings the rest itself.

# UV_SYSTEM_CERTS and UV_PYTHON_DOWNLOADS have their defaults in .ci/uv; PIP_* and UV_* of the caller pass through.
LOCKED := uv.lock pyproject.toml wire/pyproject.toml agent/pyproject.toml console/pyproject.toml .ci/uv-requirements.txt
RUNTIME := .venv/.runtime
TOOLS := .venv/.tools
BIN := .venv/bin
CODE := wire agent console tests benchmarks installers .ci

.PHONY: help setup demo test test-slow test-vllm test-installers deb release lock-engines check format coverage bench-quick bench docs man clean
.DEFAULT_GOAL := help

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# The scripts of an environment point into the checkout that it was made for: a copied one is made anew.
HERE := $(CURDIR)
ifneq ($(shell cat .venv/.checkout 2>/dev/null || echo '$(HERE)'),$(HERE))
.PHONY: $(RUNTIME) $(TOOLS)
endif
define sync
@[ ! -e .venv/.checkout ] || [ "$$(cat .venv/.checkout)" = '$(HERE)' ] || rm -rf .venv .tools
@.ci/uv sync --quiet --locked $(1)
@echo '$(HERE)' > .venv/.checkout
endef

$(RUNTIME): $(LOCKED)
	@echo 'Setting up .venv …' >&2
	$(call sync,--no-dev --inexact)
	@touch $@

$(TOOLS): $(LOCKED)
	@echo 'Setting up .venv with the development tools …' >&2
	$(call sync)
	@touch $(RUNTIME) $@

setup: $(TOOLS) ## everything into .venv: byoi, byoi-console and the development tools

demo: $(RUNTIME) ## console, node, real engine, one answer; stays up. ARGS="--once 'A question'" and others go to `byoi demo`
	@PATH='$(HERE)/$(BIN)':"$$PATH" exec $(BIN)/byoi demo $(ARGS)

test: $(TOOLS) ## the whole suite but the slow lane and vLLM, real engine included; ARGS go to pytest
	@PATH='$(HERE)/$(BIN)':"$$PATH" $(BIN)/pytest -m 'not slow and not vllm and not installer' --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

test-slow: $(TOOLS) ## what takes long by its nature: thousands of requests, random deaths
	@PATH='$(HERE)/$(BIN)':"$$PATH" $(BIN)/pytest -m 'slow and not vllm and not installer' --numprocesses auto --maxprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-vllm: $(TOOLS) ## a real vLLM through the whole path; fetches 0.6 GB once, needs 3 GB of disk and 6 GB of memory
	@PATH='$(HERE)/$(BIN)':"$$PATH" $(BIN)/pytest -m vllm $(ARGS)

test-installers: $(TOOLS) ## each installer on a machine of its own: Debian with systemd in a folder; needs root
	@PATH='$(HERE)/$(BIN)':"$$PATH" $(BIN)/pytest -m installer --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)

deb: $(TOOLS) ## dist/byoi-agent_VERSION_amd64.deb; ARGS="--arch arm64" for the other one
	@$(BIN)/python installers/ubuntu/build.py $(ARGS)

release: $(TOOLS) ## everything that is published, into dist/: wheels, packages, installers, chart, SBOM, checksums, provenance
	@$(BIN)/python installers/release.py $(ARGS)

lock-engines: $(TOOLS) ## resolve the pinned requirements of vLLM's environments anew
	@$(BIN)/python .ci/lock_engines.py

check: $(TOOLS) ## format, lint, types, arrows between rooms, dead code, spelling, shell, images, docs, layout
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy installers/*.py installers/docker/*.py installers/macos/*.py installers/windows/*.py
	MYPYPATH=installers/ubuntu $(BIN)/mypy installers/ubuntu/*.py
	$(BIN)/mypy --platform win32 -p byoi_wire -p byoi_agent
	$(BIN)/mypy --platform darwin -p byoi_wire -p byoi_agent
	$(BIN)/lint-imports --no-cache
	cd wire && ../$(BIN)/deptry .
	cd agent && ../$(BIN)/deptry . --per-rule-ignores 'DEP001=xllamacpp,DEP002=uv|byoi-console'  # the engine's own; programs
	cd console && ../$(BIN)/deptry . --per-rule-ignores 'DEP002=aiosqlite'  # named in the database's URL
	$(BIN)/vulture
	$(BIN)/codespell
	git grep -lIE '^#!/bin/(ba|da)?sh' -- ':!*.md' ':!*.py' ':!*.html' | xargs $(BIN)/shellcheck
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose/*.yaml
	$(BIN)/check-jsonschema --quiet --schemafile deploy/helm/byoi/values.schema.json deploy/helm/byoi/values.yaml
	$(BIN)/mkdocs build --quiet --strict
	$(BIN)/pytest -q tests/test_layout.py
	$(BIN)/python .ci/coverage_of_cores.py

format: $(TOOLS) ## rewrite the sources in the one format
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .

coverage: $(TOOLS) ## each core: all its branches from its own test file
	$(BIN)/python .ci/coverage_of_cores.py

bench-quick: $(RUNTIME) ## what the path costs beside nginx, in under a minute
	@$(BIN)/python benchmarks/run.py --quick $(ARGS)

bench: $(RUNTIME) ## the same at length: three rounds, 1,024 streams, stalled readers
	@$(BIN)/python benchmarks/run.py $(ARGS)

docs: $(TOOLS) ## the documentation as a site, into site/
	$(BIN)/mkdocs build --strict

man: $(TOOLS) ## the manual pages, into build/man/man1/
	$(BIN)/python docs/manual.py build/man/man1

clean: ## remove all that make put here
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage site build dist benchmarks/build
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
