#!/usr/bin/env bash
# Everything that building and running needs, installed only where it is missing. Silent when nothing is.
# `make run` and `make test` call it first; it can be run any number of times.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v cargo >/dev/null || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH=$HOME/.cargo/bin:$PATH
command -v cargo >/dev/null ||
  die "cargo is not installed" "install Rust with rustup (https://rustup.rs), then run this again"
rust_wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$repo/Cargo.toml")
rust=$(cd "$repo" && cargo --version 2>/dev/null | awk '{ print $2 }') ||
  die "cargo does not run in $repo" "rust-toolchain.toml asks for Rust $rust_wanted: rustup toolchain install $rust_wanted"
newer_or_equal "$rust" "$rust_wanted" ||
  die "cargo is $rust, and $rust_wanted or newer is needed" "distributions ship older ones: install Rust with rustup (https://rustup.rs)"

# ring compiles C and assembler; nothing else here needs more than a C compiler and the C library's headers.
if ! printf '#include <stdlib.h>\nint main(void){return 0;}\n' | cc -x c -fsyntax-only - 2>/dev/null; then
  apt_install build-essential
fi
# Starts the servers so that they end with the hub, and as the postgres user when we are root.
command -v setpriv >/dev/null || apt_install util-linux

"$repo/deploy/fetch-nats.sh"
"$repo/deploy/fetch-postgres.sh" >/dev/null
