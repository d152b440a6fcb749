package report

import (
	"math"
	"slices"

	"github.com/lightstep/go-expohisto/structure"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

var (
	graphTotal  = Declaration{"traces_service_graph_request_total", "", "Calls, under the name and with the attributes that service_graph gives them."}
	graphFailed = Declaration{"traces_service_graph_request_failed_total", "", "Calls that failed, as service_graph has them."}
	graphServer = Declaration{"traces_service_graph_request_server", "s", "How long the callee took, as service_graph has it."}
	graphClient = Declaration{"traces_service_graph_request_client", "s", "How long the caller waited, as service_graph has it."}
)

// graphBounds are the upper bounds of service_graph's buckets, in seconds.
var graphBounds = [...]float64{0.002, 0.004, 0.006, 0.008, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1.4, 2, 5, 10, 15}

const graphBuckets = len(graphBounds) + 1

// ServiceGraph sums up series as service_graph tells them apart: by names alone.
type ServiceGraph struct {
	members []graphMember
	sums    map[graphKey]*graphSum
}

// graphMember is a series as it is told now.
type graphMember struct {
	graphCounts
	key    graphKey
	start  pcommon.Timestamp
	series *dependency.Series
}

type graphKey struct {
	client, server, connection string
	failed                     bool
}

type graphSum struct {
	graphCounts
	key   graphKey
	start pcommon.Timestamp
}

// graphShare is what a series has added to a sum. The series keeps it, so that a sum never loses what came from a series that
// has left, and lasts until the last of its series leaves.
type graphShare struct {
	graphCounts
	of *graphSum
}

type graphCounts struct {
	calls          float64
	client, server graphHistogram
}

type graphHistogram struct {
	count   uint64
	sum     float64
	buckets [graphBuckets]uint64
}

// NewServiceGraph returns an empty one.
func NewServiceGraph() *ServiceGraph { return &ServiceGraph{sums: map[graphKey]*graphSum{}} }

// Add adds one series of calls.
func (g *ServiceGraph) Add(key dependency.Key, s *dependency.Series, table *names.Table) {
	k := graphKey{
		client: table.EntityOf(key.Caller).Name, server: graphName(key.Callee, table), connection: connection(key.Edge, table), failed: key.Failed,
	}
	if share, ok := s.Share.(*graphShare); ok {
		g.sums[share.of.key] = share.of // Also after the callee, who was a peer, has become a service.
	}
	counts := graphCounts{calls: float64(s.Whole())} // Whose sum is that of dependency.calls.
	counts.client.add(&s.Caller)
	if key.Type == dependency.Database {
		counts.server.add(&s.Caller) // Its dashboards expect the one span of a query on both sides.
	}
	counts.server.add(&s.Callee)
	g.members = append(g.members, graphMember{counts, k, pcommon.Timestamp(s.Start), s})
}

// sum adds to each sum what its members have grown by since they were last told. Deltas begin anew each time, and so do their
// sums.
func (g *ServiceGraph) sum(delta bool) {
	for i := range g.members {
		m := &g.members[i]
		share, ok := m.series.Share.(*graphShare)
		if !ok {
			share = &graphShare{of: g.of(m)}
		}
		if !delta {
			m.series.Share = share
		}
		share.grow(&m.graphCounts)
	}
	g.members = nil
}

// of is the sum to which a new member adds.
func (g *ServiceGraph) of(m *graphMember) *graphSum {
	sum := g.sums[m.key]
	if sum == nil {
		sum = &graphSum{key: m.key, start: m.start}
		g.sums[m.key] = sum
	}
	sum.start = min(sum.start, m.start)
	return sum
}

func (s *graphShare) grow(to *graphCounts) {
	s.of.calls += to.calls - s.calls
	s.calls = to.calls
	s.of.client.grow(&s.client, &to.client)
	s.of.server.grow(&s.server, &to.server)
}

// grow adds to h what a share has grown by, and to the share. A histogram that gets coarser moves what it has upward, but no
// bucket may lose what it was once told to hold: that much is missing from what comes to the next ones.
func (h *graphHistogram) grow(share, to *graphHistogram) {
	h.count += to.count - share.count
	h.sum += to.sum - share.sum
	share.count, share.sum = to.count, to.sum
	var moved uint64
	for i := range h.buckets {
		was, is := share.buckets[i]+moved, to.buckets[i]
		moved = max(was, is) - is
		if is > was {
			h.buckets[i] += is - was
			share.buckets[i] += is - was
		}
	}
}

// graphName is the callee's name; that of a database does not say its system.
func graphName(callee uint32, table *names.Table) string {
	name := table.EntityOf(callee).Name
	if table.SourceOf(callee) == names.FromDatabase {
		for i := range len(name) {
			if name[i] == ':' {
				return name[i+1:]
			}
		}
	}
	return name
}

func connection(e dependency.Edge, table *names.Table) string {
	switch {
	case e.Type == dependency.Messaging:
		return "messaging_system"
	case e.Type == dependency.Database && table.SourceOf(e.Callee) == names.FromDatabase:
		return "database"
	case table.EntityOf(e.Callee).Peer:
		return "virtual_node"
	default:
		return ""
	}
}

// add puts each bucket where its upper end belongs, so that durations below a bound may count above it: of an exponential histogram
// those within a few percent.
func (h *graphHistogram) add(side *dependency.Side) {
	if !side.Observed() {
		return
	}
	if from := side.Explicit; from != nil {
		h.count += from.Count
		h.sum += from.Sum
		for i, n := range from.Counts {
			upper := from.Max
			if i < len(from.Bounds) {
				upper = min(upper, from.Bounds[i])
			}
			h.put(upper, n)
		}
		return
	}
	from := &side.Seconds
	h.count += from.Count()
	h.sum += from.Sum()
	h.buckets[0] += from.ZeroCount()
	positive := from.Positive()
	for i := range positive.Len() {
		h.put(min(upperEnd(from, positive.Offset()+int32(i)), from.Max()), positive.At(i))
	}
}

func (h *graphHistogram) put(upper float64, n uint64) {
	if n > 0 {
		at, _ := slices.BinarySearch(graphBounds[:], upper)
		h.buckets[at] += n
	}
}

// upperEnd is the upper end of a bucket: 2 to the power of (index + 1) · 2^−scale.
func upperEnd(h *structure.Histogram[float64], index int32) float64 {
	return math.Exp2(math.Ldexp(float64(index)+1, -int(h.Scale())))
}

// ServiceGraph adds what was summed up.
func (m *Metrics) ServiceGraph(g *ServiceGraph) {
	g.sum(m.delta)
	for key, s := range g.sums {
		put := func(a pcommon.Map) {
			a.PutStr("client", key.client)
			a.PutStr("server", key.server)
			a.PutStr("connection_type", key.connection)
			a.PutBool("failed", key.failed)
		}
		counts := []Declaration{graphTotal}
		if key.failed {
			counts = append(counts, graphFailed)
		}
		for _, name := range counts {
			p := m.sum(name)
			p.SetStartTimestamp(s.start)
			p.SetIntValue(int64(math.Round(s.calls)))
			put(p.Attributes())
		}
		for _, side := range []struct {
			Declaration
			*graphHistogram
		}{{graphServer, &s.server}, {graphClient, &s.client}} {
			if side.count > 0 {
				p := m.histogram(side.Declaration, s.start)
				p.SetCount(side.count)
				p.SetSum(side.sum)
				p.ExplicitBounds().FromRaw(graphBounds[:])
				p.BucketCounts().FromRaw(side.buckets[:])
				put(p.Attributes())
			}
		}
	}
}

func (m *Metrics) histogram(k Declaration, start pcommon.Timestamp) pmetric.HistogramDataPoint {
	points, ok := m.histograms[k.Name]
	if !ok {
		histogram := m.metric(k).SetEmptyHistogram()
		histogram.SetAggregationTemporality(m.temporality(k))
		points = histogram.DataPoints()
		m.histograms[k.Name] = points
	}
	p := points.AppendEmpty()
	p.SetStartTimestamp(start)
	p.SetTimestamp(m.now)
	return p
}
