package correlationprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"unsafe"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/activity"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/hold"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/keep"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/place"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recovery"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/store"
)

// match is how a record came to its trace.
type match uint8

const (
	matchNone match = iota
	matchContext
	matchRecovered
	matchInferred
	matchCount
)

var matchNames = [matchCount]string{
	matchNone: "none", matchContext: "context", matchRecovered: "recovered", matchInferred: "inferred",
}

// gap is what is missing from the whole story of a record.
type gap uint8

const (
	gapNone gap = iota
	gapNoID
	gapHalfID
	gapAmbiguous
	gapUndecidable
	gapTrace
	gapSpan
	gapCount
)

var gapNames = [gapCount]string{
	gapNone:        "",
	gapNoID:        "no_id",
	gapHalfID:      "half_id_of_unknown_trace",
	gapAmbiguous:   "several_spans_fit",
	gapUndecidable: "undecidable",
	gapTrace:       "trace_not_seen",
	gapSpan:        "span_not_seen",
}

// identity is what is known about a record's ids before its span has been looked for.
type identity struct {
	match match
	gap   gap
	// half is the end of the id of a trace that has not been seen.
	half uint64
}

// outcomeNames are of what became of a trace.
var outcomeNames = [...]string{store.Unknown: "unknown", store.Fine: "fine", store.Slow: "slow", store.Failed: "failed"}

// The decisions of the policy.
const (
	kept = iota
	dropped
	decisionCount
)

type logs struct {
	*correlation
	next   consumer.Logs
	policy keep.Policy
	// queue is nil where nothing is held.
	queue     *hold.Queue[plog.Logs]
	counters  [matchCount][gapCount][]metric.AddOption
	decisions [decisionCount][len(outcomeNames)][]metric.AddOption
	// scratches are for one batch at a time each.
	scratches sync.Pool
}

// recordScratch knows where the records of a resource were written, if somebody asks.
type recordScratch struct {
	here      place.Places
	instances []uint64
}

func newLogs(base *correlation, next consumer.Logs) *logs {
	l := &logs{
		correlation: base,
		next:        next,
		policy:      base.config.policy(),
		scratches:   sync.Pool{New: func() any { return new(recordScratch) }},
	}
	for decision, name := range [decisionCount]string{kept: "kept", dropped: "dropped"} {
		for outcome, of := range outcomeNames {
			set := attribute.NewSet(attribute.String("decision", name), attribute.String("outcome", of))
			l.decisions[decision][outcome] = []metric.AddOption{metric.WithAttributeSet(set)}
		}
	}
	for m, match := range matchNames {
		for g, gap := range gapNames {
			set := []attribute.KeyValue{attribute.String("match", match)}
			if gap != "" {
				set = append(set, attribute.String("reason", gap))
			}
			l.counters[m][g] = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(set...))}
		}
	}
	return l
}

func (l *logs) Start(ctx context.Context, host component.Host) error {
	if err := l.correlation.Start(ctx, host); err != nil {
		return err
	}
	if wait := l.config.Logs.Hold; wait > 0 {
		l.queue = hold.NewLogs(queueSettings(l.correlation, "logs", wait, l.heldLogs, l.send))
		l.queue.Start()
	}
	return nil
}

// Shutdown hands on what is held before it lets go of what is remembered.
func (l *logs) Shutdown(ctx context.Context) error {
	var err error
	if l.queue != nil {
		err = l.queue.Shutdown(ctx)
	}
	return errors.Join(err, l.correlation.Shutdown(ctx))
}

func (l *logs) ConsumeLogs(ctx context.Context, batch plog.Logs) error {
	now := l.clock.Now()
	if l.queue == nil {
		l.correlate(ctx, now, batch)
		return l.send(ctx, batch)
	}
	waiting := l.identify(now, batch)
	if !l.ready(now, waiting) && l.queue.Add(ctx, batch, hold.Wait{
		Bytes:   waiting.bytes(),
		Ready:   func() bool { return l.ready(l.clock.Now(), waiting) },
		Prepare: func(ctx context.Context) { l.join(ctx, l.clock.Now(), waiting) },
	}) {
		return nil
	}
	l.join(ctx, now, waiting)
	return l.send(ctx, batch)
}

// send hands on what the policy has left.
func (l *logs) send(ctx context.Context, batch plog.Logs) error {
	if batch.ResourceLogs().Len() == 0 {
		return nil
	}
	return l.next.ConsumeLogs(ctx, batch)
}

// tally counts records by how they were joined.
type tally [matchCount][gapCount]int64

func (t *tally) report(ctx context.Context, l *logs) {
	for m := range t {
		for g, count := range t[m] {
			if count > 0 {
				l.telemetry.CorrelationRecords.Add(ctx, count, l.counters[m][g]...)
			}
		}
	}
}

// correlate does all that there is to do with a batch for which nothing is waited.
func (l *logs) correlate(ctx context.Context, now int64, batch plog.Logs) {
	var counts tally
	scratch := l.scratches.Get().(*recordScratch)
	defer l.scratches.Put(scratch)
	for _, resource := range batch.ResourceLogs().All() {
		l.locate(resource.Resource(), scratch)
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				match, gap := l.joinRecord(now, record, scratch, l.identifyRecord(now, record))
				counts[match][gap]++
			}
		}
	}
	counts.report(ctx, l)
	l.keep(ctx, now, batch)
}

// waitingLogs is a batch whose records wait for their spans.
type waitingLogs struct {
	batch plog.Logs
	// identities are those of the records, one after the other.
	identities []identity
	// awaited are the spans that have not been seen when the batch came, and halves the ends of the ids of such traces.
	awaited []spanID
	halves  []uint64
	// forever is whether something is in it of which nobody knows what it waits for.
	forever bool
}

type spanID struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// identify finds out whom the records of a batch are about, without looking for their spans.
func (l *logs) identify(now int64, batch plog.Logs) *waitingLogs {
	waiting := &waitingLogs{batch: batch, identities: make([]identity, 0, batch.LogRecordCount())}
	for _, resource := range batch.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				id := l.identifyRecord(now, record)
				waiting.identities = append(waiting.identities, id)
				if id.match == matchNone {
					if id.half != 0 {
						waiting.halves = append(waiting.halves, id.half)
					}
					waiting.forever = waiting.forever || l.config.Logs.InferContext && id.gap == gapNoID
					continue
				}
				of := spanID{record.TraceID(), record.SpanID()}
				if n := len(waiting.awaited); n == 0 || waiting.awaited[n-1] != of {
					waiting.awaited = append(waiting.awaited, of)
				}
			}
		}
	}
	return waiting
}

// ready tells whether nothing is left to wait for, and remembers what has come.
func (l *logs) ready(now int64, waiting *waitingLogs) bool {
	for n := len(waiting.awaited); n > 0; n = len(waiting.awaited) {
		last := waiting.awaited[n-1]
		known, ok := l.spans.Context(now, last.trace, last.span)
		if !ok || !known.SpanSeen && !last.span.IsEmpty() || l.policy != (keep.Policy{}) && !known.RootSeen {
			return false
		}
		waiting.awaited = waiting.awaited[:n-1]
	}
	for n := len(waiting.halves); n > 0; n = len(waiting.halves) {
		if _, ok := l.spans.Resolve(now, waiting.halves[n-1]); !ok {
			return false
		}
		waiting.halves = waiting.halves[:n-1]
	}
	return !waiting.forever
}

// bytes is what is kept beside the batch.
func (w *waitingLogs) bytes() int64 {
	return int64(cap(w.identities))*int64(unsafe.Sizeof(identity{})) + int64(cap(w.awaited))*int64(unsafe.Sizeof(spanID{})) +
		int64(cap(w.halves))*int64(unsafe.Sizeof(uint64(0)))
}

// join adds to the records of a batch that has waited what is known now.
func (l *logs) join(ctx context.Context, now int64, waiting *waitingLogs) {
	var counts tally
	scratch := l.scratches.Get().(*recordScratch)
	defer l.scratches.Put(scratch)
	next := 0
	for _, resource := range waiting.batch.ResourceLogs().All() {
		l.locate(resource.Resource(), scratch)
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				match, gap := l.joinRecord(now, record, scratch, waiting.identities[next])
				counts[match][gap]++
				next++
			}
		}
	}
	counts.report(ctx, l)
	l.keep(ctx, now, waiting.batch)
}

// identifyRecord fills empty ids, if the record has them elsewhere, and takes note of what its span should know.
func (l *logs) identifyRecord(now int64, record plog.LogRecord) identity {
	id := identity{match: matchContext}
	if record.TraceID().IsEmpty() || record.SpanID().IsEmpty() {
		filled, half := l.recover(now, record)
		switch {
		case filled:
			id.match = matchRecovered
		case half != 0:
			return identity{gap: gapHalfID, half: half}
		case record.TraceID().IsEmpty():
			return identity{gap: gapNoID}
		}
	}
	l.notes.Add(now, record)
	return id
}

// joinRecord adds what is known about the record's span and trace.
func (l *logs) joinRecord(now int64, record plog.LogRecord, scratch *recordScratch, id identity) (match, gap) {
	if id.gap == gapHalfID {
		// The trace may have come meanwhile.
		id = l.identifyRecord(now, record)
	}
	if id.gap == gapNoID && record.SpanID().IsEmpty() && l.config.Logs.InferContext {
		id = l.inferRecord(now, record, scratch)
	}
	if id.match == matchNone {
		return id.match, id.gap
	}
	known, ok := l.spans.Context(now, record.TraceID(), record.SpanID())
	attributes := record.Attributes()
	added := 1
	if known.Layer != layer.Unknown {
		added++
	}
	if known.RootSeen {
		added += 3
	}
	attributes.EnsureCapacity(attributes.Len() + added)
	add(attributes, attributeMatch, matchNames[id.match])
	if !ok {
		return id.match, gapTrace
	}
	if known.Layer != layer.Unknown {
		add(attributes, attributeLayer, known.Layer.String())
	}
	if known.RootSeen {
		if known.Entry != "" {
			add(attributes, attributeEntryService, known.Entry)
		}
		add(attributes, attributeEntryOperation, known.Operation)
		if into, exists := attributes.GetOrPutEmpty(attributeTraceFailed); !exists {
			into.SetBool(known.Failed)
		}
	}
	switch {
	case known.SpanSeen:
		return id.match, gapNone
	case id.match == matchInferred && record.SpanID().IsEmpty():
		return id.match, gapAmbiguous
	default:
		return id.match, gapSpan
	}
}

// locate finds out where the records of a resource were written.
func (l *logs) locate(resource pcommon.Resource, scratch *recordScratch) {
	if l.config.Logs.InferContext {
		l.places.Resource(&scratch.here, resource.Attributes())
		scratch.instances = scratch.here.AppendInstances(scratch.instances[:0])
	}
}

// inferRecord gives a record without any id the only trace that can have been active where and when it was written, and
// the only span of it.
func (l *logs) inferRecord(now int64, record plog.LogRecord, scratch *recordScratch) identity {
	thread, gap := l.thread(record.Attributes()), gapNoID
	for _, instance := range scratch.instances {
		trace, span, verdict := l.activity.Find(l.clock.Wall(now), activity.Instance{High: instance}, thread, int64(record.Timestamp()))
		switch verdict {
		case activity.Fits:
			record.SetTraceID(trace)
			record.SetSpanID(span)
			l.notes.Add(now, record)
			return identity{match: matchInferred}
		case activity.Ambiguous:
			return identity{gap: gapAmbiguous}
		case activity.Undecidable:
			gap = gapUndecidable
		}
	}
	return identity{gap: gap}
}

// recover fills what the sender left empty, and nothing else. What the record says elsewhere must not contradict what
// the sender did fill. Of a trace that has not been seen, and of which no more is found, it returns the half of the id.
func (l *logs) recover(now int64, record plog.LogRecord) (filled bool, unknown uint64) {
	if !l.config.Logs.RecoverContext {
		return false, 0
	}
	found, ok := recovery.Find(record.Attributes(), record.Body())
	if !ok {
		return false, 0
	}
	if found.Half != 0 {
		trace, known := l.resolve(now, record.TraceID(), found.Half)
		switch {
		case !known && record.TraceID().IsEmpty():
			return false, found.Half
		case !known:
			return false, 0
		}
		found.Trace = trace
	}
	switch {
	case record.TraceID().IsEmpty():
		if !record.SpanID().IsEmpty() && !found.Span.IsEmpty() && record.SpanID() != found.Span {
			return false, 0
		}
		record.SetTraceID(found.Trace)
		if record.SpanID().IsEmpty() {
			record.SetSpanID(found.Span)
		}
		return true, 0
	case record.TraceID() == found.Trace && !found.Span.IsEmpty():
		record.SetSpanID(found.Span)
		return true, 0
	default:
		return false, 0
	}
}

// resolve finds the whole id of a trace of which the record has half: it is the sender's, or one that was seen.
func (l *logs) resolve(now int64, given pcommon.TraceID, half uint64) (pcommon.TraceID, bool) {
	if !given.IsEmpty() {
		return given, binary.BigEndian.Uint64(given[8:]) == half
	}
	return l.spans.Resolve(now, half)
}

// keep drops the records that the policy does not let through, and what that leaves empty.
func (l *logs) keep(ctx context.Context, now int64, batch plog.Logs) {
	if l.policy == (keep.Policy{}) {
		return
	}
	var counts [decisionCount][len(outcomeNames)]int64
	batch.ResourceLogs().RemoveIf(func(resource plog.ResourceLogs) bool {
		before := resource.ScopeLogs().Len()
		resource.ScopeLogs().RemoveIf(func(scope plog.ScopeLogs) bool {
			before := scope.LogRecords().Len()
			scope.LogRecords().RemoveIf(func(record plog.LogRecord) bool {
				outcome := store.Unknown
				if !record.TraceID().IsEmpty() {
					outcome, _ = l.spans.Decide(now, record.TraceID())
				}
				if l.policy.Keeps(outcome, record.SeverityNumber()) {
					counts[kept][outcome]++
					return false
				}
				counts[dropped][outcome]++
				return true
			})
			return before > 0 && scope.LogRecords().Len() == 0
		})
		return before > 0 && resource.ScopeLogs().Len() == 0
	})
	for decision := range counts {
		for outcome, count := range counts[decision] {
			if count > 0 {
				l.telemetry.CorrelationKept.Add(ctx, count, l.decisions[decision][outcome]...)
			}
		}
	}
}
