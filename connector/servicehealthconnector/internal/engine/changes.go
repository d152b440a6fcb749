package engine

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/flag"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/rollout"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/surge"
)

const (
	// maxChanges bounds the changes that are remembered, of those that people make and of the others; maxOfService those of one
	// service.
	maxChanges   = 256
	maxOfService = 16
	// maxServed bounds what a batch remembers of what it told.
	maxServed = 4096
	// maxEvaluations bounds the evaluations of flags of one batch that are held until they are counted, all of them at once, and
	// maxSpanEvents the events of one span that are looked at for them.
	maxEvaluations = 4096
	maxSpanEvents  = 128
	// near is how long in nanoseconds before an onset a change is still worth a word. Of changes that people do not make there are
	// more, so that it is less.
	near     = int64(15 * time.Minute)
	nearOdds = int64(5 * time.Minute)
	// familiar is from how long in nanoseconds after a service was first seen on it is known which flags it evaluates and what it
	// consists of, and settledIn from when on whom it calls, which may be less often.
	familiar  = int64(time.Minute)
	settledIn = int64(2 * time.Minute)
	// measured is for how long in nanoseconds after a version first served its share of the traffic is measured.
	measured = int64(10 * time.Second)
)

// release is what of a service is deployed: its version, or where that stays the same or is missing, the revision of its source.
type release struct{ version, revision string }

// served is what serves.
type served struct {
	release
	// template is what its pod was made from, instance which of several it is.
	template, instance string
}

func servedBy(version, revision, template, instance string) served {
	return served{release{version, revision}, template, instance}
}

func (s served) clean() served {
	return servedBy(names.Clean(s.version), names.Clean(s.revision), names.Clean(s.template), names.Clean(s.instance))
}

// evaluation is that of a flag in a service.
type evaluation struct {
	service uint32
	flag.Evaluation
}

// changes notices what changes in services. It is safe for concurrent use.
type changes struct {
	// measuring is how many changes have their traffic measured: what they ask of each resource is nothing while there is none.
	measuring atomic.Int32

	mu        sync.Mutex
	histories map[uint32]*history
	flags     *flag.Book
	flagged   []*flag.Change
	// made are the changes that people make, and odds the others; untold those that are to have an event of their own.
	made, odds, untold []*change
	// arrived are the services of which an instance arrived lately; instances is how many are known of all.
	arrived   []uint32
	instances int
	around    around
}

// history is what is known of a service.
type history struct {
	// first is when it was first seen.
	first     int64
	releases  rollout.Rollout[release]
	templates rollout.Rollout[string]
	instances instances
	// release is the latest change of what is deployed.
	release *change
}

type change struct {
	service uint32
	kind    report.ChangeKind
	at      int64

	release, previous release
	// template and formerly are those of the pods.
	template, formerly string
	flag               *flag.Change
	callee             uint32
	// many of so many instances were replaced; in a surge, so many requests came, and at most so many before.
	many, of float64
	// share of the requests were for operation, of which at most most were before.
	operation   uint32
	share, most float64

	// told says that it is no longer measured.
	told bool
	// served is how many spans of the service were of the release since then, all how many there were.
	served, all float64
}

func newChanges() changes {
	return changes{histories: map[uint32]*history{}, flags: flag.NewBook(), around: newAround()}
}

// see notes what of a service serves.
func (c *changes) see(service uint32, is served, now int64) {
	if service <= names.Other {
		return
	}
	is = is.clean()
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.histories[service]
	if h == nil {
		h = &history{first: now}
		c.histories[service] = h
	}
	if is.release != (release{}) {
		if previous, changed := h.releases.See(is.release, now, as); changed {
			h.release = &change{service: service, release: is.release, previous: previous, at: now, kind: report.VersionChange}
			c.add(h.release)
			c.untold = append(c.untold, h.release)
			c.measuring.Add(1)
		}
	}
	if is.template != "" {
		previous, changed := h.templates.See(is.template, now, as)
		// A service may have several deployments from the start, and another release has another template anyway.
		if changed && now-h.first >= familiar && (h.release == nil || now-h.release.at > rollout.Gone) {
			c.add(&change{service: service, template: is.template, formerly: previous, at: now, kind: report.ConfigurationChange})
		}
	}
	if is.instance != "" {
		before := len(h.instances.seen)
		if h.instances.see(is.instance, now, c.instances < maxAllInstances, now-h.first >= familiar) {
			c.arrived = append(c.arrived, service)
		}
		c.instances += len(h.instances.seen) - before
	}
}

// as keeps what nobody else has.
func as[V any](v V) V { return v }

// evaluate notes what flags were evaluated to.
func (c *changes) evaluate(all []evaluation, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flagged = c.flagged[:0]
	for i := range all {
		e := &all[i]
		if e.service <= names.Other {
			continue
		}
		h := c.histories[e.service]
		c.flagged = c.flags.Observe(e.service, h != nil && now-h.first >= familiar, &e.Evaluation, now, c.flagged)
	}
	for _, f := range c.flagged {
		kind := map[flag.Kind]report.ChangeKind{
			flag.Served: report.FlagChange, flag.Rules: report.FlagRulesChange, flag.New: report.FlagFirst,
		}[f.Kind]
		c.add(&change{service: f.Service, kind: kind, flag: f, at: f.At})
	}
	clear(c.flagged)
}

// linked notes that a service has called another one for the first time, at a time in nanoseconds since the epoch.
func (c *changes) linked(edge dependency.Edge, at int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.histories[edge.Caller]
	if h == nil || at-h.first < settledIn || edge.Callee <= names.Other {
		return
	}
	c.add(&change{service: edge.Caller, kind: report.DependencyChange, callee: edge.Callee, at: at})
}

// surged notes that many more requests come to a service than usual, since a time in nanoseconds since the epoch.
func (c *changes) surged(service uint32, s surge.Surge, at int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(&change{service: service, kind: report.TrafficChange, many: s.Requests, of: s.Most, at: at})
}

// rose notes that many more of the requests to a service are for one operation than usual, since a time in nanoseconds since
// the epoch.
func (c *changes) rose(service uint32, r surge.Rise, at int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(&change{service: service, kind: report.MixChange, operation: r.Operation, share: r.Share, most: r.Most, at: at})
}

// add remembers a change. The oldest goes first; a service with many has only room for its latest ones. c is locked.
func (c *changes) add(ch *change) {
	list := &c.odds
	if ch.kind.IsMade() {
		list = &c.made
	}
	ofService := 0
	for _, other := range *list {
		if other.service == ch.service {
			ofService++
		}
	}
	drop := -1
	switch {
	case ofService >= maxOfService:
		drop = slices.IndexFunc(*list, func(other *change) bool { return other.service == ch.service })
	case len(*list) >= maxChanges:
		drop = 0
	}
	if drop >= 0 {
		*list = slices.Delete(*list, drop, drop+1)
	}
	*list = append(*list, ch)
}

// traffic notes spans of a service. It is asked of each resource, and does nothing unless a change is being measured.
func (c *changes) traffic(service uint32, is release, spans float64) {
	if c.measuring.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.histories[service]
	if h == nil || h.release == nil || h.release.told {
		return
	}
	h.release.all += spans
	if (release{names.Clean(is.version), names.Clean(is.revision)}) == h.release.release {
		h.release.served += spans
	}
}

// look takes the edges that there are at a tick, and looks whether services were restarted.
func (c *changes) look(now int64, edges []dependency.Edge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.around.begin(edges)
	c.arrived = slices.DeleteFunc(c.arrived, func(service uint32) bool {
		is := &c.histories[service].instances
		if replaced, all := is.replaced(now); replaced > 0 {
			if is.restart == nil {
				is.restart = &change{service: service, kind: report.RestartChange, at: is.arrived}
				c.add(is.restart)
			}
			is.restart.many, is.restart.of = float64(replaced), float64(all)
		}
		over := now-is.arrived > 2*rollout.Gone
		if over {
			is.arrived, is.restart = 0, nil
		}
		return over
	})
}

// fresh returns the releases that were measured for long enough since the last call, or, if it is the last, all.
func (c *changes) fresh(now int64, last bool) []*change {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.untold) && (last || now-c.untold[n].at >= measured) {
		c.untold[n].told = true
		n++
	}
	fresh := slices.Clone(c.untold[:n])
	c.untold = slices.Delete(c.untold, 0, n)
	c.measuring.Add(int32(-n))
	return fresh
}

// of says whether people changed a service shortly before a time.
func (c *changes) of(service uint32, at int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.made, func(ch *change) bool { return ch.service == service && c.isNear(ch, at, near) })
}

// isNear says whether a change came shortly before a time, and had not been taken back by then.
func (c *changes) isNear(ch *change, at, near int64) bool {
	return ch.at <= at && at-ch.at <= near && c.holds(ch, at)
}

// holds says whether a change has not been taken back.
func (c *changes) holds(ch *change, at int64) bool {
	switch {
	case ch.flag != nil:
		return ch.flag.Holds()
	case ch.kind == report.VersionChange:
		return c.histories[ch.service].releases.Serves(ch.release, at)
	case ch.kind == report.ConfigurationChange:
		return c.histories[ch.service].templates.Serves(ch.template, at)
	default:
		return true
	}
}

// rank is how well a change is associated with a suspect, the less the better: those of the suspect go before those of whom
// it calls or is called by, and what people do before what may as well be a symptom. It is false for one that is not worth a
// word.
func (c *changes) rank(ch *change, suspect uint32) (rank int, ok bool) {
	made := ch.kind.IsMade()
	switch {
	case ch.service == suspect:
	case c.around.has(suspect, ch.service):
		rank = 1
	case made:
		return 4, true
	default:
		return 0, false
	}
	if !made {
		rank += 2
	}
	return rank, true
}

// before returns the change that came shortly before an onset and is associated best with a suspect, the latest of those
// that are alike. What people do counts up to now, since what comes with it may be seen a little earlier; what may be a
// symptom has to come first.
func (c *changes) before(onset, now int64, suspect uint32, table *names.Table) *report.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found *change
	best := 0
	consider := func(ch *change) {
		if rank, ok := c.rank(ch, suspect); ok && (found == nil || cmp.Or(cmp.Compare(rank, best), cmp.Compare(found.at, ch.at)) <= 0) {
			found, best = ch, rank
		}
	}
	for _, ch := range c.made {
		if c.isNear(ch, now, near) {
			consider(ch)
		}
	}
	for _, ch := range c.odds {
		if c.isNear(ch, onset, nearOdds) {
			consider(ch)
		}
	}
	if found == nil {
		return nil
	}
	told := found.named(table)
	return &told
}

// released is how a release is told. Its share of the traffic is known only once it was measured.
func (ch *change) released(table *names.Table) report.Release {
	return report.Release{
		Service: table.EntityOf(ch.service), At: time.Unix(0, ch.at),
		Version: ch.release.version, Previous: ch.previous.version,
		Revision: ch.release.revision, PreviousRevision: ch.previous.revision,
	}
}

// named is how a change is told.
func (ch *change) named(table *names.Table) report.Change {
	if ch.kind == report.VersionChange {
		released := ch.released(table)
		return released.Change()
	}
	told := report.Change{Kind: ch.kind, Service: table.EntityOf(ch.service), At: time.Unix(0, ch.at), Many: ch.many, Of: ch.of}
	switch f := ch.flag; {
	case f != nil:
		told.Subject = names.Clean(f.Key)
		told.To, told.From = names.Clean(f.Variant.String()), names.Clean(f.Previous.String())
		told.Share, told.Before = f.Share, f.Before
		if f.Kind == flag.Rules {
			told.To, told.From = names.Clean(f.Version), names.Clean(f.PreviousVersion)
		}
	case ch.kind == report.ConfigurationChange:
		told.To, told.From = ch.template, ch.formerly
	case ch.kind == report.MixChange:
		told.Subject, told.Share, told.Before = table.OperationOf(ch.operation).Name, ch.share, ch.most
	case ch.kind == report.DependencyChange:
		told.Subject = table.EntityOf(ch.callee).Name
	}
	return told
}

// ofTraffic is the release's share of the traffic while it was measured. Nobody else reads or writes it after that.
func (ch *change) ofTraffic() float64 {
	if ch.all == 0 {
		return 0
	}
	return ch.served / ch.all
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
	if b.evaluations = append(b.evaluations, evaluation{service, evaluated}); len(b.evaluations) >= maxEvaluations {
		e.countEvaluations(b, now)
	}
}

// countEvaluations counts the evaluations that a batch holds, which must not outlive its telemetry.
func (e *Engine) countEvaluations(b *batch, now int64) {
	if len(b.evaluations) == 0 {
		return
	}
	e.changes.evaluate(b.evaluations, now)
	clear(b.evaluations)
	b.evaluations = b.evaluations[:0]
}
