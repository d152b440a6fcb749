package sli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/internal/service"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// spanOf is a server span of shop/front that took 300 ms, and whatever is made of it.
func spanOf(t testing.TB, change func(ptrace.ResourceSpans, ptrace.Span)) *ottlspan.TransformContext {
	t.Helper()
	rs := ptrace.NewResourceSpans()
	rs.Resource().Attributes().PutStr("service.namespace", "shop")
	rs.Resource().Attributes().PutStr("service.name", "front")
	ss := rs.ScopeSpans().AppendEmpty()
	span := ss.Spans().AppendEmpty()
	span.SetName("POST /checkout")
	span.SetKind(ptrace.SpanKindServer)
	span.SetStartTimestamp(stamp(start))
	span.SetEndTimestamp(stamp(start.Add(300 * time.Millisecond)))
	span.Attributes().PutStr("http.route", "/checkout")
	span.Attributes().PutInt("http.response.status_code", 200)
	if change != nil {
		change(rs, span)
	}
	tctx := ottlspan.NewTransformContextPtr(rs, ss, span)
	t.Cleanup(tctx.Close)
	return tctx
}

func expression(text string) openslo.Expression {
	return openslo.Expression{Text: text, Source: openslo.Source{File: "slo.yaml", Line: 7, Key: "spec.condition"}}
}

func objective(name string, i openslo.Indicator, groupBy ...string) openslo.Objective {
	if i.Signal == "" {
		i.Signal = openslo.Traces
	}
	if i.Service == (openslo.Service{}) {
		i.Service = openslo.Service{Namespace: "shop", Name: "front"}
	}
	return openslo.Objective{Name: name, Service: i.Service, Target: 0.99, Indicator: i, GroupBy: groupBy}
}

func compiled(t testing.TB, objectives ...openslo.Objective) *Binder {
	t.Helper()
	b, err := Compile(objectives, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	return b
}

var front = service.Identity{Namespace: "shop", Name: "front", Environment: "test"}

func TestJudge(t *testing.T) {
	status := func(code int64) func(ptrace.ResourceSpans, ptrace.Span) {
		return func(_ ptrace.ResourceSpans, span ptrace.Span) {
			span.Attributes().PutInt("http.response.status_code", code)
		}
	}
	took := func(d time.Duration) func(ptrace.ResourceSpans, ptrace.Span) {
		return func(_ ptrace.ResourceSpans, span ptrace.Span) { span.SetEndTimestamp(stamp(start.Add(d))) }
	}
	client := func(_ ptrace.ResourceSpans, span ptrace.Span) { span.SetKind(ptrace.SpanKindClient) }
	without := func(_ ptrace.ResourceSpans, span ptrace.Span) { span.Attributes().Clear() }
	put := func(value float64) func(ptrace.ResourceSpans, ptrace.Span) {
		return func(_ ptrace.ResourceSpans, span ptrace.Span) { span.Attributes().PutDouble("queue.age", value) }
	}

	answered := openslo.Indicator{
		Total: expression(`kind == SPAN_KIND_SERVER`), Good: expression(`attributes["http.response.status_code"] < 500`),
	}
	failed := openslo.Indicator{
		Total: expression(`span.kind == SPAN_KIND_SERVER`), Bad: expression(`span.attributes["http.response.status_code"] >= 500`),
	}
	matched := openslo.Indicator{Good: expression(`IsMatch(name, "^POST")`)}
	rooted := openslo.Indicator{Total: expression(`IsRootSpan()`), Good: expression(`resource.attributes["service.name"] == "front"`)}
	within := openslo.Indicator{Value: expression(`end_time - start_time`), Op: openslo.LessOrEqual, Threshold: 0.3}
	under := openslo.Indicator{Value: expression(`span.end_time - span.start_time`), Op: openslo.LessThan, Threshold: 0.3}
	slowly := openslo.Indicator{Value: expression(`(end_time - start_time) + Duration("0s")`), Op: openslo.LessOrEqual, Threshold: 0.3}
	above := openslo.Indicator{Value: expression(`attributes["queue.age"]`), Op: openslo.GreaterThan, Threshold: 5}
	least := openslo.Indicator{Value: expression(`Double(attributes["queue.age"]) * 2.0`), Op: openslo.GreaterOrEqual, Threshold: 10}
	whole := openslo.Indicator{Value: expression(`attributes["http.response.status_code"] + 1`), Op: openslo.LessThan, Threshold: 202}

	good, bad, not := Verdict{true, true}, Verdict{true, false}, Verdict{}
	for _, c := range []struct {
		name      string
		indicator openslo.Indicator
		span      func(ptrace.ResourceSpans, ptrace.Span)
		want      Verdict
		err       string
	}{
		{name: "good", indicator: answered, want: good},
		{name: "not good", indicator: answered, span: status(503), want: bad},
		{name: "not an event", indicator: answered, span: client, want: not},
		{name: "no answer is not good", indicator: answered, span: without, want: bad},
		{name: "bad", indicator: failed, span: status(500), want: bad},
		{name: "not bad", indicator: failed, span: status(499), want: good},
		{name: "all spans are events without total", indicator: matched, span: client, want: good},
		{name: "converter", indicator: rooted, want: good},
		{
			name: "converter says no", indicator: rooted, want: not,
			span: func(_ ptrace.ResourceSpans, span ptrace.Span) { span.SetParentSpanID([8]byte{1}) },
		},
		{name: "at the threshold", indicator: within, want: good},
		{name: "at the threshold, which must not be reached", indicator: under, want: bad},
		{name: "a nanosecond above", indicator: within, span: took(300*time.Millisecond + 1), want: bad},
		{name: "a nanosecond below", indicator: under, span: took(300*time.Millisecond - 1), want: good},
		{name: "duration of OTTL at the threshold", indicator: slowly, want: good},
		{name: "duration of OTTL above", indicator: slowly, span: took(time.Second), want: bad},
		{name: "number above", indicator: above, span: put(5.1), want: good},
		{name: "number not above", indicator: above, span: put(5), want: bad},
		{name: "number of OTTL", indicator: least, span: put(5), want: good},
		{name: "number of OTTL below", indicator: least, span: put(4.9), want: bad},
		{name: "whole number of OTTL", indicator: whole, want: good},
		{name: "no number", indicator: above, err: ErrNoNumber.Error()},
		{name: "NaN", indicator: above, span: put(nan()), err: ErrNoNumber.Error()},
		{name: "NaN of OTTL", indicator: least, span: put(nan()), err: ErrNoNumber.Error()},
		{
			name: "text for a number", indicator: above, err: ErrNoNumber.Error(),
			span: func(_ ptrace.ResourceSpans, span ptrace.Span) { span.Attributes().PutStr("queue.age", "6") },
		},
		{
			name:      "OTTL fails in total",
			indicator: openslo.Indicator{Total: expression(`Int(name) + Duration("1s") == 1`), Good: expression(`true`)},
			err:       "must be int64, float64",
		},
		{
			name:      "OTTL fails in good",
			indicator: openslo.Indicator{Good: expression(`end_time - start_time < Duration("soon")`)},
			err:       "invalid duration",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			spans := compiled(t, objective("o", c.indicator)).Spans(front)
			require.Len(t, spans, 1)
			got, err := spans[0].Judge(t.Context(), spanOf(t, c.span))
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				assert.Zero(t, got)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestSpansOfAService(t *testing.T) {
	looks := func(at openslo.Service) openslo.Indicator {
		return openslo.Indicator{Service: at, Good: expression("true")}
	}
	b := compiled(t,
		objective("any front", looks(openslo.Service{Name: "front"})),
		objective("the shop's front", looks(openslo.Service{Namespace: "shop", Name: "front"})),
		objective("the bank's front", looks(openslo.Service{Namespace: "bank", Name: "front"})),
		objective("again any front", looks(openslo.Service{Name: "front"})),
		objective("mail", looks(openslo.Service{Namespace: "shop", Name: "mail"})),
	)
	for _, c := range []struct {
		namespace, name string
		want            []uint32
	}{
		{"shop", "front", []uint32{0, 1, 3}},
		{"bank", "front", []uint32{0, 2, 3}},
		{"", "front", []uint32{0, 3}},
		{"zoo", "front", []uint32{0, 3}},
		{"shop", "mail", []uint32{4}},
		{"", "mail", nil},
		{"", "", nil},
	} {
		t.Run(c.namespace+"/"+c.name, func(t *testing.T) {
			var got []uint32
			for _, s := range b.Spans(service.Identity{Namespace: c.namespace, Name: c.name, Environment: "anywhere"}) {
				got = append(got, s.Objective())
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	_, err := Compile([]openslo.Objective{
		objective("first", openslo.Indicator{Total: expression(`kind = SERVER`), Good: expression(`colour == "red"`)}),
		objective("second", openslo.Indicator{Value: expression(`set(name, "x")`), Op: openslo.LessThan}),
		objective("third", openslo.Indicator{Signal: "smoke", Good: expression(`true`)}),
		objective("fourth", openslo.Indicator{Signal: openslo.Logs, Op: openslo.LessThan}),
	}, componenttest.NewNopTelemetrySettings())
	var problems openslo.Errors
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems, 5)
	for i, want := range []string{
		"slo.yaml:7: `spec.condition`: objective \"first\": condition has invalid syntax",
		"slo.yaml:7: `spec.condition`: objective \"first\": ",
		"slo.yaml:7: `spec.condition`: objective \"second\": ",
		`objective "third": "smoke" is no signal`,
		`objective "fourth": needs a value: only a data point has one of its own`,
	} {
		assert.Contains(t, problems[i].Error(), want)
		assert.NotContains(t, problems[i].Error(), "\n")
	}
	assert.Contains(t, problems[1].Error(), "colour")
}

// TestStreamOfNames makes sure that what strangers call themselves costs nothing.
func TestStreamOfNames(t *testing.T) {
	b := compiled(t, objective("o", openslo.Indicator{Good: expression("true")}))
	ids := make([]service.Identity, 100)
	for i := range ids {
		ids[i] = service.Identity{Namespace: "shop", Name: fmt.Sprint("stranger", i)}
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for _, id := range ids {
			b.Spans(id)
		}
		b.Spans(front)
	}))
	assert.Len(t, b.spans.exact, 1)
}

func TestNoAllocations(t *testing.T) {
	b := compiled(t, objective("o", openslo.Indicator{
		Total: expression(strings.Join([]string{
			`(kind == SPAN_KIND_SERVER or kind.string == "Consumer")`, `not (status.code == STATUS_CODE_ERROR)`,
			`attributes["http.route"] == "/checkout"`, `resource.attributes["service.name"] == "front"`,
		}, " and ")),
		Value: expression(`end_time - start_time`), Op: openslo.LessOrEqual, Threshold: 0.3,
	}, "http.route", "http.response.status_code", "nothing"))
	s, tctx := b.Spans(front)[0], spanOf(t, nil)
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		verdict, err := s.Judge(ctx, tctx)
		if err != nil || !verdict.Good {
			t.Error(verdict, err)
		}
		s.Group(tctx)
	}))
}
