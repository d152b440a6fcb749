package correlationprocessor

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/metric"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/series"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

// maxSkew is how far a sender's clock may be ahead before its time is taken for nonsense.
const maxSkew = int64(time.Hour)

// flaw is why a span is malformed.
type flaw int

const (
	noTraceID flaw = iota
	noSpanID
	noName
	endBeforeStart
	fromTheFuture
	flawCount
	flawless flaw = -1
)

type traces struct {
	*correlation
	next    consumer.Traces
	refused [][]metric.AddOption
	// scratches are for one batch at a time each.
	scratches sync.Pool
}

type spanScratch struct {
	spans     []store.Span
	sightings []series.Sighting
	refused   [flawCount]int64
}

func newTraces(base *correlation, next consumer.Traces) *traces {
	return &traces{
		correlation: base,
		next:        next,
		refused:     options("reason", "trace_id", "span_id", "name", "end_before_start", "future"),
		scratches:   sync.Pool{New: func() any { return new(spanScratch) }},
	}
}

func (t *traces) ConsumeTraces(ctx context.Context, batch ptrace.Traces) error {
	t.correlate(ctx, now(), batch)
	return t.next.ConsumeTraces(ctx, batch)
}

func (t *traces) correlate(ctx context.Context, now int64, batch ptrace.Traces) {
	scratch := t.scratches.Get().(*spanScratch)
	defer t.scratches.Put(scratch)
	for i := range batch.ResourceSpans().Len() {
		t.resource(now, batch.ResourceSpans().At(i), scratch)
	}
	t.spans.Remember(now, scratch.spans)
	t.telemetry.CorrelationSpansRemembered.Add(ctx, int64(len(scratch.spans)))
	for reason, count := range scratch.refused {
		if count > 0 {
			t.telemetry.CorrelationSpansRefused.Add(ctx, count, t.refused[reason]...)
		}
	}
	// The scratch must not keep what has passed alive.
	clear(scratch.spans)
	scratch.spans, scratch.refused = scratch.spans[:0], [flawCount]int64{}
}

func (t *traces) resource(now int64, resource ptrace.ResourceSpans, scratch *spanScratch) {
	scopes := resource.ScopeSpans()
	if scopes.Len() == 0 {
		return
	}
	attributes := resource.Resource().Attributes()
	emitter := emitterLayer(attributes)
	source := t.series.Source(now, service.Of(attributes), text(attributes, attributeInstance))
	for i := range scopes.Len() {
		spans := scopes.At(i).Spans()
		for j := range spans.Len() {
			t.span(now, spans.At(j), emitter, source, scratch)
		}
	}
	if len(scratch.sightings) > 0 {
		source.Add(now, scratch.sightings)
		scratch.sightings = scratch.sightings[:0]
	}
}

// emitterLayer puts the layer onto a resource that does not have one yet.
func emitterLayer(attributes pcommon.Map) layer.Layer {
	if said, ok := attributes.Get(attributeLayer); ok {
		return parseLayer(said)
	}
	found := layer.OfResource(attributes)
	if found != layer.Unknown {
		attributes.PutStr(attributeLayer, found.String())
	}
	return found
}

func parseLayer(value pcommon.Value) layer.Layer {
	if value.Type() != pcommon.ValueTypeStr {
		return layer.Unknown
	}
	said, _ := layer.Parse(value.Str())
	return said
}

func (t *traces) span(now int64, span ptrace.Span, emitter layer.Layer, source *series.Source, scratch *spanScratch) {
	if wrong := flawOf(now, span); wrong != flawless {
		scratch.refused[wrong]++
		return
	}
	scratch.sightings = append(scratch.sightings, series.Sighting{})
	seen := &scratch.sightings[len(scratch.sightings)-1]
	var evidence layer.Evidence
	said := layer.Unknown
	attributes := span.Attributes()
	for key, value := range attributes.All() {
		if key == attributeLayer {
			said = parseLayer(value)
		}
		evidence.Add(key)
		seen.Key.Add(t.series.Seed, key, value)
	}
	about := said
	if about == layer.Unknown {
		if about = evidence.Layer(emitter); about != emitter {
			add(attributes, attributeLayer, about.String())
		}
	}
	failed := isFailed(span, &seen.Key)
	remembered := store.Span{
		Trace:   span.TraceID(),
		ID:      span.SpanID(),
		Start:   int64(span.StartTimestamp()),
		End:     int64(span.EndTimestamp()),
		Emitter: source.Emitter,
		Layer:   about,
		Failed:  failed,
		Root:    span.ParentSpanID().IsEmpty(),
	}
	if remembered.Root {
		remembered.Operation = span.Name()
	}
	scratch.spans = append(scratch.spans, remembered)
	if !t.config.Metrics.Exemplars.Enabled || !seen.Key.Telling() || source.Emitter.Name == "" {
		scratch.sightings = scratch.sightings[:len(scratch.sightings)-1]
		return
	}
	seen.Key.Infer(failed)
	seen.Kind = span.Kind()
	seen.Candidate = series.Candidate{
		Trace: remembered.Trace, Span: remembered.ID, Start: remembered.Start, End: remembered.End, Failed: failed,
	}
}

func flawOf(now int64, span ptrace.Span) flaw {
	start, end := int64(span.StartTimestamp()), int64(span.EndTimestamp())
	switch {
	case span.TraceID().IsEmpty():
		return noTraceID
	case span.SpanID().IsEmpty():
		return noSpanID
	case span.Name() == "":
		return noName
	case start > now+maxSkew, end > now+maxSkew, start < 0, end < 0:
		return fromTheFuture
	case end < start:
		return endBeforeStart
	default:
		return flawless
	}
}

// isFailed believes the status where there is one.
func isFailed(span ptrace.Span, key *series.Key) bool {
	switch span.Status().Code() {
	case ptrace.StatusCodeError:
		return true
	case ptrace.StatusCodeOk:
		return false
	default:
		return key.Failed()
	}
}
