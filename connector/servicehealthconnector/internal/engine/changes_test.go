package engine

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/surge"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
	"github.com/throughline-otel/throughline/internal/service"
)

// observed are changes among services front, which calls back, which calls deep, and one aside, which is on its own.
type observed struct {
	*changes
	table                    *names.Table
	front, back, deep, other uint32
}

func newObserved() *observed {
	c, table := newChanges(), names.New()
	o := &observed{
		changes: &c, table: table,
		front: tracetest.Service(table, "front"), back: tracetest.Service(table, "back"),
		deep: tracetest.Service(table, "deep"), other: tracetest.Service(table, "aside"),
	}
	for _, service := range []uint32{o.front, o.back, o.deep, o.other} {
		o.version(service, "1", 100*second)
	}
	o.look(100*second, []dependency.Edge{
		{Caller: o.front, Callee: o.back}, {Caller: o.back, Callee: o.deep}, dependency.Entry(o.front), dependency.Entry(o.other),
	})
	return o
}

func (o *observed) version(service uint32, version string, at int64) {
	o.see(service, servedBy(version, "", "", ""), at)
}

// told is the kind and the service of the change before an onset that is told a little later.
func (o *observed) told(onset int64, suspect uint32) string {
	change := o.before(onset, onset+5*second, suspect, o.table)
	if change == nil {
		return ""
	}
	return fmt.Sprintf("%s of %s", change.Kind, change.Service.Name)
}

func TestReleases(t *testing.T) {
	t.Run("a change is told with its share of the traffic, once that was measured", func(t *testing.T) {
		o := newObserved()
		one, two := release{"1", "a"}, release{"1", "b"}
		o.see(o.front, served{release: one}, 100*second)
		o.fresh(100*second+measured, false)
		o.traffic(o.front, one, 1000)
		o.see(o.front, served{release: two}, 120*second)
		o.traffic(o.front, two, 1)
		o.traffic(o.back, two, 1000)
		o.traffic(o.front, one, 2)
		o.traffic(o.front, release{}, 1)
		assert.Empty(t, o.fresh(120*second+measured-1, false))
		fresh := o.fresh(120*second+measured, false)
		assert.Len(t, fresh, 1)
		assert.InDelta(t, 0.25, fresh[0].ofTraffic(), 1e-9)
		assert.Equal(t, 120*second, fresh[0].at)
		assert.Zero(t, o.measuring.Load())
		o.traffic(o.front, two, 1000)
		assert.InDelta(t, 0.25, fresh[0].ofTraffic(), 1e-9)
	})
	t.Run("while a rollout goes on, versions take turns", func(t *testing.T) {
		o := newObserved()
		for i := range int64(10) {
			o.version(o.front, []string{"1", "2"}[i%2], (100+i)*second)
		}
		for _, at := range []int64{108, 109} { // Whichever was seen last.
			found := o.before(at*second, at*second, o.front, o.table)
			require.NotNil(t, found)
			assert.Equal(t, "2", found.To)
		}
	})
	t.Run("what was taken back is not held against anybody", func(t *testing.T) {
		o := newObserved()
		o.version(o.front, "2", 110*second)
		o.version(o.front, "1", 120*second)
		assert.True(t, o.of(o.front, 124*second))
		assert.False(t, o.of(o.front, 130*second))
		assert.Empty(t, o.told(130*second, o.front))
	})
}

func TestPodsOfAnotherTemplateAreAnotherConfiguration(t *testing.T) {
	o := newObserved()
	o.see(o.front, servedBy("1", "", "front-6d4cf56db6", ""), 110*second)
	o.see(o.front, servedBy("1", "", "front-of-the-north-5f7d8c9b4", ""), 110*second)
	o.version(o.front, "1", 115*second)
	assert.Empty(t, o.told(120*second, o.front), "a service may have several, and one that is not told is none")
	o.see(o.front, servedBy("1", "", "front-7c5ddbdf54", ""), 170*second)
	assert.Equal(t, "configuration of front", o.told(170*second, o.front))
	assert.True(t, o.of(o.front, 170*second))
	o.see(o.front, servedBy("2", "", "front-84f7c6b9d8", ""), 300*second)
	assert.Equal(t, "version of front", o.told(300*second, o.front), "another version has another template anyway")
}

func TestRestarts(t *testing.T) {
	// serve lets instances serve once a second, and looks.
	serve := func(o *observed, from, until int64, ids ...string) {
		for at := from; at < until; at++ {
			for _, id := range ids {
				o.see(o.front, servedBy("", "", "", id), at*second)
			}
			o.look(at*second, nil)
		}
	}
	t.Run("an instance in the place of another one", func(t *testing.T) {
		o := newObserved()
		serve(o, 100, 170, "a", "b")
		serve(o, 170, 200, "b", "c")
		change := o.before(171*second, 200*second, o.front, o.table)
		require.NotNil(t, change)
		assert.Equal(t, report.Change{
			Kind: report.RestartChange, Service: change.Service, At: time.Unix(170, 0), Many: 1, Of: 2,
		}, *change)
		assert.False(t, o.of(o.front, 200*second), "it may be a symptom")
	})
	t.Run("more of them, and fewer later", func(t *testing.T) {
		o := newObserved()
		serve(o, 100, 170, "a")
		serve(o, 170, 230, "a", "b")
		serve(o, 230, 300, "b")
		for at := int64(170); at < 300; at++ {
			assert.Empty(t, o.told(at*second, o.front))
		}
	})
	t.Run("where they come and go all the time", func(t *testing.T) {
		o := newObserved()
		for i := range int64(10) {
			serve(o, 100+30*i, 130+30*i, strconv.FormatInt(i, 10))
		}
		assert.Empty(t, o.odds)
	})
	t.Run("instances are bounded", func(t *testing.T) {
		o := newObserved()
		for i := range int64(1000) {
			o.see(o.front, servedBy("", "", "", strconv.FormatInt(i, 10)), 100*second)
		}
		assert.Equal(t, maxInstances, o.instances)
		o.see(o.front, servedBy("", "", "", "late"), 100*second+2*int64(15*time.Minute))
		assert.Equal(t, 1, o.instances)
	})
}

func TestWhichChangeIsTold(t *testing.T) {
	o := newObserved()
	o.linked(dependency.Edge{Caller: o.other, Callee: o.deep}, 150*second)
	assert.Empty(t, o.told(200*second, o.other), "who is new calls everybody for the first time")
	o.linked(dependency.Edge{Caller: o.other, Callee: o.deep}, 300*second)
	assert.Empty(t, o.told(310*second, o.front), "a symptom of somebody else")
	assert.Equal(t, "dependency of aside", o.told(310*second, o.other))
	assert.Empty(t, o.told(299*second, o.other), "a symptom that comes after")
	o.surged(o.front, surge.Surge{Requests: 1000, Most: 100}, 301*second)
	assert.Equal(t, "traffic of front", o.told(310*second, o.deep), "who calls it")
	o.version(o.other, "2", 305*second)
	assert.Equal(t, "version of aside", o.told(310*second, 0))
	assert.Equal(t, "traffic of front", o.told(310*second, o.deep))
	assert.Equal(t, "version of aside", o.told(310*second, o.other), "and not the first call")
	o.version(o.deep, "2", 306*second)
	assert.Equal(t, "version of deep", o.told(310*second, o.front), "whom it calls")
	assert.Equal(t, "version of deep", o.told(304*second, o.front), "seen a little earlier than it")
	o.version(o.front, "2", 303*second)
	assert.Equal(t, "version of front", o.told(310*second, o.front), "its own, though earlier")
	assert.Equal(t, "version of aside", o.told(310*second, o.other))
}

// To scale out every minute must not displace the rollout of some minutes ago.
func TestManyChangesOfOneServiceDisplaceNoOther(t *testing.T) {
	o := newObserved()
	o.version(o.front, "2", 110*second)
	for i := range int64(1000) {
		o.version(o.back, strconv.FormatInt(i, 10), 120*second+i*61*second/100)
		o.surged(o.front, surge.Surge{}, 120*second)
	}
	o.version(o.front, "2", 720*second)
	assert.Equal(t, "version of front", o.told(720*second, o.front))
	assert.LessOrEqual(t, len(o.made), 2*maxOfService)
	assert.Len(t, o.odds, maxOfService)
	for i := range uint32(2 * maxChanges) {
		o.surged(100+i, surge.Surge{}, 120*second)
	}
	assert.Len(t, o.odds, maxChanges)
}

func TestFlagsInSpansAndRecords(t *testing.T) {
	e := newMeasuring(t)
	evaluated := func(variant string) pcommon.Map {
		a := pcommon.NewMap()
		a.PutStr("feature_flag.key", "logo")
		a.PutStr("feature_flag.result.variant", variant)
		return a
	}
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "front")
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{1})
	span.SetSpanID(pcommon.SpanID{1})
	span.SetStartTimestamp(1)
	span.SetEndTimestamp(2)
	event := span.Events().AppendEmpty()
	event.SetName("feature_flag")
	evaluated("off").CopyTo(event.Attributes())
	span.Events().AppendEmpty().SetName("exception")

	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "front")
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	current, former := records.AppendEmpty(), records.AppendEmpty()
	current.SetEventName("feature_flag.evaluation")
	evaluated("on").CopyTo(current.Attributes())
	evaluated("on").CopyTo(former.Attributes())
	former.Attributes().PutStr("event.name", "feature_flag.evaluation")
	records.AppendEmpty().Body().SetStr("a record")

	for at := 100 * second; at < 200*second; at += second {
		e.Traces(t.Context(), td, at)
	}
	for at := 200 * second; at < 230*second; at += second {
		e.Logs(t.Context(), ld, at)
	}
	front := tracetest.Service(e.names, "front")
	change := e.changes.before(205*second, 230*second, front, e.names)
	require.NotNil(t, change)
	assert.Equal(t, report.Change{
		Kind: report.FlagChange, Service: change.Service, At: time.Unix(200, 0), Subject: "logo", From: "off", To: "on", Share: 1,
	}, *change)
}

func BenchmarkServe(b *testing.B) {
	e := newMeasuring(b)
	batch := e.batch()
	attributes := pcommon.NewMap()
	for key, value := range map[string]string{
		"service.version": "1.4.0", "vcs.ref.head.revision": "9d59409acf479dfa0df1aa568182e43e43df8bbe",
		"k8s.deployment.name": "front", "k8s.pod.name": "front-6d4cf56db6-x2x9z",
		"service.instance.id": "627cc493-f310-47de-96bd-71410b7dec09",
	} {
		attributes.PutStr(key, value)
	}
	now := 100 * second
	b.ReportAllocs()
	for b.Loop() {
		r := batch.reader.Resource(service.Identity{Name: "front"}, attributes)
		e.serve(batch, &r, now)
		now += second / 10_000
	}
}

func BenchmarkEvaluations(b *testing.B) {
	e := newMeasuring(b)
	batch := e.batch()
	events := ptrace.NewSpanEventSlice()
	event := events.AppendEmpty()
	event.SetName("feature_flag.evaluation")
	event.Attributes().PutStr("feature_flag.key", "logo")
	event.Attributes().PutStr("feature_flag.result.variant", "on")
	now := 100 * second
	b.ReportAllocs()
	for b.Loop() {
		e.evaluations(batch, 7, events, now)
		now += second / 10_000
	}
}
