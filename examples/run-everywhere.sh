#!/bin/sh
# Runs one script on every machine that is online, one after the other, and ends with the number of machines where it failed.
#
#   examples/run-everywhere.sh 'uptime'
set -u
script=${1:?"usage: $0 SCRIPT"}
failed=0
for agent in $(drawbridge agents ls | awk '$2 == "online" { print $1 }'); do
  printf '== %s\n' "$agent"
  drawbridge run "$agent" --provider shell "$script" </dev/null || failed=$((failed + 1))
done
exit "$failed"
