# Everything is made from a fresh clone with Python 3.11+, venv and pip.

PYTHON ?= python3
SIZE ?=
# Where serve and demo listen; the default when it is empty.
PORT ?=
# Tests run side by side, each worker with engines of its own. A worker waits for a third of its time, so that four keep
# two cores busy; each takes about a GB of memory.
WORKERS ?= 4
BIN := .venv/bin
READY := .venv/ready
# Each process of the tests would compile all modules again where a shell forbids to keep what was compiled.
export PYTHONDONTWRITEBYTECODE :=
# Without columns in tracebacks: to find them, Python 3.11 parses the line, and a traceback that one thread logs makes
# ast.parse fail in another ("AST constructor recursion depth mismatch").
export PYTHONNODEBUGRANGES := 1
# The theme tells of a release of MkDocs that is not the one of the lock.
export NO_MKDOCS_2_WARNING := 1
# The build tools of the lock, not those of the day.
OWN := --quiet --no-deps --no-build-isolation

.PHONY: install serve demo test check lint types house docs audit sbom bench lock

install: $(READY)

# The lock is whole: nothing is resolved again, or a package's newer release would be looked at and refused.
# pip would compile all files of the packages, of which Rapport uses a quarter: those are compiled as they are imported
# here, so that the first start need not.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Rapport needs Python 3.11 or newer: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install $(OWN) --editable .
	$(BIN)/python -c 'import alembic.command, pandas, rapport.app, rapport.cli, rapport.demo.run'
	touch $(READY)

serve: install
	$(BIN)/rapport serve $(if $(PORT),--port $(PORT))

demo: install
	$(BIN)/rapport demo $(if $(PORT),--port $(PORT))

# The house rules are in check, which needs them whether they were tested or not.
test: install
	$(BIN)/python -m pytest --ignore tests/house --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder

# What needs no engine, side by side: each part takes one core. What a part prints is shown when it has ended.
check: install
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target types house docs lint
	.ci/audit $(BIN)/python --tell

# Without the cache: it keeps a verdict on imports from before a module moved.
lint: install
	$(BIN)/ruff check --no-cache
	$(BIN)/ruff format --check --no-cache

types: install
	$(BIN)/mypy

# Rules of the house about code and documents.
house: install
	$(BIN)/python -m pytest tests/house

# The documentation as a site with search, in site/; a link that leads nowhere is an error, which --quiet would hide.
docs: install
	$(BIN)/mkdocs build --strict

# Known vulnerabilities of the pinned dependencies; says so where no database of advisories can be reached.
audit: install
	.ci/audit $(BIN)/python

# What an installation is made of, as CycloneDX JSON.
sbom: install
	$(BIN)/python .ci/sbom.py > sbom.json

bench: install
	set -e; for file in benchmarks/bench_*.py; do $(BIN)/python $$file $(if $(SIZE),--size $(SIZE)); done

# After a change of the dependencies in pyproject.toml, with the oldest Python that is supported.
# pip-compile drops the condition of a package that the newest Python has no need of.
lock: install
	$(BIN)/pip-compile --quiet --upgrade --extra dev --generate-hashes --strip-extras --allow-unsafe \
		--no-header --no-annotate --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file requirements.lock pyproject.toml
	sed -i 's/^backports-zstd==[^ ]*/& ; python_version < "3.14"/' requirements.lock
