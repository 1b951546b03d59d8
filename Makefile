# Commands for people. `make help` lists those that have a ##, under the headings that begin with ##@. Whatever they need
# beyond Python, git and make is installed into .venv or built into the cache.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -u -m pytest --durations=10 --durations-min=3
READY := $(VENV)/.ready

##@ Start here

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: install it (Debian: apt install python3 python3-venv), or set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) -V): Python 3.11 or newer is needed, set PYTHON=/path/to/it"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) can't make virtual environments: install its venv package (Debian: apt install python3-venv)"; exit 1; }
	@echo "installing Python packages into $(VENV) (a minute, the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.PHONY: venv
venv: $(READY) ## Install everything Python into .venv

.PHONY: demo
demo: $(READY) ## A control plane, an exchange, the operator and some orders, from nothing; KEEP=1 leaves it running
	@$(BIN)/python -u hack/demo.py $(if $(KEEP),--keep)

.PHONY: demo-loaded
demo-loaded: $(READY)
	@$(BIN)/python -u hack/loaded.py --runs $(or $(RUNS),10)

##@ Tests

.PHONY: test
test: lint $(READY) ## All tests that need no container engine: what waits for a cluster, beside what computes
	@$(BIN)/python -u hack/beside.py cluster-1,chart cluster-2,property contract,unit,crash,chaos-short

.PHONY: lint
lint: $(READY) ## ruff, mypy --strict, the layers, and generated files against their source
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python hack/generate.py --check

.PHONY: unit
unit: $(READY) ## The pure rooms and every small part
	@$(PYTEST) tests/unit

.PHONY: property
property: $(READY) ## What must hold whatever happens
	@$(PYTEST) tests/property

.PHONY: crash
crash: $(READY) ## The operator dies at every point where it waits for a store or an exchange, once and twice
	@$(PYTEST) tests/crash --capture=no -o timeout=1800

.PHONY: contract
contract: $(READY) ## The exchange port: the real ccxt against scripted and simulated venues; prints what comes of each operation under each fault
	@$(PYTEST) tests/contract

.PHONY: cluster
cluster: $(READY) ## On a real kube-apiserver and etcd; TEST_KUBECONFIG names a cluster to use instead of our own
	@$(PYTEST) tests/cluster

.PHONY: cluster-1 cluster-2
cluster-1 cluster-2: cluster-%: $(READY)
	@CLUSTER_PART=$*/2 $(PYTEST) tests/cluster

.PHONY: chart
chart: $(READY) ## helm lint --strict, and every template through a real API server's dry run
	@$(BIN)/python -u hack/chart.py

.PHONY: kind
kind: $(READY) ## The chart on a real kubelet: image, kind cluster, Helm release, tests/kind
	@PYTHON=$(BIN)/python hack/kind.sh

##@ Storms and measurements

.PHONY: chaos
chaos: $(READY) ## The fault storm over real processes, judged by the exchange's ledger; SEED=n repeats a storm, INTENTS=n sizes it
	@$(BIN)/python -u -m tests.chaos.storm --intents $(or $(INTENTS),2000) $(if $(SEED),--seed $(SEED))

.PHONY: chaos-short
chaos-short: $(READY)
	@$(PYTEST) tests/chaos -rP -o timeout=900

.PHONY: fleet
fleet: $(READY) ## 100 strategies in 10 processes, 50 orders each, the API server away in the middle; FLEET="--kernels 2 --orders 20" sizes it
	@$(BIN)/python -u -m tests.fleet $(FLEET)

.PHONY: bench
bench: $(READY) ## What the operator adds, measured side by side; prints a table and writes bench/results/latest.json
	@$(BIN)/python -m bench $(BENCH)

##@ Build and generate

.PHONY: image
image: ## The operator's container image, exchange-kernel:dev
	@hack/image.sh

.PHONY: generate
generate: $(READY) ## Write crds/, the chart's CRDs, docs/reference/ and docs/failure-modes.md from what they are made of
	@$(BIN)/python hack/generate.py

.PHONY: lock
lock: $(READY) ## Resolve the locks again, with hashes and without index addresses
	@$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet pip-tools
	@$(VENV)/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --extra dev -o requirements.lock pyproject.toml
	@$(VENV)/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras -o requirements-runtime.lock pyproject.toml
