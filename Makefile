# Everything happens in this checkout: `make test` and `make demo` set up what they need (.venv) by themselves.
.PHONY: help env test fuzz demo view check docs pictures clean
.DEFAULT_GOAL := help

# A sourced ROS would put its Python packages before those of .venv. To use an installed ROS, build with colcon.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH ROS_DISTRO VIRTUAL_ENV
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

# Read by rclpy when it starts and by the messages when they are imported. The nodes talk to this machine alone, and
# a field of a wrong type is an error instead of rubbish in the message.
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
export ROS_PYTHON_CHECK_FIELDS := 1
export PYTHON

PYTEST_ARGUMENTS ?= -n 2 --dist loadfile

# jazzy, or kilted, which has an environment of its own. Jazzy is what orpose is made for.
ROS ?= jazzy
export ROS
VENV := .venv$(if $(filter-out jazzy,$(ROS)),-$(ROS))
BIN := $(VENV)/bin

help:
	@echo "make test   set up .venv and run all tests        (PYTEST_ARGUMENTS=... replaces '$(PYTEST_ARGUMENTS)')"
	@echo "make fuzz   damage recordings and label files in 2,000 ways each; for the night"
	@echo "make demo   set up .venv and show the nodes at work; writes to demo_output/"
	@echo "make view   set up .venv and show a simulated room in a browser; needs no ROS"
	@echo "make check  lint and type-check"
	@echo "make docs   build the documentation into docs/_build/html"
	@echo "make pictures   take the pictures of the README and of docs/view.md again; needs Chromium"
	@echo "make test ROS=kilted   the same on ROS 2 Kilted, in .venv-kilted"
	@echo "make env    set up .venv alone                    (PYTHON=... chooses the interpreter, 3.10 to 3.12)"
	@echo "make clean  remove all that make made"

env:
	@scripts/setup_environment.sh

test: env
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGUMENTS) test

fuzz: env
	@OMP_NUM_THREADS=1 ORPOSE_FUZZ_CASES=2000 $(BIN)/python -m pytest -o timeout=36000 -k any_ \
		test/core/test_fuzz_recordings.py test/core/test_coco_exporters.py

demo: env
	@$(BIN)/python -m orpose_ros.demo --out demo_output

view: env
	@$(BIN)/orpose view --demo --open

check: env
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: env
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# On a machine that does nothing else: the page shows how late the skeletons are.
pictures: env
	@$(BIN)/orpose view --demo --port 0 --picture docs/images/view.png --gif docs/images/view.gif --seconds 4
	@$(BIN)/python -m orpose_ros.demo --out demo_output
	@cp demo_output/demo.png docs/images/demo.png
	@$(BIN)/python docs/images/overview.py

clean:
	rm -rf .venv .venv-kilted docs/_build docs/_generated build dist install log demo_output test_output .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
