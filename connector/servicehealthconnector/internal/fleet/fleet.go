// Package fleet reads what the gateways of a fleet have counted, and says by how much the counts grew, and when. Time is an
// argument everywhere; nothing here is safe for concurrent use.
package fleet

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
)

const (
	// maxSeries bounds the series of all gateways together, at about 150 bytes each.
	maxSeries = 1 << 18
	// maxRuns bounds the runs of gateways that are told apart.
	maxRuns = 1024
	// maxIdentity bounds what names a gateway, in bytes.
	maxIdentity = 256
	// silence is after how long in nanoseconds a run that tells nothing is forgotten.
	silence = int64(time.Hour)
	// futureSlack is by how much a point may be later than the present: clocks of hosts differ.
	futureSlack = int64(time.Minute)
	// pieces is into how many parts an increase is divided of which nobody knows when it was.
	pieces = 60
)

// Refusal is why a point was not counted.
type Refusal string

// The refusals.
const (
	accepted         Refusal = ""
	UnknownObjective Refusal = "unknown_objective"
	NotCumulative    Refusal = "not_cumulative"
	NoCount          Refusal = "no_count"
	FromFuture       Refusal = "from_future"
	// Decreased is a sum that is less than before, without a new start.
	Decreased Refusal = "decreased"
	// TooMany is beyond the bounds on gateways and series.
	TooMany Refusal = "too_many_series"
)

// Increase is by how much a series grew.
type Increase struct {
	Series
	// At is in nanoseconds since the epoch.
	At     int64
	Events uint64
	// Trace is that of one of the events, Operation the number of where it began; both may be empty.
	Trace     pcommon.TraceID
	Operation uint32
}

// Settings are what a fleet is made from.
type Settings struct {
	// Scope is the name of the instrumentation scope that gateways tell under.
	Scope      string
	Objectives []openslo.Objective
	Binder     *sli.Binder
	Names      *names.Table
	// Late is the longest time between two points of a series after which the second still says when its events were.
	Late time.Duration
	// Lag is by how much gateways may trail behind the present at most.
	Lag time.Duration
}

// Fleet knows how far the counts of each gateway have come.
type Fleet struct {
	resolver
	scope     string
	late, lag int64
	runs      map[identity]*run
	series    int
	// since is from when on nothing was missed: who began after it counted from zero before our eyes.
	since int64
	// judged is the end of the last second that was judged, in nanoseconds since the epoch, 0 if none was; put is what it was when
	// runs were last put.
	judged, put int64
	// gone are runs that were forgotten and that somebody else may remember; the latest, if nobody asks.
	gone     []Run
	repeated uint64
	refused  map[Refusal]uint64
}

// identity is one run of one gateway: between two starts its sums only grow.
type identity struct {
	name, instance string
	start          int64
}

type run struct {
	series map[Series]*sum
	// heard is when the run last told anything, at our end.
	heard int64
	// counted is up to when it has told what it counted, settled the same as of the look before: what was told at once may come in
	// several requests.
	counted, settled int64
	// changed says that any of this has changed since it was last put.
	changed bool
}

// sum is the latest point of a series.
type sum struct {
	at     int64
	events uint64
}

// New returns a fleet that has heard nothing.
func New(s Settings) *Fleet {
	return &Fleet{
		resolver: newResolver(s), scope: s.Scope, late: int64(s.Late), lag: int64(s.Lag),
		runs: map[identity]*run{}, refused: map[Refusal]uint64{},
	}
}

// Begin says that the fleet is listened to from now on. If it was before, by what was restored, that counts.
func (f *Fleet) Begin(now int64) {
	if f.since == 0 {
		f.since = now
	}
}

// Take calls add with what is new among the points of gateways, in the order in which they are there. Other metrics are passed over.
func (f *Fleet) Take(md pmetric.Metrics, now int64, add func(Increase)) {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			if sm.Scope().Name() != f.scope {
				continue
			}
			for _, m := range sm.Metrics().All() {
				kind, ok := kindOf(m.Name())
				if !ok {
					continue
				}
				if m.Type() != pmetric.MetricTypeSum || !m.Sum().IsMonotonic() ||
					m.Sum().AggregationTemporality() != pmetric.AggregationTemporalityCumulative {
					f.refused[NotCumulative]++
					continue
				}
				for _, p := range m.Sum().DataPoints().All() {
					if refusal := f.point(rm.Resource().Attributes(), kind, p, now, add); refusal != accepted {
						f.refused[refusal]++
					}
				}
			}
		}
	}
}

func (f *Fleet) point(resource pcommon.Map, k kind, p pmetric.NumberDataPoint, now int64, add func(Increase)) Refusal {
	at := int64(p.Timestamp())
	switch {
	case p.Flags().NoRecordedValue():
		return accepted
	case p.ValueType() != pmetric.NumberDataPointValueTypeInt || p.IntValue() < 0,
		p.StartTimestamp() == 0 || at < int64(p.StartTimestamp()):
		return NoCount
	case at > now+futureSlack:
		return FromFuture
	}
	series, ok := f.resolve(k, p.Attributes())
	if !ok {
		return UnknownObjective
	}
	r := f.run(resource, int64(p.StartTimestamp()), now)
	if r == nil {
		return TooMany
	}
	events := uint64(p.IntValue())
	last := r.series[series]
	if last == nil {
		if f.series >= maxSeries {
			return TooMany
		}
		f.series++
		// What a gateway counted before anybody listened is no traffic of now.
		last = &sum{at: at, events: events}
		if int64(p.StartTimestamp()) >= f.since {
			last = &sum{at: int64(p.StartTimestamp()) - 1}
		}
		r.series[series] = last
		r.changed = true
		if last.at == at {
			r.counted = max(r.counted, at)
			return accepted
		}
	}
	if at <= last.at {
		f.repeated++
		return accepted
	}
	before := *last
	*last = sum{at, events}
	r.changed = true
	r.counted = max(r.counted, at)
	if events < before.events {
		return Decreased
	}
	i := Increase{Series: series}
	if p.Exemplars().Len() > 0 {
		e := p.Exemplars().At(0)
		i.Trace = e.TraceID()
		name := text(e.FilteredAttributes(), report.OperationKey)
		i.Operation = f.names.Operation(names.Operation{Service: series.Culprit.Entity, Name: name})
	}
	f.grow(i, before, *last, add)
	return accepted
}

// grow tells an increase: before the second of the two points, since there is a point for each step that has events. If there was
// none for long, points are missing, and nobody knows when their events were; then it is as if they had come evenly.
func (f *Fleet) grow(i Increase, before, after sum, add func(Increase)) {
	events, gap := after.events-before.events, after.at-before.at
	if events == 0 {
		return
	}
	if gap <= f.late {
		i.At, i.Events = after.at-1, events
		add(i)
		return
	}
	part, rest := events/pieces, events%pieces
	for n := uint64(1); n <= pieces; n++ {
		i.At, i.Events = before.at+gap/pieces*int64(n), part
		if n > pieces-rest {
			i.Events++
		}
		if i.Events > 0 {
			add(i)
		}
	}
}

// run is the one that has this resource and start. It is nil if there is no room for one more.
func (f *Fleet) run(resource pcommon.Map, start, now int64) *run {
	id := identity{text(resource, "service.name"), text(resource, "service.instance.id"), start}
	r := f.runs[id]
	if r == nil {
		if len(f.runs) >= maxRuns {
			f.Forget(now)
		}
		if len(f.runs) >= maxRuns {
			return nil
		}
		id.name, id.instance = strings.Clone(id.name), strings.Clone(id.instance)
		r = &run{series: map[Series]*sum{}}
		f.runs[id] = r
	}
	r.heard = now
	return r
}

func text(m pcommon.Map, key string) string {
	v, ok := m.Get(key)
	if !ok || v.Type() != pcommon.ValueTypeStr {
		return ""
	}
	return v.Str()[:min(len(v.Str()), maxIdentity)]
}

// Forget forgets the runs that have told nothing for long.
func (f *Fleet) Forget(now int64) {
	if len(f.gone) > maxRuns {
		f.gone = f.gone[len(f.gone)-maxRuns:]
	}
	for id, r := range f.runs {
		if now-r.heard > silence {
			f.series -= len(r.series)
			delete(f.runs, id)
			f.gone = append(f.gone, id.run())
			// If it comes back, it must not seem to begin only now.
			f.since = max(f.since, id.start+1)
		}
	}
}

// Horizon is up to when all gateways have told what they counted, in nanoseconds since the epoch, as far as that came before the
// last call. One that trails behind by more than the lag is not waited for: it is late, or is no more. It is false if there
// is no gateway at all.
func (f *Fleet) Horizon(now int64) (int64, bool) {
	lowest := now - f.lag
	horizon := int64(0)
	for _, r := range f.runs {
		if r.settled > lowest && (horizon == 0 || r.settled < horizon) {
			horizon = r.settled
		}
		r.settled = r.counted
	}
	return max(horizon, lowest), len(f.runs) > 0
}

// Judged is the end of the last second that was judged, in nanoseconds since the epoch, 0 if none was.
func (f *Fleet) Judged() int64 { return f.judged }

// Judge says that all seconds that end by a time have been judged. It survives with the runs: what was judged is not judged again.
func (f *Fleet) Judge(by int64) { f.judged = by }

// Repeated is the number of points that had been told before, or were older than others of their series.
func (f *Fleet) Repeated() uint64 { return f.repeated }

// Refused is the number of points that were not counted, by reason.
func (f *Fleet) Refused() map[Refusal]uint64 { return f.refused }
