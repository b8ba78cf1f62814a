# Every command makes what it needs: a virtual environment in .venv with what requirements/ locks, by version and hash.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
RIVAL := $(VENV)-rival
CHECKOV := $(VENV)-checkov
UV := $(VENV)-uv
INSTALL := -m pip install --quiet --disable-pip-version-check
LOCKED := $(INSTALL) --require-hashes

# Where it is set, each of the many processes of the tests would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo dev aws-dev test lint terraform bench lock package clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 10

demo: $(VENV)/runtime  ## Run the whole platform on the sample bill
	@$(BIN)/finops demo

dev: $(VENV)/runtime  ## Open the Dagster UI (webserver and daemon) on http://127.0.0.1:3000
	@$(BIN)/finops dev

aws-dev: $(VENV)/development  ## Open the Dagster UI on a stand-in AWS with the sample bill in it
	@$(BIN)/python -m standin.dev

test: $(VENV)/development  ## Run the tests (COVERAGE=1: and say which files have lines that none of them runs; slower)
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(if $(COVERAGE),--cov --cov-report=term:skip-covered) $(PYTEST_ARGS)

lint: $(VENV)/development  ## Check style, types and declared dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/deptry .
	@! command -v node >/dev/null || for part in finops_assets/templates/dashboard/*.js; do node --check $$part || exit 1; done

terraform: $(CHECKOV)/installed  ## Check terraform/ with the real provider, its own tests and checkov
	@scripts/terraform-check

bench: $(VENV)/development $(RIVAL)/installed  ## Measure speed and memory, then show all bars (an hour)
	@RIVAL_PYTHON=$(RIVAL)/bin/python $(BIN)/python -m benchmarks

lock: $(UV)/installed  ## Lock anew what is installed (newer versions: LOCK_ARGS=--upgrade)
	@UV=$(UV)/bin/uv scripts/lock $(LOCK_ARGS)

package: $(VENV)/runtime  ## Build and check what a release uploads: dist/*.tar.gz and dist/*.whl
	@$(BIN)/python scripts/package.py dist

clean:  ## Remove the virtual environment, caches and the demo's home
	rm -rf $(VENV) $(RIVAL) $(CHECKOV) $(UV) .finops .finops-aws .pytest_cache .ruff_cache .hypothesis benchmarks/.data build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 to 3.13 is needed; name one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: $(BIN)/python pyproject.toml requirements/build.txt requirements/runtime.txt
	@echo "Installing finops_assets into $(VENV) ..."
	@$(BIN)/python $(LOCKED) -r requirements/build.txt -r requirements/runtime.txt
	@$(BIN)/python $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/development: $(VENV)/runtime requirements/development.txt
	@echo "Installing what tests and checks need ..."
	@$(BIN)/python $(LOCKED) -r requirements/development.txt
	@touch $@

# What it needs would not go together with what the platform does.
$(CHECKOV)/installed: $(BIN)/python requirements/checkov.txt
	@$(BIN)/python -m venv $(CHECKOV)
	@$(CHECKOV)/bin/python $(LOCKED) -r requirements/checkov.txt
	@touch $@

# pyarrow imports pandas wherever it is installed, which would cost each of our runs 0.3 s: the rival has its own place.
$(RIVAL)/installed: $(BIN)/python requirements/rival.txt
	@$(BIN)/python -m venv $(RIVAL)
	@$(RIVAL)/bin/python $(LOCKED) -r requirements/rival.txt
	@touch $@

$(UV)/installed: $(BIN)/python
	@$(BIN)/python -m venv $(UV)
	@$(UV)/bin/python $(INSTALL) uv==0.13.9
	@touch $@
