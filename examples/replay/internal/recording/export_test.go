package recording

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

const (
	spansValue = `[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart \"}]\\"}}]},"scopeSpans":[{"spans":[` +
		`{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"a","kind":2,"startTimeUnixNano":"1000000000","endTimeUnixNano":"3000000000","events":[{"timeUnixNano":"2000000000","name":"e"}]},` +
		`{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175","name":"b","startTimeUnixNano":"1000000000"}]}]}]`
	metricsValue = `[{"scopeMetrics":[{"metrics":[` +
		`{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"4000000000","startTimeUnixNano":"1000000000","asDouble":0.1,"exemplars":[{"timeUnixNano":"3500000000","asInt":"1"}]}]}},` +
		`{"name":"s","sum":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1","asInt":"7"}]}},` +
		`{"name":"h","histogram":{"dataPoints":[{"timeUnixNano":"2","count":"3","bucketCounts":["1","2"],"explicitBounds":[1]}]}},` +
		`{"name":"e","exponentialHistogram":{"dataPoints":[{"timeUnixNano":"3","count":"3","scale":2}]}},` +
		`{"name":"q","summary":{"dataPoints":[{"timeUnixNano":"5","count":"3","sum":1},{"timeUnixNano":"5"}]}},` +
		`{"name":"none"}]}]}]`
	logsValue = `[{"scopeLogs":[{"logRecords":[` +
		`{"timeUnixNano":"5000000000","observedTimeUnixNano":"9000000000","severityNumber":17,"body":{"stringValue":"no \"resourceSpans\" here"}},` +
		`{"observedTimeUnixNano":"6000000000"}]}]}]`
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		line   string
		counts Counts
		last   time.Time
		order  []Signal
	}{
		"spans":            {`{"resourceSpans":` + spansValue + `}`, Counts{Spans: 2}, time.Unix(3, 0), []Signal{Traces}},
		"points":           {`{"resourceMetrics":` + metricsValue + `}`, Counts{Points: 6}, time.Unix(4, 0), []Signal{Metrics}},
		"records":          {`{"resourceLogs":` + logsValue + `}`, Counts{Records: 2}, time.Unix(6, 0), []Signal{Logs}},
		"old spelling":     {`{"resource_logs":` + logsValue + `}`, Counts{Records: 2}, time.Unix(6, 0), []Signal{Logs}},
		"spaces, unknown":  {`{ "x" : {"resourceLogs":[1]} , "resourceSpans" : ` + spansValue + ` , "y":null }`, Counts{Spans: 2}, time.Unix(3, 0), []Signal{Traces}},
		"key order":        {`{"resourceLogs":` + logsValue + `,"resourceSpans":` + spansValue + `,"resourceMetrics":` + metricsValue + `}`, Counts{2, 6, 2}, time.Unix(6, 0), []Signal{Logs, Traces, Metrics}},
		"a key twice":      {`{"resourceSpans":` + spansValue + `,"resourceSpans":` + spansValue + `}`, Counts{Spans: 4}, time.Unix(3, 0), []Signal{Traces}},
		"nothing in it":    {`{"resourceSpans":[],"resourceLogs":[{"scopeLogs":[]}]}`, Counts{}, time.Time{}, nil},
		"null":             {`{"resourceSpans":null}`, Counts{}, time.Time{}, nil},
		"no time":          {`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}`, Counts{Spans: 1}, time.Time{}, []Signal{Traces}},
		"impossible times": {`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"18446744073709551615"},{"timeUnixNano":"7000000000"}]}]}]}`, Counts{Records: 2}, time.Unix(7, 0), []Signal{Logs}},
	} {
		t.Run(name, func(t *testing.T) {
			export, err := Parse([]byte(test.line))
			require.NoError(t, err)
			assert.Equal(t, test.counts, export.Counts)
			assert.True(t, test.last.Equal(export.Last), "event time %v", export.Last)
			requests, err := export.Requests()
			require.NoError(t, err)
			var order []Signal
			items := 0
			for _, request := range requests {
				order = append(order, request.Signal)
				items += request.Items
				assert.Equal(t, request.Items, itemsOf(t, request))
			}
			assert.Equal(t, test.order, order)
			assert.Equal(t, test.counts.Items(), items)
		})
	}
}

// itemsOf decodes the request as a collector does.
func itemsOf(t testing.TB, request Request) int {
	switch request.Signal {
	case Traces:
		decoded := ptraceotlp.NewExportRequest()
		require.NoError(t, decoded.UnmarshalProto(request.Body))
		return decoded.Traces().SpanCount()
	case Metrics:
		decoded := pmetricotlp.NewExportRequest()
		require.NoError(t, decoded.UnmarshalProto(request.Body))
		return decoded.Metrics().DataPointCount()
	default:
		decoded := plogotlp.NewExportRequest()
		require.NoError(t, decoded.UnmarshalProto(request.Body))
		return decoded.Logs().LogRecordCount()
	}
}

func TestParseKeepsEveryValue(t *testing.T) {
	export, err := Parse([]byte(`{"resourceSpans":` + spansValue + `}`))
	require.NoError(t, err)
	requests, err := export.Requests()
	require.NoError(t, err)
	decoded := ptraceotlp.NewExportRequest()
	require.NoError(t, decoded.UnmarshalProto(requests[0].Body))
	direct := ptraceotlp.NewExportRequest()
	require.NoError(t, direct.UnmarshalJSON([]byte(`{"resourceSpans":`+spansValue+`}`)))
	assert.Equal(t, direct.Traces(), decoded.Traces())
	service, _ := decoded.Traces().ResourceSpans().At(0).Resource().Attributes().Get("service.name")
	assert.Equal(t, `cart "}]\`, service.Str())
}

func TestParseRefuses(t *testing.T) {
	spans := `{"resourceSpans":` + spansValue + `}`
	for line, reason := range map[string]string{
		``:                           "not a JSON object",
		`[]`:                         "not a JSON object",
		`hello`:                      "not a JSON object",
		"\x00\x01\x02":               "not a JSON object",
		`{}`:                         "the JSON object has none of the keys resourceSpans, resourceMetrics and resourceLogs",
		`{"resourceProfiles":[]}`:    "the JSON object has none of the keys",
		`{"a":{"resourceSpans":[]}}`: "the JSON object has none of the keys",
		`{"":1,"resourceSpans":[]}`:  "the JSON object has an empty key",
		spans[:len(spans)/2]:         "the line ends in the middle of its JSON object",
		spans[:len(spans)-1]:         "the line ends in the middle of its JSON object",
		spans + spans:                "more follows after the JSON object: a line holds one object (column " + fmt.Sprint(len(spans)+1) + ")",
		spans + `,`:                  "more follows after the JSON object",
		`{"resourceSpans":7}`:        "not an OTLP/JSON request for traces: ReadArray",
		`{"resourceSpans":[}]`:       "not an OTLP/JSON request for traces",
		`{"resourceSpans" []}`:       "not an OTLP/JSON request for traces",
		`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"noon"}]}]}]}`:                            "not an OTLP/JSON request for logs: ",
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}`:                                     "not an OTLP/JSON request for traces: ",
		`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asDouble":"much"}]}}]}]}]}`:  "not an OTLP/JSON request for metrics: ",
		`{"resourceLogs":[{"resource":{"attributes":[{"key":"k","value":{"bytesValue":"!"}}]},"scopeLogs":[]}]}`: "not an OTLP/JSON request for logs: ",
	} {
		_, err := Parse([]byte(line))
		assert.ErrorContains(t, err, reason, "%.80s", line)
		if err != nil {
			assert.NotContains(t, err.Error(), "\n")
			assert.Less(t, len(err.Error()), 600)
		}
	}
}

func TestPrintable(t *testing.T) {
	assert.Equal(t, "[31mred  one line", Printable("\x1b[31mred\r\none line\u202e\n"))
	long := Printable(strings.Repeat("ü", 1000))
	assert.Less(t, len(long), 510)
	assert.True(t, strings.HasSuffix(long, "ü…"))
}

func TestShiftMovesEveryTime(t *testing.T) {
	const d = 100 * time.Second
	line := `{"resourceSpans":` + spansValue + `,"resourceMetrics":` + metricsValue + `,"resourceLogs":` + logsValue + `}`
	export, err := Parse([]byte(line))
	require.NoError(t, err)
	export.Shift(d)
	assert.True(t, time.Unix(106, 0).Equal(export.Last))

	seconds := func(t interface{ AsTime() time.Time }) float64 { return float64(t.AsTime().UnixNano()) / 1e9 }
	spans := export.parts[0].traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	assert.EqualValues(t, 101, seconds(spans.At(0).StartTimestamp()))
	assert.EqualValues(t, 103, seconds(spans.At(0).EndTimestamp()))
	assert.EqualValues(t, 102, seconds(spans.At(0).Events().At(0).Timestamp()))
	assert.Zero(t, spans.At(1).EndTimestamp(), "a time that is not set stays so")

	points := 0
	eachPoint(export.parts[1].metrics, func(p point) {
		points++
		assert.GreaterOrEqual(t, seconds(p.Timestamp()), 100.0-1e-6)
	})
	gauge := export.parts[1].metrics.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0)
	require.Equal(t, pmetric.MetricTypeGauge, gauge.Type())
	assert.EqualValues(t, 104, seconds(gauge.Gauge().DataPoints().At(0).Timestamp()))
	assert.EqualValues(t, 101, seconds(gauge.Gauge().DataPoints().At(0).StartTimestamp()))
	assert.EqualValues(t, 103.5, seconds(gauge.Gauge().DataPoints().At(0).Exemplars().At(0).Timestamp()))
	assert.Equal(t, 5, points-1)

	records := export.parts[2].logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	assert.EqualValues(t, 105, seconds(records.At(0).Timestamp()))
	assert.EqualValues(t, 109, seconds(records.At(0).ObservedTimestamp()))
	assert.Zero(t, records.At(1).Timestamp())
}

func TestShiftLeavesTimesThatCannotMove(t *testing.T) {
	const most = time.Duration(1<<63 - 1)
	assert.EqualValues(t, 0, shifted(0, time.Second))
	assert.EqualValues(t, 5, shifted(5, -time.Second))
	assert.EqualValues(t, 5e18, shifted(5e18, most))
	assert.EqualValues(t, uint64(1<<63), shifted(1<<63, -time.Second))
	assert.EqualValues(t, uint64(most), shifted(0+1, most-1))
}

func FuzzParse(f *testing.F) {
	for _, value := range []string{
		`{"resourceSpans":` + spansValue + `}`,
		`{"resourceMetrics":` + metricsValue + `}`,
		`{"resourceLogs":` + logsValue + `,"resource_spans":` + spansValue + `}`,
		`{"":1,"resourceSpans":[]}`, `{"resourceSpans":[}]`, `{"resourceLogs":[]}{}`, `{"a":"\`, `{`, ``,
	} {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := string(line)
		export, err := Parse(line)
		if string(line) != before {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if text := err.Error(); strings.ContainsAny(text, "\n\r\x1b") || len(text) > 700 {
				t.Fatalf("not fit for a terminal: %q", text)
			}
			return
		}
		if _, err := Parse(append([]byte(before), 'x')); err == nil {
			t.Fatal("trailing bytes were accepted")
		}
		export.Shift(time.Hour)
		requests, err := export.Requests()
		if err != nil {
			t.Fatal(err)
		}
		items := 0
		for _, request := range requests {
			if got := itemsOf(t, request); got != request.Items {
				t.Fatalf("%d items were encoded, %d said", got, request.Items)
			}
			items += request.Items
		}
		if items != export.Counts.Items() {
			t.Fatalf("%d items in the requests, %d counted", items, export.Counts.Items())
		}
	})
}
