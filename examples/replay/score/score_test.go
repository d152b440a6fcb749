package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// cases are three faults at second 100 of two systems, and a day that is well up to second 50.
const cases = `{"cases": [
	{"id": "one", "system": "shop", "faultClass": "code", "injectTime": "1970-01-01T00:01:40Z", "windowEnd": "1970-01-01T00:03:20Z",
		"rootCauseService": "bank", "further": "keys are left alone"},
	{"id": "two", "system": "shop", "faultClass": "resource", "injectTime": "1970-01-01T00:01:40Z", "windowEnd": "1970-01-01T00:03:20Z",
		"rootCauseService": "bank"},
	{"id": "three", "system": "train", "faultClass": "code", "injectTime": "1970-01-01T00:01:40Z", "windowEnd": "1970-01-01T00:03:20Z",
		"rootCauseService": "bank"}],
	"days": [{"id": "day", "faultFree": [{"start": "1970-01-01T00:00:00Z", "end": "1970-01-01T00:00:50Z"}]}, {"id": "absent"}]}`

type said struct {
	second int
	names  []string
	scores []float64
}

func write(t *testing.T, folder, id string, all ...said) {
	var text []byte
	for _, s := range all {
		ld := plog.NewLogs()
		r := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		r.SetTimestamp(pcommon.Timestamp(s.second * 1e9))
		if len(s.names) > 0 {
			name, score := r.Attributes().PutEmptySlice("suspects.service.name"), r.Attributes().PutEmptySlice("suspects.score")
			for i := range s.names {
				name.AppendEmpty().SetStr(s.names[i])
				score.AppendEmpty().SetDouble(s.scores[i])
			}
		}
		line, err := new(plog.JSONMarshaler).MarshalLogs(ld)
		require.NoError(t, err)
		text = append(append(text, line...), '\n')
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, id+".jsonl"), text, 0o600))
}

func TestScore(t *testing.T) {
	folder := t.TempDir()
	labelled := filepath.Join(folder, "cases.json")
	require.NoError(t, os.WriteFile(labelled, []byte(cases), 0o600))
	write(t, folder, "one",
		said{130, []string{"front"}, []float64{1}}, // later, though it comes first
		said{99, []string{"front"}, []float64{1}},  // before the injection
		said{105, nil, nil},
		said{110, []string{"bank-7d9f8b6c5d-x2x9z", "front"}, []float64{0.9, 0.1}},
	)
	write(t, folder, "two", said{120, []string{"bank", "front", "mail"}, []float64{0.5, 0.5, 0.1}})
	write(t, folder, "three", said{201, []string{"bank"}, []float64{1}}) // after the end
	write(t, folder, "day", said{10, []string{"front"}, []float64{1}}, said{50, []string{"bank"}, []float64{1}}, said{51, []string{"bank"}, []float64{1}})

	var out bytes.Buffer
	require.NoError(t, run(&out, labelled, folder, false))
	assert.Equal(t, `one                      bank                         rank 1   after 10 s  [bank front]
two                      bank                         rank 2   after 20 s  [bank front mail]
three                    bank                         no answer

group                         cases  answered    top-1    top-3  median s
all                               3         2    33.3%    66.7%        15
shop                              2         2    50.0%   100.0%        15
shop code                         1         1   100.0%   100.0%        10
shop resource                     1         1     0.0%   100.0%        20
train                             1         0     0.0%     0.0%         -
train code                        1         0     0.0%     0.0%         -
false alarms on day: 2 in 0.01 fault-free hours
`, out.String())

	out.Reset()
	require.NoError(t, run(&out, labelled, folder, true))
	var result score
	require.NoError(t, json.Unmarshal(out.Bytes(), &result))
	assert.Nil(t, result.Cases[2].Rank)
	assert.InDelta(t, 20, *result.Cases[1].Seconds, 1e-9)
	assert.Equal(t, 2, result.Alarms[0].Alarms)
}

func TestWhatHasNoScore(t *testing.T) {
	folder := t.TempDir()
	labelled := filepath.Join(folder, "cases.json")
	require.ErrorContains(t, run(&bytes.Buffer{}, labelled, folder, false), "no such file")
	require.NoError(t, os.WriteFile(labelled, []byte("{}"), 0o600))
	require.ErrorContains(t, run(&bytes.Buffer{}, labelled, folder, false), "no cases")
	require.NoError(t, os.WriteFile(labelled, []byte(cases), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "two.jsonl"), []byte("{}\nno JSON\n"), 0o600))
	require.ErrorContains(t, run(&bytes.Buffer{}, labelled, folder, false), "two.jsonl:2: ")
}
