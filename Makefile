SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv/bin
# Room for all portable tests in one process; a board's own heap is a matter of the tests.
MP_TEST_HEAP ?= 4m
MICROPYTHON := .cache/bin/micropython -X heapsize=$(MP_TEST_HEAP)

.PHONY: help setup demo test test-fast test-board test-host test-cuts lint ruff format size bench bench-store bench-flash bench-sync bench-mesh pico-firmware firmware bench-pico bench-board bench-security test-pico hil bluez-vm test-bluez test-all test-browser sim clean test-postgres test-cluster bench-links bench-big test-api

help: ## Show this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: ## Make the checkout ready: .venv/ and .cache/ (every other target does this first)
	@$(PYTHON) tools/bootstrap.py

demo: setup ## Run a Big Peer and virtual boards on this machine (options in DEMO_ARGS)
	$(VENV)/edge-peer demo $(DEMO_ARGS)

test: lint ## Run everything that has to pass: lint, then the tests on both Pythons at once
	@$(MAKE) --no-print-directory -j2 test-board test-host

test-fast: ruff ## Run the tests that take seconds
	@$(MAKE) --no-print-directory -j2 test-board test-host PYTEST_ARGS='-m "not slow"'

test-board: setup ## Run the portable tests under MicroPython
	$(MICROPYTHON) tests/run.py $(MP_TESTS)

test-host: setup ## Run the portable and all other tests under CPython (options in PYTEST_ARGS)
	$(VENV)/pytest $(PYTEST_ARGS)

test-cuts: setup ## Cut the power at each of the operations of 1,000 steps, on both Pythons (minutes)
	CUTS=full $(MAKE) --no-print-directory MP_TEST_HEAP=32m MP_TESTS=test_log_cuts test-board
	CUTS=full $(VENV)/pytest -s --timeout=1200 tests/core/test_log_cuts.py

lint: ruff ## Check style and types
	$(VENV)/mypy

ruff: setup
	$(VENV)/ruff check
	$(VENV)/ruff format --check

format: setup ## Rewrite the sources in the house format
	$(VENV)/ruff check --fix
	$(VENV)/ruff format

size: setup ## Count what a board carries, and what of it a sensor or a relay loads
	PYTHONPATH=tests:tests/core $(VENV)/python tests/bench/roles.py

bench: setup ## Run every benchmark and show one table (half an hour; PEERS=1 for more; BENCHES="store flash")
	$(VENV)/python tests/bench/all.py $(if $(PEERS),--peers) $(BENCHES)

bench-store: setup ## Compare what the store costs with sqlite3, and Ditto if it is there (options in BENCH_ARGS)
	$(VENV)/python tests/bench/store.py $(BENCH_ARGS)

bench-flash: setup ## Count erases and bytes programmed on a model of flash, beside littlefs
	$(VENV)/python tests/bench/flash.py

bench-sync: setup ## Compare what sync costs with the field (options in BENCH_ARGS)
	$(if $(findstring --only-ours,$(BENCH_ARGS)),,$(VENV)/python tests/bench/comparators/install.py)
	$(VENV)/python tests/bench/sync.py $(BENCH_ARGS)

bench-mesh: setup ## Measure what sync costs in a redundant mesh, beside cursors alone (MESH_ARGS=--seeds 3)
	$(VENV)/python tests/bench/mesh.py $(MESH_ARGS)

bench-links: setup ## Measure what each kind of link carries, on its rig (a minute or two)
	$(VENV)/python tests/bench/links.py

pico-firmware: setup ## Build the firmware that the virtual Pico runs (once, minutes)
	$(VENV)/python tests/virtual_pico/firmware.py

firmware: pico-firmware ## Build MicroPython with edge-peer in it for a Pico: build/RPI_PICO.uf2
	PYTHONPATH=tools:tests $(VENV)/python tests/virtual_pico/firmware.py make_uf2

bench-pico: pico-firmware ## Measure the store on the virtual Pico (minutes; options in PICO_ARGS)
	PYTHONPATH=tests $(VENV)/python tests/bench/pico.py $(PICO_ARGS)

bench-board: pico-firmware ## Measure what edge-peer takes of a board, in firmware and from files (minutes)
	PYTHONPATH=tests $(VENV)/python tests/bench/board.py

bench-security: setup ## Measure handshakes and sealed records, on the virtual Pico too (minutes; SECURITY_ARGS=--no-pico)
	$(if $(findstring --no-pico,$(SECURITY_ARGS)),,$(VENV)/python tests/virtual_pico/firmware.py)
	PYTHONPATH=tests $(VENV)/python tests/bench/security.py $(SECURITY_ARGS)

test-pico: pico-firmware ## Cut the power of the virtual Pico while it writes (minutes)
	VIRTUAL_PICO=1 $(VENV)/pytest tests/hardware $(PYTEST_ARGS)

bluez-vm: setup ## Unpack the virtual machine that has a real BlueZ (once, minutes)
	PYTHONPATH=tools $(VENV)/python tests/rigs/vm/packages.py

test-bluez: bluez-vm ## Sync over a real BlueZ and kernel, in the virtual machine (minutes)
	PYTHONPATH=tools BLUEZ_VM=1 $(VENV)/pytest tests/rigs/vm $(PYTEST_ARGS)

test-all: test test-pico test-bluez test-postgres test-cluster test-api test-browser ## Run every test there is (many minutes; Debian: postgresql, patroni, etcd-server, chromium)

hil: setup ## Try a board on the desk: BOARD=RPI_PICO PORT=its USB, UART=an adapter at its link, PEER=USB of another
	HIL_BOARD=$(BOARD) HIL_PORT=$(PORT) HIL_UART=$(UART) HIL_PEER=$(PEER) HIL_CODE=$(CODE) \
	    $(VENV)/pytest tests/hardware/test_hil.py $(PYTEST_ARGS)

test-browser: setup ## Use the portal as a person does, in the Chromium of this system (BROWSER=program)
	$(VENV)/python -m pip install --quiet playwright==1.65.2
	BROWSER=$(or $(BROWSER),chromium) $(VENV)/pytest tests/bigpeer/test_browser.py $(PYTEST_ARGS)

test-postgres: setup ## Run the Big Peer on PostgreSQL, that of this system (Debian: postgresql)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null || { echo "apt-get install postgresql"; exit 1; }
	POSTGRES=1 $(VENV)/pytest tests/bigpeer/test_postgres*.py tests/bigpeer/test_workers.py \
	    tests/bigpeer/test_batches.py $(PYTEST_ARGS)

test-cluster: setup ## Lose a leader, a worker and a frozen node (minutes; Debian: postgresql, patroni, etcd-server)
	@which patroni etcd >/dev/null || { echo "apt-get install postgresql patroni etcd-server"; exit 1; }
	CLUSTER=1 $(VENV)/pytest -s tests/bigpeer/cluster $(PYTEST_ARGS)

test-api: setup ## Send the HTTP API what its description allows, and does not (minutes; schemathesis)
	@test -x .cache/schemathesis/bin/st || $(PYTHON) -m venv .cache/schemathesis
	.cache/schemathesis/bin/pip install --quiet schemathesis==4.32.5
	$(VENV)/python tests/bigpeer/api_fuzz.py $(API_ARGS)

bench-big: setup ## Measure what one Big Peer takes (minutes; BIG_ARGS=--idle 5000)
	PYTHONPATH=tests $(VENV)/python tests/bench/big.py $(BIG_ARGS)

sim: setup ## Run simulated worlds (SEEDS=40 SEED0=1 WORLD=today, REPLAY=file, more in SIM_ARGS)
	$(VENV)/python tests/sim/run.py $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SEED0),--first $(SEED0)) \
	    $(if $(WORLD),--world $(WORLD)) $(if $(REPLAY),--replay $(REPLAY)) $(SIM_ARGS)

clean: ## Remove everything that make has made
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -prune -exec rm -rf {} +
