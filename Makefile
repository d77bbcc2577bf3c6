# Needs git, make and Python 3.10 or newer; everything else is installed below .venv and .host.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$p" && exit; \
	done; echo python3)
VENV := .venv/bin
PROMPT ?=
SEED ?=
OUT ?=
PORT ?=
export PROMPT SEED OUT PORT

.DEFAULT_GOAL := help
.PHONY: help demo serve test lint bench bench-gpu bench-paper install install-dev clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed 's/:.*  ## /\t/' | expand -t 14

demo:  ## a prompt in, a video out: make demo PROMPT="..." SEED=1 OUT=folder COMFYUI=/path
	@$(PYTHON) -m dev demo

serve:  ## ComfyUI with the pack, until Ctrl-C: make serve PORT=8188
	@$(PYTHON) -m dev serve

install:  ## the pinned ComfyUI, without starting it
	@$(PYTHON) -m dev install

install-dev:
	@$(PYTHON) -m dev install --dev

lint: install-dev  ## ruff, both rules and format
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .

test: lint  ## everything CI runs: two processes, a server each, one thread each
	OMP_NUM_THREADS=1 $(VENV)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: install-dev  ## figures into benchmarks/results/<date>/: make bench ARGS=--cold
	$(VENV)/python -m benchmarks $(ARGS)

bench-gpu: install-dev  ## sampling at real sizes on this GPU: make bench-gpu ARGS="--model 5B"
	$(VENV)/python -m benchmarks.bench_gpu $(ARGS)

bench-paper: install-dev  ## the paper's tables on the tiny world: make bench-paper QUICK=1
	$(VENV)/python -m benchmarks.paper $(if $(QUICK),--quick) $(ARGS)

clean:  ## remove what was installed and made: .venv, .host, out, caches
	rm -rf .venv .host .cache .pytest_cache .ruff_cache .hypothesis out build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
