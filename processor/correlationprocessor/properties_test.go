package correlationprocessor

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/keep"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

// TestNothingButAdded makes batches of nonsense, and holds what comes out, at once or after it was held, without what is
// ours, against what went in.
func TestNothingButAdded(t *testing.T) {
	keeping := everything()
	keeping.Logs.Keep.Fine, keeping.Logs.Keep.Slow, keeping.Logs.Keep.Failed = "error", "warn", "info"
	for name, config := range map[string]*Config{
		"default": createDefaultConfig().(*Config), "everything": everything(), "keep": keeping,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { holdAgainst(t, config) })
		})
	}
}

func holdAgainst(t *testing.T, config *Config) {
	const rounds = 500
	time.Sleep(time.Until(benchmarkTime.AsTime()))
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	settings := processortest.NewNopSettings(metadata.Type)
	settings.TelemetrySettings = telemetry.NewTelemetrySettings()
	out := &collector{}
	p := startPipelinesTo(t, NewFactory(), settings, config, out)

	in := &collector{}
	for round := range uint64(rounds) {
		r := &nonsense{rand.New(rand.NewPCG(round, 7))}
		spans, records, points := r.traces(), r.logs(), r.metrics()
		if round%2 == 0 {
			spans, records, points = steady(round)
		}
		tag(round, spans, records, points)
		in.keep(spans, records, points)
		require.NoError(t, p.logs.ConsumeLogs(t.Context(), records))
		require.NoError(t, p.traces.ConsumeTraces(t.Context(), spans))
		require.NoError(t, p.metrics.ConsumeMetrics(t.Context(), points))
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(max(config.Logs.Hold, config.Traces.Hold))
	synctest.Wait()

	out.hasAll(t, rounds)
	for _, spans := range out.traces {
		before := in.traces[numberOf(spans.ResourceSpans())]
		stripSpans(before, spans)
		same(t, new(ptrace.ProtoMarshaler).MarshalTraces, before, spans)
	}
	for _, records := range out.logs {
		before := in.logs[numberOf(records.ResourceLogs())]
		if config.policy() != (keep.Policy{}) {
			leave(before, records)
		}
		stripRecords(t, before, records)
		same(t, new(plog.ProtoMarshaler).MarshalLogs, before, records)
	}
	for _, points := range out.metrics {
		before := in.metrics[numberOf(points.ResourceMetrics())]
		stripPoints(before, points)
		same(t, new(pmetric.ProtoMarshaler).MarshalMetrics, before, points)
	}

	// What has not been reached has not been tested.
	got := counts(t, telemetry)
	reached := []string{
		"correlation_exemplars", "correlation_services", "correlation_records match=recovered", "correlation_records match=context",
	}
	if config.Logs.Hold > 0 {
		reached = append(reached, "correlation_log_events decision=attached", "correlation_context_values", "correlation_condition_errors",
			"correlation_records match=inferred", "correlation_hold_delay reason=due signal=logs",
			"correlation_hold_delay reason=ready signal=logs", "correlation_hold_delay reason=due signal=traces")
	}
	if config.policy() != (keep.Policy{}) {
		reached = append(reached, "correlation_kept decision=dropped outcome=failed", "correlation_kept decision=kept outcome=failed")
	}
	for _, name := range reached {
		assert.Positive(t, got[name], name)
	}
}

// everything is a configuration with all that is off by default.
func everything() *Config {
	config := createDefaultConfig().(*Config)
	config.Layers = []LayerConfig{
		{Layer: "external", Condition: `span.attributes["x"] != nil and Len(span.attributes["x"]) > 2`},
		{Layer: "edge", Condition: `resource.attributes["x"] != nil`},
	}
	config.Logs.InferContext = true
	config.Logs.Hold = 2 * time.Second
	config.Traces.Hold = 3 * time.Second
	config.Traces.AttachLogs.MinSeverity = "info"
	config.Traces.AttachLogs.Attributes = []string{"x", "http.route"}
	config.Traces.ContextMetrics = []string{"system.cpu.utilization", "a.duration"}
	return config
}

// collector is a next consumer that keeps what it gets. The batches are its own from then on.
type collector struct {
	mu      sync.Mutex
	traces  []ptrace.Traces
	logs    []plog.Logs
	metrics []pmetric.Metrics
}

func (*collector) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (c *collector) ConsumeTraces(_ context.Context, batch ptrace.Traces) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traces = append(c.traces, copied(ptrace.NewTraces, batch))
	return nil
}

func (c *collector) ConsumeLogs(_ context.Context, batch plog.Logs) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logs = append(c.logs, copied(plog.NewLogs, batch))
	return nil
}

func (c *collector) ConsumeMetrics(_ context.Context, batch pmetric.Metrics) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.metrics = append(c.metrics, copied(pmetric.NewMetrics, batch))
	return nil
}

func (c *collector) keep(spans ptrace.Traces, records plog.Logs, points pmetric.Metrics) {
	c.traces = append(c.traces, copied(ptrace.NewTraces, spans))
	c.logs = append(c.logs, copied(plog.NewLogs, records))
	c.metrics = append(c.metrics, copied(pmetric.NewMetrics, points))
}

func copied[B interface{ CopyTo(B) }](make func() B, batch B) B {
	same := make()
	batch.CopyTo(same)
	return same
}

// tag numbers batches, so that each is known again, and records.
func tag(number uint64, spans ptrace.Traces, records plog.Logs, points pmetric.Metrics) {
	name := strconv.FormatUint(number, 10)
	spans.ResourceSpans().AppendEmpty().SetSchemaUrl(name)
	points.ResourceMetrics().AppendEmpty().SetSchemaUrl(name)
	marker := pcommon.Timestamp(0)
	for _, resource := range records.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				marker++
				record.SetObservedTimestamp(marker)
			}
		}
	}
	records.ResourceLogs().AppendEmpty().SetSchemaUrl(name)
}

// hasAll tells that each of the first batches, by their numbers, has come once.
func (c *collector) hasAll(t *testing.T, count int) {
	var want, spans, records, points []int
	for number := range count {
		want = append(want, number)
	}
	for _, batch := range c.traces {
		spans = append(spans, numberOf(batch.ResourceSpans()))
	}
	for _, batch := range c.logs {
		records = append(records, numberOf(batch.ResourceLogs()))
	}
	for _, batch := range c.metrics {
		points = append(points, numberOf(batch.ResourceMetrics()))
	}
	for _, numbers := range [][]int{spans, records, points} {
		slices.Sort(numbers)
		require.Equal(t, want, numbers)
	}
}

// numberOf is what tag has given to a batch.
func numberOf[R interface{ SchemaUrl() string }](resources resources[R]) int {
	number, err := strconv.Atoi(resources.At(resources.Len() - 1).SchemaUrl())
	if err != nil {
		return -1
	}
	return number
}

type resources[R any] interface {
	Len() int
	At(n int) R
}

// leave leaves of a batch the records that are in the other one, too, and nothing that is empty for that.
func leave(batch, left plog.Logs) {
	markers := map[pcommon.Timestamp]bool{}
	for _, resource := range left.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				markers[record.ObservedTimestamp()] = true
			}
		}
	}
	batch.ResourceLogs().RemoveIf(func(resource plog.ResourceLogs) bool {
		scopes := resource.ScopeLogs().Len()
		resource.ScopeLogs().RemoveIf(func(scope plog.ScopeLogs) bool {
			records := scope.LogRecords().Len()
			scope.LogRecords().RemoveIf(func(record plog.LogRecord) bool { return !markers[record.ObservedTimestamp()] })
			return records > 0 && scope.LogRecords().Len() == 0
		})
		return scopes > 0 && resource.ScopeLogs().Len() == 0
	})
}

func stripSpans(before, after ptrace.Traces) {
	for i, resource := range after.ResourceSpans().All() {
		given := before.ResourceSpans().At(i)
		strip(given.Resource().Attributes(), resource.Resource().Attributes())
		for j, scope := range resource.ScopeSpans().All() {
			for k, span := range scope.Spans().All() {
				original := given.ScopeSpans().At(j).Spans().At(k)
				strip(original.Attributes(), span.Attributes())
				events := 0
				span.Events().RemoveIf(func(ptrace.SpanEvent) bool { events++; return events > original.Events().Len() })
			}
		}
	}
}

func stripRecords(t *testing.T, before, after plog.Logs) {
	for i, resource := range after.ResourceLogs().All() {
		for j, scope := range resource.ScopeLogs().All() {
			for k, record := range scope.LogRecords().All() {
				original := before.ResourceLogs().At(i).ScopeLogs().At(j).LogRecords().At(k)
				require.True(t, original.TraceID().IsEmpty() || original.TraceID() == record.TraceID())
				require.True(t, original.SpanID().IsEmpty() || original.SpanID() == record.SpanID())
				record.SetTraceID(original.TraceID())
				record.SetSpanID(original.SpanID())
				strip(original.Attributes(), record.Attributes())
			}
		}
	}
}

func stripPoints(before, after pmetric.Metrics) {
	for i, resource := range after.ResourceMetrics().All() {
		for j, scope := range resource.ScopeMetrics().All() {
			for k, metric := range scope.Metrics().All() {
				original := before.ResourceMetrics().At(i).ScopeMetrics().At(j).Metrics().At(k)
				switch metric.Type() {
				case pmetric.MetricTypeGauge:
					stripEach(original.Gauge().DataPoints(), metric.Gauge().DataPoints())
				case pmetric.MetricTypeSum:
					stripEach(original.Sum().DataPoints(), metric.Sum().DataPoints())
				case pmetric.MetricTypeHistogram:
					stripEach(original.Histogram().DataPoints(), metric.Histogram().DataPoints())
				case pmetric.MetricTypeExponentialHistogram:
					stripEach(original.ExponentialHistogram().DataPoints(), metric.ExponentialHistogram().DataPoints())
				}
			}
		}
	}
}

func stripEach[P point, S points[P]](before, after S) {
	for i := range after.Len() {
		strip(before.At(i).Attributes(), after.At(i).Attributes())
		if before.At(i).Exemplars().Len() == 0 {
			after.At(i).Exemplars().RemoveIf(func(pmetric.Exemplar) bool { return true })
		}
	}
}

// strip removes what is ours, unless the sender has written it.
func strip(before, after pcommon.Map) {
	after.RemoveIf(func(key string, _ pcommon.Value) bool {
		_, given := before.Get(key)
		return !given && strings.HasPrefix(key, "throughline.")
	})
}

func same[B any](t *testing.T, marshal func(B) ([]byte, error), want, got B) {
	wanted, err := marshal(want)
	require.NoError(t, err)
	actual, err := marshal(got)
	require.NoError(t, err)
	require.Equal(t, wanted, actual)
}

// steady is what a service and its host send, where one thing is done after the other: the span of a tenth of a second
// that has just ended, a record without ids that was written within it, and points about both.
func steady(round uint64) (ptrace.Traces, plog.Logs, pmetric.Metrics) {
	now := pcommon.NewTimestampFromTime(time.Now())
	spans, records, points := ptrace.NewTraces(), plog.NewLogs(), pmetric.NewMetrics()
	resource := spans.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "steady")
	resource.Resource().Attributes().PutStr("service.instance.id", "steady-1")
	resource.Resource().Attributes().PutStr("host.name", "node-1")

	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{1, 14: byte(round >> 8), 15: byte(round)})
	span.SetSpanID(pcommon.SpanID{1, 6: byte(round >> 8), 7: byte(round)})
	span.SetName("GET /work")
	span.SetKind(ptrace.SpanKindServer)
	span.SetStartTimestamp(now - 100e6)
	span.SetEndTimestamp(now - 1)
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Attributes().PutStr("http.request.method", "GET")

	resource.Resource().CopyTo(records.ResourceLogs().AppendEmpty().Resource())
	record := records.ResourceLogs().At(0).ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetTimestamp(now - 50e6 + 1)
	record.SetSeverityNumber(plog.SeverityNumberInfo)
	record.Body().SetStr("working")

	resource.Resource().CopyTo(points.ResourceMetrics().AppendEmpty().Resource())
	metric := points.ResourceMetrics().At(0).ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("http.server.request.duration")
	metric.SetUnit("s")
	histogram := metric.SetEmptyHistogram().DataPoints().AppendEmpty()
	histogram.SetTimestamp(now)
	histogram.SetCount(1)
	histogram.Attributes().PutStr("http.request.method", "GET")
	node := points.ResourceMetrics().AppendEmpty()
	node.Resource().Attributes().PutStr("host.name", "node-1")
	metric = node.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	metric.SetName("system.cpu.utilization")
	gauge := metric.SetEmptyGauge().DataPoints().AppendEmpty()
	gauge.SetTimestamp(now)
	gauge.SetDoubleValue(0.5)
	return spans, records, points
}

// nonsense makes batches of which some parts are as they should be, so that all of the code is reached.
type nonsense struct{ *rand.Rand }

func (r *nonsense) trace() (id pcommon.TraceID) {
	id[15] = byte(r.IntN(4))
	return id
}

func (r *nonsense) span() (id pcommon.SpanID) {
	id[7] = byte(r.IntN(6))
	return id
}

func (r *nonsense) time() pcommon.Timestamp {
	switch r.IntN(10) {
	case 0:
		return 0
	case 1:
		return pcommon.Timestamp(r.Uint64())
	default:
		return pcommon.NewTimestampFromTime(time.Now()) - pcommon.Timestamp(r.IntN(1e9))
	}
}

func (r *nonsense) text() string {
	return [...]string{
		"", "GET", "/a", "\xff\x00", strings.Repeat("x", 3000), fmt.Sprintf("trace_id=%s span_id=%s", r.trace(), r.span()),
		fmt.Sprintf(`{"traceId":"%s","spanId":"%s"}`, r.trace(), r.span()), r.trace().String(), r.span().String(), "500",
	}[r.IntN(10)]
}

// On the wire, kinds and severities are numbers of any size and sign.

func (r *nonsense) kind() ptrace.SpanKind {
	return [...]ptrace.SpanKind{-1, math.MinInt32, math.MaxInt32, 6, 0, 1, 2, 3, 4, 5}[r.IntN(10)]
}

func (r *nonsense) severity() plog.SeverityNumber {
	if r.IntN(10) == 0 {
		return [...]plog.SeverityNumber{-1, math.MinInt32, math.MaxInt32, 25}[r.IntN(4)]
	}
	return plog.SeverityNumber(r.IntN(25))
}

func (r *nonsense) fill(attributes pcommon.Map) {
	keys := [...]string{
		"http.route", "http.request.method", "http.response.status_code", "db.system", "messaging.system", "error.type", "trace_id",
		"span_id", "traceparent", "b3", "dd.trace_id", "", "x", "service.name", "service.instance.id", "host.name", "k8s.pod.uid",
		"thread.id", "server.address", "throughline.layer", "throughline.match", "throughline.services", "throughline.entry.service",
		"throughline.logs.error_count", "throughline.context.a.duration",
	}
	for range r.IntN(6) {
		switch key := keys[r.IntN(len(keys))]; r.IntN(5) {
		case 0:
			attributes.PutInt(key, r.Int64())
		case 1:
			attributes.PutEmptyBytes(key).FromRaw([]byte(r.text()))
		case 2:
			attributes.PutEmptyMap(key).PutStr("id", r.text())
		default:
			attributes.PutStr(key, r.text())
		}
	}
}

func (r *nonsense) traces() ptrace.Traces {
	batch := ptrace.NewTraces()
	for range r.IntN(3) {
		resource := batch.ResourceSpans().AppendEmpty()
		r.fill(resource.Resource().Attributes())
		for range r.IntN(3) {
			spans := resource.ScopeSpans().AppendEmpty().Spans()
			for range r.IntN(5) {
				span := spans.AppendEmpty()
				span.SetTraceID(r.trace())
				span.SetSpanID(r.span())
				span.SetParentSpanID(r.span())
				span.SetName(r.text())
				span.SetKind(r.kind())
				span.SetStartTimestamp(r.time())
				span.SetEndTimestamp(r.time())
				span.Status().SetCode(ptrace.StatusCode(r.IntN(3)))
				span.SetFlags(r.Uint32())
				span.TraceState().FromRaw([...]string{"", "ot=th:8", "ot=th:0", "x"}[r.IntN(4)])
				r.fill(span.Attributes())
				if r.IntN(4) == 0 {
					r.fill(span.Events().AppendEmpty().Attributes())
				}
			}
		}
	}
	return batch
}

func (r *nonsense) logs() plog.Logs {
	batch := plog.NewLogs()
	for range r.IntN(3) {
		resource := batch.ResourceLogs().AppendEmpty()
		r.fill(resource.Resource().Attributes())
		records := resource.ScopeLogs().AppendEmpty().LogRecords()
		for range r.IntN(6) {
			record := records.AppendEmpty()
			record.SetTraceID(r.trace())
			record.SetSpanID(r.span())
			record.SetTimestamp(r.time())
			record.SetSeverityNumber(r.severity())
			r.fill(record.Attributes())
			if r.IntN(3) == 0 {
				r.fill(record.Body().SetEmptyMap())
			} else {
				record.Body().SetStr(r.text())
			}
		}
	}
	return batch
}

func (r *nonsense) metrics() pmetric.Metrics {
	batch := pmetric.NewMetrics()
	for range r.IntN(3) {
		resource := batch.ResourceMetrics().AppendEmpty()
		r.fill(resource.Resource().Attributes())
		metrics := resource.ScopeMetrics().AppendEmpty().Metrics()
		for range r.IntN(6) {
			metric := metrics.AppendEmpty()
			metric.SetName([...]string{
				"http.server.request.duration", "a.duration", "", "http.server.requests", "system.cpu.utilization", "postgresql.backends",
			}[r.IntN(6)])
			metric.SetUnit([...]string{"s", "ms", "", "1"}[r.IntN(4)])
			switch r.IntN(5) {
			case 4:
				point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
				point.SetDoubleValue([...]float64{0.5, -1, math.NaN(), math.Inf(1)}[r.IntN(4)])
				point.SetTimestamp(r.time())
				r.fill(point.Attributes())
			case 0:
				sum := metric.SetEmptySum()
				sum.SetIsMonotonic(r.IntN(4) > 0)
				point := sum.DataPoints().AppendEmpty()
				point.SetIntValue(r.Int64())
				point.SetTimestamp(r.time())
				r.fill(point.Attributes())
				if r.IntN(4) == 0 {
					point.Exemplars().AppendEmpty().SetIntValue(7)
				}
			case 1:
				point := metric.SetEmptyHistogram().DataPoints().AppendEmpty()
				point.SetCount(r.Uint64())
				for i := range r.IntN(5) {
					point.ExplicitBounds().Append(float64(i))
					point.BucketCounts().Append(r.Uint64())
				}
				point.SetTimestamp(r.time())
				r.fill(point.Attributes())
			case 2:
				point := metric.SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
				point.SetCount(r.Uint64())
				point.SetScale(int32(r.Uint32()))
				point.Positive().SetOffset(int32(r.Uint32()))
				point.Positive().BucketCounts().FromRaw(make([]uint64, r.IntN(200)))
				point.SetTimestamp(r.time())
				r.fill(point.Attributes())
			}
		}
	}
	return batch
}

// TestAllSignalsAtOnce is for the race detector, and for what holds afterwards: everything has come out once, and what is
// remembered is within its bounds.
func TestAllSignalsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, rounds = 4, 25
		time.Sleep(time.Until(benchmarkTime.AsTime()))
		factory, config := NewFactory(), everything()
		config.Store.MaxBytes = minStoreBytes
		var out [2]collector
		var all sync.WaitGroup
		var instances []*pipelines
		for i := range out {
			settings := processortest.NewNopSettings(metadata.Type)
			settings.ID = component.NewIDWithName(metadata.Type, strconv.Itoa(i))
			p := startPipelinesTo(t, factory, settings, config, &out[i])
			instances = append(instances, p)
			for worker := range uint64(workers) {
				all.Go(func() {
					r := &nonsense{rand.New(rand.NewPCG(worker, 1))}
					for round := range uint64(rounds) {
						spans, records, points := r.traces(), r.logs(), r.metrics()
						known := benchmarkTraces()
						renumber(known, worker<<20+round)
						known.ResourceSpans().MoveAndAppendTo(spans.ResourceSpans())
						tag(worker*rounds+round, spans, records, points)
						assert.NoError(t, p.traces.ConsumeTraces(t.Context(), spans))
						assert.NoError(t, p.logs.ConsumeLogs(t.Context(), records))
						assert.NoError(t, p.metrics.ConsumeMetrics(t.Context(), points))
					}
				})
			}
		}
		all.Wait()
		time.Sleep(max(config.Logs.Hold, config.Traces.Hold))
		synctest.Wait()
		for i, p := range instances {
			out[i].hasAll(t, workers*rounds)
			m := p.traces.(*traces).memory
			assert.Positive(t, m.spans.Evicted().Bytes)
			assert.LessOrEqual(t, m.spans.Size()+m.series.Size()+m.places.Size()+m.notes.Size()+m.activity.Size(), int64(minStoreBytes))
		}
	})
}

// TestAFloodStaysWithinTheBound sends nothing but what nobody has seen before, and holds as much of it as there is room for.
func TestAFloodStaysWithinTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 8 << 20
		time.Sleep(time.Until(benchmarkTime.AsTime()))
		telemetry := componenttest.NewTelemetry()
		defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
		settings := processortest.NewNopSettings(metadata.Type)
		settings.TelemetrySettings = telemetry.NewTelemetrySettings()
		config := everything()
		config.Store.MaxBytes = bound
		config.Logs.Hold, config.Traces.Hold = time.Minute, time.Minute
		before := heap()
		p := startPipelinesTo(t, NewFactory(), settings, config, consumertest.NewNop())
		largest := int64(0)
		for n := range uint64(150) {
			require.NoError(t, p.logs.ConsumeLogs(t.Context(), unheardLogs(t, n)))
			require.NoError(t, p.traces.ConsumeTraces(t.Context(), unheardTraces(t, n)))
			require.NoError(t, p.metrics.ConsumeMetrics(t.Context(), unheardMetrics(t, n)))
			time.Sleep(time.Millisecond)
			if n%10 == 0 {
				taken := gauges(t, telemetry)
				largest = max(largest, taken["correlation_store_size"]+
					taken["correlation_held signal=logs"]+taken["correlation_held signal=traces"])
			}
		}
		grown := heap() - before
		t.Logf("%d bytes said to be taken, %d found in the heap, of %d", largest, grown, bound)
		assert.LessOrEqual(t, largest, int64(bound))
		assert.LessOrEqual(t, grown, int64(bound)*11/10)

		got := counts(t, telemetry)
		for _, item := range []string{"span", "series", "place", "note", "activity"} {
			assert.Positive(t, got["correlation_store_evictions item="+item+" reason=bytes"], item)
		}
		for _, signal := range []string{"logs", "traces"} {
			assert.Positive(t, got["correlation_hold_delay reason=full signal="+signal], signal)
		}
		assert.Zero(t, got["correlation_hold_lost"])
	})
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// The batches of a flood have been decoded, as in life, so that their texts are their own. Each is of another service.

const unheardItems = 200

func unheardResource(attributes pcommon.Map, n uint64) {
	attributes.PutStr("service.name", fmt.Sprint("unheard-", n))
	attributes.PutStr("service.instance.id", fmt.Sprint("instance-", n))
	attributes.PutStr("k8s.pod.uid", fmt.Sprint("pod-", n))
}

func unheardIDs(n uint64, i int) (trace pcommon.TraceID, span pcommon.SpanID) {
	binary.BigEndian.PutUint64(trace[8:], n<<32|uint64(i)+1)
	binary.BigEndian.PutUint64(span[:], n<<32|uint64(i)+1)
	return trace, span
}

func unheardTraces(t *testing.T, n uint64) ptrace.Traces {
	batch, now := ptrace.NewTraces(), pcommon.NewTimestampFromTime(time.Now())
	resource := batch.ResourceSpans().AppendEmpty()
	unheardResource(resource.Resource().Attributes(), n)
	spans := resource.ScopeSpans().AppendEmpty().Spans()
	for i := range unheardItems {
		span := spans.AppendEmpty()
		trace, id := unheardIDs(n, i)
		span.SetTraceID(trace)
		span.SetSpanID(id)
		span.SetName(fmt.Sprintf("SELECT %d-%d", n, i))
		span.SetKind(ptrace.SpanKindClient)
		span.SetStartTimestamp(now - 1e6)
		span.SetEndTimestamp(now)
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Attributes().PutStr("db.system.name", "postgresql")
		span.Attributes().PutStr("db.collection.name", fmt.Sprintf("items-%d-%d", n, i))
		span.Attributes().PutStr("server.address", fmt.Sprintf("db-%d-%d", n, i))
	}
	raw, err := new(ptrace.ProtoMarshaler).MarshalTraces(batch)
	require.NoError(t, err)
	batch, err = new(ptrace.ProtoUnmarshaler).UnmarshalTraces(raw)
	require.NoError(t, err)
	return batch
}

func unheardLogs(t *testing.T, n uint64) plog.Logs {
	batch, now := plog.NewLogs(), pcommon.NewTimestampFromTime(time.Now())
	resource := batch.ResourceLogs().AppendEmpty()
	unheardResource(resource.Resource().Attributes(), n)
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	for i := range unheardItems {
		record := records.AppendEmpty()
		trace, span := unheardIDs(n+1<<20, i) // which nobody will ever hear of
		record.SetTraceID(trace)
		record.SetSpanID(span)
		record.SetTimestamp(now)
		record.SetSeverityNumber(plog.SeverityNumberError)
		record.Body().SetStr(fmt.Sprintf("what nobody has heard before: %d-%d", n, i))
	}
	raw, err := new(plog.ProtoMarshaler).MarshalLogs(batch)
	require.NoError(t, err)
	batch, err = new(plog.ProtoUnmarshaler).UnmarshalLogs(raw)
	require.NoError(t, err)
	return batch
}

func unheardMetrics(t *testing.T, n uint64) pmetric.Metrics {
	batch, now := pmetric.NewMetrics(), pcommon.NewTimestampFromTime(time.Now())
	for i := range unheardItems {
		resource := batch.ResourceMetrics().AppendEmpty()
		resource.Resource().Attributes().PutStr("host.name", fmt.Sprintf("node-%d-%d", n, i))
		metric := resource.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		metric.SetName("system.cpu.utilization")
		point := metric.SetEmptyGauge().DataPoints().AppendEmpty()
		point.SetTimestamp(now)
		point.SetDoubleValue(0.5)
	}
	raw, err := new(pmetric.ProtoMarshaler).MarshalMetrics(batch)
	require.NoError(t, err)
	batch, err = new(pmetric.ProtoUnmarshaler).UnmarshalMetrics(raw)
	require.NoError(t, err)
	return batch
}
