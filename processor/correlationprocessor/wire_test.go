package correlationprocessor

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

// TestWhatOneSenderSpellsWrongSpoilsNoOthers has names that are not UTF-8, which the wire lets pass, and exporters may not.
func TestWhatOneSenderSpellsWrongSpoilsNoOthers(t *testing.T) {
	out := &collector{}
	p := startPipelinesTo(t, NewFactory(), processortest.NewNopSettings(metadata.Type), createDefaultConfig(), out)
	spans := numberedTraces(1)
	resource := spans.ResourceSpans().At(0)
	resource.Resource().Attributes().PutStr("service.name", "shop\xff")
	resource.Resource().Attributes().PutStr("service.namespace", "\xc3")
	resource.Resource().Attributes().PutStr("host.name", "node-7")
	resource.ScopeSpans().At(0).Spans().At(0).SetName("GET \xff")
	require.NoError(t, p.traces.ConsumeTraces(t.Context(), spans))
	require.NoError(t, p.logs.ConsumeLogs(t.Context(), numberedLogs(1)))
	points := pmetric.NewMetrics()
	host := points.ResourceMetrics().AppendEmpty()
	host.Resource().Attributes().PutStr("host.name", "node-7")
	load := host.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	load.SetName("system.cpu.utilization")
	load.SetEmptyGauge().DataPoints().AppendEmpty().SetDoubleValue(1)
	require.NoError(t, p.metrics.ConsumeMetrics(t.Context(), points))

	record := out.logs[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	point := out.metrics[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0)
	for key, of := range map[string]pcommon.Map{
		attributeEntryService: record.Attributes(), attributeEntryOperation: record.Attributes(), attributeServices: point.Attributes(),
	} {
		value, ok := of.Get(key)
		require.True(t, ok, key)
		assert.True(t, utf8.ValidString(value.AsString()), key)
		assert.Contains(t, value.AsString(), "\uFFFD", key)
	}
}

// TestASeverityOfAnyNumber has numbers that mean no severity, as the wire lets pass.
func TestASeverityOfAnyNumber(t *testing.T) {
	config := createDefaultConfig().(*Config)
	config.Logs.Keep.Fine, config.Logs.Keep.Slow = "error", "info"
	out := &collector{}
	p := startPipelinesTo(t, NewFactory(), processortest.NewNopSettings(metadata.Type), config, out)
	require.NoError(t, p.traces.ConsumeTraces(t.Context(), numberedTraces(1)))
	for severity, kept := range map[plog.SeverityNumber]bool{-1: true, 0: true, 9: false, 17: true, 25: true} {
		batch := numberedLogs(1)
		batch.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetSeverityNumber(severity)
		before := len(out.logs)
		require.NoError(t, p.logs.ConsumeLogs(t.Context(), batch))
		assert.Equal(t, kept, len(out.logs) > before, severity)
	}
}
