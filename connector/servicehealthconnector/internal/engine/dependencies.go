package engine

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/change"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dimension"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/health"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/limit"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/shares"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/surge"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/suspect"
	"github.com/throughline-otel/throughline/internal/layer"
)

// settling is for how long, in nanoseconds, after a time in which nothing came from anywhere the numbers of requests say
// nothing.
const settling = int64(time.Minute)

// beginning is for how long in nanoseconds it is looked how many calls a new edge gets, and maxBegun bounds those that are
// looked at.
const (
	beginning = int64(time.Minute)
	maxBegun  = 256
)

// suspicious is for how long, in nanoseconds, what spoke against somebody counts when a dependency changes its state.
const suspicious = int64(45 * time.Second)

// dependencies knows of each edge what it counted and how it is. The ticks own it.
type dependencies struct {
	totals *dependency.Totals
	limits *limit.Set
	// graph says that calls are to be told as service_graph does, too.
	graph bool
	// edges are those that are watched, in the order in which they were first seen. Of the requests to services, entries, at most
	// mostEntries are among them, and leave after silence as the totals of the others do.
	edges                []dependency.Edge
	watched              map[dependency.Edge]*watched
	entries, mostEntries int
	silence              int64
	// window is how long a trace is held before its calls count, in nanoseconds.
	window int64
	// closed is when the present slot began; seen says that anything at all was seen in it.
	closed int64
	seen   bool
	// resumed is when something was seen again after a time without: what was held up meanwhile comes at once.
	resumed int64
	// begun are the edges that are new.
	begun []begun
}

// begun is an edge along which the first call came at a time in nanoseconds since the epoch, after so many requests to its
// caller. With that, there were so many calls.
type begun struct {
	dependency.Edge
	at            int64
	before, calls float64
}

// watched is one edge, or the requests to one service.
type watched struct {
	health.Watch
	// last is when anything was seen of it, in nanoseconds since the epoch.
	last int64
	// calls are those seen of late: they count half after each flush, of which there were so many since it was first seen.
	calls   float64
	flushes int
	// slot is how many calls came in the present slot, all how many since it was first seen.
	slot, all float64
	// surge watches the requests to a service, and mix which operations they are for; both are nil for other edges.
	surge *surge.Watch
	mix   *surge.Mix
	// leaving says that it has been displaced: that no calls come any more says nothing.
	leaving bool
	tally   *suspect.Tally
	// told are the conditions under which the edge has been, each a series of its own.
	told []condition
}

// condition is a state with what is said of it.
type condition struct {
	state  health.State
	reason health.Reason
	origin report.Origin
}

// witness says that a bad call along an edge began with a culprit.
type witness struct {
	edge    dependency.Edge
	verdict blame.Verdict
	at      int64
	trace   pcommon.TraceID
}

func newDependencies(s Settings, start int64) *dependencies {
	return &dependencies{
		totals:      dependency.NewTotals(start, int64(s.Silence), s.Delta),
		limits:      s.Limits,
		graph:       s.ServiceGraph,
		watched:     map[dependency.Edge]*watched{},
		mostEntries: s.MaxEdges,
		silence:     int64(s.Silence),
		window:      int64(s.TraceWindow),
		closed:      start,
	}
}

// take moves what a decider saw since the last tick, at now, to the edges. The decider is locked.
func (ds *dependencies) take(now int64, d *decider, table *names.Table) {
	d.book.Recents(func(edge dependency.Edge, r *dependency.Recent) {
		ds.seen = true
		if w := ds.of(edge, table); w != nil {
			w.Add(r)
			w.last = now
			w.calls += float64(r.Calls)
			w.slot += float64(r.Calls)
			w.all += float64(r.Calls)
		}
	})
	d.requests.Drain(func(service, operation uint32, n float64) {
		if w := ds.watched[dependency.Entry(service)]; w != nil {
			w.mix.Add(operation, n)
		}
	})
	for _, e := range d.witnesses {
		if w := ds.watched[e.edge]; w != nil {
			if w.tally == nil {
				w.tally = suspect.New(suspicious)
			}
			w.tally.Add(e.at, e.verdict, 1, e.trace)
		}
	}
	d.witnesses = d.witnesses[:0]
}

// of returns what is known of an edge, or nil of one that has no room.
func (ds *dependencies) of(edge dependency.Edge, table *names.Table) *watched {
	w := ds.watched[edge]
	if w == nil {
		if edge.Caller == names.None {
			if ds.entries >= ds.mostEntries {
				return nil
			}
			ds.entries++
		}
		w = &watched{}
		if edge.Caller == names.None {
			w.surge, w.mix = &surge.Watch{}, &surge.Mix{}
		}
		w.Limit = ds.limits.Of(edge, table)
		ds.watched[edge] = w
		ds.edges = append(ds.edges, edge)
	}
	return w
}

// look closes the present slot, if it is over, and adds an event for each edge whose state has changed.
func (ds *dependencies) look(now int64, events *report.Events, table *names.Table, c *change.Book, d *diagnoser) {
	if now-ds.closed < health.SlotLength {
		return
	}
	// A time in which nothing came from anywhere says nothing about any of them.
	seen := ds.seen
	ds.closed, ds.seen = now, false
	if !seen {
		ds.resumed = now
		return
	}
	ds.lookAtBegun(now, c)
	for _, edge := range ds.edges {
		w := ds.watched[edge]
		if edge.Caller == names.None && now-ds.resumed >= settling {
			began := now - surge.Window*health.SlotLength - ds.window
			if s, surged := w.surge.Close(w.slot); surged {
				c.Surged(edge.Callee, s, began)
			}
			if r, rises := w.mix.Close(w.slot); rises {
				c.Rose(edge.Callee, r, began)
			}
		}
		w.slot = 0
		if w.leaving {
			continue
		}
		before := w.Verdict()
		verdict, changed := w.Close(now, ds.expected(edge, w, table))
		if changed {
			events.StateChanged(ds.change(now, edge, w, before, verdict, table, c, d), table)
		}
	}
}

// begin notes that an edge is new, if its caller is not.
func (ds *dependencies) begin(now int64, edge dependency.Edge) {
	w, caller := ds.watched[edge], ds.watched[dependency.Entry(edge.Caller)]
	if w == nil || caller == nil || edge.Callee <= names.Other || len(ds.begun) >= maxBegun {
		return
	}
	if before := caller.all - caller.slot; before > 0 {
		ds.begun = append(ds.begun, begun{Edge: edge, at: now - ds.window, before: before, calls: w.all})
	}
}

// lookAtBegun tells the edges whose calls are too many for one that was merely not seen yet: so that a call that is seldom
// made is no change when it is seen first, it takes more than those with which it was.
func (ds *dependencies) lookAtBegun(now int64, c *change.Book) {
	ds.begun = slices.DeleteFunc(ds.begun, func(b begun) bool {
		w, caller := ds.watched[b.Edge], ds.watched[dependency.Entry(b.Caller)]
		if w == nil || caller == nil {
			return true
		}
		requests := caller.all - b.before
		if calls := min(w.all-b.calls, requests); calls > 0 && shares.Weight(0, b.before, calls, requests) >= shares.Certain {
			c.Linked(b.Edge, b.at)
			return true
		}
		return now-b.at > beginning+ds.window
	})
}

// expected is how many calls of the last minute would have been usual, by what their caller did in that time.
func (ds *dependencies) expected(edge dependency.Edge, w *watched, table *names.Table) float64 {
	caller := ds.watched[dependency.Entry(edge.Caller)]
	if edge.Caller == names.None || caller == nil || !caller.Known() || caller.Rate() == 0 || hasBecomeService(edge, table) {
		return 0
	}
	return w.Rate() / caller.Rate() * caller.Calls()
}

// hasBecomeService says whether the callee was a peer and has begun to send telemetry: calls then go to it as a service.
func hasBecomeService(edge dependency.Edge, table *names.Table) bool {
	callee := table.EntityOf(edge.Callee)
	if !callee.Peer {
		return false
	}
	_, answers := table.Behind(edge.Callee)
	_, named := table.ServiceNamed(callee.Name, edge.Caller)
	return answers || named
}

// tellSlow lets a decider know from when on calls are slow. The decider is locked.
func (ds *dependencies) tellSlow(d *decider) {
	for edge, w := range ds.watched {
		if slow := w.SlowFrom(); slow > 0 {
			d.book.SetSlow(edge, slow)
		}
	}
}

func (ds *dependencies) change(
	now int64, edge dependency.Edge, w *watched, before, verdict health.Verdict, table *names.Table, c *change.Book, d *diagnoser,
) report.Changed {
	changed := report.Changed{
		Edge: edge, Now: time.Unix(0, now), Onset: time.Unix(0, verdict.Onset),
		State: verdict.State, Previous: before.State, Reason: verdict.Reason,
		Share: verdict.Share, Past: verdict.Past, Limited: verdict.Limited, Slow: time.Duration(verdict.Slow),
	}
	if !verdict.State.IsBad() && verdict.Reason != health.Silence {
		return changed
	}
	suspects, known := ds.suspects(now, edge, w, verdict, table, d)
	for _, s := range suspects {
		changed.Suspects = join(changed.Suspects, s.Suspect)
	}
	first := suspects[0].entity
	if verdict.State.IsBad() {
		changed.Origin = ds.origin(edge, first, known)
	}
	if w.tally != nil {
		changed.Traces = w.tally.Traces(now)
	}
	changed.Learning = d.isLearning(now)
	changed.Change = report.NameChange(c.Before(verdict.Onset, now, first), table)
	return changed
}

// suspects are whom the bad calls of late began with, and who else does otherwise than usual; where none is known, it is the callee, or
// the caller if that no longer calls, and known is false.
func (ds *dependencies) suspects(
	now int64, edge dependency.Edge, w *watched, verdict health.Verdict, table *names.Table, d *diagnoser,
) (suspects []accused, known bool) {
	from := edge.Callee
	if verdict.Reason == health.Silence {
		from = edge.Caller
	} else if w.tally != nil {
		ranked, _ := w.tally.Rank(now, 0)
		for _, s := range ranked {
			// Calls count when their trace is decided. Those that failed long before are the noise that there always is.
			if s.Since < verdict.Onset-ds.window-health.SlotLength {
				s.Since = verdict.Onset
			}
			suspects = append(suspects, blamed(&s, table))
		}
	}
	if suspects = d.join(now, suspects, from, table); len(suspects) > 0 {
		return suspects, true
	}
	reason := blame.Error
	switch verdict.Reason {
	case health.Latency:
		reason = blame.Latency
	case health.Silence:
		reason = blame.Missing
	default:
	}
	entity := table.EntityOf(from)
	return []accused{{from, report.Suspect{
		Name: entity.Name, Peer: entity.Peer, Layer: entity.Layer, Reason: reason, Score: 0.5, Since: time.Unix(0, verdict.Onset),
	}}}, false
}

// first is whom most of the bad calls of late began with.
func (w *watched) first(now int64) (entity uint32, known bool) {
	if w.tally == nil {
		return names.None, false
	}
	ranked, _ := w.tally.Rank(now, 0)
	if len(ranked) == 0 {
		return names.None, false
	}
	return ranked[0].Entity, true
}

// blamed puts into words whom bad work began with.
func blamed(s *suspect.Suspect, table *names.Table) accused {
	entity := table.EntityOf(s.Entity)
	if s.Layer == layer.Unknown {
		s.Layer = entity.Layer
	}
	return accused{s.Entity, report.Suspect{
		Name: entity.Name, Peer: entity.Peer, Layer: s.Layer, Reason: s.Reason,
		Operation: table.OperationOf(s.Operation).Name, Share: s.Score, Score: s.Score, Since: time.Unix(0, s.Since),
	}}
}

// origin says whether the callee passes on what began elsewhere: by who is suspect first, if that is known, or else by whether a
// dependency of the callee is in trouble, too.
func (ds *dependencies) origin(edge dependency.Edge, first uint32, known bool) report.Origin {
	if known && first == edge.Callee {
		return report.Self
	}
	if known {
		return report.Propagated
	}
	for _, other := range ds.edges {
		if other.Caller == edge.Callee && ds.watched[other].Verdict().State.IsBad() {
			return report.Propagated
		}
	}
	return report.Self
}

// settled is after how many flushes an edge may be displaced: before, it is not known how busy it is.
const settled = 4

// displace lets the edges go that are quiet while others, which are busy, find no room. It returns those that go; what was counted
// along them since then is told with the next flush. Who is in trouble stays, since that often comes with fewer calls.
func (ds *dependencies) displace(admission *dependency.Admission) (leaving []dependency.Edge) {
	var quiet []dependency.Activity
	for _, edge := range ds.edges {
		w := ds.watched[edge]
		if w.flushes++; edge.Caller != names.None && w.flushes > settled && !w.Verdict().State.IsBad() {
			quiet = append(quiet, dependency.Activity{Edge: edge, Calls: w.calls})
		}
	}
	leaving = admission.Displace(quiet)
	ds.totals.Retire(leaving)
	for _, edge := range leaving {
		ds.watched[edge].leaving = true
	}
	for _, w := range ds.watched {
		w.calls /= 2
	}
	return leaving
}

// tell adds the metrics of all edges, and removes the edges that have left.
func (ds *dependencies) tell(
	now, at int64, metrics *report.Metrics, table *names.Table, dimensions *dimension.Table,
) (left []dependency.Edge) {
	type sum struct{ calls, confident float64 }
	confidence := map[dependency.Edge]*sum{}
	graph := report.NewServiceGraph()
	left = ds.totals.Tell(at, func(key dependency.Key, s *dependency.Series) {
		metrics.Dependency(key, s, table, dimensions)
		if ds.graph {
			graph.Add(key, s, table)
		}
		c := confidence[key.Edge]
		if c == nil {
			c = &sum{}
			confidence[key.Edge] = c
		}
		c.calls += s.Calls
		c.confident += s.Confident
	})
	metrics.ServiceGraph(graph)
	for edge, c := range confidence {
		metrics.Confidence(edge, min(1, c.confident/c.calls), table)
	}
	for _, edge := range ds.edges {
		if edge.Caller == names.None && now-ds.watched[edge].last >= ds.silence {
			left = append(left, edge)
			ds.entries--
		}
	}
	for _, edge := range left {
		delete(ds.watched, edge)
	}
	ds.edges = slices.DeleteFunc(ds.edges, func(edge dependency.Edge) bool { return ds.watched[edge] == nil })
	for _, edge := range ds.edges {
		w := ds.watched[edge]
		verdict := w.Verdict()
		is := condition{state: verdict.State, reason: verdict.Reason}
		if verdict.State.IsBad() {
			first, known := w.first(now)
			is.origin = ds.origin(edge, first, known)
		}
		if !slices.Contains(w.told, is) {
			w.told = append(w.told, is)
		}
		for _, state := range health.States() {
			if bare := (condition{state: state}); bare != is {
				metrics.Health(edge, bare.state, bare.reason, bare.origin, false, table)
			}
		}
		for _, was := range w.told {
			if was == is || was != (condition{state: was.state}) {
				metrics.Health(edge, was.state, was.reason, was.origin, was == is, table)
			}
		}
	}
	return left
}
