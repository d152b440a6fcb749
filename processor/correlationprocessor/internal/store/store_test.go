package store_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

const (
	start     = int64(1_700_000_000_000_000_000)
	retention = time.Minute
	slowAbove = time.Second
)

func newStore(maxBytes int64) *store.Store {
	return store.New(maxBytes, retention, slowAbove)
}

func TestASpanIsKnownWithItsTrace(t *testing.T) {
	s := newStore(1 << 20)
	const shop = "shop"
	s.Remember(start, []store.Span{
		{Trace: trace(1), ID: span(1), Start: 1, End: 9, Service: shop, Layer: layer.Application, Root: true, Operation: "GET /"},
		{Trace: trace(1), ID: span(2), Start: 2, End: 8, Service: shop, Layer: layer.Data},
		{Trace: trace(2), ID: span(2), Start: 2, End: 8, Service: shop, Layer: layer.Messaging},
	})

	found, ok := s.Context(start, trace(1), span(2))
	require.True(t, ok)
	assert.Equal(t, store.Context{
		SpanSeen: true, Layer: layer.Data, RootSeen: true, Entry: shop, Operation: "GET /", Outcome: store.Fine,
	}, found)

	found, ok = s.Context(start, trace(2), span(2))
	require.True(t, ok)
	assert.Equal(t, store.Context{SpanSeen: true, Layer: layer.Messaging, Outcome: store.Fine}, found)

	found, ok = s.Context(start, trace(1), pcommon.SpanID{})
	require.True(t, ok)
	assert.Equal(t, store.Context{RootSeen: true, Entry: shop, Operation: "GET /", Outcome: store.Fine}, found)

	_, ok = s.Context(start, trace(3), span(1))
	assert.False(t, ok)
}

func TestTheRootIsTheEntryWheneverItComes(t *testing.T) {
	const edge, shop = "edge", "shop"
	root := store.Span{Trace: trace(1), ID: span(1), Start: 1, Service: edge, Root: true, Operation: "root", Failed: true}
	early := store.Span{Trace: trace(1), ID: span(2), Start: 2, Service: shop, Operation: "early"}
	late := store.Span{Trace: trace(1), ID: span(3), Start: 3, Service: shop, Operation: "late"}
	inner := store.Span{Trace: trace(1), ID: span(4), Start: 0, Service: shop, Operation: "inner", Failed: true}
	for _, given := range []struct {
		spans     []store.Span
		operation string
		failed    bool
	}{
		{[]store.Span{inner}, "", false},
		{[]store.Span{late, early, inner}, "", false},
		{[]store.Span{late, root, early}, "root", true},
		{[]store.Span{root, late, inner}, "root", true},
	} {
		s := newStore(1 << 20)
		for i := range given.spans {
			s.Remember(start, given.spans[i:i+1])
		}
		found, ok := s.Context(start, trace(1), pcommon.SpanID{})
		require.True(t, ok)
		assert.Equal(t, given.operation, found.Operation)
		assert.Equal(t, given.failed, found.Failed)
	}
}

func TestTheWorstSpanIsTheOutcome(t *testing.T) {
	fine := store.Span{Start: 1, End: 1 + int64(slowAbove)}
	slow := store.Span{Start: 1, End: 2 + int64(slowAbove)}
	endless := store.Span{Start: math.MinInt64, End: math.MaxInt64}
	backwards := store.Span{Start: math.MaxInt64, End: math.MinInt64}
	failed := store.Span{Failed: true}
	for _, given := range []struct {
		spans []store.Span
		want  store.Outcome
	}{
		{nil, store.Unknown},
		{[]store.Span{fine, backwards}, store.Fine},
		{[]store.Span{fine, slow, fine}, store.Slow},
		{[]store.Span{endless}, store.Slow},
		{[]store.Span{failed, slow, fine}, store.Failed},
		{[]store.Span{slow, failed}, store.Failed},
	} {
		s := newStore(1 << 20)
		for i := range given.spans {
			given.spans[i].Trace, given.spans[i].ID = trace(1), span(uint64(i)+1)
		}
		s.Remember(start, given.spans)
		found, _ := s.Context(start, trace(1), pcommon.SpanID{})
		assert.Equal(t, given.want, found.Outcome)
		outcome, settled := s.Decide(start, trace(1))
		assert.Equal(t, given.want, outcome)
		assert.Equal(t, given.want != store.Unknown, settled)
	}
}

func TestADecisionSticksForAsLongAsItsTraceIsRemembered(t *testing.T) {
	s := newStore(1 << 20)
	outcome, settled := s.Decide(start, trace(1))
	assert.Equal(t, store.Unknown, outcome)
	assert.False(t, settled)

	s.Remember(start, []store.Span{{Trace: trace(1), ID: span(1)}})
	outcome, _ = s.Decide(start, trace(1))
	assert.Equal(t, store.Fine, outcome)

	later := start + int64(retention)
	s.Remember(later, []store.Span{{Trace: trace(1), ID: span(2), Failed: true}})
	outcome, settled = s.Decide(later+int64(retention), trace(1))
	assert.Equal(t, store.Fine, outcome)
	assert.True(t, settled)
	found, _ := s.Context(later, trace(1), span(2))
	assert.Equal(t, store.Failed, found.Outcome, "what is known goes on")

	later += 2 * int64(retention)
	s.Remember(later, []store.Span{{Trace: trace(1), ID: span(3), Failed: true}})
	outcome, _ = s.Decide(later, trace(1))
	assert.Equal(t, store.Failed, outcome, "it is another trace to whoever has forgotten the first")
}

func TestWhatIsOldIsForgotten(t *testing.T) {
	s := newStore(1 << 20)
	s.Remember(start, []store.Span{{Trace: trace(1), ID: span(1)}})
	_, ok := s.Context(start+int64(retention), trace(1), span(1))
	assert.True(t, ok)
	_, ok = s.Context(start+int64(retention)*1002/1000, trace(1), span(1))
	assert.False(t, ok)
	_, ok = s.Context(start, trace(1), span(1))
	assert.False(t, ok, "a clock that goes back brings nothing back")
	assert.Equal(t, recency.Evictions{Age: 1}, s.Evicted())
}

func TestATraceStaysForAsLongAsItsNewestSpan(t *testing.T) {
	s := newStore(1 << 20)
	s.Remember(start, []store.Span{{Trace: trace(1), ID: span(1), Root: true, Operation: "GET /"}})
	later := start + int64(retention)/2
	s.Remember(later, []store.Span{{Trace: trace(1), ID: span(2)}})
	later += int64(retention)

	found, ok := s.Context(later, trace(1), span(2))
	require.True(t, ok)
	assert.True(t, found.SpanSeen)
	assert.Equal(t, "GET /", found.Operation)
	found, _ = s.Context(later, trace(1), span(1))
	assert.True(t, found.SpanSeen, "and so do the older ones")
	_, ok = s.Context(later+int64(retention)*2/1000, trace(1), span(2))
	assert.False(t, ok)
}

func TestOfAHugeTraceTheNewestSpansAreKnown(t *testing.T) {
	s := newStore(1 << 20)
	const count, known = 10_000, 64 * 6
	for i := range uint64(count) {
		s.Remember(start, []store.Span{{Trace: trace(1), ID: span(i + 1), Root: i == 0, Operation: "GET /"}})
	}
	for i := range uint64(count) {
		found, ok := s.Context(start, trace(1), span(i+1))
		require.True(t, ok)
		require.Equal(t, "GET /", found.Operation)
		if i < count-known {
			require.False(t, found.SpanSeen, i)
		} else if i >= count-known+6 {
			require.True(t, found.SpanSeen, i)
		}
	}
	assert.Greater(t, s.Crowded(), int64(count-known-1))
	assert.Zero(t, s.Evicted(), "more memory would not help")
}

func TestTheNewestOfSpansWithOneIDWins(t *testing.T) {
	s := newStore(1 << 20)
	for i := range 100 {
		for id := range uint64(3) {
			s.Remember(start, []store.Span{{Trace: trace(1), ID: span(id + 1), Layer: layer.Layer(i % 7)}})
		}
		for id := range uint64(3) {
			found, _ := s.Context(start, trace(1), span(id+1))
			require.True(t, found.SpanSeen)
			require.Equal(t, layer.Layer(i%7), found.Layer)
		}
	}
}

func TestAFloodPushesOutTheOldestAndKeepsTheBound(t *testing.T) {
	const limit = 4 << 20
	s := newStore(limit)
	const flood = 200_000
	for i := range uint64(flood) {
		s.Remember(start+int64(i), []store.Span{{
			Trace: trace(i + 1), ID: span(i + 1), Root: true, Operation: fmt.Sprint("operation ", i),
		}})
		require.True(t, s.Size() <= limit)
	}
	evicted := s.Evicted()
	assert.Zero(t, evicted.Age)
	left := flood - int(evicted.Bytes)
	assert.Greater(t, left, 15_000)

	// The shards do not fill evenly, so that the border between old and young is a little blurred.
	for i := flood - left*9/10; i < flood; i++ {
		_, ok := s.Context(start+flood, trace(uint64(i)+1), span(uint64(i)+1))
		require.True(t, ok, i)
	}
	for i := range flood - left*11/10 {
		_, ok := s.Context(start+flood, trace(uint64(i)+1), span(uint64(i)+1))
		require.False(t, ok, i)
	}
}

func TestHugeNamesAreCutBetweenCharacters(t *testing.T) {
	s := newStore(1 << 20)
	s.Remember(start, []store.Span{{Trace: trace(1), ID: span(1), Root: true, Operation: "a" + strings.Repeat("ü", 1<<20)}})
	found, _ := s.Context(start, trace(1), span(1))
	assert.Equal(t, "a"+strings.Repeat("ü", 127), found.Operation)

	s.Remember(start, []store.Span{{Trace: trace(2), ID: span(1), Root: true, Operation: strings.Repeat("\x80", 1000)}})
	found, _ = s.Context(start, trace(2), span(1))
	assert.Equal(t, "\uFFFD", found.Operation)
}

func TestWhatSpansAreCalledIsUTF8(t *testing.T) {
	s := newStore(1 << 20)
	for i := range uint64(10) {
		s.Remember(start, []store.Span{
			{Trace: trace(i), ID: span(1), Root: true, Service: "shop\xff", Operation: "GET \xff/"},
			{Trace: trace(i + 10), ID: span(1), Root: true, Service: "shop", Operation: "GET /"},
		})
		found, _ := s.Context(start, trace(i), span(1))
		assert.Equal(t, [2]string{"shop\uFFFD", "GET \uFFFD/"}, [2]string{found.Entry, found.Operation})
	}
}

func TestHalfAnIDFindsTheOnlyTraceThatEndsInIt(t *testing.T) {
	s := newStore(1 << 20)
	long := trace(7)
	long[0] = 1
	s.Remember(start, []store.Span{{Trace: long, ID: span(1)}, {Trace: long, ID: span(2)}})
	found, ok := s.Resolve(start, 7)
	assert.True(t, ok)
	assert.Equal(t, long, found)

	s.Remember(start, []store.Span{{Trace: trace(7), ID: span(1)}})
	_, ok = s.Resolve(start, 7)
	assert.False(t, ok, "two traces end in it")
	_, ok = s.Resolve(start, 8)
	assert.False(t, ok)
}

func TestNothingIsAllocatedOnceTheStoreIsFull(t *testing.T) {
	s := newStore(1 << 20)
	i := uint64(0)
	step := func() {
		i++
		s.Remember(start, []store.Span{{Trace: trace(i), ID: span(i), Root: true, Operation: "GET /"}})
		s.Context(start, trace(i), span(i))
	}
	for range 50_000 {
		step()
	}
	assert.Zero(t, testing.AllocsPerRun(10_000, step))
}

func trace(n uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func span(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}
