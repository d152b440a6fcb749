#!/usr/bin/env bash
# Says what half and one and a half of each constant of the diagnosis do to its score on the recordings of a folder: top-1 by system,
# median time and false alarms. No constant can be set at run time; each row is built with a changed copy of the file.
# Usage: sensitivity.sh FOLDER [PATTERN], as for diagnose.sh; the pattern says which recordings, such as 'tt-*,day-tt-*'.
set -euo pipefail
if [ $# -lt 1 ] || [ ! -f "$1/cases.json" ]; then
  echo "usage: examples/replay/sensitivity.sh FOLDER [PATTERN], a folder with recordings and cases.json" >&2
  exit 2
fi
data=$(cd "$1" && pwd)
pattern=${2:-*}
cd "$(dirname "$0")/../.."
internal=$PWD/connector/servicehealthconnector/internal
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

row() { # the name of the row, and an overlay for the build
  rm -rf "$out/events" && mkdir "$out/events"
  (cd bench && go build -overlay "$2" -o "$out/verdicts" ./verdicts)
  "$out/verdicts" -config config/replay.yaml -only "$pattern" "$data" "$out/events"
  (cd examples/replay && go run ./score "$data/cases.json" "$out/events" --json) | python3 -c '
import json, os, statistics, sys
events, score = sys.argv[2], json.load(sys.stdin)
cells = []
for system in sorted({c["system"] for c in score["cases"]}):
    cases = [c for c in score["cases"] if c["system"] == system and os.path.exists(os.path.join(events, c["id"] + ".jsonl"))]
    if cases:
        seconds = [c["seconds"] for c in cases if c["rank"]]
        cells.append("%.1f %% in %.0f s" % (100 * sum(c["rank"] == 1 for c in cases) / len(cases), statistics.median(seconds or [0])))
print("|", sys.argv[1], "|", " / ".join(cells), "|", sum(a["alarms"] for a in score["alarms"]), "|", flush=True)' "$1" "$out/events"
}

echo '{}' >"$out/overlay.json"
row "as it is" "$out/overlay.json"
while read -r file name; do
  for factor in '1 / 2' '3 / 2'; do
    sed -E "s|^(\t*(const )?$name +=) (.*)$|\1 (\3) * $factor|" "$internal/$file" >"$out/changed.go"
    if cmp -s "$out/changed.go" "$internal/$file"; then echo "$file has no $name" >&2; exit 1; fi
    echo "{\"Replace\": {\"$internal/$file\": \"$out/changed.go\"}}" >"$out/overlay.json"
    row "\`$name\` × $factor" "$out/overlay.json"
  done
done <<'CONSTANTS'
evidence/evidence.go alike
evidence/evidence.go moment
evidence/evidence.go lately
evidence/evidence.go mostGain
evidence/evidence.go settling
evidence/evidence.go learning
evidence/evidence.go leastPast
evidence/evidence.go mature
evidence/evidence.go sure
evidence/evidence.go doubtful
evidence/evidence.go leastDurations
evidence/evidence.go surprising
evidence/evidence.go halfLife
evidence/evidence.go pause
evidence/evidence.go silent
evidence/evidence.go intervals
evidence/finding.go forgotten
evidence/finding.go always
evidence/finding.go noticed
evidence/finding.go effect
evidence/finding.go leastUnits
evidence/finding.go leastWitnesses
evidence/finding.go leastExcess
evidence/finding.go leastLoss
evidence/finding.go slower
evidence/finding.go byChance
evidence/finding.go prior
evidence/finding.go mostRestless
diagnosis/diagnosis.go certain
diagnosis/diagnosis.go byCaller
diagnosis/diagnosis.go byStrain
gauge/gauge.go steady
gauge/gauge.go leastPoints
diagnosis/diagnosis.go perHour
diagnosis/diagnosis.go sticky
diagnosis/diagnosis.go clear
diagnosis/diagnosis.go calm
diagnosis/diagnosis.go stale
template/template.go similar
template/template.go maxTokens
CONSTANTS
