#!/usr/bin/env bash
# Makes a client out of the OpenAPI document alone (PyPI openapi-python-client) and runs the tour with it: sign in, find a patient,
# order a test twice under one key, read and cancel it, change a user with the version that was seen, read what changed.
#
#   cargo build -p hub && tests/clients/openapi_client.sh
#
# Starts a hub of its own with the fixtures played, and ends it. Exit 1 when a piece of the document makes no client, or a step fails.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${CLIENTS_TOOLS:-$root/.hub/clients}
work=$(mktemp -d "${TMPDIR:-/tmp}/hub-openapi-XXXXXX")
chmod 755 "$work"
pid=""
finish() {
  [ -z "$pid" ] || { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; }
  [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap finish EXIT
hub=""
for one in "${HUB_BIN:-}" "${CARGO_TARGET_DIR:-$root/target}"/{release,debug}/hub; do
  [ -x "$one" ] && { hub=$one; break; }
done
[ -n "$hub" ] || { echo "error: no hub program: cargo build -p hub, or set HUB_BIN" >&2; exit 1; }
venv=$tools/openapi
if [ ! -x "$venv/bin/openapi-python-client" ]; then
  mkdir -p "$tools"
  python3 -m venv "$venv"
  "$venv/bin/pip" -q install 'openapi-python-client>=0.29,<0.30'
fi
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

export HUB_HOME=$work/home HUB_PASSWORD=openapi-client-password HUB_TOOLS=${HUB_TOOLS:-$root/.hub/tools}
HUB_API_ADDR=127.0.0.1:$(free_port) HUB_MLLP_ADDR=127.0.0.1:$(free_port) HUB_ASTM_ADDR=127.0.0.1:$(free_port)
export HUB_API_ADDR HUB_MLLP_ADDR HUB_ASTM_ADDR
(cd "$root" && HUB_BOOTSTRAP_ADMIN_PASSWORD=$HUB_PASSWORD exec "$hub" demo >"$work/hub.log" 2>&1) &
pid=$!
# the last fixtures are played when it says where to look
for _ in $(seq 900); do
  grep -q "sign in as" "$work/hub.log" && break
  sleep 0.1
done
grep -q "sign in as" "$work/hub.log" || { echo "error: the hub is not ready:" >&2; tail -5 "$work/hub.log" >&2; exit 1; }

cd "$work"
# it formats what it writes with ruff, which stands beside it
PATH=$venv/bin:$PATH "$venv/bin/openapi-python-client" generate --url "http://$HUB_API_ADDR/api/openapi.json" \
  --meta none --output-path "$work/hub_client" >"$work/generate.log" 2>&1 || { cat "$work/generate.log" >&2; exit 1; }
if grep -qi "warning\|unable\|removal" "$work/generate.log"; then
  echo "error: not all of the document becomes a client:" >&2
  grep -i "warning\|unable\|removal\|attempted" "$work/generate.log" | head -20 >&2
  exit 1
fi
PYTHONPATH=$work PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" "$here/openapi_tour.py"
