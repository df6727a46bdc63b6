# Everything runs in an environment of its own in .venv, in the versions of constraints.txt; `make demo` and `make test`
# make it on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

.PHONY: help demo test lint docs clean
help:
	@echo "make demo   train, score and compare on the embedded sample; results in hepmtp-demo/"
	@echo "make test   run all tests"
	@echo "make lint   ruff and mypy"
	@echo "make docs   build the documentation into docs/_build"
	@echo "make clean  remove the environment and what was built"

demo: $(VENV)/installed
	$(BIN)/hepmtp demo --output hepmtp-demo

test: $(VENV)/tested
	$(BIN)/python -m pytest

lint: $(VENV)/linted
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/documented
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build && echo "docs/_build/index.html"

clean:
	rm -rf $(VENV) docs/_build dist

# pip knows --group since 25.1, so it comes first; torch comes alone because its name with "==" picks the right build.
$(VENV)/installed: pyproject.toml constraints.txt
	@echo "Making the environment in $(VENV) (a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) "pip==26.3"
	@echo "Installing torch"
	$(PIP) -c constraints.txt torch==2.13.0
	@echo "Installing hepmtp"
	$(PIP) -c constraints.txt -e .
	@touch $@

$(VENV)/tested: $(VENV)/installed
	$(PIP) -c constraints.txt -e ".[league,simulation]" --group test
	@touch $@

$(VENV)/linted: $(VENV)/tested
	$(PIP) -c constraints.txt --group lint
	@touch $@

$(VENV)/documented: $(VENV)/installed
	$(PIP) -c constraints.txt -e ".[league]" --group docs
	@touch $@
