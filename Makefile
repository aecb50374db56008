# Everything happens in a virtual environment of its own; `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --constraint constraints.txt
# processes that share the tests
JOBS ?= 2
PYTEST = $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal --durations=10

.PHONY: demo test coverage test-slow test-all lint docs torch-cluster lammps clean

demo: $(VENV)/.installed
	$(BIN)/painn-ase md ethanol --temperature 300 --steps 4000 --output runs/demo --overwrite

test: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow"

# The same tests, and which lines they execute: judged where the reference data are in reach (CONTRIBUTING.md).
# Coverage costs least where Python itself counts lines (sys.monitoring, from 3.12 on).
coverage: $(VENV)/.installed-dev
	COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
	$(PYTEST) -m "not slow" --cov --cov-report=term
	$(BIN)/python .ci/least_coverage.py 75

test-slow: $(VENV)/.installed-dev
	$(PYTEST) -m "slow and not lammps"

test-all: test test-slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	find painn_ase -name '*.cpp' -o -name '*.hpp' -o -name '*.h' | xargs $(BIN)/clang-format --dry-run --Werror

# The documentation site, in build/site; a warning is an error.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site
	@echo "build/site/index.html"

# It compiles nine libraries, and turns ninja off: setuptools is told to compile two at a time, and without what debuggers read.
torch-cluster: $(VENV)/.installed-dev
	DIST_EXTRA_CONFIG=$(CURDIR)/.ci/parallel.cfg CXXFLAGS=-g0 $(INSTALL) --no-build-isolation torch-cluster

# The engines of others: LAMMPS with its MPI and pair_style painn, OpenMM, torch-sim; and their tests. The package is named,
# not its folder, for it is installed: so only what its extras ask for comes, and nothing is compiled again.
lammps: $(VENV)/.installed-dev
	$(INSTALL) 'painn-ase[lammps,openmm,torch-sim]'
	$(BIN)/painn-ase lammps build
	$(PYTEST) tests/engines

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), "painn_ase needs Python 3.10 or newer; this is " + sys.version'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable '.[plot]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable '.[dev]' setuptools wheel ninja
	touch $@ $(VENV)/.installed

clean:
	rm -rf build dist *.egg-info runs .pytest_cache .mypy_cache .ruff_cache
