package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

// modelRetention is so short that a step of the store's time is a nanosecond, and nothing is forgotten late.
const modelRetention = int64(1024)

// model remembers in the simplest way.
type model struct {
	traces map[pcommon.TraceID]*modelTrace
	// crowded counts the spans of huge traces that have made place for others.
	crowded int64
}

// Of a trace so many spans are remembered, and if there are more, the oldest of them leave together.
const mostSpans, leaving = 64 * 6, 6

type modelTrace struct {
	spans   []store.Span
	arrived int64
	context store.Context
	start   int64
	decided store.Outcome
}

func (m *model) expire(now int64) {
	for id, t := range m.traces {
		if t.arrived < now-modelRetention {
			delete(m.traces, id)
		}
	}
}

func (m *model) remember(now int64, spans []store.Span) {
	for _, s := range spans {
		t := m.traces[s.Trace]
		if t == nil {
			t = &modelTrace{}
			m.traces[s.Trace] = t
		}
		if len(t.spans) == mostSpans {
			t.spans = t.spans[leaving:]
			m.crowded += leaving
		}
		t.spans, t.arrived = append(t.spans, s), now
		outcome := store.Fine
		if s.End-s.Start > int64(slowAbove) {
			outcome = store.Slow
		}
		if s.Failed {
			outcome = store.Failed
		}
		t.context.Outcome = max(t.context.Outcome, outcome)
		if s.Root && (!t.context.RootSeen || s.Start < t.start) {
			t.start = s.Start
			t.context.RootSeen, t.context.Entry, t.context.Operation, t.context.Failed = true, s.Service, s.Operation, s.Failed
		}
	}
}

func (m *model) find(trace pcommon.TraceID, span pcommon.SpanID) (store.Context, bool) {
	t := m.traces[trace]
	if t == nil {
		return store.Context{}, false
	}
	found := t.context
	for _, s := range t.spans {
		if s.ID == span {
			found.SpanSeen, found.Layer = true, s.Layer
		}
	}
	return found, true
}

func (m *model) decide(trace pcommon.TraceID) store.Outcome {
	t := m.traces[trace]
	if t == nil {
		return store.Unknown
	}
	if t.decided == store.Unknown {
		t.decided = t.context.Outcome
	}
	return t.decided
}

func (m *model) resolve(half byte) (found pcommon.TraceID, ok bool) {
	for id := range m.traces {
		if id[15] == half {
			if ok {
				return pcommon.TraceID{}, false
			}
			found, ok = id, true
		}
	}
	return found, ok
}

// TestAgainstAModel has few traces of many spans and many traces of few, ids that come again, halves that meet, and a
// time that now and then jumps.
func TestAgainstAModel(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			s := store.New(8<<20, time.Duration(modelRetention), slowAbove)
			m := model{traces: map[pcommon.TraceID]*modelTrace{}}
			someTrace := func() pcommon.TraceID {
				id := trace(random.Uint64N(200) * random.Uint64N(200) / 200)
				id[0] = byte(1 + random.Uint64N(2)*random.Uint64N(2))
				return id
			}
			someSpan := func() pcommon.SpanID { return span(1 + random.Uint64N(300)) }
			remembered := int64(0)
			for now := start; now < start+10*modelRetention; now += random.Int64N(40) {
				if random.Uint64N(200) == 0 {
					now += modelRetention - 20 + random.Int64N(40)
				}
				m.expire(now)
				spans := make([]store.Span, 1+random.Uint64N(20)*random.Uint64N(60))
				for i := range spans {
					spans[i] = store.Span{
						Trace: someTrace(), ID: someSpan(), Start: random.Int64N(100), Service: fmt.Sprint("service ", random.Uint64N(5)),
						Layer: layer.Layer(random.Uint64N(8)), Failed: random.Uint64N(300) == 0, Root: random.Uint64N(10) == 0,
						Operation: fmt.Sprint("operation ", random.Uint64N(30)),
					}
					spans[i].End = spans[i].Start + random.Int64N(int64(slowAbove)*101/100)
				}
				remembered += int64(len(spans))
				s.Remember(now, spans)
				m.remember(now, spans)
				for range 40 {
					trace, span := someTrace(), someSpan()
					want, known := m.find(trace, span)
					got, ok := s.Context(now, trace, span)
					require.True(t, want == got && known == ok, "%v, not %v", got, want)

					decided := m.decide(trace)
					outcome, settled := s.Decide(now, trace)
					require.True(t, decided == outcome && known == settled, "%v, not %v", outcome, decided)

					wantTrace, unique := m.resolve(trace[15])
					resolved, ok := s.Resolve(now, uint64(trace[15]))
					require.True(t, wantTrace == resolved && unique == ok, "%v, not %v", resolved, wantTrace)
				}
			}
			assert.Positive(t, m.crowded)
			assert.Equal(t, m.crowded, s.Crowded())
			assert.Zero(t, s.Evicted().Bytes)
			end := start + 100*modelRetention
			for n := range uint64(200) {
				s.Resolve(end, n)
			}
			assert.Equal(t, remembered-m.crowded, s.Evicted().Age)
		})
	}
}
