package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/burn"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/change"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/suspect"
	"github.com/throughline-otel/throughline/internal/layer"
)

// maxBlamed bounds the culprits of one objective and group that are counted apart.
const maxBlamed = 100

// objectives knows for each objective and group what it counted and on whom its bad events are blamed.
type objectives struct {
	documents []openslo.Objective
	// ids are the documents' identities.
	ids    []ledger.ID
	binder *sli.Binder
	ledger *ledger.Ledger
	// step is the longest time such that no bucket of any window begins within it.
	step     int64
	dossiers map[ledger.Key]*dossier
	attic    attic
	// counted is there where somebody else gives the verdicts, gathered where this engine gives them for a fleet, too.
	// sloth says that objectives are told as Sloth does, too.
	sloth    bool
	counted  *counted
	gathered *gathered
}

// dossier is what speaks against whom.
type dossier struct {
	// service is where the bad events were seen.
	service uint32
	tally   *suspect.Tally
	blamed  map[charge]float64
}

type charge struct {
	blame.Culprit
	relation report.Relation
}

func newObjectives(s Settings, table *names.Table) *objectives {
	o := &objectives{
		ids:       identities(s.Objectives),
		step:      burn.Step(windows(s.Objectives)...),
		documents: s.Objectives,
		sloth:     s.Sloth,
		binder:    s.Binder,
		ledger:    ledger.New(s.Objectives, burn.Slack{Late: s.Late, Ahead: s.TraceWindow}),
		dossiers:  map[ledger.Key]*dossier{},
	}
	if s.CountOnly {
		o.counted = newCounted(s, o.step)
	} else {
		o.gathered = newGathered(s, table)
	}
	return o
}

// begin says that what happens counts from now on.
func (o *objectives) begin(now int64) {
	o.ledger.Begin(now)
	if o.counted != nil {
		o.counted.steps.Begin(now)
		o.counted.told = o.counted.steps.Closed()
	} else {
		o.gathered.fleet.Begin(now)
	}
}

// until is the time of what is told at a flush; false if there is nothing to tell yet. Where counts have the time of their events all
// else has it, too: of one sender, backends expect no point to be older than those before.
func (o *objectives) until(now int64, last bool) (int64, bool) {
	if o.counted != nil {
		return o.counted.close(now, last)
	}
	return now, true
}

// refused is the number of events that were not counted.
func (o *objectives) refused() uint64 {
	if o.counted != nil {
		return o.counted.refused
	}
	return o.ledger.Refused()
}

func identities(of []openslo.Objective) []ledger.ID {
	ids := make([]ledger.ID, len(of))
	for i := range ids {
		ids[i] = ledger.Identity(&of[i])
	}
	return ids
}

func windows(of []openslo.Objective) []time.Duration {
	var all []time.Duration
	for i := range of {
		all = append(all, of[i].Window)
		for _, c := range of[i].Conditions {
			all = append(all, c.Long, c.Short)
		}
	}
	return all
}

// grain rounds a time so that it stays in its buckets.
func (o *objectives) grain(at int64) int64 { return at - at%o.step + o.step - 1 }

// isLatency says whether an objective's bad events are bad because they take too long.
func (o *objectives) isLatency(objective uint32) bool {
	i := &o.documents[objective].Indicator
	return i.Good.Text == "" && i.Bad.Text == "" && i.Raw.Text == ""
}

func (o *objectives) add(e *event, table *names.Table) {
	key := ledger.Key{Objective: e.mark.Objective, Group: e.mark.Group}
	if o.documents[key.Objective].Name == "" {
		return // It was an event of an objective that is no more.
	}
	if o.counted != nil {
		o.counted.add(&o.documents[key.Objective], e, table)
		return
	}
	if counted := o.ledger.Add(key, e.at, e.mark.Good, e.count); !counted || e.mark.Good {
		return
	}
	o.blame(key, e, chargeOf(&o.documents[key.Objective], e, table))
}

// chargeOf says on whom a bad event is blamed, and lets it know the layer.
func chargeOf(document *openslo.Objective, e *event, table *names.Table) charge {
	if entity := table.EntityOf(e.verdict.Entity); e.verdict.Layer == layer.Unknown {
		e.verdict.Layer = entity.Layer
	}
	return charge{e.verdict.Culprit, relation(document, e, table)}
}

// blame notes what speaks against whom.
func (o *objectives) blame(key ledger.Key, e *event, c charge) {
	d := o.dossier(key)
	if _, ok := d.blamed[c]; !ok && len(d.blamed) >= maxBlamed {
		c = charge{blame.Culprit{Entity: names.Other, Reason: c.Reason}, c.relation}
	}
	d.service = e.service
	d.blamed[c] += e.count
	d.tally.Add(e.at, e.verdict, e.count, e.id)
}

func (o *objectives) dossier(key ledger.Key) *dossier {
	d := o.dossiers[key]
	if d == nil {
		d = &dossier{tally: suspect.New(int64(o.shortestLong(key.Objective))), blamed: map[charge]float64{}}
		o.dossiers[key] = d
	}
	return d
}

// shortestLong is the window in which suspects are looked for: what is older has no part in a burn that starts now.
func (o *objectives) shortestLong(objective uint32) time.Duration {
	return slices.MinFunc(o.documents[objective].Conditions, func(a, b openslo.Alert) int { return cmp.Compare(a.Long, b.Long) }).Long
}

// relation is what the culprit is to the objective's service, be the event one of its own spans or one of its callers'.
func relation(document *openslo.Objective, e *event, table *names.Table) report.Relation {
	own := e.verdict.Entity == e.service
	if looksElsewhere(document) {
		own = isOwn(document, table.EntityOf(e.verdict.Entity))
	}
	switch {
	case e.verdict.Entity == names.None:
		return report.Unknown
	case e.verdict.Layer == layer.Platform:
		return report.Platform
	case own:
		return report.Own
	default:
		return report.Dependency
	}
}

// looksElsewhere says that an objective looks at the telemetry of another service, such as a caller of its own.
func looksElsewhere(document *openslo.Objective) bool {
	return document.Indicator.Service != document.Service
}

// tell adds an event for each burn that started or was resolved, as the windows that end at horizon show it, and says whether there
// was any.
func (o *objectives) tell(now, horizon int64, events *report.Events, table *names.Table, c *change.Book, who *diagnoser) bool {
	transitions := o.ledger.Evaluate(horizon)
	for _, t := range transitions {
		document := &o.documents[t.Objective]
		alert := &document.Conditions[t.Condition]
		switch t.Kind {
		case ledger.Started:
		case ledger.Resolved:
			if alert.AnnounceResolved {
				events.BurnResolved(report.Resolved{
					Objective: o.named(t.Key), Severity: alert.Severity, Remaining: t.Reading.Remaining, Known: t.Reading.Known,
					Interruptions: t.Interruptions, Onset: time.Unix(0, t.Onset), Now: time.Unix(0, now),
					Targets: targets(document, alert.Severity),
				})
			}
			continue
		case ledger.DataMissing, ledger.DataBack:
			events.NoData(report.NoData{
				Objective: o.named(t.Key), Severity: alert.Severity, Back: t.Kind == ledger.DataBack, Runbook: alert.Runbook,
				Last: time.Unix(0, t.Onset), Now: time.Unix(0, now), Targets: targets(document, alert.Severity),
			})
			continue
		}
		started := report.Started{
			Objective: o.named(t.Key), Severity: alert.Severity, Target: document.Target,
			Long: alert.Long, Short: alert.Short, LongRate: t.LongRate, ShortRate: t.ShortRate, OfOne: t.OfOne,
			Remaining: t.Reading.Remaining, Exhaustion: t.Reading.Exhaustion,
			Onset: time.Unix(0, t.Onset), Now: time.Unix(0, now), Runbook: alert.Runbook,
			Targets: targets(document, alert.Severity),
		}
		if cmp.Or(alert.LeastEvents, document.LeastEvents) > 0 {
			started.OfOne = 0 // It was asked for enough of them.
		}
		var first uint32
		if d := o.dossiers[t.Key]; d != nil {
			since := t.Onset
			if since == horizon {
				since = 0 // No bucket burns by itself, only all of them together.
			}
			ranked, _ := d.tally.Rank(horizon, since)
			var suspects []accused
			for _, s := range ranked {
				suspects = append(suspects, blamed(&s, table))
			}
			suspects = who.join(now, suspects, d.service, table)
			for _, s := range suspects {
				s.Own = isOwn(document, table.EntityOf(s.entity))
				started.Suspects = join(started.Suspects, s.Suspect)
			}
			if len(suspects) > 0 {
				first = suspects[0].entity
			}
			started.Learning = who.isLearning(now)
			started.Traces = d.tally.Traces(horizon)
		}
		// A version that has the fault serves a moment before its first bad bucket is told apart from noise.
		started.Change = report.NameChange(c.Before(t.Onset, max(t.Onset, horizon), first), table)
		events.BurnStarted(started)
	}
	return len(transitions) > 0
}

// targets are whom the policies of a severity want to be told, each once: to them it is one burn.
func targets(document *openslo.Objective, severity string) []report.Target {
	var all []report.Target
	for i := range document.Conditions {
		if document.Conditions[i].Severity != severity {
			continue
		}
		for _, t := range document.Conditions[i].Targets {
			if target := (report.Target{Name: t.Name, Kind: t.Kind}); !slices.Contains(all, target) {
				all = append(all, target)
			}
		}
	}
	return all
}

// isOwn says whether somebody is the objective's service. To a caller, a service that sends nothing is a peer of that name.
func isOwn(document *openslo.Objective, e names.Entity) bool {
	if e.Peer {
		return looksElsewhere(document) && e.Name == document.Service.Name
	}
	return e.Name == document.Service.Name && (document.Service.Namespace == "" || document.Service.Namespace == e.Namespace)
}

// join adds a suspect. Services of one name in several environments are one, since nothing tells them apart.
func join(suspects []report.Suspect, s report.Suspect) []report.Suspect {
	for i := range suspects {
		if has := &suspects[i]; has.Name == s.Name && has.Layer == s.Layer {
			has.Score += s.Score
			has.Share += s.Share
			return suspects
		}
	}
	return append(suspects, s)
}

// read adds where each objective stands at horizon.
func (o *objectives) read(horizon int64, metrics *report.Metrics, table *names.Table) {
	o.ledger.Each(horizon, func(r ledger.Reading) {
		reading := report.Reading{
			Objective: o.named(r.Key), Good: r.Total.Good, Bad: r.Total.Bad, Since: r.Since, Target: o.documents[r.Objective].Target,
			Remaining: r.Remaining, Exhaustion: r.Exhaustion, Coverage: r.Coverage, Known: r.Known,
		}
		for _, rate := range r.Rates {
			reading.Windows = append(reading.Windows, report.Rate(rate))
		}
		for _, f := range r.Firing {
			reading.Alerts = append(reading.Alerts, report.Alert(f))
		}
		if d := o.dossiers[r.Key]; d != nil {
			// Services of one name in several environments are one culprit here, since nothing tells them apart.
			total := map[report.Blamed]float64{}
			for c, n := range d.blamed {
				total[report.Blamed{Culprit: table.EntityOf(c.Entity).Name, Layer: c.Layer, Relation: c.relation, Reason: c.Reason}] += n
			}
			for b, n := range total {
				b.Events = n
				reading.Blamed = append(reading.Blamed, b)
			}
		}
		metrics.Objective(reading)
		if o.sloth {
			metrics.Sloth(reading, o.documents[r.Objective].Window)
		}
	})
}

func (o *objectives) named(key ledger.Key) report.Objective {
	document := &o.documents[key.Objective]
	named := report.Objective{Name: document.Name, Service: document.Service.String()}
	if len(document.GroupBy) > 0 {
		for i, value := range o.binder.GroupValues(key.Objective, key.Group) {
			named.Group = append(named.Group, report.Attribute{Key: document.GroupBy[i], Value: value})
		}
	}
	return named
}
