package servicehealthconnector

import (
	"strings"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// points reads the integer points of self-telemetry by their attributes' values.
func points(data metricdata.Aggregation) map[string]int64 {
	var all []metricdata.DataPoint[int64]
	switch d := data.(type) {
	case metricdata.Sum[int64]:
		all = d.DataPoints
	case metricdata.Gauge[int64]:
		all = d.DataPoints
	}
	read := map[string]int64{}
	for _, p := range all {
		var values []string
		for _, kv := range p.Attributes.ToSlice() {
			values = append(values, kv.Value.String())
		}
		read[strings.Join(values, " ")] = p.Value
	}
	return read
}
