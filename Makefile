# ftexp: `make` lists the targets. Stage targets are forwarded to the experiment EXP (default: the demo).
.DEFAULT_GOAL := help

PYTHON ?= python3
EXP ?= demo/capitalization
stages := plan stamp split validate rehearse submit status eval wait cancel report cite power repro all
.PHONY: help setup demo test test-slow test-slurm test-all lint lock bench $(stages)
export PYTHONDONTWRITEBYTECODE := 1

help:      ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "make <stage>   $(stages), in EXP=$(EXP)"

setup: .venv/ready ## make .venv from the lock

.venv/ready: {{cookiecutter.experiment_name}}/requirements.txt tests/requirements.txt
	@$(PYTHON) scripts/set_up.py --only-environment "{{cookiecutter.experiment_name}}/requirements.txt" tests/requirements.txt
	@touch $@

demo: setup ## stamp the demo into demo/capitalization and run every stage of it
	@test -e demo/capitalization/site.yaml || .venv/bin/cookiecutter . --no-input --default-config --output-dir demo
	@$(MAKE) --no-print-directory -C demo/capitalization setup VENV=$(CURDIR)/.venv
	@$(MAKE) --no-print-directory -C demo/capitalization all

# ONLY=<room> picks tests/<room>; WRITE=1 writes the tables of docs/ that the tests tell.
pytest = $(if $(WRITE),FTEXP_WRITE_TABLES=1 ).venv/bin/python -m pytest $(if $(ONLY),$(ONLY:%=tests/%),tests) --dist loadfile --no-loadscope-reorder

test: setup ## the tests, five minutes; says what it leaves out (ONLY=<room>: those of tests/<room>)
	@$(pytest) -m "not slurm and not slow" --numprocesses 2

test-slow: setup ## the rest: what takes minutes, the demo, and real Slurm daemons, which it starts and stops (packages: see README; as root)
	@$(pytest) -m "slurm or slow" --numprocesses 4

test-slurm: setup ## of these the ones on Slurm alone
	@$(pytest) -m slurm --numprocesses 4

test-all: test test-slow ## all tests

lint: setup ## ruff, mypy, and import-linter: who may import whom
	@.venv/bin/ruff check scripts hooks tests data benchmarks docs
	@.venv/bin/mypy
	@PYTHONPATH=scripts .venv/bin/lint-imports --no-cache

lock: setup ## resolve requirements.in into the locks, pins as they are but for UPGRADE=<package> (needs the package index)
	@.venv/bin/python tests/make_locks.py $(UPGRADE)

bench: setup ## measure what is claimed to be fast
	@.venv/bin/python benchmarks/measure.py

$(stages):
	@$(MAKE) --no-print-directory -C $(EXP) $@
