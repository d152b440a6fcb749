package recovery_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recovery"
)

func TestTheOrderOfAttributesDecidesNothing(t *testing.T) {
	const otherSpan = "1111111111111111"
	header := func(span string) string { return traceHex + "-" + span }
	for name, given := range map[string]struct {
		attributes [][2]string
		want       recovery.IDs
	}{
		"two headers of one trace":    {[][2]string{{"traceparent", "00-" + header(spanHex) + "-01"}, {"b3", header(otherSpan)}}, traceOnly},
		"a transaction and two spans": {[][2]string{{"trace.id", traceHex}, {"transaction.id", spanHex}, {"span_id", otherSpan}, {"spanId", spanHex}}, traceOnly},
		"two halves":                  {[][2]string{{"dd.trace_id", "11803532876627986230"}, {"dd_trace_id", "1234567890123"}}, recovery.IDs{}},
		"two of Datadog's":            {[][2]string{{"dd.trace_id", traceHex}, {"dd_trace_id", otherHex}}, recovery.IDs{}},
		"Datadog's and another half":  {[][2]string{{"dd.trace_id", traceHex}, {"dd_trace_id", "1234567890123"}}, recovery.IDs{}},
		"Datadog's and its own half":  {[][2]string{{"dd.trace_id", traceHex}, {"dd_trace_id", "11803532876627986230"}}, traceOnly},
		"two of Datadog's spans":      {[][2]string{{"dd.trace_id", traceHex}, {"dd.span_id", "1234567890"}, {"dd_span_id", "1234567891"}}, traceOnly},
		"two halves, one of the whole id": {[][2]string{
			{"trace_id", traceHex}, {"dd.span_id", "67667974448284343"}, {"dd.trace_id", "1234567890"}, {"dd_trace_id", "11803532876627986230"},
		}, traceOnly},
		"two halves beside a whole id": {[][2]string{{"trace_id", traceHex}, {"dd.trace_id", "1234567890"}, {"dd_trace_id", "1234567891"}}, traceOnly},
	} {
		t.Run(name, func(t *testing.T) {
			forth, back := pcommon.NewMap(), pcommon.NewMap()
			for i := range given.attributes {
				last := given.attributes[len(given.attributes)-1-i]
				forth.PutEmpty(given.attributes[i][0]).SetStr(given.attributes[i][1])
				back.PutEmpty(last[0]).SetStr(last[1])
			}
			for _, m := range []pcommon.Map{forth, back} {
				got, ok := fromAttributes(m)
				assert.Equal(t, given.want, got)
				assert.Equal(t, given.want != recovery.IDs{}, ok)
			}
		})
	}
}

func TestTheOrderOfMapsDecidesNothing(t *testing.T) {
	a := `{"trace_id":"` + traceHex + `","span_id":"` + spanHex + `"}`
	b := `{"trace_id":"` + traceHex + `","span_id":"1111111111111111"}`
	c := `{"trace_id":"` + traceHex + `","span_id":"2222222222222222"}`
	torn := `{"trace_id":"` + traceHex + `","span_id":"` + spanHex + `","spanId":"1111111111111111"}`
	tornToo := `{"trace_id":"` + traceHex + `","span_id":"1111111111111111","spanId":"` + spanHex + `"}`
	for _, order := range [][]string{{a, b, c}, {b, c, a}, {c, a, b}, {torn, a}, {a, torn}, {tornToo, a}, {a, tornToo}} {
		body := `{"list":0`
		for i, object := range order {
			body += `,"` + string(rune('a'+i)) + `":` + object
		}
		got, ok := fromBody(pcommon.NewValueStr(body + "}"))
		assert.True(t, ok, order)
		assert.Equal(t, traceOnly, got, order)
	}
}
