# The face of noxfile.py, where the commands of each check stand. Nothing but Python 3.11 or later
# is needed: nox is installed beside its environments on first use.
# More words for a command: make test ARGS="-k regions", make demo ARGS=--quick

PYTHON ?= python3
ARGS ?=
NOX := .nox/own/bin/nox

.PHONY: help demo demo-jets test coverage lint types docs build packages wheel clean
help:
	@echo "make demo      train, score and compare on the embedded sample, into hepmtp-demo/"
	@echo "make demo-jets train, generate and compare jets of the embedded sample, into hepmtp-demo-jets/"
	@echo "make test      run all tests"
	@echo "make coverage  the same, and which lines they did not run"
	@echo "make lint      style, format, spelling"
	@echo "make types     mypy"
	@echo "make docs      build the documentation into docs/_build"
	@echo "make packages  build the sdist and the wheel and try them in empty environments"
	@echo "make wheel     the wheel alone"
	@echo "make clean     remove the environments and what was built"

test: $(NOX)
	@$(NOX) -s tests -- $(ARGS)

demo demo-jets coverage lint types docs build packages: $(NOX)
	@$(NOX) -s $@ -- $(ARGS)

wheel: $(NOX)
	@$(NOX) -s "packages(wheel)"

$(NOX): constraints.txt
	$(PYTHON) -m venv --clear .nox/own
	.nox/own/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt nox
	@touch $@

clean:
	rm -rf .venv .nox docs/_build docs/api dist
