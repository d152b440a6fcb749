package hold

import (
	"math"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

func TestATraceIsHeldUntilItsFirstDeadline(t *testing.T) {
	s := New()
	s.Add(pcommon.TraceID{1}, trace.Record{ID: 1}, 10)
	s.Add(pcommon.TraceID{2}, trace.Record{ID: 2}, 15)
	s.Add(pcommon.TraceID{1}, trace.Record{ID: 3}, 20)
	assert.Equal(t, 3, s.Len())

	_, _, ok := s.Pop(9, nil)
	assert.False(t, ok)
	id, records, ok := s.Pop(10, nil)
	assert.True(t, ok)
	assert.Equal(t, pcommon.TraceID{1}, id)
	assert.Len(t, records, 2)
	_, _, ok = s.Pop(10, nil)
	assert.False(t, ok)
	id, records, ok = s.Pop(math.MaxInt64, nil)
	assert.True(t, ok)
	assert.Equal(t, pcommon.TraceID{2}, id)
	assert.Len(t, records, 1)
	assert.Zero(t, s.Len())
}

func TestMarksAndLinksStayUntilReleased(t *testing.T) {
	s := New()
	record := trace.Record{ID: 1}
	record.Marks = s.Mark(record.Marks, Mark{Objective: 1})
	record.Marks = s.Mark(record.Marks, Mark{Objective: 2, Good: true})
	record.Links = s.Link(record.Links, Link{Span: 7})
	s.Add(pcommon.TraceID{1}, record, 10)
	_, records, _ := s.Pop(10, nil)

	var marks []Mark
	s.Marks(records[0].Marks, func(m Mark) { marks = append(marks, m) })
	assert.ElementsMatch(t, []Mark{{Objective: 1}, {Objective: 2, Good: true}}, marks)
	var links []Link
	s.Links(records[0].Links, func(l Link) { links = append(links, l) })
	assert.Equal(t, []Link{{Span: 7}}, links)

	s.Release(records)
	assert.LessOrEqual(t, s.Mark(0, Mark{}), uint32(2), "places are given out again")
}

// The budget is 160 bytes for a held span with everything that it needs, its share of its trace's entry included.
func TestASpanRecordIsSmall(t *testing.T) {
	const spansOfATrace = 4                                                                                 // Few, so that the trace's own cost counts much.
	perTrace := unsafe.Sizeof(entry{}) + unsafe.Sizeof(pcommon.TraceID{}) + 2*unsafe.Sizeof(uint32(0)) + 32 // Map and queue.
	assert.LessOrEqual(t, unsafe.Sizeof(trace.Record{})+perTrace/spansOfATrace+unsafe.Sizeof(uint32(0)), uintptr(160))
}

func BenchmarkHold(b *testing.B) {
	for _, held := range []int{10_000, 1_000_000} {
		b.Run(map[int]string{10_000: "10k", 1_000_000: "1M"}[held], func(b *testing.B) {
			s := New()
			var records []trace.Record
			next := 0
			add := func() {
				next++
				id := pcommon.TraceID{byte(next >> 3), byte(next >> 11), byte(next >> 19), byte(next >> 27)}
				s.Add(id, trace.Record{ID: uint64(next)}, int64(next))
			}
			for s.Len() < held {
				add()
			}
			b.ReportAllocs()
			for b.Loop() {
				add()
				if s.Len() > held {
					_, records, _ = s.Pop(math.MaxInt64, records[:0])
					s.Release(records)
				}
			}
		})
	}
}
