package health

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/scale"
)

const begin = int64(1_700_000_000e9)

// traffic is what comes along an edge.
type traffic struct {
	random *rand.Rand
	// perSlot calls come in a slot, of which a share fails and whose durations have this median (ms) and spread (σ of their logarithm).
	perSlot int
	failing float64
	median  float64
	spread  float64
	// outliers is the share of calls that take half a second.
	outliers float64
}

func newTraffic(seed uint64) *traffic {
	return &traffic{random: rand.New(rand.NewPCG(seed, 1)), perSlot: 50, median: 20, spread: 0.7}
}

func (tr *traffic) slot() *dependency.Recent {
	r := &dependency.Recent{}
	for range tr.perSlot {
		r.Calls++
		r.Squares++
		if tr.random.Float64() < tr.failing {
			r.Failed++
		}
		took := tr.median * math.Exp(tr.spread*tr.random.NormFloat64())
		if tr.random.Float64() < tr.outliers {
			took = 500
		}
		r.Took[scale.Step(int64(took*1e6))]++
	}
	return r
}

// run closes slots and returns the changes, with the number of slots until each.
func run(w *Watch, tr *traffic, now *int64, slots int, expected float64) (changes []Verdict, after []int) {
	for i := range slots {
		if tr.perSlot > 0 {
			w.Add(tr.slot())
		}
		*now += SlotLength
		if v, changed := w.Close(*now, expected); changed {
			changes, after = append(changes, v), append(after, i+1)
		}
	}
	return changes, after
}

func learned(tr *traffic) (*Watch, *int64) {
	w, now := &Watch{}, begin
	run(w, tr, &now, 120, 0)
	return w, &now
}

func TestSteadyTrafficIsHealthy(t *testing.T) {
	for seed := range uint64(40) {
		tr := newTraffic(seed)
		tr.failing = []float64{0, 0.001, 0.05, 0.3}[seed%4]
		tr.perSlot = []int{3, 20, 500}[seed%3]
		w, now := &Watch{}, begin
		changes, _ := run(w, tr, &now, 12*60, 0)
		assert.Empty(t, changes, "an hour, seed %d", seed)
		assert.Equal(t, Healthy, w.Verdict().State)
	}
}

func TestTroubleIsSeenAndGoesBy(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*traffic)
		state  State
		reason Reason
		within int
	}{
		"most calls fail":                     {func(tr *traffic) { tr.failing = 0.8 }, Failing, Errors, 2},
		"one in seven fails":                  {func(tr *traffic) { tr.failing = 0.15 }, Degraded, Errors, 4},
		"calls take three times":              {func(tr *traffic) { tr.median *= 3 }, Degraded, Latency, 4},
		"a third takes very long":             {func(tr *traffic) { tr.spread = 3 }, Degraded, Latency, 4},
		"all take long where some always did": {func(tr *traffic) { tr.median, tr.spread, tr.outliers = 250, 0.1, 0 }, Degraded, Latency, 3},
		"they fail and take long":             {func(tr *traffic) { tr.failing, tr.median = 0.9, 900 }, Failing, Errors, 2},
		"with little traffic":                 {func(tr *traffic) { tr.perSlot, tr.failing = 8, 0.9 }, Failing, Errors, 3},
		"with very little traffic":            {func(tr *traffic) { tr.perSlot, tr.failing = 2, 1 }, Failing, Errors, 6},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				tr := newTraffic(seed)
				if strings.Contains(name, "some always did") {
					tr.outliers = 0.12
				}
				w, now := learned(tr)
				well := *tr
				start := *now
				test.change(tr)
				changes, after := run(w, tr, now, 24, 0)
				if assert.NotEmpty(t, changes, "seed %d", seed) {
					assert.LessOrEqual(t, len(changes), 2, "it may become worse, but does not flap")
					assert.Equal(t, test.state, w.Verdict().State)
					assert.Equal(t, test.reason, w.Verdict().Reason)
					assert.LessOrEqual(t, after[0], test.within)
					assert.InDelta(t, start, changes[0].Onset, float64(3*SlotLength))
				}
				well.perSlot = tr.perSlot
				changes, after = run(w, &well, now, 24, 0)
				if assert.Len(t, changes, 1, "seed %d", seed) {
					assert.Equal(t, Healthy, changes[0].State)
					assert.GreaterOrEqual(t, after[0], calm-2, "not before it has been calm")
				}
			}
		})
	}
}

func TestWhatIsNoTrouble(t *testing.T) {
	for name, change := range map[string]func(*traffic){
		"a little slower":        func(tr *traffic) { tr.median *= 1.15 },
		"a few failures":         func(tr *traffic) { tr.failing = 0.02 },
		"more traffic":           func(tr *traffic) { tr.perSlot *= 20 },
		"faster":                 func(tr *traffic) { tr.median /= 10 },
		"too few calls to judge": func(tr *traffic) { tr.perSlot, tr.failing = 0, 1 },
	} {
		for seed := range uint64(20) {
			tr := newTraffic(seed)
			w, now := learned(tr)
			change(tr)
			changes, _ := run(w, tr, now, 36, 0)
			assert.Empty(t, changes, "%s, seed %d", name, seed)
		}
	}
}

func TestOneBadMomentIsNoTrouble(t *testing.T) {
	tr := newTraffic(1)
	w, now := learned(tr)
	tr.failing = 1
	changes, _ := run(w, tr, now, 1, 0)
	assert.Empty(t, changes)
	tr.failing = 0
	changes, _ = run(w, tr, now, 24, 0)
	assert.Empty(t, changes)
}

// A trace with many calls is one witness, not many.
func TestCallsOfOneTraceAreNotIndependent(t *testing.T) {
	tr := newTraffic(1)
	w, now := learned(tr)
	slow := &dependency.Recent{Calls: 40, Squares: 2 * 20 * 20}
	slow.Took[scale.Step(900e6)] = 40
	for range 2 {
		w.Add(slow)
		*now += SlotLength
		v, changed := w.Close(*now, 0)
		assert.False(t, changed, "%v", v)
	}
}

func TestTroubleDoesNotBecomeUsual(t *testing.T) {
	tr := newTraffic(1)
	w, now := learned(tr)
	tr.failing = 0.6
	changes, _ := run(w, tr, now, 3*3600/5, 0)
	assert.Len(t, changes, 1)
	assert.Equal(t, Failing, w.Verdict().State)
}

func TestLatencyThatStaysIsUsualAfterAnHour(t *testing.T) {
	tr := newTraffic(1)
	w, now := learned(tr)
	tr.median *= 4
	changes, _ := run(w, tr, now, 70*60/5, 0)
	if assert.Len(t, changes, 2) {
		assert.Equal(t, Degraded, changes[0].State)
		assert.Equal(t, Healthy, changes[1].State, "whoever was told that it is slow is told that this is over")
	}
	changes, _ = run(w, tr, now, 60*60/5, 0)
	assert.Empty(t, changes)
	assert.Equal(t, Healthy, w.Verdict().State)
}

func TestLatencyBeyondALimitIsNeverUsual(t *testing.T) {
	tr, now := newTraffic(1), begin
	tr.perSlot = 10
	w := &Watch{Limit: Limit{Duration: 10e6}}
	changes, _ := run(w, tr, &now, 130*60/5, 0)
	assert.Len(t, changes, 1)
	assert.Equal(t, Degraded, w.Verdict().State)
}

// rare are 15 calls a minute: enough to be called failing, and fewer than ten in half a minute.
func rare(w *Watch, tr *traffic, now *int64, slots int) (changes []Verdict) {
	for i := range slots {
		tr.perSlot = 1
		if i%4 == 0 {
			tr.perSlot = 2
		}
		changed, _ := run(w, tr, now, 1, 0)
		changes = append(changes, changed...)
	}
	return changes
}

func TestTroubleOfRareCallsGoesByToo(t *testing.T) {
	w, tr, now := &Watch{}, newTraffic(1), begin
	rare(w, tr, &now, 12*30)
	tr.failing = 1
	rare(w, tr, &now, 12*2)
	assert.Equal(t, Failing, w.Verdict().State)
	tr.failing = 0
	changes := rare(w, tr, &now, 12*2)
	if assert.Len(t, changes, 1, "two minutes of nothing but good calls") {
		assert.Equal(t, Healthy, changes[0].State)
	}
}

func TestTroubleLapsesWithoutCalls(t *testing.T) {
	for name, test := range map[string]struct {
		failing float64
		state   State
	}{
		"it comes back well":   {0, Healthy},
		"it comes back unwell": {1, Failing},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTraffic(1)
			w, now := learned(tr)
			back := *tr
			tr.failing = 1
			run(w, tr, now, 12, 0)
			assert.Equal(t, Failing, w.Verdict().State)
			gone := &traffic{}
			changes, _ := run(w, gone, now, kept-2, 0)
			assert.Empty(t, changes)
			assert.Equal(t, Failing, w.Verdict().State, "there are still calls by which it was")
			changes, _ = run(w, gone, now, 2, 0)
			if assert.Len(t, changes, 1, "whoever was told of it is told that nobody knows any more") {
				assert.Equal(t, Unknown, changes[0].State)
				assert.Equal(t, None, changes[0].Reason)
			}
			changes, _ = run(w, gone, now, kept, 0)
			assert.Empty(t, changes, "once")

			back.failing, back.perSlot = test.failing, 1
			changes, _ = run(w, &back, now, leastCalls-1, 0)
			assert.Empty(t, changes)
			assert.Equal(t, Unknown, w.Verdict().State, "a few calls say nothing")
			back.perSlot = 50
			changes, _ = run(w, &back, now, 12, 0)
			assert.Len(t, changes, 1)
			assert.Equal(t, test.state, w.Verdict().State)
		})
	}
}

// A poller makes two calls at once, and again a minute later: to have none in a minute is nothing that was not to be expected.
func TestWhoCallsOnceAMinuteIsNotSilent(t *testing.T) {
	caller, poller, now := newTraffic(1), newTraffic(2), begin
	caller.perSlot = 10
	var w, front Watch
	for i := range 12 * 60 * 4 {
		if poller.perSlot = 0; i%13 == 0 {
			poller.perSlot = 2
		}
		at := now
		run(&front, caller, &at, 1, 0)
		var expected float64
		if front.Known() {
			expected = w.Rate() / front.Rate() * front.Calls()
		}
		changes, _ := run(&w, poller, &now, 1, expected)
		assert.Empty(t, changes)
	}
	assert.InDelta(t, 2./13, w.Rate(), 0.02)
}

func TestSilence(t *testing.T) {
	tr := newTraffic(1)
	w, now := learned(tr)
	quiet := *tr
	quiet.perSlot = 0
	changes, _ := run(w, &quiet, now, 24, 5)
	assert.Empty(t, changes, "few calls were to be expected")
	run(w, tr, now, 12, 0)
	changes, after := run(w, &quiet, now, 24, 600)
	assert.Equal(t, []int{12}, after)
	assert.Equal(t, Unknown, changes[0].State)
	assert.Equal(t, Silence, changes[0].Reason)
	changes, _ = run(w, tr, now, 12, 600)
	assert.Len(t, changes, 1)
	assert.Equal(t, Healthy, changes[0].State)
}

func TestWithoutCallsNobodyIsHealthy(t *testing.T) {
	tr := newTraffic(1)
	w, now := learned(tr)
	quiet := *tr
	quiet.perSlot = 0
	changes, _ := run(w, &quiet, now, kept-1, 0)
	assert.Equal(t, Healthy, w.Verdict().State)
	run(w, &quiet, now, 1, 0)
	assert.Equal(t, Unknown, w.Verdict().State)
	more, _ := run(w, tr, now, slots, 0)
	assert.Equal(t, Healthy, w.Verdict().State)
	assert.Empty(t, append(changes, more...), "nobody asks")
	run(w, &quiet, now, kept, 0)
	changes, _ = run(w, &quiet, now, kept, 600)
	assert.Len(t, changes, 1, "the caller is back, its calls are not")
	assert.Equal(t, Silence, changes[0].Reason)
}

// A circuit breaker makes a caller silent while what it protects from goes on, but for a probe now and then.
func TestAProbeThatFailsEndsNoSilence(t *testing.T) {
	for name, failing := range map[string]float64{"after trouble": 1, "out of the blue": 0} {
		t.Run(name, func(t *testing.T) {
			tr := newTraffic(1)
			w, now := learned(tr)
			tr.failing = failing
			run(w, tr, now, 6, 600)
			probe := *tr
			probe.perSlot, probe.failing = 0, 1
			run(w, &probe, now, 13, 600)
			assert.Equal(t, Silence, w.Verdict().Reason)
			for i := range 120 {
				probe.perSlot = max(0, i%12-10)
				run(w, &probe, now, 1, 600)
				assert.Equal(t, Unknown, w.Verdict().State)
			}
			tr.failing = 0
			changes, _ := run(w, tr, now, 12, 600)
			assert.Len(t, changes, 1)
			assert.Equal(t, Healthy, changes[0].State)
		})
	}
}

func TestLimits(t *testing.T) {
	tr := newTraffic(1)
	tr.failing = 0.03
	w, now := &Watch{Limit: Limit{FailureRate: 0.01}}, begin
	changes, _ := run(w, tr, &now, 60, 0)
	assert.Len(t, changes, 1)
	assert.Equal(t, Degraded, changes[0].State)

	w = &Watch{Limit: Limit{Duration: 10e6}}
	tr.failing = 0
	changes, _ = run(w, tr, &now, 60, 0)
	assert.Len(t, changes, 1)
	assert.Equal(t, Latency, changes[0].Reason)

	w = &Watch{Limit: Limit{Duration: 1e9, FailureRate: 0.5}}
	changes, _ = run(w, tr, &now, 60, 0)
	assert.Empty(t, changes)
}

// docs/health.md has this table: of a dependency whose calls never failed, after how many slots it is told, or 0, that a share of them
// does, by its past and by limits.
func TestALimitIsSlowerThanThePast(t *testing.T) {
	for _, row := range []struct {
		failing              float64
		past, two, ten, half int
	}{
		{1, 2, 1, 2, 7},
		{0.3, 2, 1, 5, 0},
		{0.08, 8, 4, 0, 0},
	} {
		for i, limit := range []float64{0, 0.02, 0.1, 0.5} {
			var within int
			for seed := range uint64(5) {
				tr := newTraffic(seed)
				tr.perSlot = 500
				w, now := &Watch{Limit: Limit{FailureRate: limit}}, begin
				run(w, tr, &now, 120, 0)
				tr.failing = row.failing
				_, after := run(w, tr, &now, 24, 0)
				if len(after) > 0 {
					within = max(within, after[0])
				}
			}
			assert.Equal(t, []int{row.past, row.two, row.ten, row.half}[i], within, "%g failing, limit %g", row.failing, limit)
		}
	}
}

func TestALimitStaysWhateverIsLearned(t *testing.T) {
	tr, now := newTraffic(1), begin
	w := &Watch{Limit: Limit{Duration: 1e9}}
	for range 10 * slots {
		run(w, tr, &now, 1, 0)
		assert.Equal(t, scale.Upper(scale.Step(1e9)), w.SlowFrom())
	}
}

func TestTheLongestLimitCanBeExceeded(t *testing.T) {
	w, now := &Watch{Limit: Limit{Duration: LongestLimit() - 1}}, begin
	changes, _ := run(w, &traffic{random: newTraffic(1).random, perSlot: 10, median: 40_000_000}, &now, 60, 0)
	assert.Len(t, changes, 1)
	assert.Equal(t, Degraded, w.Verdict().State)
}

func BenchmarkClose(b *testing.B) {
	tr := newTraffic(1)
	w, now := learned(tr)
	r := tr.slot()
	b.ReportAllocs()
	for b.Loop() {
		w.Add(r)
		*now += SlotLength
		w.Close(*now, 0)
	}
}
