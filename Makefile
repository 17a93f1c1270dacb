# Two commands for a newcomer: `make demo` and `make test`. Both set up everything in .venv and need nothing but Python 3.11+.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# uv reads its own variables, not pip's; an empty value is fine.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_HTTP_TIMEOUT ?= 180
# Compiled once, imported fast ever after; the tests start many processes.
unexport PYTHONDONTWRITEBYTECODE
# Tests run in so many processes, a file in one of them.
PROCESSES ?= auto
# No hub, no telemetry: everything the demo and the tests use is made on the spot.
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: demo test check bench dashboard format clean

demo: $(READY)
	@$(BIN)/guard demo

test: $(READY)
	@$(BIN)/python -m pytest -n $(PROCESSES) --maxprocesses 4 --dist loadfile

check: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(READY)
	@$(BIN)/python -m tests.bench

dashboard: $(READY)
	@$(BIN)/guard dashboard --demo

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis shots demo-out .bench

# uv installs the same packages in a tenth of the time; where it cannot be had, pip does.
$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit("genguard needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (a minute or two, once)"
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; then \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[test]'; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'; \
	fi
	@touch $@
