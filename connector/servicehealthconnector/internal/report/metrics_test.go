package report

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dimension"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

// Whatever strangers call themselves, their peers and their errors, each series has one point.
func TestEachSeriesHasOnePoint(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"", "a", "b", "other", "other\x00", "\x01", "\xff", "a\xff", "postgresql", "10.0.0.0/24"}
	word := func() string { return words[random.IntN(len(words))] }
	in := func() layer.Layer { return layer.Layer(random.IntN(int(layer.External) + 1)) }
	table := names.New()
	book := dependency.NewBook(dependency.NewAdmission(300, 60), nil)
	var tree trace.Trace
	for range 20_000 {
		var records []trace.Record
		for id := uint64(1); id <= 2; id++ {
			records = append(records, trace.Record{
				ID: id, Parent: id - 1, Start: int64(id), End: 5, Count: 1, ErrorType: uint16(table.Text(word())), Layer: in(),
				Service: table.Entity(names.Entity{Identity: service.Identity{Name: "s" + word()}, Layer: in()}),
				Peer:    table.Peer(word(), in(), names.Source(1+random.IntN(int(names.FromNetwork)))),
				Kind:    uint8(ptrace.SpanKindClient), Flags: trace.Call | trace.Flags(random.IntN(2))*trace.Failed,
			})
		}
		table.Entity(names.Entity{Identity: service.Identity{Name: word()}, Layer: in()})
		tree.Build(pcommon.TraceID{1}, records)
		for _, call := range dependency.Calls(&tree, table, nil) {
			book.Count(&tree, call)
		}
	}
	m := NewMetrics("test", "", time.Unix(0, 0), time.Unix(10, 0), false)
	totals := dependency.NewTotals(0, 1e9, false)
	book.MoveTo(totals, 1, 1000)
	totals.Tell(1, func(key dependency.Key, s *dependency.Series) { m.Dependency(key, s, table, dimension.New(nil)) })
	seen := map[string]bool{}
	see := func(attributes pcommon.Map) {
		identity := fmt.Sprint(attributes.AsRaw())
		assert.False(t, seen[identity], identity)
		seen[identity] = true
	}
	for _, metric := range m.Metrics().ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		clear(seen)
		if metric.Name() == dependencyCalls.Name {
			for _, p := range metric.Sum().DataPoints().All() {
				see(p.Attributes())
			}
			continue
		}
		for _, p := range metric.ExponentialHistogram().DataPoints().All() {
			see(p.Attributes())
		}
	}
	assert.Greater(t, len(seen), 100)
}

// BenchmarkDependency tells a thousand series: a flush tells tens of thousands, and its garbage is everybody's.
func BenchmarkDependency(b *testing.B) {
	table, none := names.New(), dimension.New(nil)
	tree := tracetest.Build(table, `a - front client 0-10
		b a checkout server 1-9`)
	book, totals := dependency.NewBook(dependency.NewAdmission(10, 10), nil), dependency.NewTotals(0, 1e9, false)
	for _, call := range dependency.Calls(tree, table, nil) {
		book.Count(tree, call)
	}
	book.MoveTo(totals, 1, 1000)
	totals.Tell(1, func(key dependency.Key, s *dependency.Series) {
		b.ReportAllocs()
		for b.Loop() {
			m := NewMetrics("test", "", time.Unix(0, 0), time.Unix(10, 0), false)
			for range 1000 {
				m.Dependency(key, s, table, none)
			}
		}
	})
}
