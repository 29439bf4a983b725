# Everything from nothing: each target first makes the environment it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Where only the default package index is visible, torch comes with CUDA (several GB). To take the CPU build, name an index that
# has it: make PIPARGS="--extra-index-url ADDRESS"
PIPARGS ?=
STAMP := $(VENV)/.installed
CORE_STAMP := $(VENV)/.installed-core
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIPARGS) -c constraints.txt

demo: $(CORE_STAMP)
	$(BIN)/oamip prune digits-cnn --data digits --budget params=0.4 --epochs 5 --baselines l2,jacobian,random --out runs/demo

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 -m "not slow" --durations=10

test-all: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --durations=20

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The demo needs no test tools; an environment that has them serves it as well.
$(CORE_STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing oamip and what it needs (a minute or so) ..."
	$(PIP) -e .
	touch $@

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing oamip, all solvers and the test tools (a minute or two) ..."
	$(PIP) -e ".[test]"
	touch $(CORE_STAMP) $@

.PHONY: demo test test-all lint
