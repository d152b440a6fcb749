package dependency

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
	"github.com/throughline-otel/throughline/internal/layer"
)

func TestCalls(t *testing.T) {
	for name, test := range map[string]struct {
		trace string
		want  []string
	}{
		"a client and the server that answers": {
			`a - front server 0-100
			 b a front client 10-90
			 c b checkout server 20-80`,
			[]string{"front→checkout rpc"},
		},
		"a parent in another service, whatever the kinds": {
			`a - front unspecified 0-100
			 b a checkout unspecified 20-80`,
			[]string{"front→checkout rpc"},
		},
		"each consumer of a message": {
			`a - checkout producer 0-5
			 b a mail consumer 10-20
			 c a fulfilment consumer 10-30
			 d a billing consumer 12-20`,
			[]string{"checkout→billing messaging", "checkout→fulfilment messaging", "checkout→mail messaging"},
		},
		"a database that sends no telemetry": {
			`a - payments server 0-100
			 b a payments client 10-90 peer=sqlite:shop layer=data`,
			[]string{"payments→sqlite:shop database"},
		},
		"a peer outside, and only the innermost of the spans that wrap a call": {
			`a - payments server 0-100
			 b a payments client 10-90 peer=cards.example.com op=sdk
			 c b payments client 20-80 peer=cards.example.com op=http`,
			[]string{"payments→cards.example.com external"},
		},
		"a call within which something else without a name was waited for": {
			`a - front client 0-100 peer=cards.example.com
			 b a front client 0-5 op=dns.lookup
			 c b front client 1-4`,
			[]string{"front→cards.example.com external"},
		},
		"a call that is passed on without a name": {
			`a - front client 0-100 peer=sdk.internal
			 b a front client 10-90
			 c b checkout server 20-80
			 d - front client 0-100 peer=sdk.internal
			 e d front client 10-90
			 f e front client 20-80 peer=cards.example.com`,
			[]string{"front→cards.example.com external", "front→checkout rpc"},
		},
		"a call that is tried within": {
			`a - front client 0-100 peer=sdk.internal
			 b a front internal 10-90 op=attempt
			 c b checkout server 20-80
			 d - front client 0-100 peer=sdk.internal
			 e d front internal 10-20 op=wait
			 f e front internal 11-12
			 g d front internal 20-90 op=attempt
			 h g front client 30-80 peer=cards.example.com
			 i - front client 0-100 peer=alone.example.com
			 j i front internal 10-20
			 k j front internal 11-19
			 l i front internal 20-30`,
			[]string{"front→alone.example.com external", "front→cards.example.com external", "front→checkout rpc"},
		},
		"no peer where a service answers": {
			`a - front client 0-100 peer=checkout.internal
			 b a checkout server 10-90`,
			[]string{"front→checkout rpc"},
		},
		"the work on a message, not its receipt": {
			`a - checkout producer 0-5
			 b a mail client 10-12 broker
			 c a mail consumer 12-30
			 d a audit client 10-40 broker
			 e d audit consumer 12-30`,
			[]string{"checkout→audit messaging", "checkout→mail messaging"},
		},
		"a receipt where no work is seen": {
			`a - checkout producer 0-5
			 b a mail client 10-12 broker`,
			[]string{"checkout→mail messaging"},
		},
		"the service that answered at an address before": {
			`a - front client 0-10 peer=checkout.internal
			 b a checkout server 1-9
			 c - front client 20-30 peer=checkout.internal`,
			[]string{"front→checkout rpc", "front→checkout rpc"},
		},
		"an address at which several services answer": {
			`a - front client 0-10 peer=proxy.internal
			 b a checkout server 1-9
			 c - front client 20-30 peer=proxy.internal
			 d c catalog server 21-29
			 e - front client 40-50 peer=proxy.internal`,
			[]string{"front→catalog rpc", "front→checkout rpc", "front→proxy.internal external"},
		},
		"a database that answered before": {
			`a - front client 0-10 peer=postgresql:shop layer=data
			 b a postgresql server 1-9
			 c - front client 20-30 peer=postgresql:shop layer=data`,
			[]string{"front→postgresql database", "front→postgresql database"},
		},
		"a neighbour of a service that answered": {
			`a - front client 0-10 peer=10.0.0.0/24
			 b a checkout server 1-9
			 c - front client 20-30 peer=10.0.0.0/24`,
			[]string{"front→10.0.0.0/24 external", "front→checkout rpc"},
		},
		"no peer without a name": {
			`a - front client 0-100`, nil,
		},
		"no call of a service to itself": {
			`a - front client 0-100
			 b a front server 10-90
			 c - front client 0-100 peer=front.internal
			 d c front server 10-90`, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := names.New()
			table.Peer("10.0.0.0/24", layer.External, names.FromNetwork)
			var got []string
			for _, call := range Calls(tracetest.Build(table, test.trace), table, nil) {
				got = append(got, fmt.Sprintf("%s→%s %s", table.EntityOf(call.Caller).Name, table.EntityOf(call.Callee).Name, call.Type))
			}
			slices.Sort(got)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestABookCountsByOutcomeAndSide(t *testing.T) {
	table := names.New()
	admission := NewAdmission(10, 10)
	book := NewBook(admission, nil)
	count := func(text string) {
		tree := tracetest.Build(table, text)
		for _, call := range Calls(tree, table, nil) {
			book.Count(tree, call)
		}
	}
	count(`a - front client 0-100
	       b a checkout server 10-90`)
	count(`a - front client 0-100 failed
	       b a checkout server 10-90 failed`)
	count(`a - front client 0-50 failed peer=gone.example.com`)

	total := told(book)
	edge := Edge{tracetest.Service(table, "front"), tracetest.Service(table, "checkout"), RPC}
	for _, failed := range []bool{false, true} {
		s := total[Key{Edge: edge, Failed: failed}]
		assert.InDelta(t, 1, s.Calls, 1e-9)
		assert.InDelta(t, 0.1, s.Caller.Seconds.Sum(), 1e-9)
		assert.InDelta(t, 0.08, s.Callee.Seconds.Sum(), 1e-9)
	}
	peer := total[Key{Edge: Edge{edge.Caller, tracetest.Peer(table, "gone.example.com"), External}, Failed: true}]
	assert.True(t, peer.Caller.Observed())
	assert.False(t, peer.Callee.Observed(), "a side that sent no span observes nothing, not zero seconds")
	assert.Len(t, admission.Fresh(), 2)
	assert.Empty(t, admission.Fresh())
}

// A hundred calls are made, of which each side samples some; calls and both histograms say how many there were.
func TestSampledCallsCountOnce(t *testing.T) {
	const made = 100
	for name, test := range map[string]struct {
		caller                 string
		callerRate, calleeRate int // One span in so many is there.
	}{
		"the caller's all, the callee's in part":       {"client 0-100 peer=checkout.internal", 1, 4},
		"the caller's in part, the callee's all":       {"client 0-100 peer=checkout.internal", 4, 1},
		"both in part":                                 {"client 0-100 peer=checkout.internal", 2, 10},
		"a caller's that is no call without an answer": {"client 0-100", 1, 4},
		"a caller's that is not about the call":        {"server 0-100", 2, 4},
	} {
		t.Run(name, func(t *testing.T) {
			table := names.New()
			book := NewBook(NewAdmission(10, 10), nil)
			for i := range made {
				if i%test.callerRate > 0 {
					continue // The callee's span alone says nothing of a caller.
				}
				text := "a - front " + test.caller
				if i%test.calleeRate == 0 {
					text += "\n b a checkout server 10-90"
				}
				tree := tracetest.Build(table, text)
				for j, rate := range []int{test.callerRate, test.calleeRate}[:len(tree.Spans)] {
					tree.Spans[j].Count = float64(rate)
				}
				for _, call := range Calls(tree, table, nil) {
					book.Count(tree, call)
				}
			}
			total := told(book)
			assert.Len(t, total, 1)
			for _, s := range total {
				assert.InDelta(t, made, s.Calls, 1e-9)
				assert.EqualValues(t, made, s.Callee.Seconds.Count())
				if s.Caller.Observed() {
					assert.EqualValues(t, made, s.Caller.Seconds.Count())
				}
			}
		})
	}
}

// told is all that books counted.
func told(books ...*Book) map[Key]*Series {
	totals := NewTotals(0, 1000, false)
	for _, book := range books {
		book.MoveTo(totals, 1, 1000)
	}
	all := map[Key]*Series{}
	totals.Tell(1, func(key Key, s *Series) { all[key] = s })
	return all
}

func TestNoCallerTakesTheRoomOfTheOthers(t *testing.T) {
	table := names.New()
	book := NewBook(NewAdmission(100, 2), nil)
	for i := range 30 {
		tree := tracetest.Build(table, fmt.Sprintf("a - greedy client 0-10 peer=p%d\n b - modest client 0-10 peer=q", i))
		for _, call := range Calls(tree, table, nil) {
			book.Count(tree, call)
		}
	}
	total := told(book)
	assert.Len(t, total, 4)
	assert.InDelta(t, 28, total[Key{Edge: Edge{tracetest.Service(table, "greedy"), names.Other, External}}].Calls, 1e-9)
	assert.InDelta(t, 30, total[Key{Edge: Edge{tracetest.Service(table, "modest"), tracetest.Peer(table, "q"), External}}].Calls, 1e-9)
}

func TestSeriesLeaveAfterSilenceAndBeginAnew(t *testing.T) {
	table := names.New()
	admission := NewAdmission(10, 10)
	book := NewBook(admission, nil)
	totals := NewTotals(100, 50, false)
	tree := tracetest.Build(table, "a - front client 0-10 peer=p")
	tell := func(now int64) (starts []int64, left []Edge) {
		book.MoveTo(totals, now, 1000)
		left = totals.Tell(now, func(_ Key, s *Series) { starts = append(starts, s.Start) })
		book.Forget(left)
		return starts, left
	}
	count := func() {
		for _, call := range Calls(tree, table, nil) {
			book.Count(tree, call)
		}
		book.Recents(func(Edge, *Recent) {})
	}
	count()
	starts, left := tell(110)
	assert.Equal(t, []int64{100}, starts)
	assert.Empty(t, left)
	starts, left = tell(159)
	assert.Equal(t, []int64{100}, starts, "it is told as long as it may come back")
	assert.Empty(t, left)
	starts, left = tell(160)
	assert.Empty(t, starts)
	assert.Len(t, left, 1)
	assert.Zero(t, book.accounts.size)
	count()
	starts, _ = tell(170)
	assert.Equal(t, []int64{160}, starts, "a counter that begins anew says so")
}

func TestDeltasBeginAnewEachTime(t *testing.T) {
	table := names.New()
	book := NewBook(NewAdmission(10, 10), nil)
	totals := NewTotals(100, 50, true)
	tree := tracetest.Build(table, "a - front client 0-10 peer=p")
	for now := int64(110); now < 150; now += 10 {
		for range now / 10 {
			for _, call := range Calls(tree, table, nil) {
				book.Count(tree, call)
			}
		}
		book.MoveTo(totals, now, 1000)
		n := 0
		totals.Tell(now, func(_ Key, s *Series) {
			n++
			assert.InDelta(t, now/10, s.Calls, 1e-9)
			assert.Equal(t, uint64(now/10), s.Caller.Seconds.Count())
			assert.Equal(t, now-10, s.Start)
		})
		assert.Equal(t, 1, n)
		totals.Tell(now, func(Key, *Series) { t.Error("nothing was added") })
	}
}

// A sampled span may stand for one call and a half: what was rounded off one flush is not lost to the next.
func TestRoundedDeltasAddUp(t *testing.T) {
	table := names.New()
	book, totals := NewBook(NewAdmission(10, 10), nil), NewTotals(0, 1000, true)
	tree := tracetest.Build(table, "a - front client 0-10 peer=p")
	tree.Spans[0].Count = 1.4
	var sum int64
	for now := range int64(100) {
		book.Count(tree, Calls(tree, table, nil)[0])
		book.MoveTo(totals, now, 1000)
		totals.Tell(now, func(_ Key, s *Series) { sum += s.Whole() })
	}
	assert.InDelta(t, 140, sum, 1)
}

func TestTheExemplarIsOfTheLatestCalls(t *testing.T) {
	table := names.New()
	book, totals := NewBook(NewAdmission(10, 10), nil), NewTotals(0, 1000, false)
	tell := func(text string) (slowest Exemplar) {
		tree := tracetest.Build(table, text)
		for _, call := range Calls(tree, table, nil) {
			book.Count(tree, call)
		}
		book.MoveTo(totals, 1, 1000)
		totals.Tell(1, func(_ Key, s *Series) { slowest = s.Caller.Slowest })
		return slowest
	}
	assert.InDelta(t, 5, tell("a - front client 0-5000 peer=p").Seconds, 1e-9)
	assert.InDelta(t, 1, tell("a - front client 0-1000 peer=p").Seconds, 1e-9, "the slowest since the last time, not of all times")
	assert.Zero(t, tell("a - front server 0-1000"))
}

// flat is a trace of one span and n children that are alike.
func flat(n int, root, child trace.Record) *trace.Trace {
	records := make([]trace.Record, n+1)
	records[0] = root
	for i := 1; i <= n; i++ {
		records[i] = child
		records[i].Start, records[i].End = int64(i), int64(i)+1
		records[i].ID = uint64(i) + 1
	}
	records[0].ID, records[0].Start, records[0].End = 1, 1, 2
	var t trace.Trace
	t.Build(pcommon.TraceID{1}, records)
	return &t
}

func TestManyCallsOfOneTraceAreOneWitness(t *testing.T) {
	const n = 70_000 // Its square needs more than 32 bits.
	table := names.New()
	book := NewBook(NewAdmission(10, 10), nil)
	front := tracetest.Service(table, "front")
	tree := flat(n, trace.Record{Service: front}, trace.Record{
		Parent: 1, Service: front, Peer: tracetest.Peer(table, "p"), Kind: uint8(ptrace.SpanKindClient), Flags: trace.Call, Count: 1,
	})
	for _, call := range Calls(tree, table, nil) {
		book.Count(tree, call)
	}
	book.Recents(func(_ Edge, r *Recent) { assert.Equal(t, uint64(n)*n, r.Squares) })
}

// To look for the work among all siblings of each receipt would take much longer.
func TestManyReceiptsUnderOneParentTakeLittleTime(t *testing.T) {
	const n = 100_000
	table := names.New()
	tree := flat(n, trace.Record{Service: tracetest.Service(table, "checkout"), Kind: uint8(ptrace.SpanKindProducer)}, trace.Record{
		Parent: 1, Service: tracetest.Service(table, "mail"), Kind: uint8(ptrace.SpanKindClient), Flags: trace.Broker,
	})
	from := time.Now()
	assert.Len(t, Calls(tree, table, nil), n)
	assert.Less(t, time.Since(from), 3*time.Second)
}

func TestEdgesBeyondTheBoundKeepTheirCaller(t *testing.T) {
	table := names.New()
	book := NewBook(NewAdmission(1, 1), nil)
	for i := range 3 {
		tree := tracetest.Build(table, fmt.Sprintf("a - front client 0-10 peer=p%d", i))
		for _, call := range Calls(tree, table, nil) {
			book.Count(tree, call)
		}
	}
	total := told(book)
	assert.Len(t, total, 2)
	overflow := total[Key{Edge: Edge{tracetest.Service(table, "front"), names.Other, External}}]
	assert.InDelta(t, 2, overflow.Calls, 1e-9, "and every count")
}

// Callees without a name of their own are many, too, whatever room there is for one more edge.
func TestCalleesBeyondTheNamesAreMany(t *testing.T) {
	table, admission := names.New(), NewAdmission(10, 10)
	book := NewBook(admission, nil)
	tree := tracetest.Build(table, "a - front client 0-10 failed peer=p")
	call := Calls(tree, table, nil)[0]
	call.Callee = names.Other
	assert.False(t, book.Count(tree, call), "there is nobody to look at more closely")
	book.Recents(func(e Edge, _ *Recent) { t.Error(e, "is no dependency to be watched") })
	assert.Empty(t, admission.Fresh())
	assert.InDelta(t, 1, told(book)[Key{Edge: call.Edge, Failed: true}].Calls, 1e-9)
}

func TestKindsOfFailuresAreBounded(t *testing.T) {
	table := names.New()
	admission := NewAdmission(10, 10)
	books := []*Book{NewBook(admission, nil), NewBook(admission, nil)}
	for i := range 100 {
		tree := tracetest.Build(table, "a - front client 0-10 failed peer=p")
		tree.Spans[0].ErrorType = uint16(table.Text(fmt.Sprint("e", i/2)))
		for _, call := range Calls(tree, table, nil) {
			books[i%2].Count(tree, call)
		}
	}
	total := told(books...)
	assert.Len(t, total, maxErrorTypes+1)
	var calls float64
	for _, s := range total {
		calls += s.Calls
	}
	assert.InDelta(t, 100, calls, 1e-9)
}

func BenchmarkCount(b *testing.B) {
	table := names.New()
	tree := tracetest.Build(table, `a - front server 0-300
		b a front client 5-290
		c b checkout server 10-285
		d c checkout client 20-100
		e d catalog server 22-98
		f e catalog client 30-90 peer=db layer=data`)
	book := NewBook(NewAdmission(100, 100), nil)
	var calls []Call
	b.ReportAllocs()
	for b.Loop() {
		calls = Calls(tree, table, calls[:0])
		for _, call := range calls {
			book.Count(tree, call)
		}
	}
}

// BenchmarkEdges counts calls along so many edges, in an order that has nothing to do with that in which they first came.
func BenchmarkEdges(b *testing.B) {
	for _, edges := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(edges), func(b *testing.B) {
			table := names.New()
			tree := tracetest.Build(table, "a - front client 0-10 peer=p")
			call := Calls(tree, table, nil)[0]
			book := NewBook(NewAdmission(edges, edges), nil)
			peers := make([]uint32, edges)
			for i := range peers {
				peers[i] = tracetest.Peer(table, fmt.Sprint("p", i))
				call.Callee = peers[i]
				book.Count(tree, call)
			}
			rand.New(rand.NewPCG(1, 1)).Shuffle(edges, func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if i++; i == edges {
					i = 0
				}
				call.Callee = peers[i]
				book.Count(tree, call)
			}
		})
	}
}

// BenchmarkTell moves 50,000 series to the totals, a part at a time, and tells them; while it moves a part, nothing is decided.
func BenchmarkTell(b *testing.B) {
	const edges = 25_000
	table := names.New()
	tree := tracetest.Build(table, "a - front client 0-10 peer=p")
	failed := tracetest.Build(table, "a - front client 0-10 peer=p failed")
	calls := Calls(tree, table, nil)
	book, totals := NewBook(NewAdmission(edges, edges), nil), NewTotals(0, 1e9, false)
	var longest time.Duration
	for b.Loop() {
		for i := range uint32(edges) {
			call := calls[0]
			call.Callee = i + 2
			book.Count(tree, call)
			book.Count(failed, call)
		}
		for more := true; more; {
			from := time.Now()
			more = book.MoveTo(totals, 1, 256)
			longest = max(longest, time.Since(from))
		}
		totals.Tell(1, func(Key, *Series) {})
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest-move")
}
