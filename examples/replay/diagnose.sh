#!/usr/bin/env bash
# Replays each recording of a folder through a collector of its own, in the time of the recording, with config/replay.yaml,
# and scores the events.
# Usage: diagnose.sh FOLDER, which holds *.jsonl.zst, cases.json and maybe a score.py: README.md says more.
set -euo pipefail
if [ $# -ne 1 ] || [ ! -f "$1/cases.json" ]; then
  echo "usage: make diagnose DATA=FOLDER, a folder with recordings and cases.json" >&2
  exit 2
fi
data=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir "$out/events"

one() {
  local id port collector
  id=$(basename "$1" .jsonl.zst)
  port=$2
  mkdir "$out/$id"
  THROUGHLINE_REPLAY=127.0.0.1:$port THROUGHLINE_OUT=$out/$id \
    bin/throughline --config config/replay.yaml >"$out/$id/log" 2>&1 &
  collector=$!
  bin/replay -quiet -retry-for 30s -endpoint "http://127.0.0.1:$port" "$1" >"$out/$id/summary" 2>&1 || { cat "$out/$id/log" "$out/$id/summary" >&2; }
  kill "$collector"
  wait "$collector" || true
  if [ -f "$out/$id/events.jsonl" ]; then mv "$out/$id/events.jsonl" "$out/events/$id.jsonl"; fi
}

# Two at a time: a replay keeps about one core busy.
port=14500
for file in "$data"/*.jsonl.zst; do
  port=$((port + 1))
  one "$file" "$port" &
  while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
done
wait
if [ -f "$data/score.py" ]; then
  python3 "$data/score.py" "$data/cases.json" "$out/events"
else
  (cd examples/replay && go run ./score "$data/cases.json" "$out/events")
fi
