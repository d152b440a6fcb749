package evidence

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
)

// playApart returns what deviates of the bank, whose usual traces come once a second, after so many seconds in each of which records
// say which returns for it.
func playApart(seconds int, says func(second int) []Note) (found []Finding, bank uint32) {
	table := names.New()
	b := New(int64(10 * time.Second))
	var tree trace.Trace
	now := tracetest.Epoch
	for second := range seconds {
		now += 1e9
		records := tracetest.Records(table, usual)
		for i := range records {
			records[i].Start += now - tracetest.Epoch
			records[i].End += now - tracetest.Epoch
		}
		bank = records[2].Service
		tree.Build([16]byte{1}, records)
		b.Observe(&tree, nil, now)
		for _, n := range says(second) {
			b.Note(bank, n, now)
		}
		found, _ = b.Findings(now, true, found[:0])
	}
	return found, bank
}

func TestRecordsThatNameNoRequest(t *testing.T) {
	info, failure, unknown := Note{Template: 2, Severity: 9}, Note{Template: 3, Severity: 17}, Note{Template: 4}
	from := func(start int, then Note) func(int) []Note {
		return func(second int) []Note {
			if second < start {
				return []Note{info}
			}
			return []Note{info, then}
		}
	}
	tests := map[string]struct {
		says func(int) []Note
		want []Kind
	}{
		"as ever":                      {from(0, failure), nil},
		"a new error":                  {from(200, failure), []Kind{Record, ErrorRecords}},
		"a new warning":                {from(200, Note{Template: 3, Severity: 13}), []Kind{Record, WarningRecords}},
		"a new text without severity":  {from(200, unknown), []Kind{Record}},
		"a new text that tells of use": {from(200, Note{Template: 5, Severity: 9}), nil},
		"an error just now":            {from(218, failure), nil},
		"errors that stay away": {func(second int) []Note {
			if second < 200 {
				return []Note{failure}
			}
			return nil
		}, nil},
		"errors now and then as ever": {func(second int) []Note {
			if second%20 == 0 {
				return []Note{failure}
			}
			return nil
		}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found, bank := playApart(220, test.says)
			var kinds []Kind
			for _, f := range found {
				kinds = append(kinds, f.Kind)
				assert.Equal(t, bank, f.Service)
				assert.True(t, f.Alone)
				assert.Greater(t, f.Weight, 10.0)
			}
			assert.ElementsMatch(t, test.want, kinds)
		})
	}
}

func TestRecordsOfNobody(t *testing.T) {
	b := New(0)
	b.Note(names.None, Note{Template: 2, Severity: 17}, tracetest.Epoch)
	b.Note(names.Other, Note{Template: 2, Severity: 17}, tracetest.Epoch)
	assert.Empty(t, b.apart)
}

// What a service says of itself in a pause of everything is not compared: it would make moments of hours.
func TestMomentsOfAPauseDoNotCount(t *testing.T) {
	b := New(0)
	b.Note(5, Note{Template: 2, Severity: 17}, tracetest.Epoch)
	b.observed = tracetest.Epoch
	b.Note(5, Note{Template: 2, Severity: 17}, tracetest.Epoch+4e9)
	units := b.strata[mix(ofRecordsApart, 5)].units
	assert.Positive(t, units)
	b.Findings(tracetest.Epoch+3600e9, true, nil)
	assert.InDelta(t, units, b.strata[mix(ofRecordsApart, 5)].units, 1e-9)
}

func BenchmarkNote(b *testing.B) {
	book := New(0)
	now := tracetest.Epoch
	b.ReportAllocs()
	for i := range b.N {
		now += 1e7
		book.observed = now
		book.Note(5, Note{Template: uint32(2 + i%3), Severity: 17}, now)
	}
}
