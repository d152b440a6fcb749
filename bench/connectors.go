package main

import (
	"crypto/sha256"
	"errors"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// plan is how much is measured.
type plan struct {
	warm, turns int // intervals of the comparison; what comes in the first ones is not counted
	spans       int // per turn
	scaling     int // passes over the workload with each number of goroutines
	held        int // spans to hold for the memory of one
	rounds      int // of the processor
	passes      int // over the workload in each of them
}

// feed hands a subject ever new traces like those of a workload.
type feed struct {
	of     *workload
	copies []ptrace.Traces
	round  int
}

func newFeed(w *workload) *feed {
	f := &feed{of: w}
	for _, td := range w.traces {
		c := ptrace.NewTraces()
		td.CopyTo(c)
		f.copies = append(f.copies, c)
	}
	return f
}

// next returns the workload's batches with other trace IDs, ending now. They are good until the next call.
func (f *feed) next() []ptrace.Traces {
	f.round++
	r := f.of.renew(f.round, time.Now())
	for i, td := range f.of.traces {
		r.traces(td, f.copies[i])
	}
	return f.copies
}

// spending is what a subject cost in the median of its turns, and what it did.
type spending struct {
	figures
	// turns is how many were undisturbed.
	turns int
	// held is the most spans that waited at the end of a turn.
	held int64
	// flushes is how often metrics came per turn; uncounted is the share of spans that found no room.
	flushes, uncounted float64
}

// compare lets the subjects take turns: in each interval every one of them has a slot of its own, at whose start its timers
// go off and after which it is fed a burst of spans. So all that the process does in a slot is due to one subject, and
// whatever else runs on the machine disturbs all of them alike.
func compare(subjects []subject, f *feed, p plan) ([]spending, error) {
	slot := interval / time.Duration(len(subjects))
	at := make([]*running, len(subjects))
	turns, disturbed := make([][]figures, len(subjects)), make([][]figures, len(subjects))
	result := make([]spending, len(subjects))
	runtime.GC()
	begin := time.Now().Add(slot)
	for i, s := range subjects {
		time.Sleep(time.Until(begin.Add(time.Duration(i)*slot + slot/10)))
		var err error
		if at[i], err = s.make(f.of); err != nil {
			return nil, err
		}
	}
	fed, late := 0, false // fed is the same for all
	for turn := 1; turn <= p.warm+p.turns; turn++ {
		for i, r := range at {
			start := begin.Add(time.Duration(turn)*interval + time.Duration(i)*slot)
			time.Sleep(time.Until(start))
			if turn == p.warm+1 {
				result[i].flushes, result[i].uncounted = -float64(r.sink.flushes.Load()), -float64(r.self(dropped))
			}
			var m meter
			if err := take(r, f, p.spans, start.Add(slot/5), start.Add(slot-slot/20), &m); err != nil {
				return nil, err
			}
			if turn > p.warm && i == 0 {
				fed += m.items
			}
			// The timers of the next go off a tenth into its slot. Whoever is not done by then disturbs both.
			overran := time.Now().After(start.Add(slot + slot/10))
			if turn > p.warm {
				disturbed[i] = append(disturbed[i], m.perItem())
				if !late && !overran {
					turns[i] = append(turns[i], m.perItem())
				}
			}
			late = overran
			result[i].held = max(result[i].held, r.self("otelcol_service_health_spans_held"))
		}
	}
	for i, r := range at {
		result[i].turns = len(turns[i])
		if len(turns[i]) == 0 {
			turns[i] = disturbed[i] // a figure from a machine that is too busy is better than none
		}
		result[i].figures = medianOf(turns[i])
		result[i].flushes = (result[i].flushes + float64(r.sink.flushes.Load())) / float64(p.turns)
		result[i].uncounted = (result[i].uncounted + float64(r.self(dropped))) / float64(fed)
		if err := r.stop(); err != nil {
			return nil, err
		}
	}
	return result, nil
}

const dropped = "otelcol_connector_servicegraph_dropped_spans"

// take is one turn: the timers until burst, the burst, and what is left to do until end.
func take(r *running, f *feed, spans int, burst, end time.Time, m *meter) error {
	idle := func(until time.Time) {
		m.resume()
		time.Sleep(time.Until(until))
		m.pauseIdle()
	}
	idle(burst)
	for m.items < spans {
		batches := f.next()
		m.resume()
		for _, td := range batches {
			if err := r.consume(td); err != nil {
				return err
			}
		}
		m.pause(f.of.spans)
	}
	idle(end)
	return nil
}

// scaling is what two goroutines do.
type scaling struct {
	// factor is how much faster two feed a subject than one does.
	factor float64
	// machine is the same factor for work that shares nothing: what the machine has to give at the time.
	machine float64
	// perSecond is how many spans one feeds.
	perSecond float64
}

// scale has a consumer fed by one and by two goroutines in turns, pass by pass.
func scale(consume func(ptrace.Traces) error, f *feed, p plan) (scaling, error) {
	var took, reference [2][]float64
	for range p.scaling {
		for extra := range took {
			batches := f.next()
			runtime.GC() // otherwise the garbage of one pass is collected during the next
			from := time.Now()
			if err := spread(extra+1, batches, consume); err != nil {
				return scaling{}, err
			}
			took[extra] = append(took[extra], time.Since(from).Seconds())
			from = time.Now()
			if err := spread(extra+1, batches, ponder); err != nil {
				return scaling{}, err
			}
			reference[extra] = append(reference[extra], time.Since(from).Seconds())
		}
	}
	one := median(took[0])
	return scaling{
		factor:    one / median(took[1]),
		machine:   median(reference[0]) / median(reference[1]),
		perSecond: float64(f.of.spans) / one,
	}, nil
}

// ponder works about as long on a batch as a subject does, and shares nothing.
func ponder(td ptrace.Traces) error {
	var sum [sha256.Size]byte
	for range td.SpanCount() * 10 {
		sum = sha256.Sum256(sum[:])
	}
	if sum == ([sha256.Size]byte{}) && td.SpanCount() > 0 {
		return errors.New("sha256 is zero")
	}
	return nil
}

// spread has n goroutines work on every nth batch each.
func spread(n int, batches []ptrace.Traces, work func(ptrace.Traces) error) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for g := range n {
		wait.Go(func() {
			for i := g; i < len(batches) && errs[g] == nil; i += n {
				errs[g] = work(batches[i])
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// hold returns the memory that service_health needs per span that it holds.
func hold(f *feed, p plan) (perSpan float64, spans int64, err error) {
	r, err := makeHolding(f.of, time.Hour)
	if err != nil {
		return 0, 0, err
	}
	// What does not grow with the spans held, such as names and histograms, is there after one pass.
	if err := spread(1, f.next(), r.consume); err != nil {
		return 0, 0, err
	}
	before, heldBefore := heap(), r.self("otelcol_service_health_spans_held")
	for fed := 0; fed < p.held; fed += f.of.spans {
		if err := spread(1, f.next(), r.consume); err != nil {
			return 0, 0, err
		}
	}
	spans = r.self("otelcol_service_health_spans_held")
	perSpan = float64(heap()-before) / float64(spans-heldBefore)
	return perSpan, spans, r.stop()
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
