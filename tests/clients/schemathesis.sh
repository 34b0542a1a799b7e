#!/usr/bin/env bash
# Schemathesis (PyPI) makes requests of all kinds out of the OpenAPI document and holds each answer against it: no 500, no status,
# media type or body that is not described, no way around the token. Exit 1 when something is found.
#
#   cargo build -p hub && tests/clients/schemathesis.sh            # five minutes
#   SECONDS_EACH=1800 SEED=7 tests/clients/schemathesis.sh         # half an hour, repeatable
#
# Starts a hub of its own with the fixtures played, and ends it. Left out are the operations after which the run could not go on
# (its own session, password and second factor): they have tests of their own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${CLIENTS_TOOLS:-$root/.hub/clients}
work=$(mktemp -d "${TMPDIR:-/tmp}/hub-schemathesis-XXXXXX")
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
venv=$tools/schemathesis
if [ ! -x "$venv/bin/st" ]; then
  mkdir -p "$tools"
  python3 -m venv "$venv"
  "$venv/bin/pip" -q install 'schemathesis>=4,<5'
fi
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

export HUB_HOME=$work/home HUB_PASSWORD=schemathesis-password HUB_TOOLS=${HUB_TOOLS:-$root/.hub/tools}
HUB_API_ADDR=127.0.0.1:$(free_port) HUB_MLLP_ADDR=127.0.0.1:$(free_port) HUB_ASTM_ADDR=127.0.0.1:$(free_port)
export HUB_API_ADDR HUB_MLLP_ADDR HUB_ASTM_ADDR
(cd "$root" && HUB_BOOTSTRAP_ADMIN_PASSWORD=$HUB_PASSWORD exec "$hub" demo >"$work/hub.log" 2>&1) &
pid=$!
for _ in $(seq 600); do
  curl -sf -o /dev/null "http://$HUB_API_ADDR/readyz" && break
  sleep 0.1
done
curl -sf -o /dev/null "http://$HUB_API_ADDR/readyz" || { echo "error: the hub is not ready:" >&2; tail -5 "$work/hub.log" >&2; exit 1; }

seed=${SEED:-}
each=${SECONDS_EACH:-300}
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance
cd "$work"
status=0
run() { # seconds, more arguments
  local seconds=$1
  shift
  SCHEMATHESIS_HOOKS=schemathesis_auth PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 "$venv/bin/st" run \
    "http://$HUB_API_ADDR/api/openapi.json" --url "http://$HUB_API_ADDR" --checks "$checks,unsupported_method,ignored_auth" \
    --phases examples,coverage,fuzzing --max-time "$seconds" --continue-on-failure --request-timeout 20 --warnings off \
    --generation-database none --no-color ${seed:+--seed "$seed"} "$@" || status=$?
}
# after guesses at the sign-in the brake keeps this address out: last, and apart
run "$each" --exclude-path-regex '^/api/v1/(auth/.*|oauth/token|me/password|me/sessions/.*|me/totp.*|users/.*/reset-password)$'
run $((each / 5 + 20)) --include-path-regex '^/api/v1/(auth/(login|mfa|refresh|jwks.json)|oauth/token)$'
# a defect that answered in time is one all the same
if grep -q "a handler panicked" "$work/hub.log"; then
  echo "error: a handler panicked:" >&2
  grep -m5 -B2 "panicked" "$work/hub.log" >&2
  status=1
fi
exit "$status"
