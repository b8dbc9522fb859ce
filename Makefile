# Everything a developer types. Each target first does whatever set-up it still lacks; what stands is left alone, so a
# second run is quick. On a bare Debian machine with Python 3.11+, git and make, as root, `make test` needs nothing else.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.NOTPARALLEL: # two steps may want apt, and a person reads the lines
.DEFAULT_GOAL := help

python := .venv/bin/python
packages := .venv/.installed
# Files that come from Debian packages but need no installation: a static shell for the images, the demo job's pictures.
debian_files := build/debian/busybox-static build/debian/iso-flags-png-320x240
# A registry for the tests to pull from, and people who speak: unpacked, and no service of the machine.
test_files := build/debian/docker-registry build/debian/pocketsphinx-testdata

# All tests; say `make test TESTS=tests/wallet` for less.
TESTS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

demo: setup ## bring the whole market up, run the main job through it, take it down
	@.venv/bin/neurogrid devnet demo

test: $(packages) engine $(debian_files) $(test_files) ## the whole test suite
	@scripts/test_setup.sh
	@scripts/test.sh $(TESTS)

check: $(packages) ## formatting, lint, direction of imports, types
	@.venv/bin/ruff format --check
	@.venv/bin/ruff check
	@.venv/bin/lint-imports
	@.venv/bin/mypy

fix: $(packages) ## what of `make check` can be mended by a program
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

nightly: setup compiler ## the simulation with 25 times as many seeds, cheats in it by the hundred, 500 requests to each route, coordinators that die, the program's coverage
	@SEEDS_FACTOR=25 .venv/bin/pytest tests/simulation
	@.venv/bin/pytest -m nightly tests/contracts
	@COORDINATOR_TASKS=500 .venv/bin/pytest -m nightly tests/coordinator tests/acceptance tests/typescript
	@API_EXAMPLES=500 .venv/bin/pytest tests/coordinator/test_openapi_conformance.py
	@PYTHONPATH=tests $(python) -m simulation.cheating_table

docs: $(packages) ## build the documentation site into build/site
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet
	@echo "docs      build/site/index.html"

conformance: $(packages) ## ask a coordinator all that the documents print: URL=http://... KEY=ng_... DOCUMENT=004 WEBHOOK=https://...
	@PYTHONPATH=tests $(python) -m conformance --url "$(URL)" --key "$(KEY)" $(if $(DOCUMENT),--document $(DOCUMENT)) $(if $(WEBHOOK),--webhook-url "$(WEBHOOK)") $(if $(RECORDING),--recording "$(RECORDING)") $(if $(IMAGE),--image "$(IMAGE)")

examples: $(packages) ## record the answers that the OpenAPI document shows, where some are missing or fit no more
	@PYTHONPATH=tests $(python) -m coordinator.record_answers

schema: javascript ## write the TypeScript SDK's types anew, after a change of the API or of docs/protocol.md
	@PYTHONPATH=tests $(python) -m typescript.write_schema
	@cd sdk/typescript && ../../.venv/bin/node scripts/protocol.mjs <../../docs/protocol.md >src/receipts/tables.ts

bench: setup ## the numbers we are judged by; BENCH='--only settlement' for a part
	@PYTHONPATH=tests $(python) -m bench $(BENCH)

program: $(packages) compiler ## rebuild the on-chain program from its sources
	@$(python) contracts-client/program/build.py

kernels: $(packages) compiler ## rebuild the challenge's GPU kernels from their source
	@$(python) images/challenge/ptx.py

setup: $(packages) engine images models dashboard ## all set-up that demo, test and bench need

images: $(packages) engine $(debian_files) ## the container images of the jobs
	@$(python) images/build_images.py

models: images ## the container images of models that other people trained: some hundred megabytes of packages; MODELS=gemma for one with terms of its own
	@PYTHONPATH=images $(python) -m models.build_models $(MODELS) $(if $(ACCEPT),--accept "$(ACCEPT)")

engine: ## a Docker engine that answers
	@scripts/engine.sh

compiler: ## clang-16, for the on-chain program
	@scripts/compiler.sh

javascript: $(packages) ## what each package-lock.json pins, in the node_modules beside it
	@scripts/javascript.sh

dashboard: $(packages) ## the dashboard's pages, which a coordinator serves at /dashboard
	@scripts/dashboard_build.sh

pictures: setup chromium ## the pictures of docs/dashboard.md anew
	@NEUROGRID_SCREENSHOTS=1 .venv/bin/pytest tests/dashboard

chromium: ## the browser that the tests lead through the dashboard
	@scripts/chromium.sh

namespaces: ## what the tests that take networks apart need
	@scripts/namespaces.sh

systemd: ## what judges the unit of a node's service
	@scripts/systemd.sh

postgresql: ## a PostgreSQL server for the tests
	@scripts/postgresql.sh

nginx: ## a reverse proxy for the tests
	@scripts/nginx.sh

lock: $(packages) ## resolve the dependencies again and write requirements.lock (UPGRADE=--upgrade for the newest)
	@echo '--editable .[devnet]' | .venv/bin/uv pip compile - --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-package neurogrid --no-header --no-annotate --quiet \
	  $(UPGRADE) --output-file requirements.lock

clean: ## remove what set-up made in this folder (the images and the engine stay)
	rm -rf .venv build dist coordinator/neurogrid_coordinator/dashboard_files dashboard/node_modules sdk/typescript/dist sdk/typescript/node_modules tests/interop/js/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(packages): requirements.lock pyproject.toml
	@scripts/python.sh
	@touch $@

build/debian/%:
	@scripts/debian_files.sh $*

.PHONY: help demo docs test nightly check fix bench examples schema conformance program kernels setup images models engine dashboard pictures chromium compiler namespaces systemd postgresql nginx lock clean
