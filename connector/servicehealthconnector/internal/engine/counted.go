package engine

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/cumulative"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
)

// counted takes the place of the ledger and the dossiers where somebody else gives the verdicts.
type counted struct {
	steps cumulative.Steps
	// window is how long a trace is held, and so how long after a step events of it come that came at once.
	window int64
	late   int64
	// told is up to when steps were closed when they were told last.
	told     int64
	accounts map[ledger.Key]*sums
	refused  uint64
}

// sums are what was counted for one objective and group.
type sums struct {
	good, bad cumulative.Sum
	blamed    map[report.Blamed]*cumulative.Sum
	latest    int64
}

func newCounted(s Settings, step int64) *counted {
	return &counted{
		steps: cumulative.NewSteps(step), window: int64(s.TraceWindow), late: int64(s.Late), accounts: map[ledger.Key]*sums{},
	}
}

func (c *counted) add(document *openslo.Objective, e *event, table *names.Table) {
	key := ledger.Key{Objective: e.mark.Objective, Group: e.mark.Group}
	a := c.accounts[key]
	if a == nil {
		a = &sums{blamed: map[report.Blamed]*cumulative.Sum{}}
		c.accounts[key] = a
	}
	of := &a.good
	if !e.mark.Good {
		of = &a.bad
	}
	end := c.steps.End(e.at)
	if e.at < a.latest-c.late || !of.Add(end, e.count, cumulative.Witness{}) {
		c.refused++
		return
	}
	a.latest = max(a.latest, e.at)
	if !e.mark.Good {
		a.blame(document, e, table).Add(end, e.count, cumulative.Witness{Trace: e.id, Operation: e.verdict.Operation})
	}
}

// blame is the sum of those on whom an event is blamed. Services of one name in several environments are one culprit, since
// nothing tells them apart.
func (a *sums) blame(document *openslo.Objective, e *event, table *names.Table) *cumulative.Sum {
	c := chargeOf(document, e, table)
	b := report.Blamed{Culprit: table.EntityOf(c.Entity).Name, Layer: c.Layer, Relation: c.relation, Reason: c.Reason}
	of := a.blamed[b]
	if of == nil && len(a.blamed) >= maxBlamed {
		b = report.Blamed{Culprit: names.Overflow, Relation: c.relation, Reason: c.Reason}
		of = a.blamed[b]
	}
	if of == nil {
		of = &cumulative.Sum{}
		a.blamed[b] = of
	}
	return of
}

// close closes the steps of which all is known, and returns up to when that is; false if it is no further than before. A step stays
// open for one window more than its traces are held, so that what takes up to a window to come here still counts where it belongs.
func (c *counted) close(now int64, last bool) (int64, bool) {
	if c.steps.Close(now - 2*c.window); last {
		c.steps.CloseLast(now)
	}
	before := c.told
	c.told = c.steps.Closed()
	return c.told, c.told > before
}

// read adds what was counted up to the last step that is closed. The target is told as well, since it is no verdict.
func (c *counted) read(o *objectives, metrics *report.Metrics, table *names.Table) {
	for key, a := range c.accounts {
		named := o.named(key)
		good := func(p cumulative.Point) { metrics.Events(named, true, sum(p, table)) }
		bad := func(p cumulative.Point) { metrics.Events(named, false, sum(p, table)) }
		a.good.Tell(&c.steps, good)
		a.bad.Tell(&c.steps, bad)
		// Where there were none of one kind, that is worth knowing, too.
		if a.good.IsTold() || a.bad.IsTold() {
			a.good.TellEmpty(&c.steps, good)
			a.bad.TellEmpty(&c.steps, bad)
		}
		for b, of := range a.blamed {
			of.Tell(&c.steps, func(p cumulative.Point) { metrics.BlamedEvents(named, b, sum(p, table)) })
		}
		metrics.Target(named, o.documents[key.Objective].Target)
	}
}

func sum(p cumulative.Point, table *names.Table) report.Sum {
	return report.Sum{
		At: pcommon.Timestamp(p.At), Events: p.Events,
		Trace: p.Witness.Trace, Operation: table.OperationOf(p.Witness.Operation).Name,
	}
}
