package fleet

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/internal/layer"
)

const (
	second = int64(time.Second)
	// began is when the fleet of a test begins to listen, in seconds.
	began = 10_000
)

func newFleet(t testing.TB) *Fleet {
	t.Helper()
	indicator := openslo.Indicator{Signal: openslo.Traces, Good: openslo.Expression{Text: "status.code != STATUS_CODE_ERROR"}}
	objectives := []openslo.Objective{
		{Name: "other", Service: openslo.Service{Name: "other"}, Indicator: indicator},
		{
			Name: "answers", Service: openslo.Service{Namespace: "shop", Name: "front"}, GroupBy: []string{"http.route"},
			Indicator: indicator,
		},
	}
	binder, err := sli.Compile(objectives, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	f := New(Settings{
		Scope: "test", Objectives: objectives, Binder: binder, Names: names.New(), Late: 5 * time.Minute, Lag: time.Minute,
	})
	f.Begin(began * second)
	return f
}

// gateway tells points of one run, which started at a second.
type gateway struct {
	instance string
	start    int64
}

// point is a sum of good events of one route, changed by change. Its time is in seconds.
type point struct {
	at, events int64
	route      string
	change     func(pmetric.Metric, pmetric.NumberDataPoint)
}

func (g gateway) tells(points ...point) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "throughline")
	rm.Resource().Attributes().PutStr("service.instance.id", g.instance)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("test")
	for _, p := range points {
		m := sm.Metrics().AppendEmpty()
		m.SetName("slo.events")
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		is := sum.DataPoints().AppendEmpty()
		is.SetStartTimestamp(pcommon.Timestamp(g.start * second))
		is.SetTimestamp(pcommon.Timestamp(p.at * second))
		is.SetIntValue(p.events)
		is.Attributes().PutStr("slo.name", "answers")
		is.Attributes().PutStr("slo.service", "shop/front")
		is.Attributes().PutStr("http.route", p.route)
		is.Attributes().PutStr("outcome", "good")
		if p.change != nil {
			p.change(m, is)
		}
	}
	return md
}

// grown is an increase before a second.
type grown struct {
	before int64
	events uint64
}

func take(f *Fleet, md pmetric.Metrics, now int64) []grown {
	var all []grown
	f.Take(md, now*second, func(i Increase) { all = append(all, grown{i.At/second + 1, i.Events}) })
	return all
}

func TestAnIncreaseIsBeforeTheSecondPoint(t *testing.T) {
	f, a := newFleet(t), gateway{"a", began + 1}
	assert.Equal(t, []grown{{began + 5, 2}, {began + 9, 5}}, take(f, a.tells(
		point{at: began + 4}, point{at: began + 5, events: 2}, point{at: began + 8, events: 2}, point{at: began + 9, events: 7},
	), began+20))
}

func TestWhatIsSentAgainCountsOnce(t *testing.T) {
	f, a := newFleet(t), gateway{"a", began + 1}
	md := a.tells(point{at: began + 4}, point{at: began + 5, events: 2}, point{at: began + 6, events: 3})
	assert.Len(t, take(f, md, began+20), 2)
	assert.Empty(t, take(f, md, began+21))
	assert.Equal(t, uint64(3), f.Repeated())
}

func TestOutOfOrder(t *testing.T) {
	f, a := newFleet(t), gateway{"a", began + 1}
	take(f, a.tells(point{at: began + 4}), began+20)
	assert.Equal(t, []grown{{began + 9, 7}}, take(f, a.tells(point{at: began + 9, events: 7}), began+20))
	assert.Empty(t, take(f, a.tells(point{at: began + 5, events: 2}), began+20), "they are in the sum of the later point")
}

func TestARestartCountsFromZero(t *testing.T) {
	f, a := newFleet(t), gateway{"a", began + 1}
	take(f, a.tells(point{at: began + 4}, point{at: began + 5, events: 100}), began+20)
	again := gateway{"a", began + 30}
	assert.Equal(t, []grown{{began + 32, 1}, {began + 33, 100}},
		take(f, again.tells(point{at: began + 31}, point{at: began + 32, events: 1}, point{at: began + 33, events: 101}), began+40))
	assert.Equal(t, []grown{{began + 8, 3}}, take(f, a.tells(point{at: began + 8, events: 103}), began+41), "the former run told late")
}

func TestTwoGateways(t *testing.T) {
	f := newFleet(t)
	for _, g := range []gateway{{"a", began + 1}, {"b", began + 1}} {
		assert.Equal(t, []grown{{began + 5, 2}}, take(f, g.tells(point{at: began + 4}, point{at: began + 5, events: 2}), began+20))
	}
}

func TestAGatewayThatIsOlderThanWhoListens(t *testing.T) {
	f, a := newFleet(t), gateway{"a", began - 1000}
	assert.Empty(t, take(f, a.tells(point{at: began + 5, events: 1_000_000}), began+20), "that is no traffic of now")
	assert.Equal(t, []grown{{began + 6, 1}}, take(f, a.tells(point{at: began + 6, events: 1_000_001}), began+20))
	assert.Equal(t, []grown{{began + 7, 4}},
		take(f, a.tells(point{route: "/new", at: began + 6}, point{route: "/new", at: began + 7, events: 4}), began+20),
		"what begins later begins at zero")
	assert.Equal(t, []grown{{began + 7, 4}}, take(f, gateway{"b", began + 1}.tells(point{at: began + 7, events: 4}), began+20),
		"who is younger has counted nothing unheard, even if the zero was lost")
}

func TestAGap(t *testing.T) {
	f, a := newFleet(t), gateway{"a", began + 1}
	take(f, a.tells(point{at: began + 4}), began+20)
	assert.Equal(t, []grown{{began + 304, 61}}, take(f, a.tells(point{at: began + 304, events: 61}), began+400),
		"as late as events may be")
	spread := take(f, a.tells(point{at: began + 304 + 3600, events: 61 + 150}), began+4000)
	require.Len(t, spread, pieces)
	var sum uint64
	for i, g := range spread {
		sum += g.events
		assert.InDelta(t, 2.5, float64(g.events), 0.5)
		assert.InDelta(t, began+304+60*(i+1), g.before, 1)
	}
	assert.Equal(t, uint64(150), sum)
}

func TestRefusals(t *testing.T) {
	a := gateway{"a", began + 1}
	for want, change := range map[Refusal]func(pmetric.Metric, pmetric.NumberDataPoint){
		UnknownObjective: func(_ pmetric.Metric, p pmetric.NumberDataPoint) { p.Attributes().PutStr("slo.name", "unheard of") },
		NoCount:          func(_ pmetric.Metric, p pmetric.NumberDataPoint) { p.SetIntValue(-1) },
		FromFuture: func(_ pmetric.Metric, p pmetric.NumberDataPoint) {
			p.SetTimestamp(pcommon.Timestamp((began + 1000) * second))
		},
		NotCumulative: func(m pmetric.Metric, _ pmetric.NumberDataPoint) {
			m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		},
		Decreased: func(_ pmetric.Metric, p pmetric.NumberDataPoint) { p.SetIntValue(1) },
	} {
		t.Run(string(want), func(t *testing.T) {
			f := newFleet(t)
			take(f, a.tells(point{at: began + 4}, point{at: began + 5, events: 2}), began+20)
			assert.Empty(t, take(f, a.tells(point{at: began + 6, events: 9, change: change}), began+20))
			assert.Equal(t, map[Refusal]uint64{want: 1}, f.Refused())
		})
	}
	for name, change := range map[string]func(pmetric.Metric, pmetric.NumberDataPoint){
		"another service": func(_ pmetric.Metric, p pmetric.NumberDataPoint) { p.Attributes().PutStr("slo.service", "front") },
		"no outcome":      func(_ pmetric.Metric, p pmetric.NumberDataPoint) { p.Attributes().Remove("outcome") },
		"another outcome": func(_ pmetric.Metric, p pmetric.NumberDataPoint) { p.Attributes().PutStr("outcome", "so so") },
		"no text":         func(_ pmetric.Metric, p pmetric.NumberDataPoint) { p.Attributes().PutInt("slo.name", 1) },
		"no culprit":      func(m pmetric.Metric, _ pmetric.NumberDataPoint) { m.SetName("slo.bad_events.blamed") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			assert.Empty(t, take(f, a.tells(point{at: began + 6, events: 9, change: change}), began+20))
			assert.Equal(t, map[Refusal]uint64{UnknownObjective: 1}, f.Refused())
		})
	}
}

func TestWhatOthersTellIsPassedOver(t *testing.T) {
	f, a := newFleet(t), gateway{"a", began + 1}
	md := a.tells(point{at: began + 6, events: 9})
	md.ResourceMetrics().At(0).ScopeMetrics().At(0).Scope().SetName("else")
	assert.Empty(t, take(f, md, began+20))
	md = a.tells(point{at: began + 6, events: 9})
	md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).SetName("dependency.calls")
	assert.Empty(t, take(f, md, began+20))
	assert.Empty(t, f.Refused())
}

func TestCulprits(t *testing.T) {
	f, a := newFleet(t), gateway{"a", began + 1}
	blamed := func(relation report.Relation, culprit string, in layer.Layer) pmetric.Metrics {
		return a.tells(point{at: began + 6, events: 9, route: "/pay", change: func(m pmetric.Metric, p pmetric.NumberDataPoint) {
			m.SetName("slo.bad_events.blamed")
			p.Attributes().Remove("outcome")
			p.Attributes().PutStr("culprit.service.name", culprit)
			p.Attributes().PutStr("culprit.layer", in.String())
			p.Attributes().PutStr("culprit.relation", string(relation))
			p.Attributes().PutStr("culprit.reason", "timeout")
			e := p.Exemplars().AppendEmpty()
			e.SetTraceID(pcommon.TraceID{7})
			e.FilteredAttributes().PutStr("span.name", "POST /pay")
		}})
	}
	var got []Increase
	add := func(i Increase) { got = append(got, i) }
	f.Take(blamed(report.Own, "front", layer.Application), (began+20)*second, add)
	f.Take(blamed(report.Dependency, "cards.example.com", layer.External), (began+20)*second, add)
	require.Len(t, got, 2)
	own, external := f.names.EntityOf(got[0].Culprit.Entity), f.names.EntityOf(got[1].Culprit.Entity)
	assert.Equal(t, "shop", own.Namespace)
	assert.False(t, own.Peer)
	assert.Equal(t, "cards.example.com", external.Name)
	assert.True(t, external.Peer)
	assert.Equal(t, Blamed, got[1].Outcome)
	assert.Equal(t, report.Dependency, got[1].Relation)
	assert.Equal(t, blame.Timeout, got[1].Culprit.Reason)
	assert.Equal(t, pcommon.TraceID{7}, got[1].Trace)
	assert.Equal(t, "POST /pay", f.names.OperationOf(got[1].Operation).Name)
	assert.Equal(t, []string{"/pay"}, f.binder.GroupValues(1, got[1].Group))
}

func TestTheHorizonIsThatOfTheLast(t *testing.T) {
	f, a, b := newFleet(t), gateway{"a", began + 1}, gateway{"b", began + 1}
	horizon := func(now int64) int64 {
		at, any := f.Horizon(now * second)
		require.True(t, any)
		return at / second
	}
	_, any := f.Horizon((began + 100) * second)
	assert.False(t, any, "there is no fleet")
	take(f, a.tells(point{at: began + 80}), began+100)
	take(f, b.tells(point{at: began + 70}), began+100)
	assert.Equal(t, int64(began+40), horizon(began+100), "the rest of a flush may be on its way")
	assert.Equal(t, int64(began+70), horizon(began+101))
	take(f, a.tells(point{at: began + 95}), began+115)
	horizon(began + 115)
	assert.Equal(t, int64(began+70), horizon(began+116))
	assert.Equal(t, int64(began+95), horizon(began+131), "who trails behind too far is not waited for")
	assert.Equal(t, int64(began+140), horizon(began+200), "nor is anybody")
}

func TestTheSilentAreForgotten(t *testing.T) {
	f, a, b := newFleet(t), gateway{"a", began + 1}, gateway{"b", began + 1}
	take(f, a.tells(point{at: began + 80, events: 50}), began+100)
	take(f, b.tells(point{at: began + 4000, events: 50}), began+4000)
	f.Forget((began + 4000) * second)
	assert.Len(t, f.runs, 1)
	assert.Equal(t, 1, f.series)
	assert.Equal(t, []Run{{"throughline", "a", "10001000000000"}}, f.Gone())
	assert.Empty(t, f.Gone())
	assert.Empty(t, take(f, a.tells(point{at: began + 4080, events: 70}), began+4100), "it is not new because it was forgotten")
	assert.Equal(t, []grown{{began + 4081, 5}}, take(f, a.tells(point{at: began + 4081, events: 75}), began+4100))
}

func TestBounds(t *testing.T) {
	f := newFleet(t)
	for i := range maxRuns + 10 {
		take(f, gateway{strconv.Itoa(i), began + 1}.tells(point{at: began + 5, events: 1}), began+20)
	}
	assert.Len(t, f.runs, maxRuns)
	assert.Equal(t, uint64(10), f.Refused()[TooMany])
	take(f, gateway{"x", began + 1}.tells(point{at: began + 5, events: 1}), began+20+3601)
	assert.Len(t, f.runs, 1, "the silent make room")
}

// TestSumsAreWhole sends the points of several runs in any order, some of them twice.
func TestSumsAreWhole(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	f := newFleet(t)
	var want, got uint64
	var way []pmetric.Metrics
	for i := range 20 {
		g := gateway{strconv.Itoa(i % 4), began + 1 + int64(i)}
		events := int64(0)
		for at := range int64(50) {
			events += random.Int64N(5)
			md := g.tells(point{at: began + 60 + at, events: events})
			way = append(way, md)
			if random.IntN(5) == 0 {
				way = append(way, md)
			}
		}
		want += uint64(events)
	}
	random.Shuffle(len(way), func(i, j int) { way[i], way[j] = way[j], way[i] })
	for _, md := range way {
		f.Take(md, (began+200)*second, func(i Increase) { got += i.Events })
	}
	assert.Equal(t, want, got)
	assert.Empty(t, f.Refused())
}

func FuzzTake(f *testing.F) {
	md := gateway{"a", began + 1}.tells(point{at: began + 4}, point{at: began + 5, events: 2})
	seed, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(data)
		if err != nil {
			return
		}
		fleet, now := newFleet(t), (began+20)*second
		fleet.Take(md, now, func(i Increase) {
			assert.LessOrEqual(t, i.At, now+futureSlack)
			assert.Positive(t, i.Events)
		})
		assert.LessOrEqual(t, fleet.series, md.DataPointCount())
	})
}

// BenchmarkTake allocates what it takes to change a point's value, and nothing else.
func BenchmarkTake(b *testing.B) {
	b.ReportAllocs()
	f, g := newFleet(b), gateway{"a", began + 1}
	const points = 100
	at := int64(began + 4)
	md := g.tells(make([]point, points)...)
	for b.Loop() {
		for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
			at++
			p := m.Sum().DataPoints().At(0)
			p.SetTimestamp(pcommon.Timestamp(at * second))
			p.SetIntValue(at)
		}
		f.Take(md, at*second, func(Increase) {})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/points, "ns/point")
}
