# Martlet's commands. `make` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# Where `make demo` works: data, bundle, logs.
DEMO ?= demo
SWIFT_BUILD_FLAGS ?=
SWIFT_TEST_FLAGS ?=
# Sources that the formatter looks after.
FORMATTED := Package.swift Sources Tests Bench

.PHONY: help deps deps-test check-tools build debug demo test format lint generate clean bench-index bench-load

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r target text; do \
		printf '  make %-12s %s\n' "$$target" "$$text"; done

deps: ## install the Debian packages that building needs (apt-get, sudo where needed)
	@Scripts/deps.sh build

deps-test: ## also those that some tests need: promtool, redis, python3-venv, protoc-c
	@Scripts/deps.sh test

check-tools:
	@Scripts/deps.sh check

build: check-tools ## build the release commands: .build/release/martlet and martlet-bench
	swift build -c release --product martlet $(SWIFT_BUILD_FLAGS)
	swift build -c release --product martlet-bench $(SWIFT_BUILD_FLAGS)

debug: check-tools ## build everything without optimisation
	swift build $(SWIFT_BUILD_FLAGS)

demo: ## install what is missing, build, train, evaluate, serve and ask; DATA=path for your data, KEEP=1 to go on serving
	@DEMO='$(DEMO)' DATA='$(DATA)' KEEP='$(KEEP)' Scripts/demo.sh

# Tests under way at the same time. All at once, those that wait for something would wait behind every other test's work.
TEST_WIDTH ?= 6

test: deps ## run all tests (MARTLET_CI=1: a test that would be skipped fails)
	swift test --disable-xctest --experimental-maximum-parallelization-width $(TEST_WIDTH) $(SWIFT_TEST_FLAGS)

format: ## rewrite the Swift sources in the project's format
	swift format format --in-place --parallel --recursive $(FORMATTED)

lint: ## check format, imports and generated code
	swift format lint --strict --parallel --recursive $(FORMATTED)
	Scripts/check-imports.sh
	@if command -v protoc-c >/dev/null; then Protos/generate.sh --check; \
	else echo "lint: protoc-c is missing, generated code not checked (make deps-test)"; fi

generate: ## regenerate Sources/CWireMessages from Protos/
	Protos/generate.sh

bench-load bench-index: check-tools ## build martlet-bench, which loads a node and measures indexes; see Bench/README.md
	swift build -c release --product martlet-bench $(SWIFT_BUILD_FLAGS)

clean: ## remove what was built and the demo's folder
	rm -rf .build demo
