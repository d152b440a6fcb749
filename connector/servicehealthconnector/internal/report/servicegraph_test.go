package report

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

// graph counts calls and tells them as service_graph does.
type graph struct {
	*testing.T
	table  *names.Table
	book   *dependency.Book
	totals *dependency.Totals
	delta  bool
}

// silence is after how many seconds a series leaves.
const silence = 30

func newGraph(t *testing.T, delta bool) *graph {
	return &graph{
		T: t, table: names.New(), book: dependency.NewBook(dependency.NewAdmission(100, 100), nil),
		totals: dependency.NewTotals(0, silence*1e9, delta), delta: delta,
	}
}

// call counts the calls of a trace, so many times.
func (g *graph) call(times int, text, errorType string) {
	tree := tracetest.Build(g.table, text)
	for i := range tree.Spans {
		tree.Spans[i].ErrorType = uint16(g.table.Text(errorType))
	}
	for range times {
		for _, call := range dependency.Calls(tree, g.table, nil) {
			g.book.Count(tree, call)
		}
	}
}

// tell returns the metrics of this second by their names.
func (g *graph) tell(second int64) map[string]pmetric.Metric {
	m := NewMetrics("test", "", time.Unix(0, 0), time.Unix(second, 0), g.delta)
	sums := NewServiceGraph()
	g.book.MoveTo(g.totals, second*1e9, 1000)
	g.totals.Tell(second*1e9, func(key dependency.Key, s *dependency.Series) { sums.Add(key, s, g.table) })
	m.ServiceGraph(sums)
	all := map[string]pmetric.Metric{}
	for _, metric := range m.Metrics().ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		all[metric.Name()] = metric
	}
	return all
}

// calls are those of the only series there is.
func (g *graph) calls(second int64) (n, start int64) {
	points := g.tell(second)[graphTotal.Name].Sum().DataPoints()
	require.Equal(g, 1, points.Len())
	return points.At(0).IntValue(), points.At(0).StartTimestamp().AsTime().Unix()
}

func TestASumKeepsWhatCameFromSeriesThatLeft(t *testing.T) {
	g := newGraph(t, false)
	const failed = "a - front client 0-10 failed peer=p"
	g.call(3, failed, "ECONNRESET")
	g.call(2, failed, "503")
	n, start := g.calls(10)
	assert.Equal(t, []int64{5, 0}, []int64{n, start})
	for second := int64(20); second <= 50; second += 10 {
		g.call(1, failed, "503")
		n, start = g.calls(second)
		assert.Equal(t, []int64{5 + (second-10)/10, 0}, []int64{n, start})
	}
	assert.Equal(t, 1, g.totals.Len(), "ECONNRESET has left")

	g.call(1, failed, "ECONNRESET")
	n, start = g.calls(60)
	assert.Equal(t, []int64{10, 0}, []int64{n, start}, "and adds to the sum when it comes back")

	assert.Empty(t, g.tell(60+silence), "a sum leaves with its last series")
	g.call(1, failed, "503")
	n, start = g.calls(100)
	assert.Equal(t, []int64{1, 60 + silence}, []int64{n, start}, "and then begins anew, and says so")
}

func TestASumOfDeltasBeginsAnewEachTime(t *testing.T) {
	g := newGraph(t, true)
	for second := int64(10); second <= 30; second += 10 {
		g.call(2, "a - front client 0-10 failed peer=p", "503")
		g.call(1, "a - front client 0-10 failed peer=p", "ECONNRESET")
		n, start := g.calls(second)
		assert.Equal(t, []int64{3, second - 10}, []int64{n, start})
	}
}

func TestASumStaysTheSameWhenAPeerBecomesAService(t *testing.T) {
	g := newGraph(t, false)
	g.table.Peer("mail.internal", layer.External, names.FromHost)
	g.call(2, "a - front client 0-10 peer=mail.internal", "")
	n, _ := g.calls(10)
	assert.EqualValues(t, 2, n)
	g.table.Entity(names.Entity{Identity: service.Identity{Name: "mail.internal"}, Layer: layer.External})
	g.call(1, "a - front client 0-10 peer=mail.internal", "")
	points := g.tell(20)[graphTotal.Name].Sum().DataPoints()
	require.Equal(t, 1, points.Len())
	connection, _ := points.At(0).Attributes().Get("connection_type")
	assert.Equal(t, "virtual_node", connection.Str(), "as it was told from the start")
	assert.EqualValues(t, 3, points.At(0).IntValue())
}

// A histogram gets coarser as the range of its values grows, and the ends of its buckets move upward.
func TestNoBucketFalls(t *testing.T) {
	g := newGraph(t, false)
	var before []uint64
	for i, calls := range []string{
		"a - front client 0-99 peer=p", "a - front client 0-98 peer=p", "a - front client 0-1 peer=p",
		"a - front client 0-900000 peer=p", "a - front client 0-99 peer=p",
	} {
		g.call(10, calls, "")
		p := g.tell(int64(i+1) * 10)[graphClient.Name].Histogram().DataPoints().At(0)
		var total, below, was uint64
		for at, n := range p.BucketCounts().All() {
			total += n
			below += n
			if before != nil {
				was += before[at]
			}
			assert.GreaterOrEqual(t, below, was, "bucket %d after %s", at, calls)
		}
		assert.Equal(t, p.Count(), total)
		before = p.BucketCounts().AsRaw()
	}
}
