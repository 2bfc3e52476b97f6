# SPDX-License-Identifier: Apache-2.0
#
# make demo   the simulated arm reaches a goal picture   (TASK=pick_place or push, PICTURES=1, SEED=7, EPISODES=20, OUT=out)
# make test   the tests                                  (DISTRO=kilted for the other ROS)
# make faults every promise of what happens when something goes wrong, with its latency   (RUNS=3)
#
# Both install what they need into a virtual environment first, and re-use it afterwards.

DISTRO ?= jazzy
SEED ?= 0
TASK ?= reach
PICTURES ?= 0
EPISODES ?= 1
OUT ?= out
DIR ?= test/goldens
RUNS ?= 3
MINUTES ?= 30

VENV := $(if $(filter jazzy,$(DISTRO)),.venv,.venv-$(DISTRO))
BIN := $(VENV)/bin
PYTEST := JEPA_WM_ROS_COMPLETE=1 $(BIN)/python -m pytest
QUICK := not slow and not gpu and not installed_ros

# The environment is complete in itself: nothing of a ROS that the calling shell has sourced may
# be mixed with its wheels.
unexport PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH RMW_IMPLEMENTATION ROS_DISTRO

.PHONY: setup demo test test-slow faults soak goldens weights bench docs reference lint format clean

setup:            ## the environment only
	@scripts/setup.sh $(DISTRO)

demo: setup       ## real nodes, real DDS, simulated arm: one goal picture, or EPISODES of them
	@$(BIN)/jepa-wm demo --task $(TASK) --pictures $(PICTURES) --seed $(SEED) --episodes $(EPISODES) --out $(OUT)

test: setup       ## everything that is quick: two at a time, then what keeps time alone
	@OMP_NUM_THREADS=1 $(PYTEST) -n 2 --dist loadfile -m '$(QUICK) and not real_time'; beside=$$?; \
	$(PYTEST) -m '$(QUICK) and real_time' && exit $$beside

test-slow: setup  ## what takes longer, or a GPU
	@$(PYTEST) -m '(slow or gpu) and not installed_ros'

faults: setup     ## every row of the fault table, RUNS times idle and under load
	@JEPA_WM_ROS_COMPLETE=1 $(BIN)/python test/faults/report.py --runs $(RUNS)

soak: setup       ## goals in a loop with random faults, watched, for so many MINUTES
	@JEPA_WM_ROS_COMPLETE=1 $(BIN)/python test/soak/soak.py --minutes $(MINUTES) --seed $(SEED) --out $(OUT)/soak

goldens: setup    ## compare with a folder of golden arrays: make goldens DIR=...
	@$(BIN)/python -m jepa_wm_ros.evaluation.goldens $(DIR)

weights: setup    ## the shipped model from nothing, with its card: OUT/weights, within an hour
	@$(BIN)/python scripts/weights.py $(OUT)/weights

bench: setup      ## planners against each other
	@$(BIN)/python -m jepa_wm_ros.evaluation.bench

docs: .venv-docs/made  ## the documentation in build/doc; a warning is an error
	@.venv-docs/bin/sphinx-build --fail-on-warning --keep-going --quiet doc build/doc

.venv-docs/made: requirements/docs.txt
	@python3 -m venv --clear .venv-docs
	@.venv-docs/bin/pip install --quiet --disable-pip-version-check -r $< && touch $@

reference: setup  ## the pages of doc/reference that the nodes say themselves
	@JEPA_WM_ROS_WRITE_REFERENCE=1 $(PYTEST) -q test/ros/test_lifecycle.py -k silent

lint: setup       ## formatter, linter, types, shell scripts, package descriptions
	@scripts/lint.sh $(BIN)

format: setup     ## what the formatter and the linter can mend by themselves
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

clean:            ## what make and colcon made, except the virtual environments
	rm -rf build install log out .pytest_cache .ruff_cache .hypothesis *.egg-info
	find jepa_wm_ros test launch -name __pycache__ -type d -prune -exec rm -rf {} +
