# Shared by the scripts beside it; sourced, never run.
# shellcheck shell=bash

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=${HUB_TOOLS:-$repo/.hub/tools}

say() { printf '%s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$1" >&2
  shift
  printf '       %s\n' "$@" >&2
  exit 1
}

# newer_or_equal 2.15.1 2.12.0
newer_or_equal() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# os_release ID | VERSION_CODENAME | ...; empty when the file or the field is missing
os_release() {
  [ -r /etc/os-release ] || return 0
  # shellcheck disable=SC1091
  (. /etc/os-release && printf '%s' "${!1:-}")
}

# as_root CMD...: directly for root, through sudo for anybody else
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root and there is no sudo: $*" "run it as root once, then run this script again"
  fi
}

# apt_install PACKAGE...: refreshes the package lists only when the machine has none, or they are too old to fetch from
apt_install() {
  command -v apt-get >/dev/null ||
    die "cannot install $*: this machine has no apt-get" "install the same by hand, then run this script again"
  local log
  log=$(mktemp)
  if ! apt-cache show "$1" >/dev/null 2>&1; then
    say "refreshing the package lists (apt-get update)"
    as_root apt-get -q update >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; die "apt-get update failed" "see the lines above"; }
  fi
  say "installing $* (apt-get install)"
  if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends install "$@" >"$log" 2>&1; then
    as_root apt-get -q update >>"$log" 2>&1 &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends install "$@" >>"$log" 2>&1 ||
      { cat "$log" >&2; rm -f "$log"; die "could not install $*" "see the lines above"; }
  fi
  rm -f "$log"
}
