# What a person types in a checkout. Everything here works on a fresh Debian or Ubuntu machine.
BIN := .venv/bin
# Extra arguments: `make test-fast ARGS="-k merge"`, `make bench ARGS="--only cold"`.
ARGS ?=

.PHONY: help setup demo docs picture test test-fast lint bench parity clean

help:
	@echo "make setup      .venv with the sealift command, and the system packages it wants"
	@echo "make demo       build examples/hello/hello.def and run it"
	@echo "make test       lint and all tests (real engines are installed when root)"
	@echo "make test-fast  the quick tests"
	@echo "make lint       ruff, mypy, import contracts"
	@echo "make docs       the site of docs/, in build/docs; warnings are errors"
	@echo "make picture    the README's picture, from commands that are run anew"
	@echo "make bench      the table beside Apptainer"
	@echo "make parity     the same definition files built by Apptainer and by Sealift: docs/parity.md"
	@echo "                (ARGS=--engines: their images in every engine: docs/parity-engines.md)"

setup:
	@tools/setup.sh

# The release of the machine itself, for that is what its mirror has; elsewhere the recipe's own default.
RELEASE := $(shell . /etc/os-release 2>/dev/null && [ -n "$$VERSION_CODENAME" ] && echo "--build-arg release=$$VERSION_CODENAME")

# The recipe's `%files` are relative to where one builds, as in Apptainer.
demo: setup
	cd examples/hello && ../../$(BIN)/sealift build -F $(RELEASE) hello.sif hello.def
	cd examples/hello && ../../$(BIN)/sealift run --engine embedded hello.sif from the demo

test: lint
	$(BIN)/pytest -q -n 2 -m "not slow" $(ARGS)
	$(BIN)/pytest -q -n 2 --dist loadfile -m slow --durations 15 $(ARGS)

test-fast: setup
	$(BIN)/pytest -q -n 2 -m "not slow" $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: setup
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs/site docs build/docs

picture: setup
	$(BIN)/python tools/picture.py

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

parity: setup
	$(BIN)/python -m benchmarks.parity $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build examples/hello/hello.sif
