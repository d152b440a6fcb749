package engine

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/snapshot"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/storagetest"
)

// watching is an engine with ten objectives that are kept apart by route and have the default alerts.
func watching(t testing.TB) *Engine {
	var alerts []openslo.Alert
	for _, a := range []struct {
		severity    string
		long, short time.Duration
		rate        float64
	}{
		{"page", time.Hour, 5 * time.Minute, 14.4},
		{"page", 6 * time.Hour, 30 * time.Minute, 6},
		{"ticket", 24 * time.Hour, 2 * time.Hour, 3},
		{"ticket", 72 * time.Hour, 6 * time.Hour, 1},
	} {
		alerts = append(alerts, openslo.Alert{Severity: a.severity, Long: a.long, Short: a.short, BurnRate: a.rate, AnnounceResolved: true})
	}
	objectives := make([]openslo.Objective, 10)
	for i := range objectives {
		objectives[i] = openslo.Objective{
			Name: strconv.Itoa(i), Service: openslo.Service{Name: "front"}, Target: 0.99, Window: 30 * 24 * time.Hour, Conditions: alerts,
			GroupBy:   []string{"http.route"},
			Indicator: openslo.Indicator{Signal: openslo.Traces, Service: openslo.Service{Name: "front"}, Good: openslo.Expression{Text: "name == \"x\""}},
		}
	}
	binder, err := sli.Compile(objectives, componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	return New(Settings{
		TraceWindow: 10 * time.Second, MaxSpans: 1000, MaxEdges: 10, MaxEdgesPerCaller: 10, Silence: time.Hour, FlushInterval: 15 * time.Second,
		Late: 5 * time.Minute, Objectives: objectives, Binder: binder, SnapshotInterval: 10 * time.Second, Logger: zap.NewNop(),
	}, &told{})
}

// restored is such an engine with the state of a storage.
func restored(t testing.TB, c storagetest.Client, now int64) *Engine {
	e := watching(t)
	store, values, asides, err := snapshot.Open(context.Background(), c, uint64(now))
	require.NoError(t, err)
	require.Empty(t, asides)
	require.NoError(t, e.Restore(context.Background(), store, values, now))
	return e
}

const groupsOfEach = 1000

// fill makes all windows of all groups have events in each of their buckets.
func (e *Engine) fill(t testing.TB, begin int64) (now int64) {
	keys := e.keys(t)
	const month, slots = int64(30 * 24 * time.Hour), 60
	// Each window in turn, the longest first, so that a bucket of each has something.
	now = begin + month
	for _, window := range []time.Duration{
		720 * time.Hour, 72 * time.Hour, 24 * time.Hour, 6 * time.Hour, 2 * time.Hour, time.Hour, 30 * time.Minute, 5 * time.Minute,
	} {
		for i := range int64(slots) {
			at := now - int64(window) + i*int64(window)/slots
			for n, key := range keys {
				e.objectives.ledger.AddCounts(key, at, 1000+uint64(n), 1+rand.Uint64N(3))
			}
		}
	}
	return now
}

func (e *Engine) keys(t testing.TB) []ledger.Key {
	var keys []ledger.Key
	for objective := range uint32(len(e.objectives.documents)) {
		for n := range groupsOfEach {
			group, ok := e.objectives.binder.Group(objective, []string{"/route/" + strconv.Itoa(n)})
			require.True(t, ok)
			keys = append(keys, ledger.Key{Objective: objective, Group: group})
		}
	}
	return keys
}

const begin = 1_700_000_000 * second

func TestOnlyWhatChangedIsSaved(t *testing.T) {
	c := storagetest.Client{}
	e := restored(t, c, begin)
	e.objectives.ledger.Begin(begin)
	keys := e.keys(t)[:200]
	for _, key := range keys {
		e.objectives.ledger.AddCounts(key, begin, 5, 0)
	}
	e.keep(t.Context(), begin+5*second, false)
	assert.Empty(t, c, "it is not time")
	e.keep(t.Context(), begin+10*second, false)
	assert.Len(t, c, 1+len(keys))
	e.objectives.ledger.AddCounts(keys[7], begin, 1, 0)
	changes, _, _ := e.changed(e.state.Load(), begin)
	require.Len(t, changes, 1)
	assert.Equal(t, 7, changes[0].Slot)
	again := restored(t, c, begin+20*second)
	read := 0
	again.objectives.ledger.Each(begin, func(r ledger.Reading) {
		read++
		assert.Equal(t, uint64(5), r.Total.Good)
		assert.Equal(t, begin, r.Since)
	})
	assert.Equal(t, len(keys), read)
}

func FuzzRestore(f *testing.F) {
	c := storagetest.Client{}
	e := restored(f, c, begin)
	key := e.keys(f)[3]
	e.objectives.ledger.AddCounts(key, begin, 5, 7)
	e.objectives.dossier(key).blamed[charge{}] = 7
	a := account{id: e.objectives.ids[key.Objective], group: e.objectives.binder.GroupValues(key.Objective, key.Group), until: begin}
	f.Add(e.objectives.put(0, key, a.put(nil), e.names))
	f.Fuzz(func(_ *testing.T, value []byte) {
		r := snapshot.NewReader(value)
		a := takeAccount(r)
		o := newObjectives(e.settings, e.names)
		if taken, err := o.take(0, &a, r, e.names, begin); err != nil || !taken {
			return
		}
		o.ledger.Evaluate(begin)
		o.put(0, ledger.Key{}, a.put(nil), e.names)
	})
}

func BenchmarkEvaluate(b *testing.B) {
	e := watching(b)
	now := e.fill(b, begin)
	keys := e.keys(b)
	e.objectives.ledger.Evaluate(now - 10*second)
	b.Run("busy", func(b *testing.B) {
		b.ReportAllocs()
		var evaluating time.Duration
		for b.Loop() {
			now += second
			for _, key := range keys {
				e.objectives.ledger.AddCounts(key, now, 10, 0)
			}
			from := time.Now()
			e.objectives.ledger.Evaluate(now - 10*second)
			evaluating += time.Since(from)
		}
		b.ReportMetric(float64(evaluating.Nanoseconds())/float64(b.N*len(keys)), "ns/account")
	})
	b.Run("idle", func(b *testing.B) {
		now += int64(200 * time.Hour)
		e.objectives.ledger.Evaluate(now)
		b.ReportAllocs()
		for b.Loop() {
			now += second
			e.objectives.ledger.Evaluate(now)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(keys)), "ns/account")
	})
}

func BenchmarkSnapshot(b *testing.B) {
	e := restored(b, storagetest.Client{}, begin)
	e.fill(b, begin)
	size := 0
	for b.Loop() {
		changes, numbers, _ := e.changed(e.state.Load(), begin)
		size = 0
		for i, change := range changes {
			size += len(change.Value)
			e.objectives.ledger.Touch(numbers[i])
		}
	}
	b.ReportMetric(float64(size), "bytes")
}

// BenchmarkMemory says what 10,000 groups take of the heap, all of whose windows are filled, that have had a single event, and of
// whose events none is in any window any more.
func BenchmarkMemory(b *testing.B) {
	for name, use := range map[string]func(*Engine){
		"filled": func(e *Engine) { e.objectives.ledger.Evaluate(e.fill(b, begin)) },
		"one event": func(e *Engine) {
			for _, key := range e.keys(b) {
				e.objectives.ledger.AddCounts(key, begin, 1, 0)
			}
			e.objectives.ledger.Evaluate(begin)
			e.objectives.ledger.Each(begin, func(ledger.Reading) {})
		},
		"none left": func(e *Engine) {
			for _, key := range e.keys(b) {
				e.objectives.ledger.AddCounts(key, begin, 1, 0)
			}
			for _, at := range []int64{begin, begin + int64(1000*time.Hour)} {
				e.objectives.ledger.Evaluate(at)
				e.objectives.ledger.Each(at, func(ledger.Reading) {})
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				e := watching(b)
				keys := len(e.keys(b))
				runtime.GC()
				runtime.ReadMemStats(&before)
				use(e)
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(e)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(keys), "bytes/account")
			}
		})
	}
}
