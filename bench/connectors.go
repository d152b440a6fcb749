package main

import (
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// plan is how much is measured.
type plan struct {
	rounds    int
	intervals int // measured ones of each round; one more goes before, in which memory grows to what is needed
	spans     int // per interval
	scaling   int // passes over the workload with each number of goroutines
	held      int // spans to hold for the memory of one
	passes    int // of the processor over the workload, each round
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

// spending is what a subject cost in one round, and what it did.
type spending struct {
	figures
	held, dropped, flushes float64
}

// spend measures one round of a subject that is fed with a burst of spans at the start of each interval. The timers of the
// subject run in between; what they do is part of the cost.
func spend(s subject, f *feed, p plan) (spending, error) {
	runtime.GC()
	r, err := s.make(f.of)
	if err != nil {
		return spending{}, err
	}
	started := time.Now()
	var m meter
	var out spending
	for i := range p.intervals + 1 {
		// All timers go off at the full interval; what they do should find the burst complete.
		wait := time.Until(started.Add(time.Duration(i)*interval + interval/20))
		m.resume()
		time.Sleep(wait)
		m.pauseIdle()
		if i == 1 {
			m.cost = cost{} // what came before was the warming up
			out.flushes = -float64(r.sink.flushes.Load())
			out.dropped = -float64(r.self("otelcol_connector_servicegraph_dropped_spans"))
		}
		for fed := 0; fed < p.spans; fed += f.of.spans {
			batches := f.next()
			m.resume()
			for _, td := range batches {
				if err := r.consume(td); err != nil {
					return spending{}, err
				}
			}
			m.pause(f.of.spans)
		}
		out.held = max(out.held, float64(r.self("otelcol_service_health_spans_held")))
	}
	wait := time.Until(started.Add(time.Duration(p.intervals+1)*interval + interval/20))
	m.resume()
	time.Sleep(wait)
	m.pauseIdle()
	out.figures = m.perItem()
	out.flushes += float64(r.sink.flushes.Load())
	out.dropped = (out.dropped + float64(r.self("otelcol_connector_servicegraph_dropped_spans"))) / float64(m.items)
	return out, r.stop()
}

// compared is what the subjects cost over all rounds, in the order of the subjects.
func compare(subjects []subject, f *feed, p plan) ([]spending, error) {
	rounds := make([][]spending, len(subjects))
	for range p.rounds {
		for i, s := range subjects {
			one, err := spend(s, f, p)
			if err != nil {
				return nil, err
			}
			rounds[i] = append(rounds[i], one)
		}
	}
	result := make([]spending, len(subjects))
	for i := range subjects {
		var costs []figures
		var held, dropped, flushes []float64
		for _, one := range rounds[i] {
			costs = append(costs, one.figures)
			held, dropped, flushes = append(held, one.held), append(dropped, one.dropped), append(flushes, one.flushes)
		}
		result[i] = spending{medianOf(costs), median(held), median(dropped), median(flushes)}
	}
	return result, nil
}

// scale returns by which factor two goroutines feed a subject faster than one does, and the spans per second of one.
// One and two take turns, pass by pass.
func scale(s subject, f *feed, p plan) (factor, perSecond float64, err error) {
	r, err := s.make(f.of)
	if err != nil {
		return 0, 0, err
	}
	var took [2][]float64
	for range p.scaling {
		for extra := range took {
			batches := f.next()
			runtime.GC() // otherwise the garbage of one pass is collected during the next
			from := time.Now()
			if err := feedBy(extra+1, r, batches); err != nil {
				return 0, 0, err
			}
			took[extra] = append(took[extra], time.Since(from).Seconds())
		}
	}
	one, two := median(took[0]), median(took[1])
	return one / two, float64(f.of.spans) / one, r.stop()
}

// feedBy gives each of n goroutines every nth batch.
func feedBy(n int, r *running, batches []ptrace.Traces) error {
	errs := make([]error, n)
	var wait sync.WaitGroup
	for g := range n {
		wait.Go(func() {
			for i := g; i < len(batches) && errs[g] == nil; i += n {
				errs[g] = r.consume(batches[i])
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// hold returns the memory that service_health needs per span that it holds.
func hold(f *feed, p plan) (perSpan float64, spans int64, err error) {
	r, err := makeHolding(f.of, time.Hour)
	if err != nil {
		return 0, 0, err
	}
	// What does not grow with the spans held, such as names and histograms, is there after one pass.
	if err := feedBy(1, r, f.next()); err != nil {
		return 0, 0, err
	}
	before, heldBefore := heap(), r.self("otelcol_service_health_spans_held")
	for fed := 0; fed < p.held; fed += f.of.spans {
		if err := feedBy(1, r, f.next()); err != nil {
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
