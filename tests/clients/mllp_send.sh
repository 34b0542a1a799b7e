#!/usr/bin/env bash
# PyPI hl7 0.4.5, its command line program: a file of ours, and the same with line feeds, which it sends as carriage returns:
# a repeat. It reads an answer once only, so an acknowledgement that is not written in one piece would be cut.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mllp=${HUB_MLLP_ADDR:-127.0.0.1:2575}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
control=SEND$$-$(date +%s)
sed "s/|FX0019|/|$control|/" "$here/../../fixtures/hl7v2/180-oru-r01-cbc.hl7" >"$work/cr"
tr '\r' '\n' <"$work/cr" >"$work/lf"
for ends in cr lf; do
  mllp_send --loose --file "$work/$ends" --port "${mllp##*:}" "${mllp%:*}" | tr '\r' '\n' >"$work/answer"
  grep -q "^MSA|AA|$control" "$work/answer" || { echo "$ends: $(cat "$work/answer")"; exit 1; }
  grep -q $'^\x1c' "$work/answer" || { echo "$ends: the answer is cut"; exit 1; }
done
cd "$here"
python3 - "$control" <<'PY'
import sys

from look import Hub

rows = Hub().wait("messages", "/messages", 2, control_id=sys.argv[1])
outcomes = sorted(row["outcome"] for row in rows)
assert outcomes == ["duplicate", "translated"], outcomes
print("2 AA, whole; the first is translated, the second a duplicate")
PY
