package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/change"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/diagnosis"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/evidence"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/flag"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/gauge"
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
	// gauges are what was measured of where services run; runs is for reading them.
	gauges *gauge.Book
	runs   []uint32

	// What follows belongs to the ticks.
	alarm    diagnosis.Alarm
	found    []evidence.Finding
	ways     []evidence.Way
	suspects []diagnosis.Suspect
	// near are those of suspects that matter to an event.
	near []diagnosis.Suspect
	// most is the largest weight of any finding, services how many services were compared.
	most     float64
	services int
}

func newDiagnoser(s Settings) *diagnoser {
	return &diagnoser{book: evidence.New(int64(s.TraceWindow)), miner: template.New(), gauges: gauge.New()}
}

// observe takes a decided trace and its log records into account.
func (d *diagnoser) observe(t *trace.Trace, notes []evidence.Note, now int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.book.Observe(t, notes, now)
}

// rank makes the ranking of this tick.
func (d *diagnoser) rank(now int64, c *change.Book) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.found, d.services = d.book.Findings(now, !d.alarm.On(), d.found[:0])
	d.ways = d.ways[:0]
	if len(d.found) > 0 {
		d.ways = d.book.Ways(d.ways)
		d.gauges.Compare(now)
	}
	d.suspects, d.most = diagnosis.Rank(d.found, d.ways, c.Changed, d.gauges.Of)
}

// look adds an event if there is a new suspect.
func (d *diagnoser) look(now int64, events *report.Events, table *names.Table, c *change.Book) {
	d.mu.Lock()
	defer d.mu.Unlock()
	news := d.alarm.Decide(d.book.Heard(now), d.suspects, d.most, d.services)
	if len(news) == 0 {
		return
	}
	told := report.Suspected{Now: time.Unix(0, now), Service: table.EntityOf(news[0].Entity)}
	for i := range news {
		s := d.told(&news[i], table)
		if slices.ContainsFunc(told.Suspects, func(has report.Suspect) bool { return has.Name == s.Name }) {
			continue // Services of one name in several environments are one, since nothing tells them apart.
		}
		told.Suspects = append(told.Suspects, s)
	}
	told.Onset = told.Suspects[0].Since
	told.Change = report.NameChange(c.Before(told.Onset.UnixNano(), now, news[0].Entity), table)
	events.Suspected(told)
}

// told puts a suspect into words.
func (d *diagnoser) told(s *diagnosis.Suspect, table *names.Table) report.Suspect {
	entity := table.EntityOf(s.Entity)
	in := entity.Layer
	if s.Gap || s.Strain.Shared {
		in = layer.Platform
	}
	return report.Suspect{
		Name: entity.Name, Peer: entity.Peer, Layer: in, Score: s.Score, Since: time.Unix(0, s.Since), Seen: d.words(&s.Finding, table),
		Strain: s.Strain,
	}
}

// accused is one whom an event is to name, and what is said of it.
type accused struct {
	entity uint32
	report.Suspect
}

// join makes one ranking of those whom the bad work of late began with and of those who do otherwise than usual, of whom only what can
// be reached by calls from a service, and it, counts. Each of the two says half; whom service.suspected has named is certain.
func (d *diagnoser) join(now int64, blamed []accused, from uint32, table *names.Table) []accused {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.near = d.near[:0]
	if len(d.suspects) > 0 {
		reached := diagnosis.Reached(from, d.ways)
		for i := range d.suspects {
			if reached[d.suspects[i].Entity] {
				d.near = append(d.near, d.suspects[i])
			}
		}
	}
	half := 0.5
	if len(blamed) == 0 || len(d.near) == 0 {
		half = 1
	}
	for i := range blamed {
		blamed[i].Score *= half
	}
	for i := range d.near {
		s := &d.near[i]
		score := half * s.Score
		if d.alarm.Announced(s.Entity) {
			score = half
		}
		told := d.told(s, table)
		at := slices.IndexFunc(blamed, func(a accused) bool { return a.entity == s.Entity && a.Layer == told.Layer })
		if at < 0 {
			at = slices.IndexFunc(blamed, func(a accused) bool { return a.entity == s.Entity })
		}
		if at >= 0 {
			blamed[at].Score += score
			continue
		}
		told.Score = score
		blamed = append(blamed, accused{s.Entity, told})
	}
	slices.SortStableFunc(blamed, func(a, b accused) int { return cmp.Compare(b.Score, a.Score) })
	if len(blamed) > 0 && !d.alarm.Announced(blamed[0].entity) {
		d.alarm.Announce(d.book.Heard(now), blamed[0].entity)
	}
	return blamed
}

// isLearning says that what is usual is not known yet.
func (d *diagnoser) isLearning(now int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.Learning(now)
}

func (d *diagnoser) words(f *evidence.Finding, table *names.Table) report.Deviation {
	w := report.Deviation{Kind: f.Kind, Operation: table.OperationOf(f.Operation).Name, Share: f.Share, Usual: f.Usual, Least: f.Least, Alone: f.Alone}
	switch f.Kind {
	case evidence.Call, evidence.Last:
		if f.What != names.None {
			w.What = table.OperationOf(f.What).Name
		}
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
				if isEvaluation(r) {
					if evaluated, ok := flag.Read(r.Attributes()); ok {
						e.evaluated(b, resource.Service, evaluated, now)
					}
					continue
				}
				id := r.TraceID()
				note := evidence.Note{Span: trace.Number(r.SpanID()), Severity: int32(r.SeverityNumber())}
				alone := id.IsEmpty() || r.SpanID().IsEmpty()
				e.diagnoser.mu.Lock()
				note.Template = e.diagnoser.miner.Of(resource.Service, note.Severity, r.Body().Str())
				if alone {
					e.diagnoser.book.Note(resource.Service, note, now)
				}
				e.diagnoser.mu.Unlock()
				if alone {
					continue
				}
				s := e.shardOf(id)
				s.mu.Lock()
				s.notes.put(id, note, now, deadline)
				s.mu.Unlock()
			}
		}
	}
	e.countHeld(b)
	e.countEvaluations(b, now)
}

// isEvaluation says whether a record is the evaluation of a flag. The name of an event used to be an attribute.
func isEvaluation(r plog.LogRecord) bool {
	if r.EventName() != "" {
		return flag.IsEvaluation(r.EventName())
	}
	name, ok := r.Attributes().Get("event.name")
	return ok && flag.IsEvaluation(name.Str())
}
