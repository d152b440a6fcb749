package fleet

import (
	"math"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
)

// Adopt makes other objectives the present ones. Those with the numbers in others are not what had these numbers before. Who has
// counted for them so far was not listened to.
func (f *Fleet) Adopt(objectives []openslo.Objective, binder *sli.Binder, others []uint32, now int64) {
	f.adopt(objectives, binder)
	if len(others) == 0 {
		return
	}
	f.since = max(f.since, now)
	gone := make(map[uint32]bool, len(others))
	for _, number := range others {
		gone[number] = true
	}
	for _, r := range f.runs {
		for s := range r.series {
			if gone[s.Objective] {
				delete(r.series, s)
				f.series--
			}
		}
	}
}

// Run is the name of one run of a gateway.
type Run [3]string

func (id identity) run() Run { return Run{id.name, id.instance, strconv.FormatInt(id.start, 10)} }

// Put calls put with how far the counts of each run have come that has changed since the last call.
func (f *Fleet) Put(put func(run Run, value []byte)) {
	for id, r := range f.runs {
		if r.changed || f.judged != f.put {
			r.changed = false
			put(id.run(), f.valueOf(r))
		}
	}
	f.put = f.judged
}

// Gone returns the runs that were forgotten since the last call.
func (f *Fleet) Gone() []Run {
	gone := f.gone
	f.gone = nil
	return gone
}

// Touch makes a run count as changed: what was put did not get to where it should.
func (f *Fleet) Touch(run Run) {
	for id, r := range f.runs {
		r.changed = r.changed || id.run() == run
	}
}

// valueOf has the series by the attributes that they come with, since numbers mean nothing to another process.
func (f *Fleet) valueOf(r *run) []byte {
	b := snapshot.Uint(snapshot.Uint(nil, uint64(f.since)), uint64(f.judged))
	b = snapshot.Uint(snapshot.Uint(b, uint64(r.heard)), uint64(r.counted))
	b = snapshot.Uint(b, uint64(len(r.series)))
	for s, last := range r.series {
		o := &f.objectives[s.Objective]
		values := f.binder.GroupValues(s.Objective, s.Group)
		attributes := [][2]string{{"slo.name", o.Name}, {"slo.service", f.services[s.Objective]}}
		for i, value := range values {
			attributes = append(attributes, [2]string{o.GroupBy[i], value})
		}
		switch s.Outcome {
		case Good:
			attributes = append(attributes, [2]string{"outcome", "good"})
		case Bad:
			attributes = append(attributes, [2]string{"outcome", "bad"})
		case Blamed:
			attributes = append(attributes,
				[2]string{"culprit.service.name", f.names.EntityOf(s.Culprit.Entity).Name}, [2]string{"culprit.layer", s.Culprit.Layer.String()},
				[2]string{"culprit.relation", string(s.Relation)}, [2]string{"culprit.reason", s.Culprit.Reason.String()})
		}
		b = snapshot.Uint(snapshot.Bool(b, s.Outcome == Blamed), uint64(len(attributes)))
		for _, a := range attributes {
			b = snapshot.Text(snapshot.Text(b, a[0]), a[1])
		}
		b = snapshot.Uint(snapshot.Uint(b, uint64(last.at)), last.events)
	}
	return b
}

// TakeRun takes in a run that was put, if it can be read. Of objectives that are no more there is nothing to take.
func (f *Fleet) TakeRun(id Run, r *snapshot.Reader) error {
	start, err := strconv.ParseInt(id[2], 10, 64)
	if err != nil {
		return err
	}
	since, judged := r.Time(), r.Time()
	taken := &run{series: map[Series]*sum{}, heard: r.Time(), counted: r.Time()}
	for range r.Len() {
		k := events
		if r.Bool() {
			k = blamed
		}
		a := pcommon.NewMap()
		for range r.Len() {
			key, value := r.Text(), r.Text()
			a.PutStr(key, value)
		}
		last := sum{at: r.Time(), events: r.Uint()}
		if last.events > math.MaxInt64 {
			r.Refuse(snapshot.ErrNumber)
		}
		if s, ok := f.resolve(k, a); ok && r.Err() == nil && len(taken.series) < maxSeries {
			taken.series[s] = &last
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	if key := (identity{id[0], id[1], start}); f.runs[key] == nil && len(f.runs) < maxRuns && f.series+len(taken.series) <= maxSeries {
		f.runs[key] = taken
		f.series += len(taken.series)
	}
	f.since, f.judged = max(f.since, since), max(f.judged, judged)
	return nil
}
