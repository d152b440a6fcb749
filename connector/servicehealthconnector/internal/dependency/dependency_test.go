package dependency

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
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
		"no peer without a name": {
			`a - front client 0-100`, nil,
		},
		"no call of a service to itself": {
			`a - front client 0-100
			 b a front server 10-90`, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := names.New()
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
	book := NewBook(admission)
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
	book := NewBook(NewAdmission(100, 2))
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
	book := NewBook(admission)
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
	assert.Empty(t, book.accounts)
	count()
	starts, _ = tell(170)
	assert.Equal(t, []int64{160}, starts, "a counter that begins anew says so")
}

func TestDeltasBeginAnewEachTime(t *testing.T) {
	table := names.New()
	book := NewBook(NewAdmission(10, 10))
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

func TestEdgesBeyondTheBoundKeepTheirCaller(t *testing.T) {
	table := names.New()
	book := NewBook(NewAdmission(1, 1))
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

func TestKindsOfFailuresAreBounded(t *testing.T) {
	table := names.New()
	admission := NewAdmission(10, 10)
	books := []*Book{NewBook(admission), NewBook(admission)}
	for i := range 100 {
		tree := tracetest.Build(table, "a - front client 0-10 failed peer=p")
		tree.Spans[0].ErrorType = table.Text(fmt.Sprint("e", i/2))
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
	book := NewBook(NewAdmission(100, 100))
	var calls []Call
	b.ReportAllocs()
	for b.Loop() {
		calls = Calls(tree, table, calls[:0])
		for _, call := range calls {
			book.Count(tree, call)
		}
	}
}

// BenchmarkEdges counts calls along so many edges in turn.
func BenchmarkEdges(b *testing.B) {
	for _, edges := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(edges), func(b *testing.B) {
			table := names.New()
			tree := tracetest.Build(table, "a - front client 0-10 peer=p")
			calls := Calls(tree, table, nil)
			book := NewBook(NewAdmission(edges, edges))
			peers := make([]uint32, edges)
			for i := range peers {
				peers[i] = tracetest.Peer(table, fmt.Sprint("p", i))
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				call := calls[0]
				call.Callee = peers[i%edges]
				i++
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
	book, totals := NewBook(NewAdmission(edges, edges)), NewTotals(0, 1e9, false)
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
