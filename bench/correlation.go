package main

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"golang.org/x/sys/unix"

	"github.com/throughline-otel/throughline/processor/correlationprocessor"
)

// job is what the processor does to one signal, and what stands beside it.
type job struct {
	items            string
	count            int
	unmarshal, adorn figures
}

// correlator is a processor for all three signals.
type correlator struct {
	telemetry *componenttest.Telemetry
	traces    processor.Traces
	logs      processor.Logs
	metrics   processor.Metrics
}

func newCorrelator() (*correlator, error) {
	ctx := context.Background()
	factory := correlationprocessor.NewFactory()
	c := &correlator{telemetry: componenttest.NewTelemetry()}
	settings := processortest.NewNopSettings(factory.Type())
	settings.ID = component.NewID(factory.Type())
	settings.TelemetrySettings = c.telemetry.NewTelemetrySettings()
	config, next := factory.CreateDefaultConfig(), consumertest.NewNop()
	var errs [3]error
	c.traces, errs[0] = factory.CreateTraces(ctx, settings, config, next)
	c.logs, errs[1] = factory.CreateLogs(ctx, settings, config, next)
	c.metrics, errs[2] = factory.CreateMetrics(ctx, settings, config, next)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	host := componenttest.NewNopHost()
	return c, errors.Join(c.traces.Start(ctx, host), c.logs.Start(ctx, host), c.metrics.Start(ctx, host))
}

func (c *correlator) stop() error {
	ctx := context.Background()
	return errors.Join(c.traces.Shutdown(ctx), c.logs.Shutdown(ctx), c.metrics.Shutdown(ctx), c.telemetry.Shutdown(ctx))
}

// filled is more spans than the processor remembers by default: from then on it forgets one for each that comes.
const filled = 1_000_000

// fill brings the processor into the state in which it then stays.
func (c *correlator) fill(w *workload) error {
	for round := 1 << 20; (round-1<<20)*w.spans < filled; round++ {
		r := w.renew(round, time.Now())
		for _, batch := range w.traces {
			renewed := ptrace.NewTraces()
			batch.CopyTo(renewed)
			r.traces(batch, renewed)
			if err := c.consumeTraces(renewed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *correlator) consumeTraces(td ptrace.Traces) error {
	return c.traces.ConsumeTraces(context.Background(), td)
}

// signal is one signal of a workload: its batches on the wire, and what to do with one after it came from there.
type signal[T any] struct {
	wire      [][]byte
	unmarshal func([]byte) (T, error)
	renew     func(renewal, T)
	count     func(T) int
	consume   func(*correlator, T) error
}

// portion is how many items are unmarshalled before they are given to the processor, at least: about as many as a receiver
// takes in with one request, so that the processor finds them in the caches as it does there.
const portion = 256

// collected is how many portions go between two collections of garbage.
const collected = 16

// threadMeter adds up what one thread spends, in stretches too short for a look at the whole process: there, the threads that
// are woken by the look itself would count.
type threadMeter struct {
	cost
	from struct {
		cpu    time.Duration
		memory runtime.MemStats
	}
}

func (m *threadMeter) resume() {
	runtime.ReadMemStats(&m.from.memory)
	m.from.cpu = threadTime()
}

// pause ends a stretch in which items were worked on.
func (m *threadMeter) pause(items int) {
	m.cpu += threadTime() - m.from.cpu
	m.items += items
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	m.bytes += now.TotalAlloc - m.from.memory.TotalAlloc
	m.allocs += now.Mallocs - m.from.memory.Mallocs
}

// threadTime is the processor time of a thread that the caller has locked itself to.
func threadTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		panic(err) // there is no other error than an unknown clock
	}
	return time.Duration(now.Nano())
}

// measure goes once over all batches, in portions: it unmarshals each, and then gives it to the processor. Garbage is
// collected in between only, since nobody could tell whose it is that a collection happens to meet; what both sides allocate
// is counted.
func (s *signal[T]) measure(c *correlator, r renewal, unmarshal, adorn *threadMeter) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	rest := s.wire
	for n := 0; len(rest) > 0; n++ {
		if n%collected == 0 {
			runtime.GC()
		}
		var batches []T
		items := 0
		unmarshal.resume()
		for len(rest) > 0 && items < portion {
			batch, err := s.unmarshal(rest[0])
			if err != nil {
				return err
			}
			batches, rest = append(batches, batch), rest[1:]
			items += s.count(batch)
		}
		unmarshal.pause(items)
		for _, batch := range batches {
			s.renew(r, batch)
		}
		adorn.resume()
		for _, batch := range batches {
			if err := s.consume(c, batch); err != nil {
				return err
			}
		}
		adorn.pause(items)
	}
	return nil
}

// measurer hides which signal it is.
type measurer interface {
	measure(c *correlator, r renewal, unmarshal, adorn *threadMeter) error
}

// correlate measures the processor on all signals of a workload. In each pass it sees spans first: then their log records
// and points find them, which is the most work there is.
func correlate(w *workload, p plan) ([]job, error) {
	c, err := newCorrelator()
	if err != nil {
		return nil, err
	}
	signals, names, err := signalsOf(w)
	if err != nil {
		return nil, err
	}
	if err := c.fill(w); err != nil {
		return nil, err
	}
	unmarshal, adorn := make([][]figures, len(signals)), make([][]figures, len(signals))
	jobs := make([]job, len(signals))
	for round := range p.rounds + 1 {
		for i, s := range signals {
			jobs[i].items = names[i]
			var u, a threadMeter
			for pass := range p.passes {
				// The signals of a pass have the same trace IDs.
				if err := s.measure(c, w.renew(1+round*p.passes+pass, time.Now()), &u, &a); err != nil {
					return nil, err
				}
			}
			jobs[i].count = u.items / p.passes
			if round > 0 { // the first one warms up
				unmarshal[i], adorn[i] = append(unmarshal[i], u.perItem()), append(adorn[i], a.perItem())
			}
		}
	}
	for i := range jobs {
		jobs[i].unmarshal, jobs[i].adorn = medianOf(unmarshal[i]), medianOf(adorn[i])
	}
	return jobs, c.stop()
}

// signalsOf returns those that the workload has.
func signalsOf(w *workload) (signals []measurer, names []string, err error) {
	ctx := context.Background()
	traces := &signal[ptrace.Traces]{
		unmarshal: new(ptrace.ProtoUnmarshaler).UnmarshalTraces,
		renew:     func(r renewal, td ptrace.Traces) { r.traces(td, td) },
		count:     ptrace.Traces.SpanCount,
		consume:   func(c *correlator, td ptrace.Traces) error { return c.traces.ConsumeTraces(ctx, td) },
	}
	logs := &signal[plog.Logs]{
		unmarshal: new(plog.ProtoUnmarshaler).UnmarshalLogs,
		renew:     renewal.logs,
		count:     plog.Logs.LogRecordCount,
		consume:   func(c *correlator, ld plog.Logs) error { return c.logs.ConsumeLogs(ctx, ld) },
	}
	points := &signal[pmetric.Metrics]{
		unmarshal: new(pmetric.ProtoUnmarshaler).UnmarshalMetrics,
		renew:     renewal.metrics,
		count:     pmetric.Metrics.DataPointCount,
		consume:   func(c *correlator, md pmetric.Metrics) error { return c.metrics.ConsumeMetrics(ctx, md) },
	}
	if traces.wire, err = marshalAll(w.traces, new(ptrace.ProtoMarshaler).MarshalTraces); err != nil {
		return nil, nil, err
	}
	if logs.wire, err = marshalAll(w.logs, new(plog.ProtoMarshaler).MarshalLogs); err != nil {
		return nil, nil, err
	}
	if points.wire, err = marshalAll(w.metrics, new(pmetric.ProtoMarshaler).MarshalMetrics); err != nil {
		return nil, nil, err
	}
	signals, names = []measurer{traces}, []string{"span"}
	if len(logs.wire) > 0 {
		signals, names = append(signals, logs), append(names, "record")
	}
	if len(points.wire) > 0 {
		signals, names = append(signals, points), append(names, "point")
	}
	return signals, names, nil
}

func marshalAll[T any](batches []T, marshal func(T) ([]byte, error)) ([][]byte, error) {
	wire := make([][]byte, len(batches))
	for i, batch := range batches {
		var err error
		if wire[i], err = marshal(batch); err != nil {
			return nil, err
		}
	}
	return wire, nil
}
