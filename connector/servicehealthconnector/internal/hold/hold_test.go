package hold

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

func pop(s *Shard, now int64) (*Taken, bool) {
	taken := &Taken{}
	taken.Reset()
	return taken, s.Pop(now, taken)
}

func TestATraceIsHeldUntilItsFirstDeadline(t *testing.T) {
	s := New()
	s.Add(pcommon.TraceID{1}, &trace.Record{ID: 1}, nil, 10)
	s.Add(pcommon.TraceID{2}, &trace.Record{ID: 2}, nil, 15)
	s.Add(pcommon.TraceID{1}, &trace.Record{ID: 3}, nil, 20)
	assert.Equal(t, 3, s.Len())

	_, ok := pop(s, 9)
	assert.False(t, ok)
	taken, ok := pop(s, 10)
	assert.True(t, ok)
	assert.Equal(t, pcommon.TraceID{1}, taken.Traces[0].ID)
	assert.Len(t, taken.Records(taken.Traces[0]), 2)
	_, ok = pop(s, 10)
	assert.False(t, ok)
	taken, ok = pop(s, math.MaxInt64)
	assert.True(t, ok)
	assert.Equal(t, pcommon.TraceID{2}, taken.Traces[0].ID)
	assert.Len(t, taken.Records(taken.Traces[0]), 1)
	assert.Zero(t, s.Len())
}

func TestALinkThatCameTwiceComesOutOnce(t *testing.T) {
	s := New()
	links := []Link{{From: 1, Trace: pcommon.TraceID{2}, Span: 3}, {From: 1, Trace: pcommon.TraceID{3}, Span: 3}}
	s.Add(pcommon.TraceID{1}, &trace.Record{ID: 1}, links, 10)
	s.Add(pcommon.TraceID{1}, &trace.Record{ID: 1}, links, 10)
	s.Add(pcommon.TraceID{9}, &trace.Record{ID: 1}, links[:1], 10)
	taken := &Taken{}
	for s.Pop(10, taken) {
	}
	assert.Equal(t, links, taken.Links(taken.Traces[0]))
	assert.Equal(t, links[:1], taken.Links(taken.Traces[1]), "another trace has its own")
}

func TestLinksTakeRoom(t *testing.T) {
	s := New()
	links := make([]Link, 64)
	for i := range links {
		links[i].Span = uint64(i)
	}
	s.Add(pcommon.TraceID{1}, &trace.Record{ID: 1}, links, 10)
	s.Add(pcommon.TraceID{1}, &trace.Record{ID: 1}, links, 10)
	assert.Equal(t, 2, s.Len())
	assert.Equal(t, 2+2*64, s.Size())
	assert.True(t, s.Pop(10, &Taken{}))
	assert.Zero(t, s.Size())
}

// Whatever is held comes out again, once and with what belongs to it, however long traces and lists are.
func TestAllThatIsHeldComesOut(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := New()
	var taken Taken
	type fact struct {
		trace pcommon.TraceID
		links int
	}
	held := map[uint64]fact{}
	next := uint64(0)
	for now := range int64(3000) {
		for range random.IntN(20) {
			next++
			// A few traces are long.
			f := fact{trace: pcommon.TraceID{1, byte(random.IntN(8) * random.IntN(30))}, links: random.IntN(3)}
			var links []Link
			for i := range f.links {
				links = append(links, Link{From: next, Span: uint64(i)})
			}
			s.Add(f.trace, &trace.Record{ID: next}, links, now+50)
			held[next] = f
		}
		taken.Reset()
		for s.Pop(now, &taken) {
		}
		for _, popped := range taken.Traces {
			links := map[uint64]int{}
			for _, link := range taken.Links(popped) {
				links[link.From]++
			}
			for i := range taken.Records(popped) {
				record := &taken.Records(popped)[i]
				want, ok := held[record.ID]
				require.True(t, ok)
				delete(held, record.ID)
				require.Equal(t, want.trace, popped.ID)
				require.Equal(t, want.links, links[record.ID])
			}
		}
		require.Len(t, held, s.Len())
	}
	require.Less(t, int(s.spans.used), 10_000, "places are given out again")
	require.Less(t, int(s.links.used), 10_000)
}

func TestARecordFillsOneLineOfTheCache(t *testing.T) {
	assert.Equal(t, uintptr(64), unsafe.Sizeof(trace.Record{}))
	assert.Equal(t, uintptr(64), unsafe.Sizeof(entry{}))
	assert.Equal(t, uintptr(64), unsafe.Sizeof(block{}))
}

// The budget is 160 bytes for a held span with everything that it needs, its share of its trace's entry included.
func TestAHeldSpanIsSmall(t *testing.T) {
	const (
		spansOfATrace = 4 // Few, so that the trace's own cost counts much.
		number        = unsafe.Sizeof(uint32(0))
		perTrace      = unsafe.Sizeof(entry{}) + 4*unsafe.Sizeof(slot{}) + 3*number // A quarter of the index is full at the least.
		perSpan       = unsafe.Sizeof(trace.Record{}) + number
	)
	assert.LessOrEqual(t, perSpan+perTrace/spansOfATrace, uintptr(160))
}

func BenchmarkHold(b *testing.B) {
	for _, held := range []int{10_000, 1_000_000} {
		b.Run(map[int]string{10_000: "10k", 1_000_000: "1M"}[held], func(b *testing.B) {
			s := New()
			var taken Taken
			next := 0
			add := func() {
				next++
				id := pcommon.TraceID{byte(next >> 3), byte(next >> 11), byte(next >> 19), byte(next >> 27)}
				s.Add(id, &trace.Record{ID: uint64(next)}, nil, int64(next))
			}
			for s.Len() < held {
				add()
			}
			b.ReportAllocs()
			for b.Loop() {
				add()
				if s.Len() > held {
					taken.Reset()
					s.Pop(math.MaxInt64, &taken)
				}
			}
		})
	}
}
