package usual

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
)

const begin = int64(1_700_000_000e9)

func TestTheUsualSelfTimeIsTheMedian(t *testing.T) {
	table := names.New()
	sample, past := NewSample(), NewPast()
	tree := tracetest.Build(table, `a - front server 0-10`)
	slow := tracetest.Build(table, `a - front server 0-900`)
	for range 60 {
		sample.Add(tree)
	}
	for range 40 {
		sample.Add(slow)
	}
	past.Merge(begin, sample)
	self, known := past.View().Self(tree.Spans[0].Operation)
	assert.True(t, known)
	assert.InEpsilon(t, 10e6, self, 0.25, "40 % of slow ones do not move it")
}

func TestOfManyTracesSomeStandForAll(t *testing.T) {
	table := names.New()
	sample, past := NewSample(), NewPast()
	tree := tracetest.Build(table, `a - catalog server 0-10 op=get
		b a catalog client 2-8 op=select`)
	const n = 10_000
	for range n {
		sample.Add(tree)
	}
	past.Merge(begin, sample)
	view := past.View()
	root := tree.Spans[0].Operation
	assert.InDelta(t, n, view.self[root].seen, thinned)
	assert.InDelta(t, 1, view.Calls(root, tree.Spans[1].Operation), 1e-9)
}

func TestTooLittleIsNotKnown(t *testing.T) {
	sample, past := NewSample(), NewPast()
	tree := tracetest.Build(names.New(), `a - front server 0-10`)
	for range enough - 1 {
		sample.Add(tree)
	}
	past.Merge(begin, sample)
	_, known := past.View().Self(tree.Spans[0].Operation)
	assert.False(t, known)
	sample.Add(tree)
	past.Merge(begin+1, sample)
	_, known = past.View().Self(tree.Spans[0].Operation)
	assert.True(t, known)
}

func TestCallsAreCountedForEachVisit(t *testing.T) {
	table := names.New()
	sample, past := NewSample(), NewPast()
	hit := tracetest.Build(table, `a - catalog server 0-10 op=get`)
	miss := tracetest.Build(table, `a - catalog server 0-10 op=get
		b a catalog client 2-8 op=select`)
	for range 15 {
		sample.Add(hit)
	}
	for range 5 {
		sample.Add(miss)
	}
	past.Merge(begin, sample)
	assert.InDelta(t, 0.25, past.View().Calls(miss.Spans[0].Operation, miss.Spans[1].Operation), 1e-9)
}

func TestThePastFades(t *testing.T) {
	table := names.New()
	sample, past := NewSample(), NewPast()
	fast := tracetest.Build(table, `a - front server 0-10`)
	slow := tracetest.Build(table, `a - front server 0-900`)
	for range 1000 {
		sample.Add(fast)
	}
	past.Merge(begin, sample)
	for range 400 {
		sample.Add(slow)
	}
	past.Merge(begin+3*halfLife, sample)
	self, _ := past.View().Self(fast.Spans[0].Operation)
	assert.InEpsilon(t, 900e6, self, 0.25, "after three half-lives, 400 outweigh 1000")
	past.Merge(begin+40*halfLife, sample)
	assert.Empty(t, past.self, "what has not run for long is forgotten")
}

func BenchmarkAdd(b *testing.B) {
	tree := tracetest.Build(names.New(), `a - front server 0-300
		b a front client 5-290
		c b checkout server 10-285
		d c checkout client 20-100`)
	sample := NewSample()
	b.ReportAllocs()
	for b.Loop() {
		sample.Add(tree)
	}
}
