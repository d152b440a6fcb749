package servicehealthconnector

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// What reads the collector's configuration makes times of what looks like them, which a calendar's start is not.
func TestInlineDocumentsMeanTheSame(t *testing.T) {
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(`
slo:
  documents:
    - apiVersion: openslo/v1
      kind: SLO
      metadata:
        name: front
        annotations:
          throughline/minimum-events: 100
          throughline/maintenance: 2026-01-01T00:00:00+01:00/2026-01-01T06:00:00+01:00
      spec:
        service: front
        indicator:
          spec:
            thresholdMetric: {metricSource: {type: OpenTelemetry, spec: {signal: traces, value: end_time - start_time}}}
        timeWindow: [{duration: 1M, calendar: {startTime: 2026-01-01 12:30:00, timeZone: Europe/Zurich}}]
        budgetingMethod: Timeslices
        objectives: [{op: lte, value: 0.3, target: 0.99, timeSliceTarget: 0.9, timeSliceWindow: 1}]
`))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, conf.Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	objectives, err := openslo.Load(nil, cfg.SLO.Documents)
	require.NoError(t, err)
	assert.Equal(t, "2026-01-01 12:30:00 +0100 CET", objectives[0].Calendar.Start.String())
	assert.Equal(t, "2025-12-31 23:00:00 +0000 UTC", objectives[0].Maintenance[0].From.String())
	assert.Equal(t, uint64(100), objectives[0].LeastEvents)
}
