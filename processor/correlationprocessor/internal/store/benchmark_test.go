package store_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

const (
	benchmarkBytes  = 48 << 20
	benchmarkTraces = 46 // in a batch
	benchmarkSpans  = 8  // of a trace
	// pace is the time from batch to batch: so short that spans leave for their bytes, and not for their age.
	pace = int64(time.Millisecond)
)

// batch holds traces of benchmarkSpans spans each: in the order of traces, or of resources, of which each sends one span
// of every trace.
type batch struct {
	spans      []store.Span
	byResource bool
	traces     uint64
}

func newBatch(byResource bool) *batch {
	b := &batch{spans: make([]store.Span, benchmarkTraces*benchmarkSpans), byResource: byResource}
	for i := range b.spans {
		trace, part := b.place(i)
		b.spans[i] = store.Span{
			ID: span(uint64(trace)*0x9e3779b97f4a7c15 + uint64(part) + 1), Start: 1, End: 2, Service: fmt.Sprint("service ", part),
			Layer: layer.Application,
		}
		if part == 0 {
			b.spans[i].Root, b.spans[i].Operation = true, "GET /"
		}
	}
	return b
}

func (b *batch) place(i int) (trace, part int) {
	if b.byResource {
		return i % benchmarkTraces, i / benchmarkTraces
	}
	return i / benchmarkSpans, i % benchmarkSpans
}

// next gives the traces other ids.
func (b *batch) next() []store.Span {
	for i := range b.spans {
		trace, _ := b.place(i)
		b.spans[i].Trace = scattered(b.traces + uint64(trace))
	}
	b.traces += benchmarkTraces
	return b.spans
}

// scattered is a trace id as senders make them.
func scattered(n uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[:], (n+1)*0xd6e8feb86659fd93)
	binary.BigEndian.PutUint64(id[8:], (n+1)*0x9e3779b97f4a7c15)
	return id
}

// BenchmarkRemember fills the store before it looks at the clock. An operation is one span.
func BenchmarkRemember(b *testing.B) {
	for _, order := range []string{"trace", "resource"} {
		b.Run("by "+order, func(b *testing.B) {
			batch := newBatch(order == "resource")
			s, now := filled(batch)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += len(batch.spans) {
				now += pace
				s.Remember(now, batch.next())
			}
		})
	}
	b.Run("one by one", func(b *testing.B) {
		batch := newBatch(true)
		s, now := filled(batch)
		b.ReportAllocs()
		b.ResetTimer()
		for n := 0; n < b.N; n += len(batch.spans) {
			now += pace
			spans := batch.next()
			for i := range spans {
				s.Remember(now, spans[i:i+1])
			}
		}
	})
	b.Run("no store", func(b *testing.B) {
		batch := newBatch(true)
		for n := 0; n < b.N; n += len(batch.spans) {
			batch.next()
		}
	})
}

func BenchmarkContext(b *testing.B) {
	batch := newBatch(true)
	s, now := filled(batch)
	remembered := s.Evicted()
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			spans := batch.spans[n%len(batch.spans)]
			s.Context(now, spans.Trace, spans.ID)
		}
	})
	b.Run("older hit", func(b *testing.B) {
		kept := (batch.traces*benchmarkSpans - uint64(remembered.Bytes)) / benchmarkSpans * 9 / 10
		b.ReportAllocs()
		for n := uint64(0); b.Loop(); n++ {
			trace := batch.traces - 1 - n*7919%kept
			s.Context(now, scattered(trace), batch.spans[trace%benchmarkTraces].ID)
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		for n := uint64(0); b.Loop(); n++ {
			s.Context(now, scattered(1<<40+n), batch.spans[0].ID)
		}
	})
}

// filled is a store that the last of the batches has pushed something out of.
func filled(batch *batch) (s *store.Store, now int64) {
	s = newStore(benchmarkBytes)
	now = start
	for s.Evicted().Bytes < 100_000 {
		now += pace
		s.Remember(now, batch.next())
	}
	return s, now
}
