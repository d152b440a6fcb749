package suspect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/internal/layer"
)

const second = int64(time.Second)

func verdict(entity uint32, l layer.Layer, reason blame.Reason) blame.Verdict {
	return blame.Verdict{Culprit: blame.Culprit{Entity: entity, Layer: l, Reason: reason}}
}

func TestSuspectsAreRankedByTheirShare(t *testing.T) {
	tally := New(16 * second)
	for i := range int64(6) {
		tally.Add((100+i)*second, verdict(7, layer.Data, blame.Error), 1, pcommon.TraceID{byte(i + 1)})
	}
	tally.Add(103*second, verdict(8, layer.Application, blame.Latency), 3, pcommon.TraceID{9})
	tally.Add(104*second, verdict(0, layer.Unknown, blame.Missing), 1, pcommon.TraceID{10})

	ranked, bad := tally.Rank(106*second, 0)
	assert.InDelta(t, 10, bad, 1e-9)
	assert.Len(t, ranked, 2, "what cannot be told is no suspect")
	assert.Equal(t, uint32(7), ranked[0].Entity)
	assert.InDelta(t, 0.6, ranked[0].Score, 1e-9)
	assert.Equal(t, 100*second, ranked[0].Since)
	assert.Equal(t, uint32(8), ranked[1].Entity)
	assert.InDelta(t, 0.3, ranked[1].Score, 1e-9)
}

func TestTheWindowSlides(t *testing.T) {
	tally := New(16 * second)
	tally.Add(100*second, verdict(7, layer.Data, blame.Error), 5, pcommon.TraceID{1})
	tally.Add(110*second, verdict(8, layer.Data, blame.Error), 1, pcommon.TraceID{2})
	ranked, _ := tally.Rank(117*second, 0)
	assert.Len(t, ranked, 1)
	assert.Equal(t, uint32(8), ranked[0].Entity)

	tally.Add(200*second, verdict(7, layer.Data, blame.Error), 5, pcommon.TraceID{3})
	ranked, _ = tally.Rank(200*second, 0)
	assert.Equal(t, 200*second, ranked[0].Since, "what was seen long before is another story")
}

func TestWhatWasBeforeIsAnotherStory(t *testing.T) {
	tally := New(160 * second)
	tally.Add(100*second, verdict(7, layer.Data, blame.Error), 5, pcommon.TraceID{1})
	tally.Add(110*second, verdict(8, layer.Data, blame.Error), 1, pcommon.TraceID{2})
	tally.Add(200*second, verdict(8, layer.Data, blame.Error), 2, pcommon.TraceID{3})
	ranked, bad := tally.Rank(205*second, 195*second)
	assert.InDelta(t, 2, bad, 1e-9)
	assert.Len(t, ranked, 1)
	assert.Equal(t, uint32(8), ranked[0].Entity)
	assert.Equal(t, 195*second, ranked[0].Since)
}

func TestWhoFailsAndIsSlowIsOneSuspect(t *testing.T) {
	tally := New(16 * second)
	tally.Add(100*second, verdict(7, layer.External, blame.Timeout), 2, pcommon.TraceID{1})
	tally.Add(101*second, verdict(7, layer.External, blame.Error), 3, pcommon.TraceID{2})
	ranked, _ := tally.Rank(102*second, 0)
	assert.Len(t, ranked, 1)
	assert.Equal(t, blame.Error, ranked[0].Reason)
	assert.InDelta(t, 1, ranked[0].Score, 1e-9)
	assert.Equal(t, 100*second, ranked[0].Since)
}

func TestATallyIsBounded(t *testing.T) {
	tally := New(16 * second)
	for i := range uint32(1000) {
		tally.Add(100*second, verdict(i+1, layer.Application, blame.Error), 1, pcommon.TraceID{1})
	}
	assert.Len(t, tally.rows, maxCulprits)
	tally.Add(200*second, verdict(5000, layer.Application, blame.Error), 1, pcommon.TraceID{1})
	ranked, _ := tally.Rank(200*second, 0)
	assert.Equal(t, uint32(5000), ranked[0].Entity, "a new culprit takes the place of one that is long gone")
}

func TestTheLatestTracesAreKept(t *testing.T) {
	tally := New(16 * second)
	for i := range byte(30) {
		tally.Add(100*second, verdict(7, layer.Data, blame.Error), 1, pcommon.TraceID{i + 1})
	}
	traces := tally.Traces(100 * second)
	assert.Len(t, traces, maxTraces)
	assert.Equal(t, pcommon.TraceID{30}, traces[0])
	assert.Empty(t, tally.Traces(300*second), "those of former times are not")
}
