package store_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

// floods are what strangers may send. Each names its n-th span.
var floods = map[string]func(n uint64) store.Span{
	"traces": func(n uint64) store.Span {
		return store.Span{Trace: scattered(n), ID: span(n + 1)}
	},
	"traces with operations of their own": func(n uint64) store.Span {
		return store.Span{Trace: scattered(n), ID: span(n + 1), Root: true, Operation: fmt.Sprint("operation ", n)}
	},
	"traces of services of their own": func(n uint64) store.Span {
		return store.Span{Trace: scattered(n), ID: span(n + 1), Root: true, Service: fmt.Sprint(n, strings.Repeat("s", 300))}
	},
	"traces with long operations of their own": func(n uint64) store.Span {
		return store.Span{
			Trace: scattered(n), ID: span(n + 1), Root: true, Operation: fmt.Sprint(n, strings.Repeat("o", 300)),
		}
	},
	"one trace": func(n uint64) store.Span {
		return store.Span{Trace: trace(1), ID: span(n + 1), Root: true, Start: -int64(n), Operation: fmt.Sprint(n)}
	},
	"one span": func(uint64) store.Span {
		return store.Span{Trace: trace(1), ID: span(1)}
	},
	"one half": func(n uint64) store.Span {
		id := trace(2)
		id[0], id[1], id[2], id[3] = byte(n), byte(n>>8), byte(n>>16), 1
		return store.Span{Trace: id, ID: span(n + 1)}
	},
	"traces of a thousand spans": func(n uint64) store.Span {
		return store.Span{Trace: scattered(n / 1000), ID: span(n + 1)}
	},
	"a mixture": func(n uint64) store.Span {
		return store.Span{Trace: scattered(n / (1 + n>>14%20)), ID: span(n + 1), Root: n%3 == 0, Operation: fmt.Sprint(n % 1000)}
	},
}

func TestNoFloodExceedsTheBound(t *testing.T) {
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []int64{64 << 10, 768 << 10, 2 << 20} {
				s := newStore(limit)
				spans := make([]store.Span, 100)
				for n := uint64(0); n < 50_000; {
					for i := range spans {
						spans[i] = flood(n)
						n++
					}
					s.Remember(start+int64(n), spans)
					require.LessOrEqual(t, s.Size(), limit)
				}
				assert.NotZero(t, s.Evicted().Bytes+s.Crowded())
			}
		})
	}
}

func TestSizeIsWhatTheHeapSays(t *testing.T) {
	const limit = 8 << 20
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			heap := func() int64 {
				runtime.GC()
				runtime.GC() // What is pooled lives through one.
				var stats runtime.MemStats
				runtime.ReadMemStats(&stats)
				return int64(stats.HeapAlloc)
			}
			before := heap()
			s := newStore(limit)
			spans := make([]store.Span, 100)
			for n := uint64(0); n < 300_000; {
				for i := range spans {
					spans[i] = flood(n)
					n++
				}
				s.Remember(start, spans)
			}
			clear(spans)
			taken := heap() - before
			assert.LessOrEqual(t, taken, int64(limit)*11/10)
			assert.InDelta(t, s.Size(), taken, limit/10)
			runtime.KeepAlive(s)
		})
	}
}

// TestOneFloodMakesRoomForAnother sees to it that what one kind of spans needed is not lost to the next.
func TestOneFloodMakesRoomForAnother(t *testing.T) {
	const count = 50_000
	// remember returns how many spans of the flood, and of what was there before, are left.
	remember := func(s *store.Store, flood func(uint64) store.Span) int64 {
		gone := func() int64 { return s.Evicted().Bytes + s.Crowded() }
		before := gone()
		spans := make([]store.Span, 10)
		for n := uint64(0); n < count; {
			for i := range spans {
				spans[i] = flood(1<<32 + n)
				n++
			}
			s.Remember(start, spans)
		}
		return count - (gone() - before)
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			for _, second := range []string{"traces", "a mixture"} {
				used, fresh := newStore(1<<20), newStore(1<<20)
				left := remember(used, flood)
				assert.InEpsilon(t, remember(fresh, floods[second]), left+remember(used, floods[second]), 0.25, second)
			}
		})
	}
}

func TestAQuietStoreIsSmall(t *testing.T) {
	s := newStore(48 << 20)
	for n := range uint64(1000) {
		s.Remember(start, []store.Span{{Trace: scattered(n), ID: span(1), Root: true, Operation: "GET /"}})
	}
	assert.Less(t, s.Size(), int64(512<<10))
}

func TestASilentStoreGivesItsMemoryBack(t *testing.T) {
	s := newStore(4 << 20)
	for n := range uint64(100_000) {
		s.Remember(start, []store.Span{{Trace: scattered(n), ID: span(1), Root: true, Operation: fmt.Sprint(n)}})
	}
	require.Greater(t, s.Size(), int64(3<<20))
	for n := range uint64(1000) {
		s.Context(start+2*int64(retention), scattered(n), span(1))
	}
	assert.Less(t, s.Size(), int64(128<<10))
}

func TestAStoreIsForMany(t *testing.T) {
	s := newStore(2 << 20)
	var all sync.WaitGroup
	for worker := range uint64(4) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(worker, 1))
			spans := make([]store.Span, 50)
			for round := range int64(300) {
				for i := range spans {
					spans[i] = store.Span{Trace: scattered(random.Uint64N(5000)), ID: span(random.Uint64N(100) + 1), Root: i%5 == 0}
				}
				now := start + round*int64(retention)/100
				s.Remember(now, spans)
				for i := range spans {
					s.Context(now, spans[i].Trace, spans[i].ID)
					s.Decide(now, spans[i].Trace)
				}
				s.Resolve(now, random.Uint64())
				s.Size()
				s.Evicted()
			}
		})
	}
	all.Wait()
	assert.LessOrEqual(t, s.Size(), int64(2<<20))
}
