# What stands on make's command line, for both Makefiles: looked at before anything is done, then handed to the scripts in the
# environment as it was typed. Neither make nor a shell reads a value.

# The targets are steps of one line of work, whatever MAKEFLAGS says.
.NOTPARALLEL:
override said := $(strip $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
override SHELL := /bin/sh
override .SHELLFLAGS := -c
PYTHON ?= python3
export PYTHON

override set_up = command -v "$$PYTHON" >/dev/null || { echo "PYTHON: there is no program '$$PYTHON' here. Name one, by its name or path." >&2; exit 1; }; \
  "$$PYTHON" scripts/set_up.py

override quoted = '$(subst ','\'',$(1))'
override letters := $(filter-out -%,$(firstword $(MAKEFLAGS)))
$(if $(findstring i,$(letters)),$(error make -i: ends with status 0 whatever fails. Leave it out, in MAKEFLAGS too; -k goes on after a failure))
$(if $(findstring t,$(letters)),$(error make -t: does nothing and says that all is done. Leave it out, in MAKEFLAGS too))
# What is held back until a target ends is shown too late, and nobody is asked where no terminal is seen.
MAKEFLAGS += --output-sync=none

ifneq ($(said),)
override empty := $(foreach name,$(said),$(if $(strip $(value $(name))),,$(name)))
# The environment's Python where there is one, since before `make setup` any has to do.
override check = python=$(call quoted,$(value PYTHON)); test ! -x .venv/bin/python || python=.venv/bin/python; \
  if ! command -v "$$python" >/dev/null; then printf 'PYTHON: there is no program %s here. Name one, by its name or path' "$$python"; \
  else "$$python" -I scripts/ftexp/life/command_line.py $(call quoted,$(MAKECMDGOALS)) $(call quoted,$(said)) $(call quoted,$(empty)) \
  $(foreach file,$(makefiles),$(call quoted,$(file))) 2>&1; fi
override answer := $(shell $(check))
$(if $(filter-out ok,$(or $(answer),nothing)),$(error $(or $(answer),the command line could not be checked)))
$(foreach name,$(said),$(eval override $(name) := $$(value $(name)))$(eval export $(name)))
# A make that a recipe calls has them from the environment.
MAKEOVERRIDES :=
endif
