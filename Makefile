# Two commands for a fresh machine: `make demo` and `make test`. Both do their own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
SEEDS  ?= 1000
N      ?= 30
MINUTES ?= 10
# Tests start hundreds of daemons and commands: none of them should compile maw anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: hour demo test again lint types floors fix sim chaos reboot bench proof fleet extremes build clean help

help:           ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "maw needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,mcp]' -c requirements.lock
	@touch $@

demo: $(READY)  ## two nodes on this machine federate, a message crosses, REST reads it
	@$(BIN)/maw demo

test: $(READY)  ## every test this machine can run; says what it skips
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

again: $(READY)  ## what failed in the last run, at most two tests, by itself
	@$(BIN)/python -m tests.again

lint: $(READY)  ## ruff: format and rules
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

fix: $(READY)   ## let ruff mend what it can
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

types: $(READY) ## mypy --strict
	@$(BIN)/mypy

floors: $(READY) ## each floor imports only from below
	@$(BIN)/lint-imports

sim: $(READY)   ## the simulator on SEEDS=1000 seeds
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

chaos: $(READY) ## MINUTES=10 of every fault on five real hosts (root); ARGS="--seed N" for the same again
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(ARGS)

reboot: $(READY) ## the power is cut on a host with 13 agents (root): seconds until all are back and heard from
	@$(BIN)/python -m tests.e2e.agents_reboot $(ARGS)

hour: $(READY)  ## MINUTES=60 of 13 agents in tmux on two hosts, 500 messages: what it costs them; ARGS="--nudged 4"
	@$(BIN)/python -m tests.hour --minutes $(MINUTES) $(ARGS)

proof: $(READY) ## the API against its own openapi.json, on a live node, at each door; ARGS="--examples 1000 --seed N"
	@$(BIN)/python -m tests.proof $(ARGS)

bench: $(READY) ## figures, as ratios in one run
	@$(BIN)/python -m bench $(ARGS)

fleet: $(READY) ## N=30 daemons on this machine, joined through introducers; N="5 10 30" for several sizes
	@$(BIN)/python -m bench.fleet --nodes "$(N)" $(ARGS)

extremes: $(READY) ## memory under a million messages of one letter, and a log of 64 KiB messages (ten minutes)
	@$(BIN)/python -m bench.extremes $(ARGS)

build: $(READY) ## wheel and source distribution
	@$(BIN)/python -m build --outdir dist .

clean:          ## remove what make made
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
