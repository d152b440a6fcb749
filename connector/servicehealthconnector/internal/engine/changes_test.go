package engine

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/change"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
	"github.com/throughline-otel/throughline/internal/service"
)

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
	assert.Equal(t, &change.Change{
		Kind: change.Flag, Service: front, At: 200 * second, Flag: "logo", From: "off", To: "on", Share: 1,
	}, e.changes.Before(205*second, 230*second, front))
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
