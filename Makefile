# The one place that sets Python's minor version is the default of the parameter PythonVersion in template.yaml. Where
# that interpreter is missing here, the other supported one is taken for everything: Lambda, steps and tools alike.
DECLARED := $(shell sed -n '/^  PythonVersion:/,/Default:/s/.*Default: *"\([0-9.]*\)".*/\1/p' template.yaml)
PYTHON ?= $(shell for v in $(DECLARED) 3.11 3.12; do \
	if python$$v -c 'import venv' 2>/dev/null; then echo python$$v; exit; fi; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
STEP := $(VENV)/envs/step
LAMBDA := $(VENV)/envs/lambda
SAM := $(VENV)/envs/sam
BUILT := .aws-sam/build/template.yaml
PIP := -m pip install --quiet --disable-pip-version-check
# Another index or a wheel folder for torch, where the default one would bring a CUDA build.
TORCH_ARGS ?=
SEEDS ?= 0-199
# Each file in one process, since its fixtures are costly, and in order: what takes the longest comes first.
ON_BOTH_CORES := --numprocesses 2 --dist loadfile --no-loadscope-reorder
export SAM_CLI_TELEMETRY := 0
export PIP_ROOT_USER_ACTION := ignore

SOURCES := $(shell find functions layers statemachine -type f -not -name '*.pyc' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup build demo test test-fast parity chaos fuzz bench check format docs lock down clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready $(LAMBDA)/.ready $(SAM)/.ready ## install everything into .venv, once

build: $(BUILT) ## sam build: the template, its functions and layers, as they would be deployed

demo: setup build ## run the main job on the local cloud: drop a config, see models compared
	@$(BIN)/assay demo

test: setup build ## every test, end to end included, with the network cut off
	$(BIN)/python tools/offline.py $(BIN)/pytest $(ON_BOTH_CORES) tests/parity tests/local tests/unit tests/fuzz
	$(BIN)/python tools/offline.py $(BIN)/pytest tests/end_to_end

test-fast: setup ## only the tests that need no local cloud
	$(BIN)/pytest $(ON_BOTH_CORES) tests/unit

parity: setup ## hold every algorithm of fmeval against fmeval.evaluate(), with Ray and all (five minutes)
	ASSAY_PARITY=all $(BIN)/pytest tests/parity

chaos: setup build ## 200 evaluations with a fault at a random point each; SEEDS=first-last for some of them
	$(BIN)/python -m tests.end_to_end.chaos --seeds $(SEEDS)

fuzz: setup ## put thousands of random configs and catalogs to the readers, and kill 120 runs at random points
	ASSAY_FUZZ_EXAMPLES=5000 ASSAY_KILLS=60 $(BIN)/pytest tests/fuzz

BENCHMARKS ?= catalog throughput faults evaluate_step against_fmeval against_peers scoring decision calibration
PEERS := .assay/bench-envs
bench: setup $(if $(filter against_peers,$(BENCHMARKS)),$(patsubst benchmarks/environments/%.txt,$(PEERS)/%/.ready,$(wildcard benchmarks/environments/*.txt))) ## measure everything anew and write docs/benchmarks.md (an hour; BENCHMARKS="faults catalog" for some)
	for name in $(BENCHMARKS); do echo "$$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done
	$(BIN)/python -m benchmarks.table

check: setup build $(SAM)/.ready tools/node_modules/.ready ## the whole gate: lint, format, types, imports, template, state machines
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy layers/assay/assay cli local tests
	for app in functions/*/app.py; do $(BIN)/mypy $$app || exit 1; done
	$(BIN)/lint-imports
	$(BIN)/cfn-lint template.yaml
	$(SAM)/bin/sam validate --lint
# It takes a partition for an ARN's only where one stands; CloudFormation puts it in when it deploys.
	for machine in statemachine/*.asl.yaml; do \
		tools/node_modules/.bin/asl-validator --yaml-definition "$$(sed 's/$${Partition}/aws/' $$machine)" || exit 1; done

format: setup ## lay out the Python code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## write the config's JSON Schema and its reference page anew
	$(BIN)/python tools/generate_docs.py

lock: setup ## write the lock files anew from what is installed
	$(BIN)/python tools/lock.py

down: ## end the local cloud
	@$(BIN)/assay local down

clean: ## delete what can be made again
	-$(BIN)/assay local down
	rm -rf $(VENV) .aws-sam .aws-sam.log .assay tools/node_modules

$(STEP)/.ready: image/requirements.txt
	@test $(words $(CURDIR)) -eq 1 \
		|| { echo "the SageMaker SDK's step scripts cannot run in a path with spaces: move $(CURDIR)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
		|| { echo "Assay needs Python 3.11 or 3.12 with venv, and $(PYTHON) is not that" >&2; exit 1; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version): the packages of the evaluation image"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(STEP)/bin/python || $(PYTHON) -m venv $(STEP)
	@$(STEP)/bin/python $(PIP) $(TORCH_ARGS) --constraint image/requirements.txt "$$(grep ^torch== image/requirements.txt)"
	@$(STEP)/bin/python $(PIP) --no-deps --requirement image/requirements.txt
	@touch $@

$(VENV)/.ready: $(STEP)/.ready requirements/local.txt pyproject.toml local/models/weights.py
	@echo "setting up $(VENV): the local cloud, the command assay, the tools"
	@$(BIN)/python tools/link_step_image.py $(STEP)
	@$(BIN)/python $(PIP) --no-deps --requirement requirements/local.txt
	@$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@echo "converting the weights of SmolLM2, once"
	@TQDM_DISABLE=1 $(BIN)/python -m local.models.weights .assay/cache/models
	@touch $@

$(LAMBDA)/.ready: requirements/lambda.txt
	@test -x $(LAMBDA)/bin/python || $(PYTHON) -m venv $(LAMBDA)
	@$(LAMBDA)/bin/python $(PIP) --no-deps --requirement requirements/lambda.txt
	@touch $@

$(SAM)/.ready: requirements/sam.txt
	@echo "setting up $(SAM): aws-sam-cli"
	@test -x $(SAM)/bin/python || $(PYTHON) -m venv $(SAM)
	@$(SAM)/bin/python $(PIP) --no-deps --requirement requirements/sam.txt
	@touch $@

$(PEERS)/%/.ready: benchmarks/environments/%.txt
	@echo "setting up $(PEERS)/$*, to measure against it"
	@test -x $(PEERS)/$*/bin/python || $(PYTHON) -m venv $(PEERS)/$*
	@$(PEERS)/$*/bin/python $(PIP) --no-deps --requirement $<
	@touch $@

$(BUILT): template.yaml samconfig.toml $(SOURCES) $(SAM)/.ready $(VENV)/.ready
	@echo "sam build"
	@version=$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])') && \
	PATH="$(CURDIR)/$(BIN):$$PATH" PYTHON_VERSION=$$version \
		$(SAM)/bin/sam build --parameter-overrides PythonVersion=$$version >.aws-sam.log 2>&1 || { cat .aws-sam.log; exit 1; }
	@touch $@

tools/node_modules/.ready: tools/package-lock.json
	cd tools && npm ci --no-fund --no-audit --silent
	touch $@
