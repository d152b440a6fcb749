package correlationprocessor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

// TestNothingButAdded makes batches of nonsense, and holds what comes out, without what is ours, against what went in.
func TestNothingButAdded(t *testing.T) {
	p := startPipelines(t, NewFactory(), processortest.NewNopSettings(metadata.Type), createDefaultConfig())
	for seed := range uint64(2000) {
		r := &nonsense{rand.New(rand.NewPCG(seed, 7))}

		spans := r.traces()
		before := ptrace.NewTraces()
		spans.CopyTo(before)
		require.NoError(t, p.traces.ConsumeTraces(t.Context(), spans))
		for _, resource := range spans.ResourceSpans().All() {
			strip(resource.Resource().Attributes())
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					strip(span.Attributes())
				}
			}
		}
		marshalTraces := new(ptrace.ProtoMarshaler).MarshalTraces
		same(t, marshalTraces, before, spans)

		records := r.logs()
		given := plog.NewLogs()
		records.CopyTo(given)
		require.NoError(t, p.logs.ConsumeLogs(t.Context(), records))
		for i, resource := range records.ResourceLogs().All() {
			for j, record := range resource.ScopeLogs().At(0).LogRecords().All() {
				original := given.ResourceLogs().At(i).ScopeLogs().At(0).LogRecords().At(j)
				if match, ok := record.Attributes().Get(attributeMatch); ok && match.Str() == "recovered" {
					require.True(t, original.TraceID().IsEmpty() || original.TraceID() == record.TraceID())
					require.True(t, original.SpanID().IsEmpty() || original.SpanID() == record.SpanID())
					record.SetTraceID(original.TraceID())
					record.SetSpanID(original.SpanID())
				}
				strip(record.Attributes())
			}
		}
		same(t, new(plog.ProtoMarshaler).MarshalLogs, given, records)

		points := r.metrics()
		held := pmetric.NewMetrics()
		points.CopyTo(held)
		require.NoError(t, p.metrics.ConsumeMetrics(t.Context(), points))
		clearExemplars(held)
		clearExemplars(points)
		same(t, new(pmetric.ProtoMarshaler).MarshalMetrics, held, points)
	}
}

func same[B any](t *testing.T, marshal func(B) ([]byte, error), want, got B) {
	wanted, err := marshal(want)
	require.NoError(t, err)
	actual, err := marshal(got)
	require.NoError(t, err)
	require.Equal(t, wanted, actual)
}

func strip(attributes pcommon.Map) {
	attributes.RemoveIf(func(key string, _ pcommon.Value) bool { return strings.HasPrefix(key, "throughline.") })
}

func clearExemplars(batch pmetric.Metrics) {
	for _, resource := range batch.ResourceMetrics().All() {
		for _, metric := range resource.ScopeMetrics().At(0).Metrics().All() {
			switch metric.Type() {
			case pmetric.MetricTypeSum:
				for _, point := range metric.Sum().DataPoints().All() {
					point.Exemplars().RemoveIf(func(pmetric.Exemplar) bool { return true })
				}
			case pmetric.MetricTypeHistogram:
				for _, point := range metric.Histogram().DataPoints().All() {
					point.Exemplars().RemoveIf(func(pmetric.Exemplar) bool { return true })
				}
			case pmetric.MetricTypeExponentialHistogram:
				for _, point := range metric.ExponentialHistogram().DataPoints().All() {
					point.Exemplars().RemoveIf(func(pmetric.Exemplar) bool { return true })
				}
			}
		}
	}
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
		return benchmarkTime + pcommon.Timestamp(r.IntN(1e9))
	}
}

func (r *nonsense) text() string {
	return [...]string{
		"", "GET", "/a", "\xff\x00", strings.Repeat("x", 3000), fmt.Sprintf("trace_id=%s span_id=%s", r.trace(), r.span()),
		fmt.Sprintf(`{"traceId":"%s","spanId":"%s"}`, r.trace(), r.span()), r.trace().String(), r.span().String(), "500",
	}[r.IntN(10)]
}

func (r *nonsense) fill(attributes pcommon.Map) {
	keys := [...]string{
		"http.route", "http.request.method", "http.response.status_code", "db.system", "messaging.system", "error.type", "trace_id",
		"span_id", "traceparent", "b3", "dd.trace_id", "", "x", "service.name", "service.instance.id", "host.name",
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
				span.SetKind(ptrace.SpanKind(r.IntN(8)))
				span.SetStartTimestamp(r.time())
				span.SetEndTimestamp(r.time())
				span.Status().SetCode(ptrace.StatusCode(r.IntN(3)))
				span.SetFlags(r.Uint32())
				r.fill(span.Attributes())
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
			metric.SetName([...]string{"http.server.request.duration", "a.duration", "", "http.server.requests"}[r.IntN(4)])
			metric.SetUnit([...]string{"s", "ms", "", "1"}[r.IntN(4)])
			switch r.IntN(4) {
			case 0:
				sum := metric.SetEmptySum()
				sum.SetIsMonotonic(r.IntN(4) > 0)
				point := sum.DataPoints().AppendEmpty()
				point.SetIntValue(r.Int64())
				point.SetTimestamp(r.time())
				r.fill(point.Attributes())
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

// TestAllSignalsAtOnce is for the race detector, and for what holds afterwards.
func TestAllSignalsAtOnce(t *testing.T) {
	config := createDefaultConfig().(*Config)
	config.Store.MaxBytes = minStoreBytes
	factory := NewFactory()
	p := startPipelines(t, factory, processortest.NewNopSettings(metadata.Type), config)
	var all sync.WaitGroup
	for worker := range uint64(4) {
		all.Go(func() {
			r := &nonsense{rand.New(rand.NewPCG(worker, 1))}
			for n := range uint64(30) {
				spans := benchmarkTraces()
				renumber(spans, worker<<20+n)
				assert.NoError(t, p.traces.ConsumeTraces(t.Context(), spans))
				assert.NoError(t, p.traces.ConsumeTraces(t.Context(), r.traces()))
				assert.NoError(t, p.logs.ConsumeLogs(t.Context(), r.logs()))
				assert.NoError(t, p.metrics.ConsumeMetrics(t.Context(), r.metrics()))
			}
		})
	}
	all.Wait()
	base := p.traces.(*traces)
	assert.LessOrEqual(t, base.spans.Size()+base.series.Size(), int64(minStoreBytes))
	assert.Positive(t, base.spans.Evicted().Bytes)
}

func TestOneMemoryForEachID(t *testing.T) {
	factory, settings := NewFactory(), processortest.NewNopSettings(metadata.Type)
	start := func() (*traces, *logs) {
		tr, err := factory.CreateTraces(t.Context(), settings, createDefaultConfig(), consumertest.NewNop())
		require.NoError(t, err)
		lo, err := factory.CreateLogs(t.Context(), settings, createDefaultConfig(), consumertest.NewNop())
		require.NoError(t, err)
		for _, c := range []component.Component{tr, lo} {
			require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		}
		return tr.(*traces), lo.(*logs)
	}
	stop := func(all ...component.Component) {
		for _, c := range all {
			require.NoError(t, c.Shutdown(context.Background()))
		}
	}
	traces1, logs1 := start()
	assert.Same(t, traces1.memory, logs1.memory)

	settings.ID = component.NewIDWithName(metadata.Type, "other")
	traces2, logs2 := start()
	assert.NotSame(t, traces1.memory, traces2.memory)
	stop(traces2, logs2)

	settings.ID = traces1.id
	stop(traces1)
	traces3, logs3 := start()
	assert.Same(t, logs1.memory, traces3.memory, "one of its processors still runs")
	stop(traces3, traces3, logs3)
	assert.Same(t, logs1.memory, logs1.memory)
	stop(logs1)
	traces4, logs4 := start()
	assert.NotSame(t, logs1.memory, traces4.memory, "all had stopped")
	stop(traces4, logs4)
}

func TestConfigIsRefusedByKey(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"`store.max_bytes`":                 func(c *Config) { c.Store.MaxBytes = 1000 },
		"`store.retention`":                 func(c *Config) { c.Store.Retention = 0 },
		"`metrics.exemplars.max_per_point`": func(c *Config) { c.Metrics.Exemplars.MaxPerPoint = 0 },
	} {
		config := createDefaultConfig().(*Config)
		require.NoError(t, config.Validate())
		change(config)
		assert.ErrorContains(t, config.Validate(), key)
	}
}

// TestTheReadmeIsTrue loads every configuration that the README shows.
func TestTheReadmeIsTrue(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := strings.Split(string(readme), "```yaml\n")[1:]
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		raw, err := confmap.NewRetrievedFromYAML([]byte(text))
		require.NoError(t, err)
		whole, err := raw.AsConf()
		require.NoError(t, err)
		part, err := whole.Sub("processors::correlation")
		require.NoError(t, err)
		config := createDefaultConfig().(*Config)
		require.NoError(t, part.Unmarshal(config))
		require.NoError(t, confmap.Validate(config))
	}
}

func TestWhatDoesNotWorkYetIsRefused(t *testing.T) {
	for _, key := range []string{"layers", "logs::hold", "logs::infer_context", "traces::attach_logs", "metrics::services"} {
		err := confmap.NewFromStringMap(map[string]any{key: true}).Unmarshal(createDefaultConfig())
		assert.ErrorContains(t, err, "has invalid keys", key)
	}
}
