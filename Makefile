# Two commands: `make demo` runs the demo on a real model, `make test` runs the tests, offline.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo native test check fix bench-peers clean
.DEFAULT_GOAL := help

help:  ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: .venv/.local  ## find a number hidden in 10,000 lines, with a real model
	@$(BIN)/python example_niah.py $(ARGS)

native: .venv/.local  ## build the embedded model's runtime for this CPU; needs cmake, a C++ compiler and ten minutes
	CMAKE_ARGS='-DLLAMA_LLGUIDANCE=OFF -DLLAMA_BUILD_BORINGSSL=OFF' $(BIN)/python -m pip install --force-reinstall \
		--no-deps --no-binary xllamacpp "xllamacpp==$$($(BIN)/python -c 'import xllamacpp; print(xllamacpp.__version__)')"

test: .venv/.dev  ## run the tests, offline
	$(BIN)/python -m pytest $(ARGS)

check: .venv/.dev  ## format, lint, types and tests, as CI runs them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

fix: .venv/.dev  ## repair format and lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-peers: .venv/.local  ## compare with other engines; takes hours
	@$(BIN)/python benchmarks/peers.py $(ARGS)

clean:  ## remove .venv and caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "rlm needs Python 3.10 or newer: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv .venv

.venv/.local: pyproject.toml | .venv/bin/python
	@echo 'Installing rlm and the embedded model'\''s runtime into .venv …'
	@$(BIN)/python -m pip install -q -e '.[local]'
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	@echo 'Installing rlm and the test tools into .venv …'
	@$(BIN)/python -m pip install -q -e '.[dev]'
	@touch $@
