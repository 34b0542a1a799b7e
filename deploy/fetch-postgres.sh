#!/usr/bin/env bash
# Finds PostgreSQL's server programs, or installs the distribution's package without creating or starting a cluster.
# Prints the folder that holds them and records it as $HUB_TOOLS/postgres (a symlink).
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# 15 is what Debian 12 ships and what the migrations are tested on.
wanted=15
link=$tools/postgres

complete() { # complete DIR: every program that deploy/local runs
  local program
  for program in postgres initdb psql pg_isready; do [ -x "$1/$program" ] || return 1; done
}
version_of() { "$1/postgres" --version 2>/dev/null | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p'; }

# The highest version wins; PATH only adds a candidate.
best() {
  local dir version
  {
    for dir in /usr/lib/postgresql/*/bin; do printf '%s\n' "$dir"; done
    if dir=$(command -v postgres); then dirname "$(readlink -f "$dir")"; fi
  } | while read -r dir; do
    complete "$dir" || continue
    version=$(version_of "$dir")
    [ -n "$version" ] && [ "$version" -ge "$wanted" ] && printf '%s %s\n' "$version" "$dir"
  done | sort -k1,1nr | awk 'NR == 1 { print $2 }'
}

record() {
  if [ "$(readlink "$link" 2>/dev/null || true)" != "$1" ]; then
    mkdir -p "$tools"
    ln -sfn "$1" "$link"
    say "PostgreSQL $(version_of "$1"): $1"
  fi
  printf '%s\n' "$1"
  exit 0
}

if [ -L "$link" ] && complete "$link" && [ "$(version_of "$link")" -ge "$wanted" ]; then record "$(readlink "$link")"; fi

found=$(best)
if [ -n "$found" ]; then record "$found"; fi

# Debian's package would create and start a cluster on port 5432; ours are started by the hub, so it must not. The
# setting is put where the package looks for it, and taken away again after.
settings=/etc/postgresql-common/createcluster.d/sangam.conf
as_root mkdir -p "${settings%/*}"
echo 'create_main_cluster = false' | as_root tee "$settings" >/dev/null
trap 'as_root rm -f "$settings"' EXIT
apt_install postgresql
found=$(best)
[ -n "$found" ] ||
  die "the distribution's PostgreSQL is older than $wanted" \
    "install the server programs of PostgreSQL $wanted or newer and put their folder on PATH, then run this script again"
record "$found"
