package servicehealthconnector

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/metadata"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
)

// A case is a folder of testdata: input.yaml holds requests of spans, expected.yaml what is told of them.
type input struct {
	// Documents are OpenSLO documents.
	Documents []map[string]any
	// Requests come one after the other.
	Requests [][]span
	// Batches come after them, one after the other, each of a signal.
	Batches []batch
	// Traffic comes after them, a request for each second.
	Traffic []stretch
	// Dependencies is the configuration of that name.
	Dependencies map[string]any
}

// stretch is a time, in seconds, in which the same traces come ten times a second, and the same points and records once.
type stretch struct {
	From, Until float64
	Spans       []span
	Points      []point
	Records     []record
}

func (s stretch) second(at float64) ptrace.Traces {
	td := ptrace.NewTraces()
	for i := range 10 {
		later := at + float64(i)/10
		for _, span := range s.Spans {
			span.put(td, fmt.Sprintf("%s-%.1f", span.Trace, later), later)
		}
	}
	return td
}

func laterPoints(points []point, seconds float64) []point {
	later := slices.Clone(points)
	for i := range later {
		later[i].At += seconds
	}
	return later
}

func laterRecords(records []record, seconds float64) []record {
	later := slices.Clone(records)
	for i := range later {
		later[i].At += seconds
	}
	return later
}

type span struct {
	Service, Namespace, Environment, Version, Revision string

	Trace, ID, Parent  string
	Name, Kind, Status string
	// Start and End are seconds.
	Start, End float64
	State      string
	Attributes map[string]any
	// Resource are further attributes of its resource.
	Resource map[string]any
	// Evaluates are the variants of flags by their keys, in events.
	Evaluates map[string]string
	// Links are trace/id.
	Links []string
	// Repeat makes so many traces of it, a tenth of a second apart.
	Repeat int
}

type expected struct {
	Calls     []string `yaml:",omitempty"`
	Durations []string `yaml:",omitempty"`
	// Health has the states that are known, Confidence what is not sure.
	Health     []string         `yaml:",omitempty"`
	Confidence []string         `yaml:",omitempty"`
	Events     []string         `yaml:",omitempty"`
	SLO        []string         `yaml:"slo,omitempty"`
	Refused    map[string]int64 `yaml:",omitempty"`
	Telemetry  map[string]int64 `yaml:",omitempty"`
	Bodies     []string         `yaml:",omitempty"`
}

func TestCases(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/input.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, file := range folders {
		folder := filepath.Dir(file)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			var in input
			read(t, file, &in)
			got := run(t, in)
			if os.Getenv("UPDATE_EXPECTED") != "" {
				text, err := yaml.Marshal(got)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(folder, "expected.yaml"), text, 0o600))
			}
			var want expected
			read(t, filepath.Join(folder, "expected.yaml"), &want)
			assert.Equal(t, want, got)
		})
	}
}

// run feeds the requests to a connector that sends metrics and events, and shuts it down. Recorded time makes it exact.
func run(t *testing.T, in input) expected {
	cfg := createDefaultConfig().(*Config)
	cfg.Clock = clockEvent
	cfg.SLO.Documents = in.Documents
	require.NoError(t, confmap.NewFromStringMap(in.Dependencies).Unmarshal(&cfg.Dependencies))
	require.NoError(t, cfg.Validate())

	telemetry := componenttest.NewTelemetry()
	defer func() { assert.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := connectortest.NewNopSettings(metadata.Type)
	set.ID = component.NewID(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()

	var all allSignals
	all.start(t, set, cfg)
	for _, request := range in.Requests {
		all.traces(t, traces(request))
	}
	for _, b := range in.Batches {
		if len(b.Spans) > 0 {
			all.traces(t, traces(b.Spans))
		}
		if len(b.Points) > 0 {
			all.metrics(t, metricsOf(b.Points))
		}
		if len(b.Records) > 0 {
			all.logs(t, logsOf(b.Records))
		}
	}
	for _, stretch := range in.Traffic {
		for at := stretch.From; at < stretch.Until; at++ {
			all.traces(t, stretch.second(at))
			if len(stretch.Points) > 0 {
				all.metrics(t, metricsOf(laterPoints(stretch.Points, at)))
			}
			if len(stretch.Records) > 0 {
				all.logs(t, logsOf(laterRecords(stretch.Records, at)))
			}
		}
	}
	var got expected
	all.stop(t, func() { collect(telemetry, &got) })

	if told := all.told.AllMetrics(); len(told) > 0 {
		describe(told[len(told)-1], &got)
	}
	for _, ld := range all.events.AllLogs() {
		for _, record := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			got.Events = append(got.Events, event(record))
			if strings.HasPrefix(record.EventName(), "slo.") || record.EventName() == "dependency.state_changed" || record.EventName() == "service.suspected" {
				got.Bodies = append(got.Bodies, record.Body().Str())
			}
		}
	}
	return got
}

// allSignals is a connector with an instance for each pair of signals.
type allSignals struct {
	told      consumertest.MetricsSink
	events    consumertest.LogsSink
	instances []component.Component
}

func (a *allSignals) start(t *testing.T, set connector.Settings, cfg *Config) {
	factory := NewFactory()
	add := func(c component.Component, err error) {
		require.NoError(t, err)
		require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		a.instances = append(a.instances, c)
	}
	tracesToMetrics, err := factory.CreateTracesToMetrics(t.Context(), set, cfg, &a.told)
	add(tracesToMetrics, err)
	tracesToLogs, err := factory.CreateTracesToLogs(t.Context(), set, cfg, &a.events)
	add(tracesToLogs, err)
	metricsToMetrics, err := factory.CreateMetricsToMetrics(t.Context(), set, cfg, &a.told)
	add(metricsToMetrics, err)
	metricsToLogs, err := factory.CreateMetricsToLogs(t.Context(), set, cfg, &a.events)
	add(metricsToLogs, err)
	logsToMetrics, err := factory.CreateLogsToMetrics(t.Context(), set, cfg, &a.told)
	add(logsToMetrics, err)
	logsToLogs, err := factory.CreateLogsToLogs(t.Context(), set, cfg, &a.events)
	add(logsToLogs, err)
}

// Each batch is given to every instance for its signal, as the collector does.
func (a *allSignals) traces(t *testing.T, td ptrace.Traces) {
	for _, i := range a.instances[:2] {
		require.NoError(t, i.(connector.Traces).ConsumeTraces(t.Context(), td))
	}
}

func (a *allSignals) metrics(t *testing.T, md pmetric.Metrics) {
	for _, i := range a.instances[2:4] {
		require.NoError(t, i.(connector.Metrics).ConsumeMetrics(t.Context(), md))
	}
}

func (a *allSignals) logs(t *testing.T, ld plog.Logs) {
	for _, i := range a.instances[4:] {
		require.NoError(t, i.(connector.Logs).ConsumeLogs(t.Context(), ld))
	}
}

// stop stops the instances. drained is called once the first has: the last one takes the self-telemetry with it.
func (a *allSignals) stop(t *testing.T, drained ...func()) {
	for n, i := range a.instances {
		require.NoError(t, i.Shutdown(t.Context()))
		if n == 0 {
			for _, f := range drained {
				f()
			}
		}
	}
}

// collect reads the self-telemetry.
func collect(telemetry *componenttest.Telemetry, into *expected) {
	for _, name := range []string{"spans", "traces_cut_short", "links_unmatched", "events_late", "events_not_judged"} {
		into.put(telemetry, "otelcol_service_health_"+name)
	}
	into.put(telemetry, "otelcol_service_health_spans_refused")
}

func (e *expected) put(telemetry *componenttest.Telemetry, name string) {
	m, err := telemetry.GetMetric(name)
	if err != nil {
		return // Nothing was observed.
	}
	for attributes, n := range points(m.Data) {
		switch {
		case strings.HasSuffix(name, "_refused"):
			if e.Refused == nil {
				e.Refused = map[string]int64{}
			}
			e.Refused[attributes] = n
		case n > 0:
			if e.Telemetry == nil {
				e.Telemetry = map[string]int64{}
			}
			e.Telemetry[strings.TrimSpace(strings.TrimPrefix(name, "otelcol_service_health_")+" "+attributes)] = n
		}
	}
}

// describe writes each series as a line.
func describe(md pmetric.Metrics, into *expected) {
	for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		switch m.Name() {
		case "dependency.calls":
			for _, p := range m.Sum().DataPoints().All() {
				into.Calls = append(into.Calls, fmt.Sprintf("%s = %d", edge(p.Attributes()), p.IntValue()))
			}
		case "dependency.duration":
			if m.Type() == pmetric.MetricTypeHistogram {
				for _, p := range m.Histogram().DataPoints().All() {
					into.Durations = append(into.Durations, fmt.Sprintf("%s, %s: %d calls, %.3f s, %v up to %v", edge(p.Attributes()),
						value(p.Attributes(), "side"), p.Count(), p.Sum(), p.BucketCounts().AsRaw(), p.ExplicitBounds().AsRaw()))
				}
				continue
			}
			for _, p := range m.ExponentialHistogram().DataPoints().All() {
				into.Durations = append(into.Durations, fmt.Sprintf("%s, %s: %d calls, %.3f s", edge(p.Attributes()), value(p.Attributes(), "side"), p.Count(), p.Sum()))
			}
		case "dependency.health":
			for _, p := range m.Gauge().DataPoints().All() {
				if p.IntValue() == 1 && value(p.Attributes(), "state") != "unknown" {
					into.Health = append(into.Health, state(p.Attributes()))
				}
			}
		case "dependency.confidence":
			for _, p := range m.Gauge().DataPoints().All() {
				if p.DoubleValue() < 1 {
					into.Confidence = append(into.Confidence, fmt.Sprintf("%s by %s = %.2f", sides(p.Attributes()), value(p.Attributes(), "callee.source"), p.DoubleValue()))
				}
			}
		case "slo.events", "slo.bad_events.blamed":
			for _, p := range m.Sum().DataPoints().All() {
				into.SLO = append(into.SLO, fmt.Sprintf("%s %s = %d", m.Name(), line(p.Attributes()), p.IntValue()))
			}
		default:
			for _, p := range m.Gauge().DataPoints().All() {
				v := p.DoubleValue()
				if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
					v = float64(p.IntValue())
				}
				into.SLO = append(into.SLO, fmt.Sprintf("%s %s = %.4g", m.Name(), line(p.Attributes()), v))
			}
		}
	}
	slices.Sort(into.Calls)
	slices.Sort(into.Durations)
	slices.Sort(into.SLO)
	slices.Sort(into.Health)
	slices.Sort(into.Confidence)
}

func edge(a pcommon.Map) string {
	text := fmt.Sprintf("%s: %s %s", sides(a), value(a, "dependency.type"), value(a, "outcome"))
	return strings.TrimSpace(strings.TrimSpace(text+" "+value(a, "error.type")) + " " + dimensions(a))
}

// dimensions are what an edge has beyond its own attributes.
func dimensions(a pcommon.Map) string {
	var parts []string
	for key, v := range a.All() {
		if isOfSide := strings.HasPrefix(key, "caller.") || strings.HasPrefix(key, "callee."); isOfSide && !report.IsOfEdge(key) {
			parts = append(parts, key+"="+v.AsString())
		}
	}
	return strings.Join(parts, " ")
}

// sides are who calls whom, or only who is called.
func sides(a pcommon.Map) string {
	name := func(side string) string {
		full := value(a, side+".service.name")
		if environment := value(a, side+".deployment.environment.name"); environment != "" {
			full += "@" + environment
		}
		if namespace := value(a, side+".service.namespace"); namespace != "" {
			full = namespace + "/" + full
		}
		return full + " (" + value(a, side+".layer") + ")"
	}
	if value(a, "caller.service.name") == "" {
		return name("callee")
	}
	return name("caller") + " → " + name("callee")
}

func state(a pcommon.Map) string {
	return strings.Join(strings.Fields(fmt.Sprintf("%s: %s %s %s", sides(a), value(a, "state"), value(a, "reason"), value(a, "origin"))), " ")
}

func event(r plog.LogRecord) string {
	text := r.EventName()
	switch text {
	case "dependency.discovered":
		return text + ": " + value(r.Attributes(), "caller.service.name") + " → " + value(r.Attributes(), "callee.service.name")
	case "dependency.state_changed":
		return strings.TrimSpace(fmt.Sprintf("%s at %s: %s %s", text, r.Timestamp().AsTime().Format("15:04:05"), state(r.Attributes()),
			value(r.Attributes(), "suspects.service.name")))
	case "service.suspected":
		return fmt.Sprintf("%s at %s: %s %s", text, r.Timestamp().AsTime().Format("15:04:05"), value(r.Attributes(), "suspects.service.name"),
			value(r.Attributes(), "suspects.layer"))
	case "service.version_changed":
		return fmt.Sprintf("%s at %s: %s", text, r.Timestamp().AsTime().Format("15:04:05"), r.Body().Str())
	}
	return fmt.Sprintf("%s at %s: %s, suspects %s %s", text, r.Timestamp().AsTime().Format("15:04:05"), value(r.Attributes(), "slo.name"),
		value(r.Attributes(), "suspects.service.name"), value(r.Attributes(), "suspects.layer"))
}

func value(a pcommon.Map, key string) string {
	v, ok := a.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

func line(a pcommon.Map) string {
	var parts []string
	for key, v := range a.All() {
		parts = append(parts, key+"="+v.AsString())
	}
	return strings.Join(parts, " ")
}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) pcommon.Timestamp {
	if seconds < 0 {
		return 0
	}
	return pcommon.NewTimestampFromTime(noon.Add(time.Duration(seconds * 1e9)))
}

// traces makes a request of spans.
func traces(spans []span) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, s := range spans {
		for i := range max(1, s.Repeat) {
			trace := s.Trace
			if s.Repeat > 0 {
				trace = fmt.Sprintf("%s-%d", s.Trace, i)
			}
			s.put(td, trace, float64(i)/10)
		}
	}
	return td
}

func (s span) put(td ptrace.Traces, trace string, later float64) {
	rs := td.ResourceSpans().AppendEmpty()
	if err := rs.Resource().Attributes().FromRaw(s.Resource); err != nil {
		panic(err)
	}
	for key, v := range map[string]string{
		"service.name": s.Service, "service.namespace": s.Namespace,
		"deployment.environment.name": s.Environment, "service.version": s.Version, "vcs.ref.head.revision": s.Revision,
	} {
		if v != "" {
			rs.Resource().Attributes().PutStr(key, v)
		}
	}
	out := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	out.SetTraceID(traceID(trace))
	out.SetSpanID(spanID(s.ID))
	if s.Parent != "" {
		out.SetParentSpanID(spanID(s.Parent))
	}
	out.SetName(cmp.Or(s.Name, s.ID))
	for kind := ptrace.SpanKindUnspecified; kind <= ptrace.SpanKindConsumer; kind++ {
		if strings.EqualFold(kind.String(), s.Kind) {
			out.SetKind(kind)
		}
	}
	if s.Status == "error" {
		out.Status().SetCode(ptrace.StatusCodeError)
	}
	out.SetStartTimestamp(at(s.Start + later))
	out.SetEndTimestamp(at(s.End + later))
	out.TraceState().FromRaw(s.State)
	if err := out.Attributes().FromRaw(s.Attributes); err != nil {
		panic(err)
	}
	for key, variant := range s.Evaluates {
		e := out.Events().AppendEmpty()
		e.SetName("feature_flag.evaluation")
		e.Attributes().PutStr("feature_flag.key", key)
		e.Attributes().PutStr("feature_flag.result.variant", variant)
	}
	for _, link := range s.Links {
		trace, id, _ := strings.Cut(link, "/")
		l := out.Links().AppendEmpty()
		l.SetTraceID(traceID(trace))
		l.SetSpanID(spanID(id))
	}
}

func traceID(name string) (id pcommon.TraceID) {
	if name != "zero" {
		h := fnv.New128a()
		_, _ = h.Write([]byte(name))
		copy(id[:], h.Sum(nil))
	}
	return id
}

func spanID(name string) (id pcommon.SpanID) {
	if name != "zero" {
		h := fnv.New64a()
		_, _ = h.Write([]byte(name))
		binary.BigEndian.PutUint64(id[:], h.Sum64())
	}
	return id
}

func read(t *testing.T, file string, into any) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(into), file)
}
