# `make run` and `make test` are all a newcomer needs; `make help` lists the rest.
# Needs git, make and cargo; deploy/setup.sh fetches what else is missing (with apt-get, as root or through sudo).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# rustup's folder, for shells that have not read its environment file yet
export PATH := $(PATH):$(HOME)/.cargo/bin

TARGET := $(or $(CARGO_TARGET_DIR),target)
# make faults: how many kills; make faults KILLS=200 is the long run
KILLS ?= 30
# make bench: what to pass to `hub load`
BENCH_ARGS ?= --table
# make test TEST_ARGS='-p adapter-link'
TEST_ARGS ?= --workspace
# make fuzz: seconds for each target
FUZZ_SECONDS ?= 60
FUZZ_DIR ?= tests/fuzz

.PHONY: help setup run test ci lint deny bench faults noise fuzz fmt clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fetch what is missing: nats-server, PostgreSQL, a C compiler
	@deploy/setup.sh

run: setup ## build, start our own servers, play the fixtures, serve until Ctrl-C
	cargo build --release -p hub
	exec $(TARGET)/release/hub demo

# One profile for everything, and the same set of crates in both steps, so that nothing is compiled twice. The black-box
# tests drive the `hub` that the first step builds.
test: setup ## every test that needs no long run
	cargo build --workspace --all-targets
	cargo test $(TEST_ARGS)

ci: lint deny test ## what CI runs: format, lints, licences, tests

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

# cargo-deny takes minutes to compile and its advisories come from outside: what cannot be checked here is said, not
# skipped in silence. The rest needs crates.io only.
deny:
	@if ! command -v cargo-deny >/dev/null; then \
	  echo "NOT CHECKED: licences, bans, sources, advisories (cargo-deny is not installed: cargo install cargo-deny --locked)"; \
	else \
	  cargo deny check bans licenses sources; \
	  if compgen -G "$${CARGO_HOME:-$$HOME/.cargo}/advisory-db*" >/dev/null; then \
	    cargo deny check --disable-fetch advisories; \
	  else \
	    echo "NOT CHECKED: advisories (no advisory database here; where there is a network: cargo deny check advisories)"; \
	  fi; \
	fi

bench: setup ## measure throughput and latency (release build); BENCH_ARGS goes to `hub load`
	cargo build --release -p hub
	exec $(TARGET)/release/hub load $(BENCH_ARGS)

faults: setup ## kill hub, NATS and Postgres under load, KILLS times (default 30), then count
	cargo build --release -p hub
	KILLS=$(KILLS) cargo test --release -p tests --test faults -- --ignored --nocapture

noise: setup ## 10,000 messages over a noisy ASTM line, each filed once or reported (a minute)
	cargo build -p hub
	cargo test -p tests --test it ten_thousand -- --ignored --nocapture

fuzz: setup ## every fuzz target for FUZZ_SECONDS (default 60); needs cargo-fuzz
	@command -v cargo-fuzz >/dev/null || { echo "error: cargo-fuzz is not installed: cargo install cargo-fuzz --locked" >&2; exit 1; }
	@[ -d $(FUZZ_DIR) ] || { echo "error: no fuzz targets at $(FUZZ_DIR)" >&2; exit 1; }
	@# libFuzzer's instrumentation is an unstable flag of rustc; the toolchain stays the pinned one.
	@for target in $$(cargo fuzz list --fuzz-dir $(FUZZ_DIR)); do \
	  echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir $(FUZZ_DIR) $$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

fmt: ## format the sources
	cargo fmt --all

clean: ## remove build output and .hub (its servers' data too; never another $HUB_HOME)
	@deploy/clean.sh
	cargo clean
