# `make demo` and `make test` set up everything they need in .venv/. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# The lock is for x86-64 Linux and Python 3.11; elsewhere the newest versions that fit are taken.
LOCKED := $(shell $(PYTHON) -c 'import platform, sys; print(int(platform.machine() == "x86_64" \
	and sys.platform == "linux" and sys.version_info[:2] == (3, 11)))')
SOURCES := pyproject.toml $(shell find edgevit export bench calibration -name '*.py')
export TF_CPP_MIN_LOG_LEVEL := 3

DEMO := demo
DEMO_RUN := $(DEMO)/runs/vit-tiny

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Debian's Python may lack ensurepip; the pip outside can fill an environment as well.
$(VENV)/.dependencies: requirements.lock
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) …"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV); \
	  $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --version >/dev/null; } || \
	  { echo "No venv and no pip for $(PYTHON): apt-get install python3-venv python3-pip" >&2; exit 2; }
	@if [ $(LOCKED) = 1 ]; then what="--require-hashes -r requirements.lock"; else what=".[dev]"; fi; \
	  if [ -x $(BIN)/pip ]; then pip="$(BIN)/python -m pip"; \
	  else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
	  $$pip install --quiet --disable-pip-version-check $$what
	@touch $@

# A plain install, not an editable one: what is tested and type-checked is what users get.
$(VENV)/.installed: $(VENV)/.dependencies $(SOURCES)
	@rm -rf build ./*.egg-info
	@if [ -x $(BIN)/pip ]; then pip="$(BIN)/python -m pip"; \
	  else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
	  $$pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --force-reinstall .
	@rm -rf build ./*.egg-info
	@touch $@

.PHONY: install
install: $(VENV)/.installed ## Make .venv/ with edgevit and everything for development.

.PHONY: demo
demo: install ## Photos to a measured int8 model in a few minutes, without downloads.
	@rm -rf $(DEMO)
	$(BIN)/edgevit data demo --out $(DEMO)/photos
	$(BIN)/edgevit data prepare $(DEMO)/photos --out $(DEMO)/data --size 64
	$(BIN)/edgevit train vit-tiny --data $(DEMO)/data --out $(DEMO_RUN)
	$(BIN)/edgevit export $(DEMO_RUN) --quantize fp32 --quantize int8 --out $(DEMO)/exports
	$(BIN)/edgevit bench --exports $(DEMO)/exports --quick --threads 1 --out $(DEMO)/results/bench.json
	@echo
	@echo "Written: $(DEMO)/photos $(DEMO_RUN) $(DEMO)/exports/* $(DEMO)/results/bench.json"
	@echo "Next, on one of the photos and then on your own:"
	@echo "  source $(BIN)/activate"
	@echo "  edgevit predict $(DEMO)/exports/vit-tiny.tflite.int8 $(DEMO)/photos/*/0001.jpg"
	@echo "  edgevit data prepare YOUR_PHOTOS --out data/mine && edgevit train vit-b32 --data data/mine"

.PHONY: test
test: install ## Run all tests.
	$(BIN)/pytest -q -n 2 --dist loadfile

.PHONY: test-fast
test-fast: install ## Run the tests that are not marked slow.
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not slow"

.PHONY: test-pi
test-pi: install ## Run edgevit on emulated Raspberry Pis and compare; PI="--board pi5 …" for its options.
	@[ -e $(DEMO_RUN)/run.json ] || $(MAKE) --no-print-directory demo
	$(BIN)/python tests/pi/check.py $(PI)

# Installs Debian's Android tools where it may. BUNDLE: what goes into the APK; APK: keeps it there.
.PHONY: test-android
test-android: install ## Test the Android demo without a phone, tier by tier.
	$(BIN)/python android_demo/ci/run_tiers.py --install-tools \
	  $(if $(BUNDLE),--bundle $(BUNDLE)) $(if $(APK),--apk $(APK))

.PHONY: check
check: install ## Lint, formatting and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd $(VENV) && bin/mypy --config-file ../pyproject.toml -p edgevit

# As a script: with -m the repository's edgevit/ folder would hide the installed package.
.PHONY: benchmark
benchmark: install ## Speed against the other toolchains, side by side (the first time 45 min, 16 GB).
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'nncf>=3.0' 'tf2onnx>=1.16'
	$(BIN)/python benchmarks/run.py

.PHONY: overhead
overhead: install ## Is `edgevit bench` honest itself: BUNDLES="exports/a …" beside bare loops and benchmark_app.
	$(BIN)/python benchmarks/overhead.py $(BUNDLES)

.PHONY: accuracy
accuracy: install ## Answers of every export beside full precision's; ACCURACY="--seeds 0 …" for its options.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'nncf>=3.0' 'tf2onnx>=1.16'
	$(BIN)/python benchmarks/accuracy.py $(ACCURACY)

# pip-tools rather than uv: uv leaves the upper bounds of Requires-Python aside, pip does not.
.PHONY: lock
lock: ## Resolve requirements.lock again.
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip install --quiet pip-tools
	$(VENV)-lock/bin/pip-compile --quiet pyproject.toml --extra dev --upgrade --generate-hashes \
	  --unsafe-package edgevit --strip-extras --no-header --no-annotate --no-emit-index-url \
	  --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock
	@sed -i '/^#/d' requirements.lock  # its warning that edgevit itself is not pinned
	rm -rf $(VENV)-lock

.PHONY: clean
clean: ## Remove .venv/ and the demo's files.
	rm -rf $(VENV) $(DEMO) build ./*.egg-info
