#!/usr/bin/env bash
# Removes <repo>/.hub: the fetched programs and the data of the servers that ran there. Another $HUB_HOME is left alone.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

home=$repo/.hub
[ -d "$home" ] || exit 0
for folder in "$home" "$home/nats" "$home/postgres"; do
  if [ -e "$folder/lock" ] && ! flock --nonblock "$folder/lock" true; then
    die "a hub is running in $home (pid $(cat "$folder/lock"))" "stop it first"
  fi
done
# Postgres lives elsewhere when its account cannot reach the home (deploy/local says why).
if [ -r "$home/postgres/elsewhere" ]; then
  elsewhere=$(cat "$home/postgres/elsewhere")
  case $elsewhere in
    /var/tmp/sangam-*) if [ -O "$elsewhere" ]; then rm -rf "$elsewhere"; fi ;;
  esac
fi
rm -rf "$home"
