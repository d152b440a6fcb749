package main

import (
	"context"
	"errors"
	"runtime"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

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

// signal is one signal of a workload: its batches on the wire, and what to do with one after it came from there.
type signal[T any] struct {
	wire      [][]byte
	unmarshal func([]byte) (T, error)
	renew     func(renewal, T)
	count     func(T) int
	consume   func(*correlator, T) error
}

// measure goes once over all batches: it unmarshals them, and then gives them to the processor.
func (s *signal[T]) measure(c *correlator, r renewal, unmarshal, adorn *meter) error {
	batches := make([]T, len(s.wire))
	runtime.GC()
	unmarshal.resume()
	for i, wire := range s.wire {
		var err error
		if batches[i], err = s.unmarshal(wire); err != nil {
			return err
		}
	}
	unmarshal.pause(0)
	items := 0
	for _, batch := range batches {
		s.renew(r, batch)
		items += s.count(batch)
	}
	unmarshal.items += items
	runtime.GC()
	adorn.resume()
	for _, batch := range batches {
		if err := s.consume(c, batch); err != nil {
			return err
		}
	}
	adorn.pause(items)
	return nil
}

// measurer hides which signal it is.
type measurer interface {
	measure(c *correlator, r renewal, unmarshal, adorn *meter) error
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
	unmarshal, adorn := make([][]figures, len(signals)), make([][]figures, len(signals))
	jobs := make([]job, len(signals))
	for round := range p.rounds + 1 {
		for i, s := range signals {
			jobs[i].items = names[i]
			var u, a meter
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
	metrics := &signal[pmetric.Metrics]{
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
	if metrics.wire, err = marshalAll(w.metrics, new(pmetric.ProtoMarshaler).MarshalMetrics); err != nil {
		return nil, nil, err
	}
	signals, names = []measurer{traces}, []string{"span"}
	if len(logs.wire) > 0 {
		signals, names = append(signals, logs), append(names, "record")
	}
	if len(metrics.wire) > 0 {
		signals, names = append(signals, metrics), append(names, "point")
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
