# One file holds every verb a person needs; CI calls these verbs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Builds and tool binaries live outside the tree and are reused by every checkout.
STOCKADE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/stockade
export STOCKADE_CACHE
export CARGO_TARGET_DIR ?= $(STOCKADE_CACHE)/target
CARGO := cargo

# Tools from crates.io, in the cache, each at a pinned version.
CARGO_ROOT := $(STOCKADE_CACHE)/tools/cargo
CARGO_DENY := $(CARGO_ROOT)/bin/cargo-deny
CARGO_FUZZ := $(CARGO_ROOT)/bin/cargo-fuzz

.PHONY: help toolchain bpf-tools run test lint fmt e2e e2e-agent scale cluster cluster-down cluster-test image bench bench-agent bench-cluster bench-facts bench-images bench-slices instructions fuzz generate

help: ## list the verbs
	@awk -F':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

toolchain:
	@if command -v rustup >/dev/null; then \
	  channel=$$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml); \
	  rustup run "$$channel" rustc --version >/dev/null 2>&1 || \
	  rustup toolchain install "$$channel" --profile minimal -c clippy -c rustfmt --no-self-update; fi

bpf-tools: ## what the node agent is compiled with (root, when something is missing)
	@src/agent/bpf/tools

run: toolchain ## start the webhook on the policies in policies/ (HTTPS :8443, health and metrics :8080)
	$(CARGO) run --release --locked -- serve --policies policies --certs certs

test: toolchain bpf-tools ## all tests that need no cluster, and the tests of the policy packs
	$(CARGO) test --locked --workspace --exclude stockade-e2e --exclude stockade-e2e-agent
	$(CARGO) run --locked --quiet -- test policies

lint: toolchain bpf-tools $(CARGO_DENY) ## formatting, clippy, licences and sources of dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) fetch --locked --quiet # of all platforms: what this one does not compile has a licence too
	$(CARGO_DENY) --offline --locked check --hide-inclusion-graph licenses bans sources

fmt: toolchain ## format everything
	$(CARGO) fmt --all

e2e: toolchain ## against a real kube-apiserver, and a real cluster of two nodes (root), built from Go modules on first use
	e2e/tools/build cluster images
	$(MAKE) image PROFILE=dev
	$(CARGO) run --locked --quiet -p stockade-e2e --bin generate -- --check
	$(CARGO) build --locked
	$(CARGO) test --locked -p stockade-e2e -- --nocapture

e2e-agent: toolchain bpf-tools ## the node agent on this machine's kernel, on an emulated 6.1, and on the two nodes (root)
	e2e/cluster/requirements
	e2e/tools/build cluster
	$(MAKE) image PROFILE=dev
	$(CARGO) build --locked -p stockade -p stockade-agent -p stockade-cni
	$(CARGO) test --locked -p stockade-e2e-agent -- --nocapture

scale: toolchain ## the audit of 50,000 Pods in 5,000 Namespaces, each figure beside its target (minutes)
	e2e/tools/build
	$(CARGO) build --release --locked -p stockade
	$(CARGO) bench --locked -p stockade-benches --bench scale

cluster: ## a real cluster of two nodes that stays, to play with (root; ten seconds once its binaries are built)
	e2e/tools/build cluster
	e2e/cluster/up

cluster-down: ## end that cluster; nothing of it is left
	e2e/cluster/down

cluster-test: ## that cluster started, used and ended, twice in a row
	e2e/tools/build cluster
	e2e/cluster/test

# What clusters pull; without a Docker engine, for people who have none and for the tests.
PROFILE ?= release
image: toolchain ## the container images, as stockade.tar and agent.tar in the cache; e2e/cluster/load gives nodes one (PROFILE=dev for quick ones)
	for image in stockade agent; do \
	  e2e/cluster/$$image-image $(PROFILE) >$(STOCKADE_CACHE)/$$image.tar.new; \
	  mv $(STOCKADE_CACHE)/$$image.tar.new $(STOCKADE_CACHE)/$$image.tar; done

bench: toolchain ## speed and memory as ratios of one run, each beside its target
	$(CARGO) build --release --locked -p stockade -p stockade-benches
	$(CARGO) bench --locked -p stockade -p stockade-benches --bench decision --bench requests --bench flows --bench memory --bench audit

bench-cluster: toolchain ## what admission costs a real API server: nothing, a no-op webhook, native policies, Stockade (root)
	e2e/tools/build
	$(CARGO) build --release --locked -p stockade
	$(CARGO) bench --locked -p stockade-benches --bench cluster

bench-facts: toolchain ## memory of 24,700 objects of a real API server, held as policies read them
	e2e/tools/build
	$(CARGO) bench --locked -p stockade-benches --bench facts

bench-images: toolchain ## what it costs to ask whether images are signed: known, over a slow link, by many at once
	$(CARGO) bench --locked -p stockade-benches --bench images

# Bytes are the same whatever the build.
bench-slices: toolchain ## what a node agent's watches bring of 20,000 Pods on 200 nodes, beside a watch of all Pods (minutes)
	e2e/tools/build
	$(CARGO) bench --profile dev --locked -p stockade-benches --bench slices

bench-agent: toolchain bpf-tools ## what the node agent costs connections of Pods, beside nothing and beside nftables, and what it costs itself (root)
	e2e/cluster/requirements
	$(CARGO) run --release --locked --quiet -p stockade-benches-agent
	e2e/tools/build
	$(CARGO) build --release --locked --quiet -p stockade-agent
	$(CARGO) run --release --locked --quiet -p stockade-benches-node

# Without the rest of the benches: what is counted needs none of what they compare with.
WRITE ?=
instructions: toolchain ## count the instructions of the hot paths (valgrind), fail above benches/ceilings.toml
	@command -v valgrind >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends valgrind; }
	$(CARGO) run --release --locked --quiet -p stockade-benches --bin instructions -- $(if $(WRITE),--write)

generate: toolchain ## write generated files anew: own kinds, the chart's packs and values, what the API server knows of its kinds
	$(CARGO) run --locked -p stockade-cluster --example definitions
	$(CARGO) run --locked -p stockade-cluster --example report_definitions
	$(CARGO) run --locked -p stockade-chart
	e2e/tools/build
	$(CARGO) run --locked -p stockade-e2e --bin generate

# No sanitizer: there is no unsafe code to find faults in, and the fuzzers run several times faster without.
FUZZ_SECONDS ?= 600
fuzz: toolchain $(CARGO_FUZZ) ## each fuzz target for FUZZ_SECONDS (default 600), one after the other
	cd fuzz && for target in cel review policy net json_patch; do \
	  RUSTC_BOOTSTRAP=1 PATH="$(dir $(CARGO_FUZZ)):$$PATH" $(CARGO) fuzz run -s none $$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1; done

$(CARGO_DENY): | toolchain
	$(CARGO) install --locked --root $(CARGO_ROOT) cargo-deny@0.20.2
$(CARGO_FUZZ): | toolchain
	$(CARGO) install --locked --root $(CARGO_ROOT) cargo-fuzz@0.13.2
