package store_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

const (
	start     = int64(1_700_000_000_000_000_000)
	retention = time.Minute
)

func TestASpanIsKnownWithItsTrace(t *testing.T) {
	s := store.New(1<<20, retention)
	shop := &store.Emitter{Name: "shop"}
	s.Remember(start, []store.Span{
		{Trace: trace(1), ID: span(1), Start: 1, End: 9, Emitter: shop, Layer: layer.Application, Root: true, Operation: "GET /"},
		{Trace: trace(1), ID: span(2), Start: 2, End: 8, Emitter: shop, Layer: layer.Data},
		{Trace: trace(2), ID: span(2), Start: 2, End: 8, Emitter: shop, Layer: layer.Messaging},
	})

	found, ok := s.Context(start, trace(1), span(2))
	require.True(t, ok)
	assert.Equal(t, store.Context{SpanSeen: true, Layer: layer.Data, Entry: shop, Operation: "GET /"}, found)

	found, ok = s.Context(start, trace(2), span(2))
	require.True(t, ok)
	assert.Equal(t, store.Context{SpanSeen: true, Layer: layer.Messaging}, found)

	found, ok = s.Context(start, trace(1), pcommon.SpanID{})
	require.True(t, ok)
	assert.Equal(t, store.Context{Entry: shop, Operation: "GET /"}, found)

	_, ok = s.Context(start, trace(3), span(1))
	assert.False(t, ok)
}

func TestTheRootIsTheEntryWheneverItComes(t *testing.T) {
	edge, shop := &store.Emitter{Name: "edge"}, &store.Emitter{Name: "shop"}
	root := store.Span{Trace: trace(1), ID: span(1), Start: 1, Emitter: edge, Root: true, Operation: "root", Failed: true}
	early := store.Span{Trace: trace(1), ID: span(2), Start: 2, Emitter: shop, Operation: "early"}
	late := store.Span{Trace: trace(1), ID: span(3), Start: 3, Emitter: shop, Operation: "late"}
	inner := store.Span{Trace: trace(1), ID: span(4), Start: 0, Emitter: shop, Operation: "inner", Failed: true}
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
		s := store.New(1<<20, retention)
		for i := range given.spans {
			s.Remember(start, given.spans[i:i+1])
		}
		found, ok := s.Context(start, trace(1), pcommon.SpanID{})
		require.True(t, ok)
		assert.Equal(t, given.operation, found.Operation)
		assert.Equal(t, given.failed, found.Failed)
	}
}

func TestWhatIsOldIsForgotten(t *testing.T) {
	s := store.New(1<<20, retention)
	s.Remember(start, []store.Span{{Trace: trace(1), ID: span(1)}})
	_, ok := s.Context(start+int64(retention), trace(1), span(1))
	assert.True(t, ok)
	_, ok = s.Context(start+int64(retention)+1, trace(1), span(1))
	assert.False(t, ok)
	_, ok = s.Context(start, trace(1), span(1))
	assert.False(t, ok, "a clock that goes back brings nothing back")
	assert.Equal(t, store.Evictions{Age: 1}, s.Evicted())
}

func TestAFloodPushesOutTheOldestAndKeepsTheBound(t *testing.T) {
	const limit = 4 << 20
	s := store.New(limit, retention)
	const flood = 200_000
	for i := range uint64(flood) {
		s.Remember(start+int64(i), []store.Span{{
			Trace: trace(i + 1), ID: span(i + 1), Root: true, Operation: fmt.Sprint("operation ", i),
		}})
		require.LessOrEqual(t, s.Size(), int64(limit))
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
	s := store.New(1<<20, retention)
	s.Remember(start, []store.Span{{Trace: trace(1), ID: span(1), Root: true, Operation: "a" + strings.Repeat("ü", 1<<20)}})
	found, _ := s.Context(start, trace(1), span(1))
	assert.Equal(t, "a"+strings.Repeat("ü", 127), found.Operation)

	s.Remember(start, []store.Span{{Trace: trace(2), ID: span(1), Root: true, Operation: strings.Repeat("\x80", 1000)}})
	found, _ = s.Context(start, trace(2), span(1))
	assert.Len(t, found.Operation, 252)
}

func TestHalfAnIDFindsTheOnlyTraceThatEndsInIt(t *testing.T) {
	s := store.New(1<<20, retention)
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

// TestAgainstAMap holds the store against the simplest thing that remembers.
func TestAgainstAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := store.New(64<<20, retention)
	type key struct {
		trace pcommon.TraceID
		span  pcommon.SpanID
	}
	layers, operations := map[key]layer.Layer{}, map[pcommon.TraceID]string{}
	for i := range 50_000 {
		remembered := store.Span{
			Trace: trace(random.Uint64N(2000) + 1), ID: span(random.Uint64N(100) + 1), Layer: layer.Layer(random.Uint64N(8)),
			Start: int64(-i), Root: random.Uint64N(2) == 0, Operation: fmt.Sprint(i),
		}
		s.Remember(start, []store.Span{remembered})
		layers[key{remembered.Trace, remembered.ID}] = remembered.Layer
		if remembered.Root {
			operations[remembered.Trace] = remembered.Operation
		}
	}
	for k, want := range layers {
		found, ok := s.Context(start, k.trace, k.span)
		require.True(t, ok)
		require.Equal(t, want, found.Layer)
		require.Equal(t, operations[k.trace], found.Operation)
	}
}

func TestNothingIsAllocatedOnceTheStoreIsFull(t *testing.T) {
	s := store.New(1<<20, retention)
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

func BenchmarkRemember(b *testing.B) {
	s := store.New(64<<20, retention)
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		s.Remember(start, []store.Span{{Trace: trace(i / 8), ID: span(i)}})
	}
}

func trace(n uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func span(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}
