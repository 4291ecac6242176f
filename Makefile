# make demo   a whole nested cross-validation on a small data set; prints the path of its report
# make test   the quick tests        make lint   format, lint, types, import contracts
# make bench  the benchmarks         make mutants   do the tests catch planted faults?
# make soak   all tests, and launches that are killed, stopped and cut off: every night, before a release
# make docs   the pages of docs/ as a site in site/
# All need only Python 3.11 or newer with pip and venv. PYTHON=/path/to/python chooses which one.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip
DEMO := runs/smoke

.PHONY: demo test lint docs bench soak mutants
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(VENV)/bin/nachos evaluate --config=configs/smoke.py --workdir=$(DEMO)
	@test -s $(DEMO)/report/index.html || { echo "$(DEMO)/report/index.html was not written."; exit 1; }
	@echo "$(CURDIR)/$(DEMO)/report/index.html"

test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations=10 $(TESTS)

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/pyrefly check
	$(VENV)/bin/lint-imports

docs: $(VENV)/.installed-docs
	$(VENV)/bin/mkdocs build --strict

bench: $(VENV)/.installed
	$(VENV)/bin/python -m benchmarks.speed.steps --suite --wait
	$(VENV)/bin/python -m benchmarks.speed.protocol --wait
	$(VENV)/bin/python -m benchmarks.scale.scaling --cases 1000,10000 --rounds 3 --wait
	$(VENV)/bin/python -m benchmarks.speed.stream --cases 8000 --window 2048 --epochs 4 --wait
	$(VENV)/bin/python -m benchmarks.speed.overhead --trials 4 --epochs 5 --wait
	$(VENV)/bin/python -m benchmarks.render

soak: $(VENV)/.installed-dev
	$(VENV)/bin/python -m benchmarks.soak.soak_last

mutants: $(VENV)/.installed-dev
	$(VENV)/bin/python -m benchmarks.soak.mutants

# torch goes first and alone: it is the largest package, and which build of it is wanted (with or
# without GPU support) can then be chosen by installing it by hand before; see BUILD.md.
$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/bin/python
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[docs]'
	@touch $@

# All of the above at once, for continuous integration: each call of pip builds the package and looks through all again.
$(VENV)/.installed-all: pyproject.toml constraints.txt $(VENV)/bin/python
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e '.[dev,docs]'
	@touch $(VENV)/.installed $(VENV)/.installed-dev $(VENV)/.installed-docs $@

# Runs when the environment is missing or the Python that it links to is gone. Then everything is to be
# installed again, which make would not see from the date of that Python: hence the .PHONY.
ifneq ($(shell test -x $(VENV)/bin/python && echo there),there)
.PHONY: $(VENV)/bin/python
endif
$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) was not found: install Python 3.11 or newer, or name one with PYTHON=/path/to/python."; \
		exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"$(PYTHON) is Python " + sys.version.split()[0] + ", but nachos_jax needs 3.11 or newer: " \
		"name one with PYTHON=/path/to/python.")'
	$(PYTHON) -m venv --clear $(VENV)
