package dependency

import (
	"fmt"
	"slices"
	"testing"

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
			for _, call := range Calls(tracetest.Build(table, test.trace), nil) {
				got = append(got, fmt.Sprintf("%s→%s %s", table.EntityOf(call.Caller).Name, table.EntityOf(call.Callee).Name, call.Type))
			}
			slices.Sort(got)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestABookCountsByOutcomeAndSide(t *testing.T) {
	table := names.New()
	admission := NewAdmission(10)
	book := NewBook(admission)
	count := func(text string) {
		tree := tracetest.Build(table, text)
		for _, call := range Calls(tree, nil) {
			book.Count(tree, call)
		}
	}
	count(`a - front client 0-100
	       b a checkout server 10-90`)
	count(`a - front client 0-100 failed
	       b a checkout server 10-90 failed`)
	count(`a - front client 0-50 failed peer=gone.example.com`)

	total := map[Key]*Series{}
	book.MergeInto(total)
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

func TestEdgesBeyondTheBoundKeepTheirCaller(t *testing.T) {
	table := names.New()
	book := NewBook(NewAdmission(1))
	for i := range 3 {
		tree := tracetest.Build(table, fmt.Sprintf("a - front client 0-10 peer=p%d", i))
		for _, call := range Calls(tree, nil) {
			book.Count(tree, call)
		}
	}
	total := map[Key]*Series{}
	book.MergeInto(total)
	assert.Len(t, total, 2)
	overflow := total[Key{Edge: Edge{tracetest.Service(table, "front"), names.Other, External}}]
	assert.InDelta(t, 2, overflow.Calls, 1e-9, "and every count")
}

func TestKindsOfFailuresAreBounded(t *testing.T) {
	table := names.New()
	admission := NewAdmission(10)
	books := []*Book{NewBook(admission), NewBook(admission)}
	for i := range 100 {
		tree := tracetest.Build(table, "a - front client 0-10 failed peer=p")
		tree.Spans[0].ErrorType = table.Text(fmt.Sprint("e", i/2))
		for _, call := range Calls(tree, nil) {
			books[i%2].Count(tree, call)
		}
	}
	total := map[Key]*Series{}
	for _, book := range books {
		book.MergeInto(total)
	}
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
	book := NewBook(NewAdmission(100))
	var calls []Call
	b.ReportAllocs()
	for b.Loop() {
		calls = Calls(tree, calls[:0])
		for _, call := range calls {
			book.Count(tree, call)
		}
	}
}
