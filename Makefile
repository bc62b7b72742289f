# One file holds every verb a person needs; CI calls these verbs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Builds and tool binaries live outside the tree and are reused by every checkout.
STOCKADE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stockade
export STOCKADE_CACHE
export CARGO_TARGET_DIR ?= $(STOCKADE_CACHE)/target
TOOLS := $(STOCKADE_CACHE)/tools/bin
CARGO := cargo

.PHONY: help toolchain run test lint fmt e2e bench fuzz generate tools

help: ## list the verbs
	@awk -F':.*## ' '/^[a-z][a-z-]*:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

toolchain:
	@if command -v rustup >/dev/null; then \
	  channel=$$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml); \
	  rustup run "$$channel" rustc --version >/dev/null 2>&1 || \
	  rustup toolchain install "$$channel" --profile minimal -c clippy -c rustfmt --no-self-update; fi

run: toolchain ## start the webhook on the policies in policies/ (HTTPS :8443, health and metrics :8080)
	$(CARGO) run --release --locked -- serve --policies policies --certs certs

test: toolchain ## all tests that need no cluster, and the tests of the policy packs
	$(CARGO) test --locked --workspace --exclude stockade-e2e
	$(CARGO) run --locked --quiet -- test policies

lint: toolchain ## formatting, clippy, licences and sources of dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

fmt: toolchain ## format everything
	$(CARGO) fmt --all
