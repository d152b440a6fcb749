package engine

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/change"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/flag"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/reader"
)

const (
	// maxServed bounds what a batch remembers of what it told.
	maxServed = 4096
	// maxEvaluations bounds the evaluations of flags of one batch that are held until they are counted, all of them at once, and
	// maxSpanEvents the events of one span that are looked at for them.
	maxEvaluations = 4096
	maxSpanEvents  = 128
)

type servedKey struct {
	service uint32
	change.Served
}

// serve notes what of a service serves. A batch that sees the same again within a tick has nothing new to say.
func (e *Engine) serve(b *batch, resource *reader.Resource, now int64) {
	key := servedKey{resource.Service, change.Served{
		Release: releaseOf(resource), Template: resource.Template, Instance: resource.Instance,
	}}
	if last, known := b.served[key]; known && now-last < int64(tick) {
		return
	}
	if len(b.served) >= maxServed {
		clear(b.served)
	}
	key.Served = key.Clean()
	b.served[key] = now
	e.changes.See(key.service, key.Served, now)
}

func releaseOf(resource *reader.Resource) change.Release {
	return change.Release{Version: resource.Version, Revision: resource.Revision}
}

// evaluations notes the evaluations of flags among the events of a span.
func (e *Engine) evaluations(b *batch, service uint32, events ptrace.SpanEventSlice, now int64) {
	for i := range min(events.Len(), maxSpanEvents) {
		if event := events.At(i); flag.IsEvaluation(event.Name()) {
			if evaluated, ok := flag.Read(event.Attributes()); ok {
				e.evaluated(b, service, evaluated, now)
			}
		}
	}
}

// evaluated holds an evaluation until those of its batch are counted.
func (e *Engine) evaluated(b *batch, service uint32, evaluated flag.Evaluation, now int64) {
	b.evaluations = append(b.evaluations, change.Evaluation{Service: service, Evaluation: evaluated})
	if len(b.evaluations) >= maxEvaluations {
		e.countEvaluations(b, now)
	}
}

// countEvaluations counts the evaluations that a batch holds, which must not outlive its telemetry.
func (e *Engine) countEvaluations(b *batch, now int64) {
	if len(b.evaluations) == 0 {
		return
	}
	e.changes.Evaluate(b.evaluations, now)
	clear(b.evaluations)
	b.evaluations = b.evaluations[:0]
}
