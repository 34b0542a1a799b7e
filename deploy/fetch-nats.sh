#!/usr/bin/env bash
# Puts a nats-server that is new enough at $HUB_TOOLS/bin/nats-server (default <repo>/.hub/tools).
# Nothing outside that folder is changed: no package is installed, no suite is added to the system.
#
# Order: what is already there; PATH; a newer suite of this machine's own distribution, unpacked into our folder;
# an archive that the user names together with its digest.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# 2.12: atomic batch publish; `sync_interval: always` itself needs 2.10.
wanted=2.12.0
target=$tools/bin/nats-server

version_of() { # version_of BINARY: 2.15.1, or nothing when it does not run here
  "$1" --version 2>/dev/null | sed -n 's/^nats-server: v\([0-9][0-9.]*\).*/\1/p' || true
}
good_enough() {
  local version
  version=$(version_of "$1")
  [ -n "$version" ] && newer_or_equal "$version" "$wanted"
}
finish() { # finish BINARY WHERE_FROM
  mkdir -p "$tools/bin"
  ln -sfn "$1" "$target.new"
  mv -T "$target.new" "$target"
  say "nats-server $(version_of "$target") from $2: $target"
  exit 0
}

if [ -x "$target" ] && good_enough "$target"; then exit 0; fi

if on_path=$(command -v nats-server); then
  if good_enough "$on_path"; then finish "$(readlink -f "$on_path")" PATH; fi
  say "nats-server on PATH is $(version_of "$on_path"); $wanted or newer is needed"
fi

# The mirrors are those this machine already uses: apt itself reads its .sources and .list files, in every form.
# A source may name the release by its code name or by its role, and a third party may use the same names: the one
# that is really the distribution's is the one whose suite the distribution's keyring verifies.
mirrors() { # mirrors CODENAME
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' 2>/dev/null |
    awk -v codename="$1" '
      $3 != "main" || seen[$1 $2]++ { next }
      $2 == codename { print 0, $1 }
      $2 ~ /^(stable|oldstable|testing|unstable|sid)$/ { print 1, $1 }' |
    sort -s -k1,1 | awk '!seen[$2]++ { print $2 }' | head -n 3
}

keyring() {
  local file
  for file in "$@"; do [ -r "$file" ] && printf '%s' "$file" && return; done
  return 0
}

# from_suite MIRROR SUITE COMPONENTS KEYRING
from_suite() {
  local uri=$1 suite=$2 components=$3 keys=$4 apt=$tools/apt/$2 deb
  rm -rf "$apt"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/deb"
  : >"$apt/status"
  echo "deb [signed-by=$keys] $uri $suite $components" >"$apt/sources.list"
  # The machine's proxies and certificates stay in force; its sources, pins and hooks do not.
  cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "-";
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Cache::archives "$apt/cache/archives";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
CONF
  say "looking for nats-server in suite $suite of this machine's mirror (nothing is added to the system)"
  if ! apt-get -q -c "$apt/apt.conf" update >"$apt/log" 2>&1; then
    say "  could not read suite $suite:"
    grep -E '^(E|W|Err)' "$apt/log" | sed 's/^/    /' >&2 || true
    return 1
  fi
  local version
  version=$(apt-cache -c "$apt/apt.conf" policy nats-server 2>/dev/null | awk '$1 == "Candidate:" { print $2 }')
  if [ -z "$version" ] || ! newer_or_equal "$version" "$wanted"; then
    say "  suite $suite has nats-server ${version:-nowhere}; $wanted or newer is needed"
    return 1
  fi
  if ! (cd "$apt/deb" && apt-get -q -c "$apt/apt.conf" download nats-server) >>"$apt/log" 2>&1; then
    say "  could not download nats-server from suite $suite:"
    tail -n 5 "$apt/log" | sed 's/^/    /' >&2
    return 1
  fi
  deb=$(find "$apt/deb" -name 'nats-server_*.deb' | head -n 1)
  [ -n "$deb" ] || return 1
  rm -rf "$tools/nats-server"
  dpkg -x "$deb" "$tools/nats-server"
  rm -rf "$tools/apt"
  local binary
  binary=$(find "$tools/nats-server" -type f -name nats-server -perm -u+x | head -n 1)
  if [ -z "$binary" ] || ! good_enough "$binary"; then
    say "  the nats-server of suite $suite does not run on this machine"
    return 1
  fi
  finish "$binary" "suite $suite (unpacked, not installed)"
}

id=$(os_release ID)
codename=$(os_release VERSION_CODENAME)
if command -v apt-get >/dev/null && command -v dpkg >/dev/null; then
  uris=$(mirrors "$codename")
  case $id in
    debian)
      keys=$(keyring /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp)
      suites="sid testing" components=main
      ;;
    ubuntu)
      # Ubuntu's keyring verifies Ubuntu's archive alone: Debian's suites are out of reach, its own next release is not.
      say "this is Ubuntu: its keyring cannot verify Debian's suites, so only Ubuntu's own next release is asked"
      keys=$(keyring /usr/share/keyrings/ubuntu-archive-keyring.gpg)
      suites=devel components="main universe"
      ;;
    *)
      say "'$id' is neither Debian nor Ubuntu, so no suite can be asked"
      keys="" suites="" uris=""
      ;;
  esac
  if [ -n "$suites" ] && [ -z "$uris" ]; then
    say "apt's configuration names no mirror of the distribution, so no suite can be asked"
  elif [ -n "$suites" ] && [ -z "$keys" ]; then
    say "the distribution's keyring is missing (package $id-archive-keyring), so nothing from the mirror can be verified"
  else
    for suite in $suites; do
      for uri in $uris; do from_suite "$uri" "$suite" "$components" "$keys" || true; done
    done
  fi
fi

# No digest is pinned here: none could be checked when this was written, and a guessed one protects nobody.
if [ -n "${HUB_NATS_ARCHIVE:-}" ]; then
  [ -r "$HUB_NATS_ARCHIVE" ] || die "\$HUB_NATS_ARCHIVE is not readable: $HUB_NATS_ARCHIVE"
  [ -n "${HUB_NATS_SHA256:-}" ] ||
    die "\$HUB_NATS_ARCHIVE needs \$HUB_NATS_SHA256 beside it" "take the digest from the SHA256SUMS of the same release"
  echo "$HUB_NATS_SHA256  $HUB_NATS_ARCHIVE" | sha256sum --check --status ||
    die "$HUB_NATS_ARCHIVE does not have the digest \$HUB_NATS_SHA256: it was not used"
  rm -rf "$tools/nats-server"
  mkdir -p "$tools/nats-server"
  tar -xzf "$HUB_NATS_ARCHIVE" -C "$tools/nats-server"
  binary=$(find "$tools/nats-server" -type f -name nats-server | head -n 1)
  if [ -z "$binary" ] || ! good_enough "$binary"; then
    die "$HUB_NATS_ARCHIVE holds no nats-server of $wanted or newer that runs here"
  fi
  finish "$binary" "\$HUB_NATS_ARCHIVE"
fi

die "no nats-server of $wanted or newer could be had" \
  "do one of these, then run this script again:" \
  "- put nats-server $wanted or newer on PATH, or at $target" \
  "- download a release archive (nats-server-v2.x-linux-*.tar.gz) and set" \
  "  HUB_NATS_ARCHIVE=<that file> HUB_NATS_SHA256=<its line in the release's SHA256SUMS>"
