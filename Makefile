# `make demo` and `make test` set up everything they need in .venv, then do their job. Nothing else is touched.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.ready
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The tests of these folders train, export or serve. Of the others, tests that start processes are marked as slow.
SLOW := authors cli contract docs end_to_end export faults goldens learner report serve site

.PHONY: demo test quick lint types tests processors bench docs clean

demo: $(STAMP)
	$(BIN)/essential demo --out essential-demo

test: lint types tests

# What is worth running after every change: within a minute and a half, on one core. Shapes are not checked at run time.
quick: lint types
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -m "not slow" -o addopts="--strict-markers --strict-config" \
		$(SLOW:%=--ignore=tests/%)

lint: $(STAMP)
	$(BIN)/ruff format --check src tests scripts benchmarks examples
	$(BIN)/ruff check src tests scripts benchmarks examples

# numpy for Python 3.10 does not say what a bare ndarray holds; later ones do. All other checks are the same there.
types: $(STAMP)
	$(BIN)/mypy $$($(BIN)/python -c 'import sys; print("--allow-any-generics" * (sys.version_info < (3, 11)))')

tests: $(STAMP)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

processors: $(STAMP)
	$(BIN)/python scripts/check_processors.py

bench: $(STAMP)
	$(BIN)/python benchmarks/bench.py --out essential-bench

# The pages open from the disk; the search in them needs a server, such as the one named at the end.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open essential-docs/index.html, or: $(BIN)/python -m http.server --directory essential-docs"

# The environment is brought up to date when the pins or the package's needs change, and reused otherwise. pip and
# setuptools come first, from the pins too: the pip of an old Python may be unable to install the project, and a build
# in isolation would fetch whatever setuptools is newest.
$(STAMP): constraints.txt pyproject.toml
	@command -v $(PYTHON) > /dev/null || \
		{ echo "no '$(PYTHON)' on this machine: essential needs Python 3.10 or newer. Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "essential needs Python 3.10 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
		{ echo "this Python lacks its venv module; install it (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "setting up $(VENV), about 6 GB; this happens once and takes minutes"
	$(PYTHON) -m venv $(VENV)
	$(PIP) pip setuptools
	$(PIP) --no-build-isolation -e '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) essential-demo essential-bench essential-docs
