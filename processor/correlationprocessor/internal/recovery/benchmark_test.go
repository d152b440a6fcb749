package recovery_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// sentence is what most records consist of: 80 bytes that have no id.
const sentence = "GET /api/v1/orders/42 answered 200 after 13 ms, 5 items for customer 7 in east-2"

func BenchmarkFromBody(b *testing.B) {
	for _, shape := range []struct{ name, body string }{
		{"text/none", sentence},
		{"text/uuid", sentence[:40] + " 123e4567-e89b-12d3-a456-426614174000"},
		{"text/named", sentence + " trace_id=" + traceHex + " span_id=" + spanHex},
		{"text/bracket", "INFO [shop," + traceHex + "," + spanHex + "] " + sentence},
		{"text/traceparent", sentence + " traceparent=00-" + traceHex + "-" + spanHex + "-01"},
		{"text/datadog", sentence + " dd.trace_id=11803532876627986230 dd.span_id=67667974448284343"},
		{"text/xray", sentence + " Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" + spanHex + ";Sampled=1"},
		{"json/none", `{"time":"2025-01-01T00:00:00Z","level":"info","msg":"` + sentence + `","user":"7","took":13}`},
		{"json/flat", `{"time":"2025-01-01T00:00:00Z","level":"info","msg":"` + sentence[:70] + `","trace_id":"` + traceHex + `","span_id":"` + spanHex + `"}`},
		{"json/nested", `{"@timestamp":"2025-01-01T00:00:00Z","log":{"level":"info"},"message":"` + sentence[:40] + `","trace":{"id":"` + traceHex + `"},"span":{"id":"` + spanHex + `"}}`},
		{"json/message", `{"time":"2025-01-01T00:00:00Z","msg":"` + sentence[:70] + ` trace_id=` + traceHex + ` span_id=` + spanHex + `"}`},
	} {
		b.Run(shape.name, func(b *testing.B) {
			body := pcommon.NewValueStr(shape.body)
			b.ReportAllocs()
			for b.Loop() {
				fromBody(body)
			}
		})
	}
}

func BenchmarkFromAttributes(b *testing.B) {
	for _, shape := range []struct {
		name string
		raw  map[string]any
	}{
		{"none", map[string]any{"code.function.name": "shop.Items.Get", "code.line.number": 42, "customer.tier": "gold", "thread.name": "main"}},
		{"snake", map[string]any{"thread.name": "main", "trace_id": traceHex, "span_id": spanHex}},
		{"python", map[string]any{"thread.name": "main", "otelTraceID": traceHex, "otelSpanID": spanHex}},
		{"nested", map[string]any{"thread.name": "main", "mdc": map[string]any{"traceId": traceHex, "spanId": spanHex}}},
		{"datadog", map[string]any{"thread.name": "main", "dd.trace_id": "11803532876627986230", "dd.span_id": 67667974448284343}},
	} {
		b.Run(shape.name, func(b *testing.B) {
			attributes := pcommon.NewMap()
			require.NoError(b, attributes.FromRaw(shape.raw))
			b.ReportAllocs()
			for b.Loop() {
				fromAttributes(attributes)
			}
		})
	}
}
