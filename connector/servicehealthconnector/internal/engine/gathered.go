package engine

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/change"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/fleet"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/marks"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
)

// maxWaiting bounds the increases that wait for their turn. Those beyond count at once: then a window of the past may show a
// little of what came after it.
const maxWaiting = 1 << 18

// gathered is what the gateways of a fleet have counted. Their points come many seconds at a time, while objectives are looked
// at for each second, as if the events came one by one; so what is later than the second that was judged last waits.
type gathered struct {
	fleet *fleet.Fleet
	// waiting are increases by the number of their second since the epoch.
	waiting map[int64][]fleet.Increase
	spare   [][]fleet.Increase
	held    int
	// lag is by how much, in nanoseconds, gateways may trail behind the present at most.
	lag int64
}

func newGathered(s Settings, table *names.Table) *gathered {
	// A step is open for two windows, and told with the next flush; the other one is for the way.
	lag := 2 * (s.TraceWindow + s.FlushInterval)
	return &gathered{
		fleet: fleet.New(fleet.Settings{
			Scope: s.Scope, Objectives: s.Objectives, Binder: s.Binder, Names: table,
			Late: s.Late, Lag: lag,
		}),
		lag:     int64(lag),
		waiting: map[int64][]fleet.Increase{},
	}
}

// gather takes in points of gateways.
func (e *Engine) gather(md pmetric.Metrics, now int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.objectives
	if g := o.gathered; g != nil {
		g.fleet.Take(md, now, func(i fleet.Increase) {
			if !g.wait(i) {
				o.count(i)
			}
		})
	}
}

// wait is false for an increase whose second was judged already, or if too many wait.
func (g *gathered) wait(i fleet.Increase) bool {
	number := i.At / int64(tick)
	if (number+1)*int64(tick) <= g.fleet.Judged() || g.held >= maxWaiting {
		return false
	}
	list, known := g.waiting[number]
	if last := len(g.spare) - 1; !known && last >= 0 {
		list, g.spare = g.spare[last], g.spare[:last]
	}
	g.waiting[number] = append(list, i)
	g.held++
	return true
}

// count counts an increase toward its objective.
func (o *objectives) count(i fleet.Increase) {
	key := ledger.Key{Objective: i.Objective, Group: i.Group}
	if o.documents[key.Objective].Name == "" {
		return // It waited for its turn while its objective went.
	}
	if i.Outcome != fleet.Blamed {
		good, bad := i.Events, uint64(0)
		if i.Outcome == fleet.Bad {
			good, bad = bad, good
		}
		o.ledger.AddCounts(key, i.At, good, bad)
		return
	}
	o.blame(key, &event{
		mark: marks.Mark{Objective: i.Objective, Group: i.Group}, at: i.At, count: float64(i.Events),
		verdict: blame.Verdict{Culprit: i.Culprit, Operation: i.Operation}, id: i.Trace,
	}, charge{i.Culprit, i.Relation})
}

// release counts what waited and ended before a time.
func (o *objectives) release(before int64) {
	g := o.gathered
	if g == nil {
		return
	}
	var due []int64
	for number := range g.waiting {
		if number < before/int64(tick) {
			due = append(due, number)
		}
	}
	slices.Sort(due)
	for _, number := range due {
		list := g.waiting[number]
		for _, i := range list {
			o.count(i)
		}
		g.held -= len(list)
		delete(g.waiting, number)
		if len(g.spare) < maxTicks {
			g.spare = append(g.spare, list[:0])
		}
	}
}

// judge adds the events of all burns that started or were resolved up to horizon, or up to when the gateways of a fleet have told
// all, if that is earlier. It returns which of the two it was, and whether there was any.
func (o *objectives) judge(
	now, horizon int64, events *report.Events, table *names.Table, c *change.Book, who *diagnoser,
) (_ int64, any bool) {
	if o.counted != nil {
		return horizon, false
	}
	g := o.gathered
	g.fleet.Forget(now)
	told, heard := g.fleet.Horizon(now)
	if !heard {
		return horizon, o.tell(now, horizon, events, table, c, who)
	}
	horizon = min(horizon, told) / int64(tick) * int64(tick)
	judged := max(g.fleet.Judged(), horizon-g.lag)
	for judged < horizon {
		judged += int64(tick)
		o.release(judged)
		any = o.tell(now, judged, events, table, c, who) || any
	}
	g.fleet.Judge(judged)
	return judged, any
}
