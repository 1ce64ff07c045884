# The two commands for a newcomer are `make demo` and `make test`; both do all the set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO ?= audit-runs/demo
# one stream of tests a core, files kept together: what a file prepares is prepared once
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test check format lint types layers fast docs wheel clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

$(VENV)/.runtime: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(INSTALL) -e '.[dev]'
	touch $@

demo: $(VENV)/.runtime  ## audit three small systems on 60 phantom patients; writes a report
	$(BIN)/segaudit demo -o $(DEMO)

test: $(VENV)/.dev  ## run every test
	$(PYTEST)

check: format lint types layers fast docs  ## everything that decides whether a change is good

format: $(VENV)/.dev  ## formatting
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev  ## lint rules
	$(BIN)/ruff check .

types: $(VENV)/.dev  ## mypy, strict
	$(BIN)/mypy

layers: $(VENV)/.dev  ## the import contracts
	$(BIN)/lint-imports

fast: $(VENV)/.dev  ## tests without the long simulations
	$(PYTEST) -m "not slow"

docs: $(VENV)/.dev  ## build the documentation; a warning is an error
	$(BIN)/mkdocs build --strict --quiet

wheel: $(VENV)/.dev  ## build the wheel and look inside
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist
	$(BIN)/check-wheel-contents dist/*.whl

clean:  ## remove what was built, not what was audited
	rm -rf dist build site .mypy_cache .ruff_cache .pytest_cache
