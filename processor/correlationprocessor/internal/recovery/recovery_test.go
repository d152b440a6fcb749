package recovery_test

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recovery"
)

const (
	traceHex = "4bf92f3577b34da6a3ce929d0e0e4736"
	otherHex = "0af7651916cd43dd8448eb211c80319c"
	spanHex  = "00f067aa0ba902b7"
)

var (
	both      = recovery.IDs{Trace: trace(traceHex), Span: span(spanHex)}
	traceOnly = recovery.IDs{Trace: trace(traceHex)}
	padded    = recovery.IDs{Trace: trace("0000000000000000a3ce929d0e0e4736"), Span: span(spanHex)}
	half      = recovery.IDs{Half: 11803532876627986230, Span: span(spanHex)}
)

func TestTextBodies(t *testing.T) {
	for body, want := range map[string]recovery.IDs{
		"done trace_id=" + traceHex + " span_id=" + spanHex + " in 3 ms": both,
		"trace_id=" + traceHex:                                                                                  traceOnly,
		"traceId=" + traceHex + ",spanId=" + spanHex:                                                            both,
		"TRACE_ID=" + traceHex + " SPAN_ID=" + spanHex:                                                          both,
		"[TraceID: " + traceHex + " SpanID: " + spanHex + "] paid":                                              both,
		"Trace ID: " + traceHex + ", Span ID: " + spanHex + ".":                                                 both,
		"trace.id=" + traceHex + " span.id=" + spanHex:                                                          both,
		"otelTraceID=" + traceHex + " otelSpanID=" + spanHex + " otelServiceName=a":                             both,
		`level=info trace_id="` + traceHex + `" span_id="` + spanHex + `"`:                                      both,
		"trace_id = '" + strings.ToUpper(traceHex) + "'":                                                        traceOnly,
		"<traceId>" + traceHex + "</traceId>":                                                                   traceOnly,
		"got traceparent: 00-" + traceHex + "-" + spanHex + "-01":                                               both,
		"traceparent=00-" + traceHex + "-1111111111111111-01 span_id=" + spanHex:                                both,
		"X-B3-TraceId: " + traceHex + " X-B3-SpanId: " + spanHex:                                                both,
		"X-B3-TraceId=a3ce929d0e0e4736 X-B3-SpanId=" + spanHex:                                                  padded,
		"b3: " + traceHex + "-" + spanHex + "-1":                                                                both,
		"b3=a3ce929d0e0e4736-" + spanHex:                                                                        padded,
		"dd.trace_id=11803532876627986230 dd.span_id=67667974448284343 paid":                                    half,
		"[dd.service=shop dd.trace_id=11803532876627986230 dd.span_id=67667974448284343]":                       half,
		"dd.trace_id=" + traceHex + " dd.span_id=67667974448284343":                                             both,
		"X-Amzn-Trace-Id: Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=" + spanHex + ";Sampled=1":            both,
		"AWS-XRAY-TRACE-ID: 1-4bf92f35-77b34da6a3ce929d0e0e4736":                                                traceOnly,
		"INFO [shop," + traceHex + "," + spanHex + "] paid":                                                     both,
		"INFO [shop," + traceHex + "," + spanHex + ",true] paid":                                                both,
		"INFO [shop] [main] [" + traceHex + "-" + spanHex + "] o.e.Shop":                                        both,
		`INFO {"trace_id":"` + traceHex + `","span_id":"` + spanHex + `"}`:                                      both,
		`{"trace_id":"` + traceHex + `","span_id":"` + spanHex + `"}`:                                           both,
		`  {"a":1,"ctx":{"b":[1,{"c":null}],"traceId":"` + traceHex + `","spanId":"` + spanHex + `"}}`:          both,
		`{"trace":{"id":"` + traceHex + `"},"span":{"id":"` + spanHex + `"}}`:                                   both,
		`{"dd":{"trace_id":"11803532876627986230","span_id":"67667974448284343"}}`:                              half,
		`{"dd":{"trace_id":11803532876627986230,"span_id":67667974448284343}}`:                                  half,
		`{"dd.trace_id":11803532876627986230,"dd.span_id":"67667974448284343","x":-1.5e+3}`:                     half,
		`{"msg":"paid trace_id=` + traceHex + ` span_id=` + spanHex + `","level":"info"}`:                       both,
		`{"log":"{\"trace_id\":\"` + traceHex + `\",\"span_id\":\"` + spanHex + `\"}\n"}`:                       both,
		`{"trace_id":"` + traceHex + `","link":{"trace_id":"` + otherHex + `"}}`:                                traceOnly,
		`{"trace_id":"` + traceHex + `","msg":"after trace_id=` + otherHex + `"}`:                               traceOnly,
		`{"traceparent":"00-` + traceHex + `-` + spanHex + `-01","level":"info"}`:                               both,
		`{"trace_id":"` + traceHex + `","span_id":"` + spanHex + `","cut`:                                       both,
		"uber-trace-id=" + traceHex + ":" + spanHex + ":0:1; paid":                                              both,
		"traceparent: 00-" + traceHex + "-" + spanHex + "-01 x-cloud-trace-context: " + traceHex + ";o=1":       both,
		`{"level":"info"} trace_id=` + traceHex + " span_id=" + spanHex:                                         both,
		"uber-trace-id: " + traceHex + ":" + spanHex + ":0:1, paid":                                             both,
		"uber-trace-id=" + traceHex + ":" + spanHex[2:] + ":" + spanHex + ":03":                                 both,
		"uber-trace-id=a3ce929d0e0e4736:" + spanHex + ":0:0":                                                    padded,
		"X-Cloud-Trace-Context: " + traceHex + "/67667974448284343;o=1":                                         both,
		"X-Cloud-Trace-Context: " + traceHex + "/0;o=1":                                                         traceOnly,
		"X-Cloud-Trace-Context: " + traceHex:                                                                    traceOnly,
		"logging.googleapis.com/trace=projects/shop-1/traces/" + traceHex:                                       traceOnly,
		`{"logging.googleapis.com/trace":"` + traceHex + `","logging.googleapis.com/spanId":"` + spanHex + `"}`: both,
		`{"trace":"projects/example.com:shop/traces/` + traceHex + `","spanId":"` + spanHex + `"}`:              both,
		"AWS-XRAY-TRACE-ID: 1-4bf92f35-77b34da6a3ce929d0e0e4736@" + spanHex + " paid":                           both,
		"XRAY TraceId: 1-4bf92f35-77b34da6a3ce929d0e0e4736\tSegmentId: " + spanHex + "\tSampled: true":          traceOnly,
		"=> SpanId:" + spanHex + ", TraceId:" + traceHex + ", ParentId:1111111111111111":                        both,
		"TraceId: 00-" + traceHex + "-" + spanHex + "-01":                                                       both,
		"{traceId=" + traceHex + ", spanId=" + spanHex + ", trace_flags=01}":                                    both,
		"trace.id=" + traceHex + " transaction.id=" + spanHex:                                                   both,
		"trace.id=" + traceHex + " transaction.id=1111111111111111 span.id=" + spanHex:                          both,
		"mdc.trace_id=" + traceHex + " mdc.span_id=" + spanHex:                                                  both,
		"trace_id=" + traceHex + " parent span_id=1111111111111111 span_id=" + spanHex:                          both,
		"Trace ID: " + traceHex + " Parent Span ID: " + spanHex:                                                 traceOnly,
		"trace_id=" + traceHex + " GET /traces?trace_id=" + otherHex + "&span_id=" + spanHex:                    traceOnly,
		"trace_id=" + traceHex + " transaction_id=" + spanHex + " segment_id=" + spanHex:                        traceOnly,
		"_trace_id=" + traceHex + " @trace_id=" + traceHex + " --span-id " + spanHex:                            both,
		`{"@t":"2025-01-01T00:00:00Z","@m":"paid","@tr":"` + traceHex + `","@sp":"` + spanHex + `"}`:            both,
		`{"trace":{"id":"` + traceHex + `"},"transaction":{"id":"` + spanHex + `"}}`:                            both,
		`{"trace_id":"` + traceHex + `","parent":{"trace_id":"` + otherHex + `","span_id":"` + spanHex + `"}}`:  traceOnly,
		`{"parent":{"trace_id":"` + otherHex + `"},"a":{"trace_id":"` + traceHex + `"}}`:                        traceOnly,
		`{"a":"\\","b":"\\\"}","c":[{"d":"]"},[]],"trace_id":"` + traceHex + `"}`:                               traceOnly,
	} {
		got, ok := fromBody(pcommon.NewValueStr(body))
		assert.True(t, ok, body)
		assert.Equal(t, want, got, body)
	}
}

func TestWhatIsNoID(t *testing.T) {
	for _, body := range []string{
		"",
		"trace",
		"trace_id",
		"trace_id=",
		"trace_id: none given, see https://example.com/0af7651916cd43dd8448eb211c80319c",
		"the trace is lost",
		"trace_id=" + strings.Repeat("0", 32),
		"trace_id=" + traceHex[1:],
		"trace_id=" + traceHex + "0",
		"trace_id=" + traceHex[1:] + "g",
		"trace_id=" + traceHex + "_1",
		"trace_id=" + traceHex[:8] + "-" + traceHex[8:12] + "-" + traceHex[12:16] + "-" + traceHex[16:20] + "-" + traceHex[20:],
		"parent_trace_id=" + traceHex,
		"retrace_id=" + traceHex,
		"linked-trace-id: " + traceHex,
		"span_id=" + spanHex,
		"traceparent=01-" + traceHex + "-" + spanHex + "-01",
		"traceparent=00-" + traceHex + "-" + spanHex,
		"traceparent=00-" + strings.ToUpper(traceHex) + "-" + spanHex + "-01",
		"traceparent=00-" + traceHex + "-0000000000000000-01",
		"trace_id=" + traceHex + " trace_id=" + otherHex,
		"b3=" + traceHex,
		"b3=" + traceHex + "-" + spanHex + "-7",
		"b3=0",
		"md5=" + traceHex,
		"dd.trace_id=0",
		"dd.trace_id=18446744073709551616",
		"dd.trace_id=99999999999999999999",
		"dd.trace_id=-1",
		"dd.trace_id=a3ce929d0e0e4736",
		"Root=1-4bf92f35-77b34da6a3ce929d0e0e473",
		"Root=1-00000000-000000000000000000000000",
		"[shop," + traceHex + "," + traceHex + "]",
		"[shop,,] started",
		"[" + traceHex + "]",
		"[a,b," + traceHex + "," + spanHex + "]",
		"[shop," + traceHex + "," + spanHex + ",maybe]",
		"[shop," + traceHex + " " + spanHex + "]",
		"[shop," + traceHex + "," + spanHex,
		"[" + traceHex + "-" + spanHex,
		"(" + traceHex + "-" + spanHex + ")",
		strings.Repeat("[", 1000) + "]",
		"(" + traceHex + "-" + spanHex + "]",
		`{"a":"\\","links":[{"trace_id":"` + traceHex + `"}]}`,
		"request_id=" + traceHex,
		"session_id: " + traceHex + " correlation_id: " + otherHex,
		"token=" + traceHex + " etag=" + otherHex + " sha=" + traceHex,
		"trace=" + traceHex,
		"span=" + traceHex + " span length 4bf92f3577b34da6",
		"web3: " + traceHex + "-" + spanHex,
		"GET /traces?trace_id=" + traceHex + "&limit=1",
		"after parent trace_id=" + traceHex,
		"upstream Trace ID: " + traceHex,
		"trace_id          " + traceHex,
		"trace_id, " + traceHex,
		"dd.trace_id=7 dd.span_id=8",
		"uber-trace-id: " + traceHex + ":" + spanHex + ":0",
		"uber-trace-id: " + traceHex + ":" + spanHex + ":0:1:1",
		"uber-trace-id: " + traceHex + ":0:0:1",
		"uber-trace-id: " + traceHex + ":" + spanHex + ":x:1",
		"uber-trace-id: 0" + traceHex + ":" + spanHex + ":0:1",
		"uber-trace-id: 7:" + spanHex + ":0:1",
		"X-Cloud-Trace-Context: " + traceHex + "/" + spanHex,
		"X-Cloud-Trace-Context: " + traceHex[1:] + "/1;o=1",
		"X-Cloud-Trace-Context: " + strings.Repeat("0", 32) + "/1;o=1",
		"trace=projects//traces/" + traceHex,
		"trace=project/shop/traces/" + traceHex,
		"trace=projects/shop/traces/" + traceHex[1:],
		"trace=projects/shop/traces/" + strings.Repeat("0", 32),
		"see /v1/projects/shop/traces/" + traceHex,
		"AWS-XRAY-TRACE-ID: 1-4bf92f35-77b34da6a3ce929d0e0e4736@" + spanHex[1:],
		"Root=" + traceHex,
		`{"trace":"` + traceHex + `"}`,
		`{"transaction":{"id":"` + spanHex + `"}}`,
		`{"links":{"trace_id":"` + traceHex + `"}}`,
		`{"id":"` + traceHex + `"}`,
		`{"request":{"id":"` + traceHex + `"}}`,
		`{"trace_id":["` + traceHex + `"]}`,
		`{"links":[{"trace_id":"` + traceHex + `"}]}`,
		`{"a":{"trace_id":"` + traceHex + `"},"b":{"trace_id":"` + otherHex + `"}}`,
		`{"trace_id":null,"span_id":"` + spanHex + `"}`,
		`{"url":"/?trace_id=` + traceHex + `"}`,
		strings.Repeat(`{"a":`, 100) + `{"trace_id":"` + traceHex + `"}` + strings.Repeat("}", 100),
	} {
		got, ok := fromBody(pcommon.NewValueStr(body))
		assert.False(t, ok, "%s: %+v", body, got)
	}
}

func TestAnIDIsFoundWhereverItStands(t *testing.T) {
	for _, filler := range []string{"x", "a", "7", "aaaaaaaaa ", "0123456 ", "de.ad-be_ef:", traceHex + " "} {
		for n := range 64 {
			before := strings.Repeat(filler, n)
			for _, body := range []string{
				before + " trace_id=" + traceHex + " span_id=" + spanHex + " " + before,
				`{"a":"` + before + `","trace_id":"` + traceHex + `","span_id":"` + spanHex + `"}`,
			} {
				got, ok := fromBody(pcommon.NewValueStr(body))
				require.True(t, ok, body)
				require.Equal(t, both, got, body)
			}
			got, _ := fromBody(pcommon.NewValueStr(before + " dd.trace_id=1234567890"))
			require.Equal(t, recovery.IDs{Half: 1234567890}, got, before)
		}
	}
}

func TestAttributesAndMaps(t *testing.T) {
	for name, given := range map[string]struct {
		raw  map[string]any
		want recovery.IDs
	}{
		"snake":           {map[string]any{"a": 1, "trace_id": traceHex, "span_id": spanHex}, both},
		"camel":           {map[string]any{"traceId": traceHex, "spanId": spanHex}, both},
		"dots":            {map[string]any{"trace.id": traceHex, "span.id": spanHex}, both},
		"pascal":          {map[string]any{"TraceID": traceHex, "SpanID": spanHex}, both},
		"python":          {map[string]any{"otelTraceID": traceHex, "otelSpanID": spanHex}, both},
		"bytes":           {map[string]any{"trace_id": raw(traceHex), "span_id": raw(spanHex)}, both},
		"B3":              {map[string]any{"X-B3-TraceId": traceHex, "X-B3-SpanId": spanHex, "X-B3-ParentSpanId": "1111111111111111"}, both},
		"B3 single":       {map[string]any{"b3": traceHex + "-" + spanHex + "-d-1111111111111111"}, both},
		"W3C":             {map[string]any{"http.request.header.traceparent": "00-" + traceHex + "-" + spanHex + "-00"}, both},
		"Datadog":         {map[string]any{"dd.trace_id": "11803532876627986230", "dd.span_id": "67667974448284343"}, half},
		"Datadog numbers": {map[string]any{"dd.span_id": int64(67667974448284343), "dd.trace_id": "11803532876627986230"}, half},
		"OpenTelemetry beside Datadog": {
			map[string]any{"trace_id": traceHex, "dd.trace_id": "11803532876627986230", "dd.span_id": "67667974448284343"}, both,
		},
		"OpenTelemetry beside another Datadog": {
			map[string]any{"trace_id": traceHex, "dd.trace_id": "7", "dd.span_id": "67667974448284343"}, traceOnly,
		},
		"X-Ray":          {map[string]any{"X-Amzn-Trace-Id": "Self=1-1-2;Root=1-4bf92f35-77b34da6a3ce929d0e0e4736; Parent=" + spanHex}, both},
		"nested":         {map[string]any{"labels": map[string]any{"trace_id": traceHex, "span_id": spanHex}}, both},
		"ECS":            {map[string]any{"trace": map[string]any{"id": traceHex}, "span": map[string]any{"id": spanHex}}, both},
		"nested Datadog": {map[string]any{"dd": map[string]any{"trace_id": "11803532876627986230", "span_id": "67667974448284343"}}, half},
		"Jaeger":         {map[string]any{"http.request.header.uber-trace-id": traceHex + ":" + spanHex + ":0:1"}, both},
		"Google": {map[string]any{
			"logging.googleapis.com/trace": "projects/shop/traces/" + traceHex, "logging.googleapis.com/spanId": spanHex,
		}, both},
		"Google's header":  {map[string]any{"x-cloud-trace-context": traceHex + "/67667974448284343;o=1"}, both},
		"Elastic":          {map[string]any{"trace.id": traceHex, "transaction.id": spanHex}, both},
		"Elastic nested":   {map[string]any{"trace": map[string]any{"id": traceHex}, "transaction": map[string]any{"id": spanHex}}, both},
		"MDC":              {map[string]any{"mdc.trace_id": traceHex, "logback.mdc.span_id": spanHex}, both},
		"Log4j":            {map[string]any{"log4j.context_data.traceId": traceHex, "contextMap.spanId": spanHex}, both},
		"MDC with Datadog": {map[string]any{"mdc.dd.trace_id": "11803532876627986230", "mdc.dd.span_id": "67667974448284343"}, half},
		"Serilog":          {map[string]any{"@tr": traceHex, "@sp": spanHex}, both},
		".NET":             {map[string]any{"TraceId": traceHex, "SpanId": spanHex, "ParentId": "1111111111111111"}, both},
		".NET's activity":  {map[string]any{"traceId": "00-" + traceHex + "-" + spanHex + "-00"}, both},
		"Honeycomb":        {map[string]any{"trace.trace_id": traceHex, "trace.span_id": spanHex, "trace.parent_id": "1111111111111111"}, both},
		"a header's list":  {map[string]any{"http.request.header.traceparent": []any{"00-" + traceHex + "-" + spanHex + "-01"}}, both},
		"a link beside":    {map[string]any{"trace_id": traceHex, "link": map[string]any{"trace_id": otherHex}}, traceOnly},
		"two spans":        {map[string]any{"trace_id": traceHex, "span_id": spanHex, "spanId": "1111111111111111"}, traceOnly},
	} {
		t.Run(name, func(t *testing.T) {
			m := pcommon.NewMap()
			require.NoError(t, m.FromRaw(given.raw))
			got, ok := fromAttributes(m)
			assert.True(t, ok)
			assert.Equal(t, given.want, got)

			body := pcommon.NewValueMap()
			m.CopyTo(body.Map())
			got, ok = fromBody(body)
			assert.True(t, ok)
			assert.Equal(t, given.want, got)
		})
	}
}

func TestAttributesWithoutIDs(t *testing.T) {
	for name, given := range map[string]map[string]any{
		"none":                  {"http.route": "/", "user.id": "7"},
		"contradiction":         {"trace_id": traceHex, "traceId": otherHex},
		"list":                  {"trace_id": []any{traceHex}},
		"number":                {"trace_id": 7},
		"zero":                  {"trace_id": make([]byte, 16)},
		"small numbers":         {"dd.trace_id": 7, "dd.span_id": 8},
		"Jaeger's small number": {"uber-trace-id": "7:" + spanHex + ":0:1"},
		"negative":              {"dd.trace_id": -11803532876},
		"only a link":           {"link": map[string]any{"trace_id": traceHex}},
		"two values":            {"http.request.header.b3": []any{traceHex + "-" + spanHex, otherHex + "-" + spanHex}},
		"a list of numbers":     {"http.request.header.b3": []any{7}},
		"a payment":             {"transaction_id": spanHex, "transaction.id": spanHex},
		"a session":             {"session_id": traceHex, "request_id": otherHex, "parent_id": spanHex, "span_identity": traceHex},
		"a sentence":            {"message": "trace_id=" + traceHex},
	} {
		t.Run(name, func(t *testing.T) {
			m := pcommon.NewMap()
			require.NoError(t, m.FromRaw(given))
			_, ok := fromAttributes(m)
			assert.False(t, ok)
		})
	}
}

func TestMapsWithSentences(t *testing.T) {
	body := pcommon.NewValueMap()
	require.NoError(t, body.Map().FromRaw(map[string]any{"message": "trace_id=" + traceHex + " span_id=" + spanHex}))
	got, ok := fromBody(body)
	assert.True(t, ok)
	assert.Equal(t, both, got)
}

func TestNothingIsAllocated(t *testing.T) {
	attributes := pcommon.NewMap()
	require.NoError(t, attributes.FromRaw(map[string]any{"a": 1, "trace_id": traceHex, "span_id": spanHex}))
	text := pcommon.NewValueStr("done trace_id=" + traceHex + " span_id=" + spanHex + " in 3 ms")
	json := pcommon.NewValueStr(`{"a":1,"ctx":{"traceId":"` + traceHex + `","spanId":"` + spanHex + `"}}`)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		fromAttributes(attributes)
		fromBody(text)
		fromBody(json)
	}))
}

func TestTheBodyDoesNotSettleWhatAttributesContradict(t *testing.T) {
	body := pcommon.NewValueStr("proxied trace_id=" + traceHex)
	for name, given := range map[string]struct {
		attributes map[string]any
		want       recovery.IDs
	}{
		"none":             {map[string]any{"http.route": "/"}, traceOnly},
		"agreeing":         {map[string]any{"trace_id": traceHex, "span_id": spanHex}, both},
		"of another trace": {map[string]any{"trace_id": otherHex}, recovery.IDs{Trace: trace(otherHex)}},
		"contradicting":    {map[string]any{"trace_id": traceHex, "traceparent": "00-" + otherHex + "-" + spanHex + "-01"}, recovery.IDs{}},
		"in two maps":      {map[string]any{"a": map[string]any{"trace_id": traceHex}, "b": map[string]any{"trace_id": otherHex}}, recovery.IDs{}},
	} {
		attributes := pcommon.NewMap()
		require.NoError(t, attributes.FromRaw(given.attributes))
		got, ok := recovery.Find(attributes, body)
		assert.Equal(t, given.want, got, name)
		assert.Equal(t, given.want != recovery.IDs{}, ok, name)
	}
}

var (
	noAttributes = pcommon.NewMap()
	noBody       = pcommon.NewValueEmpty()
)

func fromAttributes(attributes pcommon.Map) (recovery.IDs, bool) {
	return recovery.Find(attributes, noBody)
}

func fromBody(body pcommon.Value) (recovery.IDs, bool) {
	return recovery.Find(noAttributes, body)
}

func raw(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func trace(s string) pcommon.TraceID { return pcommon.TraceID(raw(s)) }

func span(s string) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], binary.BigEndian.Uint64(raw(s)))
	return id
}
