# `make demo` and `make test` set up what they need in .venv, once. Variables:
#   PYTHON=python3.11      the interpreter to make the environment with
#   PIP_ARGS="..."         more arguments for pip. PyPI's torch for Linux brings 3 GB of CUDA; for
#                          the CPU build of the same version, which is all this package needs:
#                          PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#   DEMO_ARGS, PYTEST_ARGS more arguments for `smm demo` and for pytest
#   TEST_WORKERS=2         tests that run at a time; 0: one, in pytest's own process
PYTHON ?= python3
PIP_ARGS ?=
DEMO_ARGS ?=
PYTEST_ARGS ?=
TEST_WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := requirements.txt requirements-ros.txt requirements-test.txt
CONSTRAINTS := constraints.txt constraints-ros.txt
REFERENCE_MODEL := robel==0.1.2

# The build is made anew when one of these changes. Python files are read where they lie.
BUILD_INPUTS := CMakeLists.txt package.xml pyproject.toml setup.py \
  $(wildcard cmake/* msg/* srv/* action/* scripts/* config/* launch/* urdf/*) \
  $(wildcard smm_core/native/*)

# A sourced ROS installation, or another environment with the wheels, must not leak into this one:
# its libraries and modules would be loaded in place of those in .venv.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH
unexport COLCON_PREFIX_PATH ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION RMW_IMPLEMENTATION
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help setup demo test lint clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(VENV)/.built  ## install all into .venv (the targets below do it when needed)

demo: setup  ## explore with the simulated hand: the ROS graph, a picture and figures
	$(BIN)/smm demo $(DEMO_ARGS)

test: lint  ## check style and types, then run the tests
	$(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist worksteal $(PYTEST_ARGS)

lint: setup  ## check style and types only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check smm_core smm_ros test benchmarks launch setup.py
	$(BIN)/mypy

clean:  ## remove .venv and everything built
	rm -rf $(VENV) build smm_ros.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.installed: $(REQUIREMENTS) $(CONSTRAINTS)
	@sh scripts/preflight.sh $(PYTHON)
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "set-up: downloading and installing, a few minutes the first time"
	$(BIN)/pip install --quiet $(PIP_ARGS) $(CONSTRAINTS:%=-c %) $(REQUIREMENTS:%=-r %)
	@$(BIN)/pip install --quiet $(PIP_ARGS) --no-deps $(REFERENCE_MODEL) 2>/dev/null \
	  || echo "set-up: $(REFERENCE_MODEL) cannot be installed by this pip;" \
	          "the tests that compare the twin with it will be skipped"
	@rm -rf build/pip-*  # what CMake found in an earlier environment
	@touch $@

$(VENV)/.built: $(VENV)/.installed $(BUILD_INPUTS)
	@echo "set-up: building the messages"
	$(BIN)/pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@
