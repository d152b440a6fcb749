package correlationprocessor

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/jointest"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

// TestJoinsOfTheShop measures what is joined of the example shop, whose services serve many requests at once.
func TestJoinsOfTheShop(t *testing.T) {
	all, err := jointest.Read("../../bench/testdata/shop.jsonl.zst", 0)
	require.NoError(t, err)
	w := newWorkload(all)
	t.Log(w)
	inferred := joinFloor{precision: 100, traceRecall: 20}
	// Its records have their ids in their own fields only, so these are moved to where other senders write them.
	w.measure(t, []joinCase{
		{name: "as it is"},
		{name: "as it is", hold: 5 * time.Second},
		{name: "ids in attributes", change: moveToAttributes, floor: recoveryFloor},
		{name: "ids in a traceparent", change: moveToTraceparent, floor: recoveryFloor},
		{name: "ids in text", change: moveToText, floor: recoveryFloor},
		{name: "ids in JSON", change: moveToJSON, floor: recoveryFloor},
		{name: "half ids", change: moveToHalves, hold: 5 * time.Second, floor: halfIDFloor},
		{name: "no ids", change: stripIDs, infer: true, hold: 2 * time.Second, floor: inferred},
		{name: "no ids", change: stripIDs, infer: true, hold: 5 * time.Second, floor: inferred},
	})
	w.measurePoints(t)
}

// TestJoinsOfTrainTicket measures what is joined of a real system whose records have ids in their text, too. Their times are
// not the system's own but those of whoever read its output. All of its metrics are gauges, which get no exemplars.
func TestJoinsOfTrainTicket(t *testing.T) {
	const minutes = 5
	folder := os.Getenv("THROUGHLINE_DATA")
	if folder == "" {
		t.Skip("THROUGHLINE_DATA, the folder with recorded telemetry, is not set")
	}
	all, err := jointest.Read(filepath.Join(folder, "day-tt-20230129.jsonl.zst"), minutes*60)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	require.NoError(t, err)
	w := newWorkload(all)
	t.Log(w)
	// Its records get no more than the trace.
	inferred := joinFloor{precision: 100, traceRecall: 50}
	w.measure(t, []joinCase{
		{name: "as it is"},
		{name: "as it is", hold: 5 * time.Second},
		{name: "ids in text", change: emptyFields, floor: recoveryFloor},
		{name: "ids in text", change: emptyFields, hold: 5 * time.Second, floor: recoveryFloor},
		{name: "no ids", change: stripIDs, infer: true, hold: 2 * time.Second, floor: inferred},
		{name: "no ids", change: stripIDs, infer: true, hold: 5 * time.Second, floor: inferred},
	})
	w.measurePoints(t)
}

// joinFloor is the least, in percent, that the joins of a case must reach, by trace and by span.
type joinFloor struct{ precision, traceRecall, spanRecall float64 }

var (
	recoveryFloor = joinFloor{precision: 100, traceRecall: 99, spanRecall: 99}
	halfIDFloor   = joinFloor{precision: 100, traceRecall: 97, spanRecall: 97}
)

// joinCase is one way for records to lose their ids, and for the processor to find them.
type joinCase struct {
	name   string
	change func(record plog.LogRecord)
	hold   time.Duration
	infer  bool
	floor  joinFloor
}

// workload is a recording with what is true about it.
type workload struct {
	requests []jointest.Request
	spans    map[jointest.ID]recordedSpan
	records  int
	offsets  map[string]int
}

type recordedSpan struct {
	instance, name string
	attributes     pcommon.Map
	start, end     pcommon.Timestamp
}

func newWorkload(requests []jointest.Request) *workload {
	w := &workload{requests: requests, spans: map[jointest.ID]recordedSpan{}, offsets: map[string]int{}}
	for _, request := range requests {
		jointest.EachSpan(request.Traces, func(resource pcommon.Map, span ptrace.Span) {
			w.spans[jointest.ID{Trace: span.TraceID(), Span: span.SpanID()}] = recordedSpan{
				text(resource, attributeInstance), span.Name(), span.Attributes(), span.StartTimestamp(), span.EndTimestamp(),
			}
		})
	}
	for _, request := range requests {
		jointest.EachRecord(request.Logs, func(_ pcommon.Map, record plog.LogRecord) {
			w.records++
			w.offsets[w.offset(record)]++
		})
	}
	return w
}

// offset says where the time of a record lies, seen from its span.
func (w *workload) offset(record plog.LogRecord) string {
	span, ok := w.spans[jointest.Of(record)]
	at := record.Timestamp()
	switch {
	case !ok:
		return "without their span in the recording"
	case at < span.start:
		return "before their span"
	case at <= span.end:
		return "within their span"
	case at <= span.end+pcommon.Timestamp(time.Millisecond):
		return "up to 1 ms after their span"
	default:
		return "later"
	}
}

func (w *workload) String() string {
	said := fmt.Sprintf("%d requests, %d spans, %d records:", len(w.requests), len(w.spans), w.records)
	for _, where := range slices.Sorted(maps.Keys(w.offsets)) {
		said += fmt.Sprintf(" %s %s,", jointest.Share{Part: w.offsets[where], Of: w.records}, where)
	}
	return strings.TrimSuffix(said, ",")
}

// measure prints a table row for each case, and holds it against its floor.
func (w *workload) measure(t *testing.T, cases []joinCase) {
	printed := []string{
		"",
		"| records | hold | trace precision | recall | span precision | recall | span seen | entry | why not |",
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
	}
	for _, c := range cases {
		r := newReplay(t, c)
		r.run(w.requests)
		counted := sums(t, r.telemetry, "otelcol_correlation_records")
		seen := counted["match=context"] + counted["match=recovered"] + counted["match=inferred"]
		printed = append(printed, fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s |", c.name, c.hold,
			r.score.TracePrecision(), r.score.TraceRecall(), r.score.SpanPrecision(), r.score.SpanRecall(),
			jointest.Share{Part: seen, Of: w.records}, jointest.Share{Part: r.entries, Of: w.records}, w.whyNot(counted)))
		require.Equal(t, w.records, r.score.Records, "every record comes out once, and all of these had ids")
		for what, is := range map[string]struct {
			share jointest.Share
			floor float64
		}{
			"precision by trace": {r.score.TracePrecision(), c.floor.precision},
			"precision by span":  {r.score.SpanPrecision(), c.floor.precision},
			"recall by trace":    {r.score.TraceRecall(), c.floor.traceRecall},
			"recall by span":     {r.score.SpanRecall(), c.floor.spanRecall},
		} {
			assert.GreaterOrEqual(t, is.share.Percent(), is.floor, "%s, hold %s: %s", c.name, c.hold, what)
		}
	}
	t.Log(strings.Join(printed, "\n"))
}

// whyNot is what the records lack, the most frequent first, by how they came to their trace.
func (w *workload) whyNot(counted map[string]int) string {
	var said []string
	short := strings.NewReplacer("match=", "", "reason=", "")
	mostFirst := func(a, b string) int { return cmp.Or(cmp.Compare(counted[b], counted[a]), cmp.Compare(a, b)) }
	for _, name := range slices.SortedFunc(maps.Keys(counted), mostFirst) {
		if strings.Contains(name, "reason=") {
			said = append(said, fmt.Sprintf("%s %s", short.Replace(name), jointest.Share{Part: counted[name], Of: w.records}))
		}
	}
	return strings.Join(said, ", ")
}

// measurePoints prints how many points got exemplars, and how many of these are as they must be.
func (w *workload) measurePoints(t *testing.T) {
	var printed strings.Builder
	table := tabwriter.NewWriter(&printed, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nexemplars\tpoints\tthat can have them\tgiven\tmatched\tadded"+
		"\tprecision\tof spans as the sender's\twhy not")
	senders := w.sendersNames()
	for _, removed := range []bool{false, true} {
		r := newReplay(t, joinCase{})
		var all, added, right, comparable, alike int
		for _, request := range w.requests {
			r.traces.learn(t.Context(), request.Now, copyOf(request.Traces))
			points := pmetric.NewMetrics()
			request.Metrics.CopyTo(points)
			var had []int
			jointest.EachPoint(points, func(point jointest.Point) {
				if removed {
					point.Exemplars.RemoveIf(func(pmetric.Exemplar) bool { return true })
				}
				had = append(had, point.Exemplars.Len())
			})
			r.metrics.correlate(t.Context(), request.Now, points)
			jointest.EachPoint(points, func(point jointest.Point) {
				all++
				if had[0] == 0 {
					for _, exemplar := range point.Exemplars.All() {
						added++
						span, ok := w.spans[jointest.ID{Trace: exemplar.TraceID(), Span: exemplar.SpanID()}]
						if ok && span.belongsTo(point) {
							right++
						}
						if names := senders[seriesOf(point)]; len(names) > 0 {
							comparable++
							if names[span.name] {
								alike++
							}
						}
					}
				}
				had = had[1:]
			})
		}
		counted := sums(t, r.telemetry, "otelcol_correlation_points")
		able := 0
		for _, count := range counted {
			able += count
		}
		share := func(name string) jointest.Share { return jointest.Share{Part: counted[name], Of: able} }
		name := "as it is"
		if removed {
			name = "the senders' removed"
		}
		precision := jointest.Share{Part: right, Of: added}
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%d\t%s\t%s\tservice_not_seen %s, no_span_fits %s\n", name, all, able,
			share("match=given"), share("match=matched"), added, precision, jointest.Share{Part: alike, Of: comparable},
			share("match=none reason=service_not_seen"), share("match=none reason=no_span_fits"))
		assert.InDelta(t, 100, precision.Percent(), 0, "%s: every exemplar is of a span that the point has counted", name)
	}
	require.NoError(t, table.Flush())
	t.Log(printed.String())
}

// belongsTo tells whether a point can have counted the span: it is of the same instance, ended within the point's time,
// and what both say is the same.
func (s recordedSpan) belongsTo(point jointest.Point) bool {
	if s.instance != text(point.Resource, attributeInstance) || s.end < point.Since || s.end > point.Until {
		return false
	}
	for key, value := range point.Attributes.All() {
		if said, ok := s.attributes.Get(key); ok && said.AsString() != value.AsString() {
			return false
		}
	}
	return true
}

// sendersNames are the names of the spans of the senders' own exemplars, by series.
func (w *workload) sendersNames() map[string]map[string]bool {
	names := map[string]map[string]bool{}
	for _, request := range w.requests {
		jointest.EachPoint(request.Metrics, func(point jointest.Point) {
			for _, exemplar := range point.Exemplars.All() {
				span, ok := w.spans[jointest.ID{Trace: exemplar.TraceID(), Span: exemplar.SpanID()}]
				if !ok {
					continue
				}
				of := seriesOf(point)
				if names[of] == nil {
					names[of] = map[string]bool{}
				}
				names[of][span.name] = true
			}
		})
	}
	return names
}

func seriesOf(point jointest.Point) string {
	return fmt.Sprint(text(point.Resource, attributeInstance), point.Metric, point.Attributes.AsRaw())
}

func copyOf(spans ptrace.Traces) ptrace.Traces {
	c := ptrace.NewTraces()
	spans.CopyTo(c)
	return c
}

// sums are the values of a counter, by its attributes.
func sums(t *testing.T, telemetry *componenttest.Telemetry, counter string) map[string]int {
	counted := map[string]int{}
	got, err := telemetry.GetMetric(counter)
	if err != nil {
		return counted // Nothing was counted.
	}
	for _, point := range got.Data.(metricdata.Sum[int64]).DataPoints {
		var name []string
		for _, attribute := range point.Attributes.ToSlice() {
			name = append(name, fmt.Sprintf("%s=%s", attribute.Key, attribute.Value.String()))
		}
		counted[strings.Join(name, " ")] += int(point.Value)
	}
	return counted
}

// replay is the processor in event time, with a queue that waits in it.
type replay struct {
	t         *testing.T
	of        joinCase
	telemetry *componenttest.Telemetry
	traces    *traces
	logs      *logs
	metrics   *metrics
	// waiting stands in the order of arrival.
	waiting []*heldRecords

	score   jointest.Score
	entries int
}

type heldRecords struct {
	*waitingLogs
	had   []jointest.ID
	until int64
}

func newReplay(t *testing.T, c joinCase) *replay {
	config := createDefaultConfig().(*Config)
	config.Logs.InferContext, config.Logs.Hold = c.infer, c.hold
	telemetry := componenttest.NewTelemetry()
	settings := processortest.NewNopSettings(metadata.Type)
	settings.TelemetrySettings = telemetry.NewTelemetrySettings()
	base, err := newCorrelation(settings, config, new(memories))
	require.NoError(t, err)
	require.NoError(t, base.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() {
		require.NoError(t, base.Shutdown(context.Background()))
		require.NoError(t, telemetry.Shutdown(context.Background()))
	})
	spans, err := newTraces(base, consumertest.NewNop())
	require.NoError(t, err)
	return &replay{
		t: t, of: c, telemetry: telemetry,
		traces: spans, logs: newLogs(base, consumertest.NewNop()), metrics: newMetrics(base, consumertest.NewNop()),
	}
}

func (r *replay) run(requests []jointest.Request) {
	last := int64(0)
	for _, request := range requests {
		r.release(request.Now)
		r.send(request)
		r.release(request.Now)
		last = request.Now
	}
	r.release(last + int64(r.of.hold))
	require.Empty(r.t, r.waiting)
}

func (r *replay) send(request jointest.Request) {
	r.traces.learn(r.t.Context(), request.Now, copyOf(request.Traces))
	if request.Logs.LogRecordCount() == 0 {
		return
	}
	records := plog.NewLogs()
	request.Logs.CopyTo(records)
	held := &heldRecords{until: request.Now + int64(r.of.hold)}
	jointest.EachRecord(records, func(_ pcommon.Map, record plog.LogRecord) {
		held.had = append(held.had, jointest.Of(record))
		if r.of.change != nil {
			r.of.change(record)
		}
	})
	if r.of.hold == 0 {
		r.logs.correlate(r.t.Context(), request.Now, records)
		r.judge(held.had, records)
		return
	}
	held.waitingLogs = r.logs.identify(request.Now, records)
	r.waiting = append(r.waiting, held)
}

// release joins what is ready or has waited for long enough, each at its time.
func (r *replay) release(now int64) {
	r.waiting = slices.DeleteFunc(r.waiting, func(held *heldRecords) bool {
		at := min(now, held.until)
		if at < held.until && !r.logs.ready(at, held.waitingLogs) {
			return false
		}
		r.logs.join(r.t.Context(), at, held.waitingLogs)
		r.judge(held.had, held.batch)
		return true
	})
}

func (r *replay) judge(had []jointest.ID, batch plog.Logs) {
	jointest.EachRecord(batch, func(_ pcommon.Map, record plog.LogRecord) {
		r.score.Add(had[0], jointest.Of(record))
		had = had[1:]
		if _, ok := record.Attributes().Get(attributeEntryOperation); ok {
			r.entries++
		}
	})
	require.Empty(r.t, had)
}

// emptyFields leaves the ids that stand elsewhere.
func emptyFields(record plog.LogRecord) {
	record.SetTraceID(pcommon.TraceID{})
	record.SetSpanID(pcommon.SpanID{})
}

// stripIDs takes the ids from wherever they stand.
func stripIDs(record plog.LogRecord) {
	without := strings.NewReplacer(record.TraceID().String(), "", record.SpanID().String(), "")
	emptyFields(record)
	if record.Body().Type() == pcommon.ValueTypeStr {
		record.Body().SetStr(without.Replace(record.Body().Str()))
	}
	for _, value := range record.Attributes().All() {
		if value.Type() == pcommon.ValueTypeStr {
			value.SetStr(without.Replace(value.Str()))
		}
	}
}

func moveToAttributes(record plog.LogRecord) {
	record.Attributes().PutStr("trace_id", record.TraceID().String())
	record.Attributes().PutStr("span_id", record.SpanID().String())
	emptyFields(record)
}

func moveToTraceparent(record plog.LogRecord) {
	record.Attributes().PutStr("traceparent", fmt.Sprintf("00-%s-%s-01", record.TraceID(), record.SpanID()))
	emptyFields(record)
}

func moveToText(record plog.LogRecord) {
	record.Body().SetStr(fmt.Sprintf("[trace_id=%s span_id=%s] %s", record.TraceID(), record.SpanID(), record.Body().Str()))
	emptyFields(record)
}

func moveToJSON(record plog.LogRecord) {
	ids := fmt.Sprintf(`"traceId":"%s","spanId":"%s"`, record.TraceID(), record.SpanID())
	record.Body().SetStr(fmt.Sprintf(`{"msg":%q,%s}`, record.Body().Str(), ids))
	emptyFields(record)
}

// moveToHalves writes the ids as Datadog does, which leaves half of the trace's.
func moveToHalves(record plog.LogRecord) {
	trace, span := record.TraceID(), record.SpanID()
	record.Attributes().PutStr("dd.trace_id", fmt.Sprint(binary.BigEndian.Uint64(trace[8:])))
	record.Attributes().PutStr("dd.span_id", fmt.Sprint(binary.BigEndian.Uint64(span[:])))
	emptyFields(record)
}
