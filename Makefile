# Two commands do everything: `make demo` and `make test`.  Each makes the virtual environment .venv first.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime
DEV := .venv/.dev
TRAIN := .venv/.train
MUTATION := .venv/.mutation
DEFAULT := "not process and not train and not browser and not deploy and not unattended"
export EDGE_DATASETS ?= $(wildcard $(abspath ../shared/datasets))

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/bin/python:
	@$(PYTHON) deploy/preflight.py
	$(PYTHON) -m venv .venv

$(RUNTIME): .venv/bin/python pyproject.toml requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(DEV): $(RUNTIME) requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/dev.txt
	@touch $@

$(TRAIN): $(DEV) requirements/train.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/train.txt
	@touch $@

$(MUTATION): $(DEV) requirements/mutation.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/mutation.txt
	@touch $@

demo: $(RUNTIME) ## inspect 300 simulated plates, trigger to gate
	$(BIN)/edge demo

test: $(DEV) ## the default test suite, under 5 minutes
	$(BIN)/python -m pytest -n 2 --dist worksteal -m $(DEFAULT) --ignore tests/bench
	$(BIN)/python -m pytest -m $(DEFAULT) tests/bench # what measures runs alone

test-process: $(DEV) ## faults with real processes, minutes
	$(BIN)/python -m pytest -m process

test-browser: $(DEV) ## the dashboard in a browser; as root, installs Debian's chromium where it is missing
	@tests/debian.sh browser
	$(BIN)/python -m pytest -m browser tests/browser

test-deploy: $(DEV) ## units, alerts, bundle; as root, installs Debian's prometheus, docker-compose, systemd where missing
	@tests/debian.sh deploy
	$(BIN)/python -m pytest -m deploy

test-unattended: $(DEV) ## a line that nobody attends, with faults, real alerts and a browser; root; MINUTES=20
	@tests/debian.sh browser deploy
	$(BIN)/python -m tests.faults.unattended --minutes $(or $(MINUTES),20)

test-train: $(TRAIN) ## the training code; installs PyTorch
	$(BIN)/python -m pytest -m train

prove: $(RUNTIME) ## the verdict contract over 1,500,000 simulated parts under every fault, 10 minutes; SEEDS="2 3 4 5"
	$(BIN)/edge simulate line --parts 1000000 --faults all --seed 1 --json
	for seed in $(or $(SEEDS),2 3 4 5); do $(BIN)/edge simulate line --parts 100000 --faults all --seed $$seed --json || exit 1; done
	$(BIN)/edge simulate line --parts 100000 --faults none --seed 1 --json

soak: $(DEV) ## 110,000 parts through real processes, a random fault every 3 seconds, 15 minutes
	$(BIN)/edge soak --parts 110000 --rate 150 --fault-every 3 --seed 1 --json

check-exporters: $(DEV) ## each family of networks, really exported, against its own framework; an environment of its own, 6 GB, 15 minutes
	$(BIN)/python tests/exporters/check.py $(or $(EXPORTERS),.exporters)

mutation: $(MUTATION) ## plant bugs in the core and count those that no test finds, 15 minutes
	EDGE_EXAMPLES=0.15 $(BIN)/python -m mutmut run --max-children 2
	$(BIN)/python tests/mutation/score.py

lint: $(DEV) ## ruff, mypy strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: $(DEV) ## resolve the requirements, for every supported Python and machine; what is locked stays
	$(BIN)/python deploy/lock.py

upgrade: $(DEV) ## the same with the newest version of everything
	$(BIN)/python deploy/lock.py --upgrade

clean: ## remove what these commands made
	rm -rf .venv .exporters mutants .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info

.PHONY: help demo test test-process test-browser test-deploy test-unattended test-train prove soak check-exporters \
    mutation lint lock upgrade clean
