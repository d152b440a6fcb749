package sli

import (
	"fmt"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottldatapoint"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottllog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/series"
)

// pointOf makes OTTL's view of a point of front.
func pointOf(t testing.TB, metric pmetric.Metric, point any) *ottldatapoint.TransformContext {
	rm := pmetric.NewResourceMetrics()
	rm.Resource().Attributes().PutStr("service.name", "front")
	tctx := ottldatapoint.NewTransformContextPtr(rm, pmetric.NewScopeMetrics(), metric, point)
	t.Cleanup(tctx.Close)
	return tctx
}

func gaugeOf(t testing.TB, name string, value float64) *ottldatapoint.TransformContext {
	m := pmetric.NewMetric()
	m.SetName(name)
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetDoubleValue(value)
	return pointOf(t, m, p)
}

func histogramOf(t testing.TB, bounds []float64, counts ...uint64) *ottldatapoint.TransformContext {
	m := pmetric.NewMetric()
	m.SetName("duration")
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	p := h.DataPoints().AppendEmpty()
	explicit(bounds, counts...).CopyTo(p)
	return pointOf(t, m, p)
}

func onMetrics(i openslo.Indicator) openslo.Indicator {
	i.Signal = openslo.Metrics
	return i
}

func recordOf(t testing.TB, change func(plog.LogRecord)) *ottllog.TransformContext {
	rl := plog.NewResourceLogs()
	rl.Resource().Attributes().PutStr("service.name", "front")
	record := plog.NewLogRecord()
	change(record)
	tctx := ottllog.NewTransformContextPtr(rl, plog.NewScopeLogs(), record)
	t.Cleanup(tctx.Close)
	return tctx
}

func fill(a pcommon.Map) {
	a.PutInt("whole", 500)
	a.PutStr("text", "b")
	a.PutDouble("nan", nan())
	a.PutEmptySlice("list")
}

// What is said of points and records without OTTL is what OTTL says, too.
func TestPlainOnOtherSignals(t *testing.T) {
	c, err := newCompiler(componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	number, histogram := gaugeOf(t, "duration", 1), histogramOf(t, []float64{1}, 1, 2)
	fill(number.GetDataPoint().(pmetric.NumberDataPoint).Attributes())
	exponential := pmetric.NewExponentialHistogramDataPoint()
	fill(exponential.Attributes())
	summary := pmetric.NewSummaryDataPoint()
	fill(summary.Attributes())
	points := []*ottldatapoint.TransformContext{
		number, histogram, pointOf(t, pmetric.NewMetric(), exponential), pointOf(t, pmetric.NewMetric(), summary),
	}
	for _, text := range []string{
		`metric.name == "duration"`, `metric.name != "duration"`, `attributes["whole"] >= 500`, `datapoint.attributes["text"] == "b"`,
		`resource.attributes["service.name"] == "front"`, `attributes["nan"] == attributes["nan"]`, `attributes["missing"] == nil`,
	} {
		parsed, err := c.points.ParseCondition(text)
		require.NoError(t, err, text)
		p := ofPoints.parsePlain(text)
		require.NotNil(t, p, text)
		for i, tctx := range points {
			want, err := parsed.Eval(t.Context(), tctx)
			require.NoError(t, err, text)
			assert.Equal(t, answerOf(want), p.ask(pointItem{tctx}), "%s, point %d", text, i)
		}
	}
	for _, text := range []string{`kind == 2`, `name == "x"`, `value_int == 1`, `metric.unit == "s"`, `end_time - start_time > 5`} {
		assert.Nil(t, ofPoints.parsePlain(text), text)
	}

	records := []*ottllog.TransformContext{
		recordOf(t, func(plog.LogRecord) {}),
		recordOf(t, func(r plog.LogRecord) {
			r.SetSeverityNumber(plog.SeverityNumberError)
			r.SetSeverityText("error")
			r.SetEventName("done")
			r.Body().SetStr("text")
			fill(r.Attributes())
		}),
		recordOf(t, func(r plog.LogRecord) { r.Body().SetInt(5) }),
		recordOf(t, func(r plog.LogRecord) { r.Body().SetEmptyMap() }),
	}
	for _, text := range []string{
		`severity_number >= SEVERITY_NUMBER_ERROR`, `log.severity_number == 17`, `severity_text == "error"`, `event_name != "done"`,
		`body == "text"`, `body == 5`, `attributes["whole"] < 500`, `log.attributes["list"] == nil`, `resource.attributes["service.name"] == "front"`,
	} {
		parsed, err := c.records.ParseCondition(text)
		require.NoError(t, err, text)
		p := ofRecords.parsePlain(text)
		require.NotNil(t, p, text)
		for i, tctx := range records {
			want, err := parsed.Eval(t.Context(), tctx)
			require.NoError(t, err, text)
			if said := p.ask(recordItem{tctx}); said != unknown {
				assert.Equal(t, answerOf(want), said, "%s, record %d", text, i)
			}
		}
	}
}

func TestTheThresholdWithinABucketIsToldOnce(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	set := componenttest.NewNopTelemetrySettings()
	set.Logger = zap.New(core)
	b, err := Compile([]openslo.Objective{
		objective("quick", onMetrics(openslo.Indicator{Op: openslo.LessOrEqual, Threshold: 0.5})),
		objective("exact", onMetrics(openslo.Indicator{Op: openslo.LessOrEqual, Threshold: 1})),
	}, set)
	require.NoError(t, err)
	for range 3 {
		for _, p := range b.Points(front) {
			m, relevant, err := p.Judge(t.Context(), histogramOf(t, []float64{0.1, 1, 2}, 5, 3, 2, 1))
			require.NoError(t, err)
			assert.True(t, relevant)
			good, bad := m.Split(m.Increase())
			assert.Equal(t, map[string][2]float64{"quick": {5, 6}, "exact": {8, 3}}[p.name], [2]float64{good, bad}, p.name)
		}
	}
	require.Equal(t, 1, logs.Len())
	assert.Equal(t, map[string]any{"objective": "quick", "threshold": 0.5, "lower_edge": 0.1, "upper_edge": 1.0}, logs.All()[0].ContextMap())
}

func TestWhichMetricsAreAskedAbout(t *testing.T) {
	for total, want := range map[string]bool{
		``: true, `metric.name == "duration"`: true, `metric.name == "other"`: false, `metric.name == "other" and attributes["k"] == 1`: false,
		`attributes["k"] == 1 and metric.name == "duration"`: true, `metric.name == "other" or attributes["k"] == 1`: true,
		`resource.attributes["service.name"] == "back" and attributes["k"] == 1`: false, `IsMatch(metric.name, "^o")`: true,
	} {
		i := onMetrics(openslo.Indicator{Good: expression("true")})
		if total != "" {
			i.Total = expression(total)
		}
		m := pmetric.NewMetric()
		m.SetName("duration")
		assert.Equal(t, want, compiled(t, objective("o", i)).Points(front)[0].MayAsk(pointOf(t, m, nil)), total)
	}
}

// A series goes on where a point is excluded, or where nobody can say whether it is good.
func TestVoidMeasures(t *testing.T) {
	m := pmetric.NewMetric()
	m.SetEmptySum().SetIsMonotonic(true)
	m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := m.Sum().DataPoints().AppendEmpty()
	p.SetIntValue(7)
	p.Attributes().PutStr("text", "b")
	tctx := pointOf(t, m, p)
	nothing := m.Sum().DataPoints().AppendEmpty()
	p.Attributes().CopyTo(nothing.Attributes())
	nothing.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	missing := pointOf(t, m, nothing)
	for name, o := range map[string]openslo.Objective{
		"excluded":          {Indicator: openslo.Indicator{Good: expression(`true`)}, Exclude: expression(`attributes["text"] == "b"`)},
		"exclusion fails":   {Indicator: openslo.Indicator{Good: expression(`true`)}, Exclude: expression(`Int(attributes["text"]) + Duration("1s") == 1`)},
		"good is not known": {Indicator: openslo.Indicator{Good: expression(`Int(attributes["text"]) + Duration("1s") == 1`)}},
	} {
		o.Name, o.Indicator.Signal, o.Indicator.Service = name, openslo.Metrics, openslo.Service{Name: "front"}
		judge := compiled(t, o).Points(front)[0]
		got, relevant, err := judge.Judge(t.Context(), tctx)
		assert.True(t, relevant, name)
		assert.Equal(t, name != "excluded", err != nil, name)
		assert.True(t, got.Void && got.Cumulative, name)
		assert.Equal(t, series.Amount{Whole: 7}, got.Total, name)

		got, relevant, err = judge.Judge(t.Context(), missing)
		assert.True(t, relevant && got.Void && !got.Cumulative, name)
		assert.Equal(t, name != "excluded", err != nil, "what is excluded need not be judged")
	}
}

func TestRaw(t *testing.T) {
	for _, isBad := range []bool{false, true} {
		i := onMetrics(openslo.Indicator{Raw: expression("value_double"), RawIsBad: isBad})
		p := compiled(t, objective("o", i)).Points(front)[0]
		for _, share := range []float64{0, 0.25, 1} {
			m, _, err := p.Judge(t.Context(), gaugeOf(t, "m", share))
			require.NoError(t, err)
			good, bad := m.Split(m.Increase())
			if isBad {
				good, bad = bad, good
			}
			assert.Equal(t, []float64{share, 1 - share}, []float64{good, bad})
		}
		for _, wrong := range []float64{-0.001, 1.001, 90} {
			_, _, err := p.Judge(t.Context(), gaugeOf(t, "m", wrong))
			assert.Equal(t, ErrNoShare, err)
		}
		_, _, err := p.Judge(t.Context(), gaugeOf(t, "m", nan()))
		assert.Equal(t, ErrNoNumber, err)
	}
	_, err := Compile([]openslo.Objective{objective("o", openslo.Indicator{Raw: expression("1.0")})}, componenttest.NewNopTelemetrySettings())
	assert.EqualError(t, err, "slo.yaml:7: `spec.condition`: objective \"o\": raw is for metrics and logs: a span is good or bad as a whole")
}

// It is the sender who chooses the type of a point's number.
func TestTheValueOfAPointIsOfEitherType(t *testing.T) {
	counter := pmetric.NewMetric()
	whole := counter.SetEmptyGauge().DataPoints().AppendEmpty()
	whole.SetIntValue(1)
	for _, text := range []string{"value_double", "value_int", "datapoint.value_double"} {
		raw := compiled(t, objective("o", onMetrics(openslo.Indicator{Raw: expression(text)}))).Points(front)[0]
		least := openslo.Indicator{Value: expression(text), Op: openslo.GreaterOrEqual, Threshold: 0.5}
		threshold := compiled(t, objective("o", onMetrics(least))).Points(front)[0]
		for _, p := range []*Point{raw, threshold} {
			for _, tctx := range []*ottldatapoint.TransformContext{pointOf(t, counter, whole), gaugeOf(t, "m", 1)} {
				m, _, err := p.Judge(t.Context(), tctx)
				require.NoError(t, err, text)
				assert.InDelta(t, 1, m.Share, 0, text)
			}
			_, _, err := p.Judge(t.Context(), histogramOf(t, []float64{1}, 1, 2))
			assert.Equal(t, ErrNoNumber, err, text)
		}
	}
}

// The same telemetry has the same verdicts whenever it is asked.
func TestFunctionsThatSaySomethingElseEachTime(t *testing.T) {
	for _, signal := range []openslo.Signal{openslo.Traces, openslo.Metrics, openslo.Logs} {
		for _, call := range []string{"Now", "UUID", "UUIDv7"} {
			o := objective("o", openslo.Indicator{Signal: signal, Good: expression(call + `() != nil`)})
			o.Exclude = expression(fmt.Sprintf(`String(%s()) == "x"`, call))
			_, err := Compile([]openslo.Objective{o}, componenttest.NewNopTelemetrySettings())
			var problems openslo.Errors
			require.ErrorAs(t, err, &problems)
			require.Len(t, problems, 2)
			for _, problem := range problems {
				assert.Contains(t, problem.Error(), "slo.yaml:7: `spec.condition`: objective \"o\": ")
				assert.Contains(t, problem.Error(), call+" says something else each time: the same telemetry must have the same verdict")
			}
		}
	}
}

func TestGroupsOfPointsAndRecords(t *testing.T) {
	b := compiled(t,
		objective("points", onMetrics(openslo.Indicator{Good: expression("true")}), "n"),
		objective("records", openslo.Indicator{Signal: openslo.Logs, Good: expression("true")}, "n"))
	p, r := b.Points(front)[0], b.Records(front)[0]
	last := func(objective, group uint32) string { return b.GroupValues(objective, group)[0] }
	for n := range int64(MaxGroups + 5) {
		m := pmetric.NewMetric()
		point := m.SetEmptyGauge().DataPoints().AppendEmpty()
		point.Attributes().PutInt("n", n)
		want := fmt.Sprint(n)
		if n >= MaxGroups {
			want = OverflowValue
		}
		assert.Equal(t, want, last(0, p.Group(pointOf(t, m, point))))
		assert.Equal(t, want, last(1, r.Group(recordOf(t, func(record plog.LogRecord) { record.Attributes().PutInt("n", n) }))))
	}
}

// BenchmarkPoint asks one objective of a service about a point of a histogram.
func BenchmarkPoint(b *testing.B) {
	p := compiled(b, objective("o", onMetrics(openslo.Indicator{
		Total: expression(`metric.name == "duration" and attributes["whole"] == nil`), Op: openslo.LessOrEqual, Threshold: 1,
	}))).Points(front)[0]
	tctx := histogramOf(b, []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	b.ReportAllocs()
	for b.Loop() {
		if _, relevant, err := p.Judge(b.Context(), tctx); !relevant || err != nil {
			b.Fatal(err)
		}
	}
}
