# ftexp: `make` lists the targets. Stage targets are forwarded to the experiment EXP (default: the demo).
.DEFAULT_GOAL := help
override makefiles := Makefile {{cookiecutter.experiment_name}}/Makefile
include scripts/command_line.mk

EXP ?= demo/capitalization
export EXP
override stages := plan stamp split validate rehearse submit status eval wait cancel score report cite power repro all merge import gc upgrade
.PHONY: help setup demo test test-slow test-slurm test-all lint lock bench $(stages)
export PYTHONDONTWRITEBYTECODE := 1

help:      ## list the targets (EXP=<folder>)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile
	@echo "make <stage>   $(stages), in EXP=$$EXP"

setup: .venv/ready ## make .venv from the lock (PYTHON=<program>)

.venv/ready: {{cookiecutter.experiment_name}}/requirements.txt tests/requirements.txt
	@$(set_up) --only-environment "{{cookiecutter.experiment_name}}/requirements.txt" tests/requirements.txt
	@touch $@

demo: setup ## stamp the demo into demo/capitalization and run every stage of it (PYTHON=, JOBS=n, ONLY=, DRY=1, YES=1, FORCE=1)
	@test -e demo/capitalization/site.yaml || .venv/bin/cookiecutter . --no-input --default-config --output-dir demo
	@VENV="$$PWD/.venv" $(MAKE) --no-print-directory -C demo/capitalization setup
	@$(MAKE) --no-print-directory -C demo/capitalization all

# ONLY=<room> picks tests/<room>; WRITE=1 writes the tables of docs/ that the tests tell. No test is told either.
override pytest = case "$$WRITE" in ""|0) ;; 1) export FTEXP_WRITE_TABLES=1 ;; *) echo "WRITE: must be 1 or 0, got '$$WRITE'." >&2; exit 1 ;; esac; \
  room=$$ONLY; unset ONLY WRITE EXP; .venv/bin/python -m pytest "tests$${room:+/$$room}" --dist loadfile --no-loadscope-reorder

test: setup ## the tests, 12 minutes on two cores; says what it leaves out (ONLY=<room>: those of tests/<room>; WRITE=1)
	@$(pytest) -m "not slurm and not slow" --numprocesses 2

test-slow: setup ## the rest: what takes minutes, the demo, and real Slurm daemons, which it starts and stops (packages: see README; as root; ONLY=, WRITE=1)
	@$(pytest) -m "slurm or slow" --numprocesses 4

test-slurm: setup ## of these the ones on Slurm alone (ONLY=, WRITE=1)
	@$(pytest) -m slurm --numprocesses 4

test-all: test test-slow ## all tests (ONLY=, WRITE=1)

lint: setup ## ruff, mypy, and import-linter: who may import whom
	@.venv/bin/ruff check scripts hooks tests data benchmarks docs
	@.venv/bin/mypy
	@PYTHONPATH=scripts .venv/bin/lint-imports --no-cache

lock: setup ## resolve requirements.in into the locks, pins as they are but for UPGRADE=<package> (needs the package index)
	@.venv/bin/python tests/make_locks.py

bench: setup ## measure what is claimed to be fast (KEEP=<new folder>)
	@.venv/bin/python benchmarks/measure.py

$(stages):
	@test -f "$$EXP/Makefile" || { echo "EXP: there is no experiment in $$EXP. Name its folder (make $@ EXP=<folder>), or make the demo: make demo" >&2; exit 1; }
	@$(MAKE) --no-print-directory -C "$$EXP" $@
