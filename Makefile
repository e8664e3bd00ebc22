# Every target sets up what it needs; `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo furniture cliparts digits test test-fast soak lint format docs site clean clean-all

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup
EXTRAS ?= dev,tensorboard
DEMO ?= runs/demo
WORKERS ?= 2
MINUTES ?= 20
PYTEST_ARGS ?=

# The first interpreter that runs, is new enough and can make a virtual environment; or say `make PYTHON=...`.
SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)

# One thread per process and no spinning: many small tests side by side otherwise fight for the cores.
TEST_ENV := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(STAMP) ## make or refresh the virtual environment .venv

$(STAMP): pyproject.toml constraints.txt scripts/install_torch.sh Makefile
	@$(BIN)/pip --version >/dev/null 2>&1 && $(BIN)/python -c '$(SUPPORTED)' || { \
	    python="$(PYTHON)"; \
	    test -n "$$python" || { echo "found no Python 3.11, 3.12 or 3.13 with venv; install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }; \
	    echo "$$python -m venv $(VENV)"; \
	    "$$python" -m venv --clear $(VENV); }
	scripts/install_torch.sh $(BIN)/python
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

demo: setup ## train seq-JEPA on the CPU, evaluate it and write the report (goes on where it was stopped)
	$(BIN)/seqjepa train shapes_demo --run-dir $(DEMO) --resume
	$(BIN)/seqjepa evaluate $(DEMO)
	$(BIN)/seqjepa report $(DEMO) --out $(DEMO)/report
	@echo "The report: $$(ls -d $(abspath $(DEMO)/report)/*.html)"

# Packages of Debian with real data; nothing is installed, nothing of them is committed.
data/debian/%:
	@command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { \
	    echo "needs apt-get and dpkg-deb (Debian, Ubuntu): there, 'apt-get download $*', then 'dpkg-deb -x' it into $@ here" >&2; exit 1; }
	mkdir -p $(@D)
	cd $(@D) && apt-get download $* || { \
	    echo "apt-get found no $*: is the list of packages old? Run 'apt-get update' as root" >&2; exit 1; }
	rm -rf $@.tmp
	dpkg-deb -x $(@D)/$*_*.deb $@.tmp
	mv $@.tmp $@

furniture: setup data/debian/sweethome3d-furniture ## fetch real meshes of 20 classes from Debian and render them to data/furniture and pack that
	$(BIN)/seqjepa data render meshes data/debian/sweethome3d-furniture/usr/share/sweethome3d/furniture \
	    --labels examples/furniture.csv --out data/furniture --views 96 --image-size 64
	$(BIN)/seqjepa data pack data/furniture --out data/furniture.pack --views 96 --size 32 --format raw

cliparts: setup data/debian/openclipart-png ## fetch 6,885 pictures of 22 classes from Debian to data/cliparts
	$(BIN)/python examples/clipart_images.py data/debian/openclipart-png/usr/share/openclipart/png data/cliparts

digits: setup ## write 5,000 real MNIST digits to data/digits
	$(BIN)/python examples/digit_images.py data/digits

test: setup ## run every test
	$(PYTEST) $(PYTEST_ARGS)

test-fast: setup ## run the tests but for the slow ones and the faults
	$(PYTEST) -m 'not slow' --ignore=tests/faults $(PYTEST_ARGS)

soak: setup ## try faults, odd and broken data and a long run for MINUTES=20, and write docs/reliability.md
	$(TEST_ENV) $(BIN)/python scripts/soak.py --minutes $(MINUTES)

lint: setup ## ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: setup ## let ruff format and fix what it can
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

docs: setup ## make the committed figures and tables again from the committed results
	$(BIN)/python scripts/docs/make.py

site: setup ## build the documentation site in build/site/html
	$(BIN)/python scripts/docs/make_site.py

clean: ## remove build output and the tools' caches
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean ## also remove .venv (runs/ stays)
	rm -rf $(VENV)
