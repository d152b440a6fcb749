package trace_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
)

func TestBuild(t *testing.T) {
	for name, test := range map[string]struct {
		trace string
		// parents and self (in milliseconds) in order of start.
		parents []int32
		self    []int64
	}{
		"a child takes its time from its parent": {
			`a - front server 0-100
			 b a front internal 10-40`,
			[]int32{-1, 0},
			[]int64{70, 30},
		},
		"records come in any order": {
			`b a front internal 10-40
			 a - front server 0-100`,
			[]int32{-1, 0},
			[]int64{70, 30},
		},
		"parallel children are counted once": {
			`a - front server 0-100
			 b a front internal 10-60
			 c a front internal 40-80`,
			[]int32{-1, 0, 0},
			[]int64{30, 50, 40},
		},
		"a child that outlives its parent is cut": {
			`a - front server 0-100
			 b a front internal 90-500`,
			[]int32{-1, 0},
			[]int64{90, 410},
		},
		"a consumer takes no time from anybody": {
			`a - front server 0-100
			 b a mail consumer 10-90`,
			[]int32{-1, 0},
			[]int64{100, 80},
		},
		"who reacts to events waits for the calls beside": {
			`a - gate server 0-100
			 b a gate internal 1-98
			 c a gate client 2-99
			 d c shop server 5-90`,
			[]int32{-1, 0, 0, 2},
			[]int64{2, 1, 12, 85},
		},
		"but not for other work beside, for calls from before, and for those of others": {
			`a - front server 0-100
			 z a front client 5-40
			 b a front internal 10-60
			 c a front internal 20-50
			 d a mail client 30-45`,
			[]int32{-1, 0, 0, 0, 0},
			[]int64{45, 35, 50, 30, 15},
		},
		"a missing parent makes a root": {
			`b a front internal 10-40`,
			[]int32{-1},
			[]int64{30},
		},
		"a duplicate counts once": {
			`a - front server 0-100
			 a - front server 0-100
			 b a front internal 10-40`,
			[]int32{-1, 0},
			[]int64{70, 30},
		},
		"a client and a server that share an ID": {
			`a - front server 0-100
			 b a front client 10-90
			 b a checkout server 20-80
			 c b checkout client 30-40
			 d b front internal 80-85
			 b a checkout server 20-80
			 b a front client 10-90`,
			[]int32{-1, 0, 1, 2, 1},
			[]int64{20, 15, 50, 10, 5},
		},
		"a server that shares the ID of its client and seems to begin before it": {
			`b - checkout server 0-60
			 b - front client 10-90
			 c b checkout internal 20-40`,
			[]int32{1, -1, 0},
			[]int64{40, 30, 20},
		},
		"a span that is its own parent is a root": {
			`a a front server 0-100`,
			[]int32{-1},
			[]int64{100},
		},
		"the first of a circle is a root": {
			`a c front internal 0-100
			 b a front internal 10-90
			 c b front internal 20-80`,
			[]int32{-1, 0, 1},
			[]int64{20, 20, 60},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree := tracetest.Build(names.New(), test.trace)
			assert.Equal(t, test.parents, tree.Parent)
			self := make([]int64, len(tree.Self))
			for i := range self {
				self[i] = tree.Self[i] / 1e6
			}
			assert.Equal(t, test.self, self)
		})
	}
}

// Whatever strangers send, the tree is a tree: every walk up ends, and each span is the child of its parent.
func TestBuildRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var tree trace.Trace
	for range 2000 {
		records := make([]trace.Record, 1+random.IntN(30))
		for i := range records {
			start := random.Int64N(100)
			records[i] = trace.Record{
				ID: 1 + random.Uint64N(20), Parent: random.Uint64N(21), Start: start, End: start + random.Int64N(100),
				Service: uint32(random.IntN(3)), Kind: uint8(random.IntN(6)),
			}
		}
		tree.Build(pcommon.TraceID{1}, records)
		children := 0
		for i := range tree.Spans {
			steps := 0
			for at := int32(i); at != trace.None; at = tree.Parent[at] {
				steps++
				assert.LessOrEqual(t, steps, len(tree.Spans))
			}
			for child := tree.FirstChild[i]; child != trace.None; child = tree.NextSibling[child] {
				assert.Equal(t, int32(i), tree.Parent[child])
				children++
			}
			assert.GreaterOrEqual(t, tree.Self[i], int64(0))
		}
		roots := 0
		for _, parent := range tree.Parent {
			if parent == trace.None {
				roots++
			}
		}
		assert.Equal(t, len(tree.Spans), roots+children)
	}
}

func TestWaitsLooksAtFewSiblings(t *testing.T) {
	records := tracetest.Records(names.New(), "a - front server 0-100\nb a front internal 0-100")
	for i := range 10_000 {
		call := records[1]
		call.ID, call.Kind = uint64(1000+i), uint8(ptrace.SpanKindClient)
		records = append(records, call)
	}
	var tree trace.Trace
	tree.Build(pcommon.TraceID{1}, records)
	assert.Less(t, len(tree.Waits(tree.At(records[1].ID), nil)), 100)
}

func BenchmarkBuild(b *testing.B) {
	records := tracetest.Records(names.New(), `a - front server 0-300
		b a front client 5-290
		c b checkout server 10-285
		d c checkout client 20-100
		e d catalog server 22-98
		f e catalog client 30-90
		g c checkout client 100-280
		h g payments server 105-275`)
	var tree trace.Trace
	b.ReportAllocs()
	for b.Loop() {
		tree.Build(pcommon.TraceID{1}, records)
	}
}
