package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

// However much there is in one batch, all of it counts, and what is left behind for the next one is small.
func TestLargeBatches(t *testing.T) {
	const many = 2*maxHeld + 10
	points, records := objective("points", "true", 0.9), objective("records", `severity_number < SEVERITY_NUMBER_ERROR`, 0.9)
	points.Indicator.Signal, records.Indicator.Signal = openslo.Metrics, openslo.Logs
	objectives := []openslo.Objective{points, records}
	binder, err := sli.Compile(objectives, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	var sink latest
	e := New(Settings{
		TraceWindow: 2 * time.Second, MaxSpans: 1000, MaxEdges: 10, MaxEdgesPerCaller: 10, Silence: time.Hour, MaxSeries: 10,
		FlushInterval: 15 * time.Second, Late: 5 * time.Minute, Objectives: objectives, Binder: binder,
	}, &sink)
	now := 1_700_000_000 * second
	md, ld := pmetric.NewMetrics(), plog.NewLogs()
	rm, rl := md.ResourceMetrics().AppendEmpty(), ld.ResourceLogs().AppendEmpty()
	for _, attributes := range []pcommon.Map{rm.Resource().Attributes(), rl.Resource().Attributes()} {
		attributes.PutStr("service.name", "back")
		attributes.PutStr("tenant", "a")
	}
	gauge, all := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetEmptyGauge(), rl.ScopeLogs().AppendEmpty().LogRecords()
	for i := range many {
		p := gauge.DataPoints().AppendEmpty()
		p.SetTimestamp(pcommon.Timestamp(now))
		p.SetIntValue(1)
		record := all.AppendEmpty()
		record.SetTimestamp(pcommon.Timestamp(now))
		record.SetSeverityNumber([]plog.SeverityNumber{plog.SeverityNumberInfo, plog.SeverityNumberError}[i%2])
	}
	e.Metrics(t.Context(), md, now)
	e.Logs(t.Context(), ld, now)
	assert.LessOrEqual(t, cap(e.batch().events), 2*maxHeld)
	e.Drain(t.Context(), now)
	want := map[string]int64{"points a good": many, "points a bad": 0, "records a good": many / 2, "records a bad": many / 2}
	assert.Equal(t, want, sink.counts)
}
