package correlationprocessor

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/metadata"
)

func TestOneMemoryForEachID(t *testing.T) {
	factory, settings := NewFactory(), processortest.NewNopSettings(metadata.Type)
	start := func() (*traces, *logs) {
		tr, err := factory.CreateTraces(t.Context(), settings, createDefaultConfig(), consumertest.NewNop())
		require.NoError(t, err)
		lo, err := factory.CreateLogs(t.Context(), settings, createDefaultConfig(), consumertest.NewNop())
		require.NoError(t, err)
		for _, c := range []component.Component{tr, lo} {
			require.NoError(t, c.Start(t.Context(), componenttest.NewNopHost()))
		}
		return tr.(*traces), lo.(*logs)
	}
	stop := func(all ...component.Component) {
		for _, c := range all {
			require.NoError(t, c.Shutdown(context.Background()))
		}
	}
	traces1, logs1 := start()
	assert.Same(t, traces1.memory, logs1.memory)

	settings.ID = component.NewIDWithName(metadata.Type, "other")
	traces2, logs2 := start()
	assert.NotSame(t, traces1.memory, traces2.memory)
	stop(traces2, logs2)

	settings.ID = traces1.id
	stop(traces1)
	traces3, logs3 := start()
	assert.Same(t, logs1.memory, traces3.memory, "one of its processors still runs")
	stop(traces3, traces3, logs3)
	stop(logs1)
	traces4, logs4 := start()
	assert.NotSame(t, logs1.memory, traces4.memory, "all had stopped")
	stop(traces4, logs4)
}

// TestAReloadBeginsAnew stops all processors of an ID, as a reload does, and starts others with another configuration.
func TestAReloadBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(benchmarkTime.AsTime()))
		factory, settings, out := NewFactory(), processortest.NewNopSettings(metadata.Type), &collector{}
		first := startPipelinesTo(t, factory, settings, everything(), out)
		require.NoError(t, first.traces.ConsumeTraces(t.Context(), numberedTraces(0)))
		require.NoError(t, first.logs.ConsumeLogs(t.Context(), numberedLogs(1)))
		synctest.Wait()
		assert.Empty(t, out.traces)
		assert.Empty(t, out.logs)
		for _, c := range first.all() {
			require.NoError(t, c.Shutdown(t.Context()))
		}
		assert.Len(t, out.traces, 1)
		assert.Len(t, out.logs, 1)

		second := startPipelinesTo(t, factory, settings, createDefaultConfig(), out)
		require.NoError(t, second.logs.ConsumeLogs(t.Context(), numberedLogs(0)))
		require.Len(t, out.logs, 2, "nothing is held any longer")
		record := out.logs[1].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		assert.Equal(t, map[string]any{attributeMatch: "context"}, record.Attributes().AsRaw(), "nothing is remembered")
	})
}

// TestAtAStopWhatIsHeldGoesOn stops processors that hold batches, in front of all kinds of consumers.
func TestAtAStopWhatIsHeldGoesOn(t *testing.T) {
	const batches = 5
	errDown := errors.New("down")
	unless := func(fine bool, err error) error {
		if fine {
			return nil
		}
		return err
	}
	for name, c := range map[string]struct {
		// answer is what becomes of the nth call.
		answer func(n int) error
		took   time.Duration
		lost   int
	}{
		"taking": {
			answer: func(int) error { return nil },
		},
		"failing for a while": {
			answer: func(n int) error { return unless(n >= 3, errDown) },
			took:   (50 + 100 + 200) * time.Millisecond,
		},
		"refusing one for good": {
			answer: func(n int) error { return unless(n != 1, consumererror.NewPermanent(errDown)) },
			lost:   1,
		},
		"blocking for a while": {
			answer: func(int) error { time.Sleep(8 * time.Second); return nil },
			took:   batches * 8 * time.Second,
		},
		"failing without end": {
			answer: func(int) error { return errDown },
			took:   10 * time.Second,
			lost:   batches,
		},
		"blocking for far too long": {
			answer: func(int) error { time.Sleep(time.Hour); return errDown },
			took:   11 * time.Second,
			lost:   batches,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(benchmarkTime.AsTime()))
				factory, settings := NewFactory(), processortest.NewNopSettings(metadata.Type)
				for _, signal := range []string{"traces", "logs"} {
					out := &answering{answer: c.answer}
					var held component.Component
					var send func(n uint64) error
					switch signal {
					case "traces":
						tr, err := factory.CreateTraces(t.Context(), settings, everything(), out)
						require.NoError(t, err)
						held, send = tr, func(n uint64) error { return tr.ConsumeTraces(t.Context(), numberedTraces(n)) }
					case "logs":
						lo, err := factory.CreateLogs(t.Context(), settings, everything(), out)
						require.NoError(t, err)
						held, send = lo, func(n uint64) error { return lo.ConsumeLogs(t.Context(), numberedLogs(n)) }
					}
					require.NoError(t, held.Start(t.Context(), componenttest.NewNopHost()))
					for n := range uint64(batches) {
						require.NoError(t, send(n))
					}
					synctest.Wait()
					require.Zero(t, out.calls)

					began := time.Now()
					err := held.Shutdown(context.Background())
					assert.Equal(t, c.took, time.Since(began))
					if c.lost > 0 {
						assert.ErrorContains(t, err, strconv.Itoa(c.lost)+" held items are lost")
					} else {
						require.NoError(t, err)
					}
					require.Len(t, out.got, batches-c.lost, "each once")
					assert.IsIncreasing(t, append([]string{""}, out.got...), "in order")
					// Who has blocked must come back before the bubble ends.
					time.Sleep(2 * time.Hour)
				}
			})
		})
	}
}

// answering is a next consumer that takes what it has no error for.
type answering struct {
	answer func(n int) error
	mu     sync.Mutex
	calls  int
	got    []string
}

func (*answering) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (a *answering) ConsumeTraces(_ context.Context, batch ptrace.Traces) error {
	return a.take(batch.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())
}

func (a *answering) ConsumeLogs(_ context.Context, batch plog.Logs) error {
	return a.take(batch.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())
}

func (a *answering) take(name string) error {
	a.mu.Lock()
	n := a.calls
	a.calls++
	a.mu.Unlock()
	if err := a.answer(n); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, name)
	return nil
}

// numberedTraces is a batch with the root span of a trace.
func numberedTraces(n uint64) ptrace.Traces {
	batch := ptrace.NewTraces()
	resource := batch.ResourceSpans().AppendEmpty()
	benchmarkResource(resource.Resource().Attributes(), 0)
	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	trace, id := unheardIDs(n, 0)
	span.SetTraceID(trace)
	span.SetSpanID(id)
	span.SetName(strconv.FormatUint(n, 10))
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	span.SetEndTimestamp(span.StartTimestamp())
	return batch
}

// numberedLogs is a batch with a record of the span with the same number.
func numberedLogs(n uint64) plog.Logs {
	batch := plog.NewLogs()
	resource := batch.ResourceLogs().AppendEmpty()
	benchmarkResource(resource.Resource().Attributes(), 0)
	record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	trace, span := unheardIDs(n, 0)
	record.SetTraceID(trace)
	record.SetSpanID(span)
	record.Body().SetStr(strconv.FormatUint(n, 10))
	return batch
}
