package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/diagnosis"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/evidence"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/template"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

// diagnoser compares what services do with what they used to do, and says who is suspect when they do otherwise.
type diagnoser struct {
	mu    sync.Mutex
	book  *evidence.Book
	miner *template.Miner

	// What follows belongs to the ticks.
	alarm    diagnosis.Alarm
	found    []evidence.Finding
	ways     []evidence.Way
	suspects []diagnosis.Suspect
}

func newDiagnoser(s Settings) *diagnoser {
	return &diagnoser{book: evidence.New(int64(s.TraceWindow)), miner: template.New()}
}

// observe takes a decided trace and its log records into account.
func (d *diagnoser) observe(t *trace.Trace, notes []evidence.Note, now int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.book.Observe(t, notes, now)
}

// look adds an event if there is a new suspect.
func (d *diagnoser) look(now int64, events *report.Events, table *names.Table, c *changes) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var services int
	d.found, services = d.book.Findings(now, !d.alarm.On(), d.found[:0])
	d.ways = d.ways[:0]
	if len(d.found) > 0 {
		d.ways = d.book.Ways(d.ways)
	}
	var most float64
	d.suspects, most = diagnosis.Rank(d.found, d.ways)
	if d.suspects = d.alarm.Decide(now, d.suspects, most, services); len(d.suspects) == 0 {
		return
	}
	told := report.Suspected{Now: time.Unix(0, now), Service: table.EntityOf(d.suspects[0].Entity)}
	told.Suspects = d.told(table)
	told.Onset = told.Suspects[0].Since
	if change, ok := c.before(now, d.suspects[0].Entity); ok {
		named := change.named(table)
		told.Change = &named
	}
	events.Suspected(told)
}

// told puts the suspects into words.
func (d *diagnoser) told(table *names.Table) []report.Suspect {
	var all []report.Suspect
	for _, s := range d.suspects {
		entity := table.EntityOf(s.Entity)
		if slices.ContainsFunc(all, func(has report.Suspect) bool { return has.Name == entity.Name }) {
			continue // Services of one name in several environments are one, since nothing tells them apart.
		}
		in := entity.Layer
		if s.Gap {
			in = layer.Platform
		}
		all = append(all, report.Suspect{
			Name: entity.Name, Peer: entity.Peer, Layer: in, Score: s.Score, Since: time.Unix(0, s.Since), Seen: d.words(&s.Finding, table),
		})
	}
	return all
}

func (d *diagnoser) words(f *evidence.Finding, table *names.Table) report.Deviation {
	w := report.Deviation{Kind: f.Kind, Operation: table.OperationOf(f.Operation).Name, Share: f.Share, Usual: f.Usual}
	switch f.Kind {
	case evidence.Call:
		w.What = table.OperationOf(f.What).Name
	case evidence.Record:
		w.What = d.miner.Text(f.What)
	case evidence.Gap:
		w.What = table.EntityOf(f.Callee).Name
	default:
	}
	return w
}

// Logs takes in log records. now is as in Traces.
func (e *Engine) Logs(ctx context.Context, ld plog.Logs, now int64) {
	if now = e.at(ctx, func(into []int64) []int64 { return recordTimes(ld, into) }, now); now == 0 {
		return
	}
	e.intake.RLock()
	defer e.intake.RUnlock()
	b := e.batch()
	defer e.giveBack(b)
	deadline := now + 2*int64(e.settings.TraceWindow)
	for _, rl := range ld.ResourceLogs().All() {
		identity := service.Of(rl.Resource().Attributes())
		if asking := e.binder.Records(identity); len(asking) > 0 {
			e.records(ctx, b, asking, rl, now)
		}
		resource := b.reader.Resource(identity, rl.Resource().Attributes())
		if resource.Service == names.None {
			continue
		}
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				id := r.TraceID()
				if id.IsEmpty() || r.SpanID().IsEmpty() {
					continue
				}
				note := evidence.Note{Span: trace.Number(r.SpanID()), Severity: int32(r.SeverityNumber())}
				e.diagnoser.mu.Lock()
				note.Template = e.diagnoser.miner.Of(resource.Service, r.Body().Str())
				e.diagnoser.mu.Unlock()
				s := e.shardOf(id)
				s.mu.Lock()
				s.notes.put(id, note, now, deadline)
				s.mu.Unlock()
			}
		}
	}
	e.countHeld(b)
}
