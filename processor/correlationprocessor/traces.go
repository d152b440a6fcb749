package correlationprocessor

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/metric"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/activity"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/hold"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/outline"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/place"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/rule"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/series"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

type traces struct {
	*correlation
	next  consumer.Traces
	rules *rule.Set
	// context are the attributes that spans get for the values of metrics, by the numbers of these.
	context []string
	// queue is nil where nothing is held.
	queue   *hold.Queue[ptrace.Traces]
	refused [][]metric.AddOption
	// attached counts records that became events, and those for which there was no room.
	attached [][]metric.AddOption
	// scratches are for one batch at a time each.
	scratches sync.Pool
}

type spanScratch struct {
	spans     []store.Span
	sightings []series.Sighting
	key       series.Key
	refused   [outline.FlawCount]int64
	errors    int64
	active    []activity.Span
	instances []uint64
	// here is where the emitter runs, and there what a span calls.
	here, there place.Places
	// called are the databases that failed and slow calls went to, by the spans above these calls.
	called map[spanID]place.Places
}

// emitter is who has sent the spans of a resource.
type emitter struct {
	resource ptrace.ResourceSpans
	layer    layer.Layer
	series   *series.Source
}

func newTraces(base *correlation, next consumer.Traces) (*traces, error) {
	t := &traces{
		correlation: base,
		next:        next,
		refused:     options("reason", outline.Names[:]...),
		attached:    options("decision", "attached", "left_out"),
		scratches:   sync.Pool{New: func() any { return &spanScratch{called: map[spanID]place.Places{}} }},
	}
	for _, name := range base.config.Traces.ContextMetrics {
		t.context = append(t.context, prefixContext+name)
	}
	var err error
	if t.rules, err = rule.Compile(base.config.rules(), base.settings); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *traces) Start(ctx context.Context, host component.Host) error {
	if err := t.correlation.Start(ctx, host); err != nil {
		return err
	}
	if wait := t.config.Traces.Hold; wait > 0 {
		t.queue = hold.NewTraces(queueSettings(t.correlation, "traces", wait, t.heldTraces, t.next.ConsumeTraces))
		t.queue.Start()
	}
	return nil
}

// Shutdown hands on what is held before it lets go of what is remembered.
func (t *traces) Shutdown(ctx context.Context) error {
	var err error
	if t.queue != nil {
		err = t.queue.Shutdown(ctx)
	}
	return errors.Join(err, t.correlation.Shutdown(ctx))
}

func (t *traces) ConsumeTraces(ctx context.Context, batch ptrace.Traces) error {
	now := t.clock.Now()
	t.learn(ctx, now, batch)
	if t.queue != nil && t.queue.Add(ctx, batch, hold.Wait{
		Prepare: func(ctx context.Context) { t.join(ctx, t.clock.Now(), batch) },
	}) {
		return nil
	}
	t.join(ctx, now, batch)
	return t.next.ConsumeTraces(ctx, batch)
}

// learn says in which layers the spans are, and remembers them.
func (t *traces) learn(ctx context.Context, now int64, batch ptrace.Traces) {
	scratch := t.scratches.Get().(*spanScratch)
	defer t.scratches.Put(scratch)
	for i := range batch.ResourceSpans().Len() {
		t.learnResource(ctx, now, batch.ResourceSpans().At(i), scratch)
	}
	t.spans.Remember(now, scratch.spans)
	t.telemetry.CorrelationSpansRemembered.Add(ctx, int64(len(scratch.spans)))
	for reason, count := range scratch.refused {
		if count > 0 {
			t.telemetry.CorrelationSpansRefused.Add(ctx, count, t.refused[reason]...)
		}
	}
	if scratch.errors > 0 {
		t.telemetry.CorrelationConditionErrors.Add(ctx, scratch.errors)
	}
	// The scratch must not keep what has passed alive.
	clear(scratch.spans)
	scratch.spans, scratch.refused, scratch.errors = scratch.spans[:0], [outline.FlawCount]int64{}, 0
}

func (t *traces) learnResource(ctx context.Context, now int64, resource ptrace.ResourceSpans, scratch *spanScratch) {
	scopes := resource.ScopeSpans()
	if scopes.Len() == 0 {
		return
	}
	attributes := resource.Resource().Attributes()
	from := emitter{
		resource: resource,
		layer:    t.emitterLayer(ctx, resource, scratch),
		series:   t.series.Source(now, service.Of(attributes), text(attributes, attributeInstance)),
	}
	if t.placesMatter || t.config.Logs.InferContext {
		t.places.Resource(&scratch.here, attributes)
		t.places.Learn(now, from.series.Service, &scratch.here)
	}
	for i := range scopes.Len() {
		spans := scopes.At(i).Spans()
		for j := range spans.Len() {
			t.learnSpan(ctx, now, &from, scopes.At(i), spans.At(j), scratch)
		}
	}
	if len(scratch.sightings) > 0 {
		from.series.Add(now, scratch.sightings)
		scratch.sightings = scratch.sightings[:0]
	}
	if len(scratch.active) > 0 {
		scratch.instances = scratch.here.AppendInstances(scratch.instances[:0])
		for _, instance := range scratch.instances {
			t.activity.Add(t.clock.Wall(now), activity.Instance{High: instance}, scratch.active)
		}
		scratch.active = scratch.active[:0]
	}
}

// emitterLayer puts the layer onto a resource that does not have one yet.
func (t *traces) emitterLayer(ctx context.Context, resource ptrace.ResourceSpans, scratch *spanScratch) layer.Layer {
	attributes := resource.Resource().Attributes()
	if said, ok := attributes.Get(attributeLayer); ok {
		return parseLayer(said)
	}
	found, failed := t.rules.OfResource(ctx, resource)
	scratch.errors += int64(failed)
	if found == layer.Unknown {
		found = layer.OfResource(attributes)
	}
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

func (t *traces) learnSpan(ctx context.Context, now int64, from *emitter, scope ptrace.ScopeSpans, span ptrace.Span, scratch *spanScratch) {
	seen := outline.Of(span)
	attributes := span.Attributes()
	if t.config.Logs.InferContext {
		scratch.active = append(scratch.active, activity.Span{
			Trace: seen.Trace, ID: seen.ID, Parent: span.ParentSpanID(), Start: seen.Start, End: seen.End,
			Thread: t.thread(attributes), Entry: outline.IsEntry(span), Sampled: outline.IsSampled(span),
		})
	}
	if wrong := outline.FlawOf(t.clock.Wall(now), &seen); wrong != outline.Flawless {
		scratch.refused[wrong]++
		return
	}
	seen.Service = from.series.Service
	key := &scratch.key
	key.Reset()
	var evidence layer.Evidence
	for name, value := range attributes.All() {
		if name == attributeLayer {
			seen.Layer = parseLayer(value)
		}
		evidence.Add(name)
		key.Add(t.series.Seed, name, value)
	}
	seen.Failed = outline.IsFailed(span.Status().Code(), key.Failed())
	if seen.Layer == layer.Unknown {
		var failed int
		seen.Layer, failed = t.rules.OfSpan(ctx, from.resource, scope, span)
		scratch.errors += int64(failed)
		if seen.Layer == layer.Unknown {
			seen.Layer = evidence.Layer(from.layer)
		}
		if seen.Layer != from.layer {
			add(attributes, attributeLayer, seen.Layer.String())
		}
	}
	scratch.spans = append(scratch.spans, seen)
	if t.placesMatter && seen.Layer == layer.Data {
		t.places.LearnCall(now, from.series.Service, attributes, &scratch.here, &scratch.there)
	}
	if t.config.Metrics.Exemplars.Enabled && key.Telling() && from.series.Service != "" {
		key.Infer(seen.Failed)
		scratch.sightings = append(scratch.sightings, series.Sighting{Key: *key, Kind: span.Kind(), Candidate: series.Candidate{
			Trace: seen.Trace, Span: seen.ID, Start: seen.Start, End: seen.End, Failed: seen.Failed,
		}})
	}
}

// join puts onto the spans what log records and metric points have said until now.
func (t *traces) join(ctx context.Context, now int64, batch ptrace.Traces) {
	if !t.notes.Empty() {
		t.joinNotes(ctx, now, batch)
	}
	if len(t.context) > 0 {
		t.joinContext(ctx, now, batch)
	}
}

func (t *traces) joinNotes(ctx context.Context, now int64, batch ptrace.Traces) {
	var events, leftOut int64
	for _, resource := range batch.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if about, ok := t.notes.Of(now, span.TraceID(), span.SpanID()); ok && outline.IsFlawless(t.clock.Wall(now), span) {
					if put := about.AppendTo(span); put > 0 {
						events += int64(put)
						leftOut += about.LeftOut
					}
				}
			}
		}
	}
	for decision, count := range [...]int64{events, leftOut} {
		if count > 0 {
			t.telemetry.CorrelationLogEvents.Add(ctx, count, t.attached[decision]...)
		}
	}
}

// joinContext puts onto failed and slow spans what was measured last where they ran, and at the database that they, or
// failed and slow calls below them, called. A span and the calls below it mostly come in one batch, and are looked for in
// no other.
func (t *traces) joinContext(ctx context.Context, now int64, batch ptrace.Traces) {
	scratch := t.scratches.Get().(*spanScratch)
	defer t.scratches.Put(scratch)
	clear(scratch.called)
	var values int64
	for _, resource := range batch.ResourceSpans().All() {
		located := false
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if !t.tells(now, span) {
					continue
				}
				if !located {
					t.places.Resource(&scratch.here, resource.Resource().Attributes())
					located = true
				}
				if t.places.Database(&scratch.there, span.Attributes(), &scratch.here) {
					values += t.measured(now, span, &scratch.there)
					scratch.called[spanID{span.TraceID(), span.ParentSpanID()}] = scratch.there
				}
				values += t.measured(now, span, &scratch.here)
			}
		}
	}
	if len(scratch.called) > 0 {
		for _, resource := range batch.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					if called, ok := scratch.called[spanID{span.TraceID(), span.SpanID()}]; ok && t.tells(now, span) {
						values += t.measured(now, span, &called)
					}
				}
			}
		}
	}
	if values > 0 {
		t.telemetry.CorrelationContextValues.Add(ctx, values)
	}
}

// measured puts the last values of one place onto a span.
func (t *traces) measured(now int64, span ptrace.Span, at *place.Places) (added int64) {
	for number, key := range t.context {
		if value, ok := t.places.Last(now, at, uint8(number)); ok {
			if into, exists := span.Attributes().GetOrPutEmpty(key); !exists {
				into.SetDouble(value)
				added++
			}
		}
	}
	return added
}

// tells is whether the span went wrong, or took long.
func (t *traces) tells(now int64, span ptrace.Span) bool {
	if !outline.IsFlawless(t.clock.Wall(now), span) {
		return false
	}
	if int64(span.EndTimestamp()-span.StartTimestamp()) > int64(t.config.Logs.Keep.SlowAbove) {
		return true
	}
	var key series.Key
	if value, typed := span.Attributes().Get(attributeErrorType); typed {
		key.Add(t.series.Seed, attributeErrorType, value)
	}
	return outline.IsFailed(span.Status().Code(), key.Failed())
}
