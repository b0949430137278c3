# The same commands for laptop and CI. `make` alone lists them.
SHELL := /bin/sh
BIN := .venv/bin
APP := deepagents.app:build

.DEFAULT_GOAL := help
.PHONY: help run test check bench chaos docs lock setup clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## Make .venv from the hashed lock, once

.venv/.ready: requirements.lock pyproject.toml apps/deepagents/pyproject.toml scripts/setup
	@scripts/setup

run: .venv/.ready ## Start DeepAgents on embedded defaults at http://127.0.0.1:8000
	@exec $(BIN)/mainspring --app $(APP) dev --no-reload

test: .venv/.ready ## All checks and all tests
	@scripts/check
	@scripts/test

check: .venv/.ready ## Lint, types, import contracts, docs
	@scripts/check

bench: .venv/.ready ## Measure; prints markdown tables and writes bench/results/
	@$(BIN)/python -m bench

chaos: .venv/.ready ## Try to break the promises, 1,000 rounds per database; writes chaos/RESULTS.md
	@nice $(BIN)/python -m chaos --rounds 1000 --write

docs: .venv/.ready ## Write the generated reference pages
	@$(BIN)/python -m tools.reference

lock: .venv/.ready ## Resolve the newest versions and write requirements.lock
	@scripts/lock

clean: ## Remove what can be made again
	rm -rf .venv .uv .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache htmlcov .coverage
