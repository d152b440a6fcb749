#!/usr/bin/env bash
# Starts the collector with config/quickstart.yaml and the shop beside it, and stops both together.
# Usage: run.sh [SECONDS], 0 or nothing for until Ctrl-C. Exits with the shop's code: 0 only if every fault was answered right.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-0}
state=$(mktemp -d)
collector_log=$state/collector.log
export THROUGHLINE_LOG_FILES="$state/*.log.json"

bin/throughline --config config/quickstart.yaml >"$collector_log" 2>&1 &
collector=$!
stop() {
  kill "$collector" 2>/dev/null || true
  wait "$collector" 2>/dev/null || true
  rm -rf "$state"
}
trap stop EXIT

for _ in $(seq 100); do
  if ! kill -0 "$collector" 2>/dev/null; then
    echo "the collector did not start:" >&2
    cat "$collector_log" >&2
    exit 2
  fi
  if (exec 3<>/dev/tcp/127.0.0.1/4317) 2>/dev/null; then break; fi
  sleep 0.1
done

code=0
bin/shop -duration "${seconds}s" -mail-log "$state/mail.log.json" || code=$?
# Warnings are left out: while the console is not yet, or no longer, there, the collector warns that it cannot reach it.
if grep -q $'\terror\t' "$collector_log"; then
  echo "The collector's own errors:"
  grep $'\terror\t' "$collector_log" | tail -n 5
fi
exit "$code"
