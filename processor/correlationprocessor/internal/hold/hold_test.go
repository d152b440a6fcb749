package hold

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

const wait = time.Second

var (
	errDown    = errors.New("down")
	errRefused = consumererror.NewPermanent(errors.New("refused"))
)

// rig is a queue with all that is around it, in fake time.
type rig struct {
	*Queue[plog.Logs]
	began time.Time
	// send is what the next consumer does; it takes everything if there is nothing else to do.
	send func(ctx context.Context, batch plog.Logs) error

	mu       sync.Mutex
	got      []delivery
	released []Reason
	waited   []time.Duration
	prepared int
	lost     int
	why      error
}

// delivery is what was delivered, and when.
type delivery struct {
	bodies string
	at     time.Duration
}

func newRig(maxBytes int64) *rig {
	r := &rig{began: time.Now()}
	r.send = func(_ context.Context, batch plog.Logs) error { r.deliver(batch); return nil }
	r.Queue = NewLogs(Settings[plog.Logs]{
		Hold:   wait,
		Budget: NewBudget(maxBytes),
		Send:   func(ctx context.Context, batch plog.Logs) error { return r.send(ctx, batch) },
		Released: func(reason Reason, waited int64) {
			// Senders tell it as well as the queue.
			r.mu.Lock()
			defer r.mu.Unlock()
			r.released, r.waited = append(r.released, reason), append(r.waited, time.Duration(waited))
		},
		Lost: func(items int, err error) { r.lost, r.why = r.lost+items, err },
	})
	r.Start()
	return r
}

func (r *rig) deliver(batch plog.Logs) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, delivery{bodies(batch), time.Since(r.began)})
}

func (r *rig) add(t *testing.T, text string, ready func() bool) {
	t.Helper()
	batch := batch(text)
	require.True(t, r.Add(t.Context(), batch, Wait{Ready: ready, Prepare: func(context.Context) {
		r.prepared++
		batch.ResourceLogs().At(0).Resource().Attributes().PutInt("prepared", time.Now().UnixNano())
	}}))
}

// until is what somebody waits for who has nothing to do then.
func until(ready func() bool) Wait {
	return Wait{Ready: ready, Prepare: func(context.Context) {}}
}

// stop expects that nothing is lost and nothing left.
func (r *rig) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, r.Shutdown(t.Context()))
	assert.Zero(t, r.lost)
	assert.Zero(t, r.Held())
}

// batch has a record for each letter.
func batch(text string) plog.Logs {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, letter := range text {
		records.AppendEmpty().Body().SetStr(string(letter))
	}
	return logs
}

func bodies(logs plog.Logs) (text string) {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				text += record.Body().Str()
			}
		}
	}
	return text
}

// ruin does to a batch what a consumer may do to it.
func ruin(batch plog.Logs) {
	batch.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
}

func TestABatchGoesOnWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		r.add(t, "abc", nil)
		time.Sleep(wait / 4)
		r.add(t, "d", func() bool { return false })
		time.Sleep(2 * wait)
		synctest.Wait()
		assert.Equal(t, []delivery{{"abc", wait}, {"d", wait * 5 / 4}}, r.got)
		assert.Equal(t, []Reason{Due, Due}, r.released)
		assert.Equal(t, []time.Duration{wait, wait}, r.waited)
		assert.Equal(t, 2, r.prepared)
		assert.Zero(t, r.Held())
		r.stop(t)
	})
}

func TestABatchGoesOnWhenNothingIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		tick := wait / ticks
		asked := 0
		r.add(t, "a", func() bool { asked++; return false })
		complete := time.Now().Add(3*tick + 1)
		r.add(t, "b", func() bool { return !time.Now().Before(complete) })
		time.Sleep(wait / 2)
		synctest.Wait()
		assert.Equal(t, []delivery{{"b", 4 * tick}}, r.got, "it overtakes what waits longer")
		assert.Equal(t, []Reason{Ready}, r.released)
		assert.LessOrEqual(t, asked, 11, "once at most every tick")
		r.stop(t)
		assert.Equal(t, "a", r.got[1].bodies)
	})
}

func TestACompleteBatchDoesNotWaitInAnEmptyQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		r.add(t, "a", func() bool { return true })
		synctest.Wait()
		assert.Equal(t, []delivery{{"a", 0}}, r.got)
		r.stop(t)
	})
}

// TestAnyBatchMayBeReadyFirst takes batches out of the line at every place, while others reach their end.
func TestAnyBatchMayBeReadyFirst(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		const count = 500
		for range count {
			complete := time.Now().Add(time.Duration(random.Int64N(int64(2 * wait))))
			r.add(t, "x", func() bool { return !time.Now().Before(complete) })
			time.Sleep(time.Duration(random.Int64N(int64(wait / 100))))
		}
		time.Sleep(wait)
		synctest.Wait()
		assert.Len(t, r.got, count)
		for _, waited := range r.waited {
			require.LessOrEqual(t, waited, wait)
		}
		assert.Contains(t, r.released, Ready)
		assert.Contains(t, r.released, Due)
		r.stop(t)
	})
}

// TestABatchGoesOnOnceThoughItIsDueAndReady lets a batch come to its end while the one ahead of it, which was ready, is on
// its way.
func TestABatchGoesOnOnceThoughItIsDueAndReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		r.send = func(_ context.Context, batch plog.Logs) error {
			r.deliver(batch)
			if bodies(batch) == "a" {
				time.Sleep(wait)
			}
			return nil
		}
		yes := func() bool { return true }
		r.add(t, "a", yes)
		r.add(t, "b", yes)
		time.Sleep(wait / 2)
		r.add(t, "c", nil)
		time.Sleep(2 * wait)
		synctest.Wait()
		require.Len(t, r.got, 3)
		assert.Equal(t, "abc", r.got[0].bodies+r.got[1].bodies+r.got[2].bodies)
		assert.Equal(t, []Reason{Ready, Due, Due}, r.released)
		r.stop(t)
	})
}

func TestAFullQueueTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, each := measureLogs(batch("a"))
		r := newRig(2 * each)
		r.add(t, "a", nil)
		r.add(t, "b", nil)
		assert.Equal(t, Amount{Batches: 2, Items: 2, Bytes: 2 * each}, r.Held())
		assert.False(t, r.Add(t.Context(), batch("c"), until(nil)))
		r.mu.Lock()
		assert.Equal(t, []Reason{Full}, r.released)
		r.mu.Unlock()
		time.Sleep(wait)
		synctest.Wait()
		r.add(t, "d", nil)
		assert.False(t, r.Add(t.Context(), batch("more than will ever fit, however empty it is"), until(nil)))
		r.stop(t)
		assert.Equal(t, "abd", r.got[0].bodies+r.got[1].bodies+r.got[2].bodies)
	})
}

func TestQueuesOfOneBudgetShareIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, each := measureLogs(batch("a"))
		a, b := newRig(3*each), newRig(0)
		b.Budget = a.Budget
		a.add(t, "a", nil)
		b.add(t, "b", nil)
		a.add(t, "c", nil)
		assert.Equal(t, 3*each, a.Budget.Used())
		assert.False(t, b.Add(t.Context(), batch("d"), until(nil)))
		time.Sleep(wait)
		synctest.Wait()
		assert.Zero(t, a.Budget.Used())
		b.add(t, "e", nil)
		a.stop(t)
		b.stop(t)
	})
}

func TestWhatIsKnownAboutTheSenderIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, each := measureLogs(batch("a"))
		r := newRig(2 * each)
		ctx := client.NewContext(t.Context(), client.Info{
			Metadata: client.NewMetadata(map[string][]string{"tenant": {strings.Repeat("x", int(2*each))}}),
		})
		assert.False(t, r.Add(ctx, batch("a"), until(nil)), "metadata are held, too")
		r.stop(t)
	})
}

func TestOnlyARunningQueueTakesBatches(t *testing.T) {
	q := NewLogs(Settings[plog.Logs]{Hold: wait, Budget: NewBudget(1 << 20)})
	assert.False(t, q.Add(t.Context(), batch("a"), until(nil)))
	require.NoError(t, q.Shutdown(t.Context()))

	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		r.stop(t)
		assert.False(t, r.Add(t.Context(), batch("a"), until(nil)))
		require.NoError(t, r.Shutdown(t.Context()), "a second time")
	})
}

func TestAFailedBatchIsSentAgainAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		var attempts []time.Duration
		r.send = func(_ context.Context, batch plog.Logs) error {
			attempts = append(attempts, time.Since(r.began))
			_, prepared := batch.ResourceLogs().At(0).Resource().Attributes().Get("prepared")
			assert.True(t, prepared)
			if len(attempts) < 10 {
				ruin(batch)
				return errDown
			}
			r.deliver(batch)
			return nil
		}
		r.add(t, "abc", nil)
		r.add(t, "d", nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		const ms = time.Millisecond
		for i, pause := range []time.Duration{
			wait, 50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms,
		} {
			before := time.Duration(0)
			if i > 0 {
				before = attempts[i-1]
			}
			assert.Equal(t, pause, attempts[i]-before, "attempt %d", i)
		}
		assert.Equal(t, []delivery{{"abc", attempts[9]}, {"d", attempts[9]}}, r.got, "each once, in order")
		assert.Equal(t, 2, r.prepared)
		assert.Len(t, r.released, 2)
		assert.Equal(t, wait, r.waited[0], "what the next consumer takes is not counted")
		r.stop(t)
	})
}

func TestOnlyWhatHasFailedIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, given := range map[string]struct {
			failed string
			again  string
		}{
			"a part":             {"bd", "bd"},
			"all":                {"abcde", "abcde"},
			"nothing":            {"", "abcde"},
			"more than was sent": {"abcdef", "abcde"},
		} {
			r := newRig(1 << 20)
			r.send = func(_ context.Context, all plog.Logs) error {
				r.deliver(all)
				if len(r.got) > 1 {
					return nil
				}
				ruin(all)
				failed := batch(given.failed)
				failed.MarkReadOnly()
				return fmt.Errorf("the exporter: %w", consumererror.NewLogs(errDown, failed))
			}
			r.add(t, "abcde", nil)
			time.Sleep(2 * wait)
			synctest.Wait()
			require.Len(t, r.got, 2, name)
			assert.Equal(t, given.again, r.got[1].bodies, name)
			r.stop(t)
		}
	})
}

func TestWhatFailsForGoodIsLostAndSaidToBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		r.send = func(_ context.Context, batch plog.Logs) error {
			if bodies(batch) == "abc" {
				return errRefused
			}
			r.deliver(batch)
			return nil
		}
		r.add(t, "abc", nil)
		r.add(t, "d", nil)
		time.Sleep(wait)
		synctest.Wait()
		assert.Equal(t, []delivery{{"d", wait}}, r.got)
		assert.Equal(t, 3, r.lost)
		assert.ErrorIs(t, r.why, errRefused)
		assert.Zero(t, r.Held())
		require.NoError(t, r.Shutdown(t.Context()))
	})
}

func TestABatchThatNeverPassesDoesNotStandInTheWayForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		r.send = func(_ context.Context, batch plog.Logs) error {
			if bodies(batch) == "abc" {
				return errDown
			}
			r.deliver(batch)
			return nil
		}
		r.add(t, "abc", nil)
		r.add(t, "d", nil)
		time.Sleep(wait + maxRetry)
		synctest.Wait()
		require.Len(t, r.got, 1)
		assert.InDelta(t, wait+maxRetry, r.got[0].at, float64(maxPause))
		assert.Equal(t, 3, r.lost)
		require.NoError(t, r.Shutdown(t.Context()))
	})
}

func TestAnErrorOfSeveralConsumers(t *testing.T) {
	partial := func(text string) error { return consumererror.NewLogs(errDown, batch(text)) }
	for name, given := range map[string]struct {
		err   error
		data  string
		retry bool
	}{
		"one refuses, one is down":        {errors.Join(errRefused, errDown), "", true},
		"all refuse":                      {errors.Join(errRefused, errRefused), "", false},
		"one refuses, one lacks a part":   {errors.Join(errRefused, partial("a")), "a", true},
		"one is down, one lacks a part":   {errors.Join(errDown, partial("a")), "", true},
		"two lack a part each":            {errors.Join(partial("a"), partial("b")), "", true},
		"a part is refused":               {consumererror.NewPermanent(partial("a")), "", false},
		"nothing is wrong":                {nil, "", false},
		"one is down":                     {errDown, "", true},
		"one is down, further downstream": {consumererror.NewDownstream(errDown), "", true},
	} {
		failed, partial, retry := judge(given.err, NewLogs(Settings[plog.Logs]{}).signal.failed)
		assert.Equal(t, given.retry, retry, name)
		assert.Equal(t, given.data != "", partial, name)
		if partial {
			assert.Equal(t, given.data, bodies(failed), name)
		}
	}
}

func TestABlockedConsumerHoldsUpNoSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		open := make(chan struct{})
		r.send = func(_ context.Context, batch plog.Logs) error { <-open; r.deliver(batch); return nil }
		r.add(t, "a", nil)
		time.Sleep(wait)
		synctest.Wait()
		taken := 1
		for r.Add(t.Context(), batch("x"), until(nil)) {
			taken++
		}
		assert.Greater(t, taken, 500)
		assert.Equal(t, taken, r.Held().Batches, "what is on its way counts too")
		time.Sleep(wait)
		close(open)
		synctest.Wait()
		assert.Len(t, r.got, taken)
		r.stop(t)
	})
}

func TestAtAStopEverythingGoesOnInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		for _, text := range []string{"a", "b", "c", "d"} {
			r.add(t, text, func() bool { return false })
		}
		r.stop(t)
		assert.Equal(t, []delivery{{"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}}, r.got)
		assert.Equal(t, []Reason{Shutdown, Shutdown, Shutdown, Shutdown}, r.released)
	})
}

func TestAStopTriesForAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		up := r.began.Add(7 * time.Second)
		var order string
		r.send = func(_ context.Context, batch plog.Logs) error {
			text := bodies(batch)
			ruin(batch)
			if time.Now().Before(up) {
				return errDown
			}
			order += text
			return nil
		}
		for _, text := range []string{"abc", "d", "e"} {
			r.add(t, text, nil)
		}
		time.Sleep(wait + 10*time.Millisecond)
		r.stop(t)
		assert.Equal(t, "abcde", order)
	})
}

func TestAStopCutsAPauseShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		down := true
		r.send = func(_ context.Context, batch plog.Logs) error {
			if down {
				return errDown
			}
			r.deliver(batch)
			return nil
		}
		r.add(t, "a", nil)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		down = false
		began := time.Now()
		r.stop(t)
		assert.Zero(t, time.Since(began))
		assert.Len(t, r.got, 1)
	})
}

func TestAStopEndsWithItsContext(t *testing.T) {
	for name, send := range map[string]func(context.Context, plog.Logs) error{
		"failing":  func(context.Context, plog.Logs) error { return errDown },
		"blocking": func(ctx context.Context, _ plog.Logs) error { <-ctx.Done(); return ctx.Err() },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(1 << 20)
			r.send = send
			r.add(t, "abc", nil)
			r.add(t, "d", nil)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			assert.EqualError(t, r.Shutdown(ctx), "4 held items are lost", name)
			assert.Equal(t, 2*time.Second, time.Since(r.began), name)
			assert.Equal(t, 4, r.lost, name)
			assert.ErrorIs(t, r.why, ErrStopped, name)
			assert.Zero(t, r.Held(), name)
		})
	}
}

func TestAStopEndsWhenNothingMovesAnyLonger(t *testing.T) {
	slow := func(r *rig, needs time.Duration) {
		r.send = func(ctx context.Context, batch plog.Logs) error {
			select {
			case <-time.After(needs):
				r.deliver(batch)
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for range 5 {
			r.add(t, "a", nil)
		}
		time.Sleep(wait)
	}
	// More than once, since much ends at the same time.
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(1 << 20)
			slow(r, time.Hour)
			assert.EqualError(t, r.Shutdown(t.Context()), "5 held items are lost")
			assert.Equal(t, wait+maxStandstill, time.Since(r.began))
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		slow(r, maxStandstill-time.Second)
		r.stop(t)
		assert.Len(t, r.got, 5)
	})
}

// TestMemoryIsReferredToWhileItIsHeld has a pipeline around the queue that counts who refers to a batch, and panics if
// anybody lets go of what is free already.
func TestMemoryIsReferredToWhileItIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		attempts := 0
		consume := r.send
		r.send = func(ctx context.Context, batch plog.Logs) error {
			if pref.MarkPipelineOwnedLogs(batch) {
				defer pref.UnrefLogs(batch)
			}
			if attempts++; attempts < 3 {
				return errDown
			}
			return consume(ctx, batch)
		}
		sent := batch("a")
		require.True(t, pref.MarkPipelineOwnedLogs(sent))
		require.True(t, r.Add(t.Context(), sent, until(nil)))
		pref.UnrefLogs(sent)
		time.Sleep(2 * wait)
		synctest.Wait()
		assert.Len(t, r.got, 1)
		assert.Panics(t, func() { pref.UnrefLogs(sent) }, "nobody refers to it any longer")
		r.stop(t)
	})
}

func TestAStopDoesNotWaitForWhatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		open := make(chan struct{})
		r.send = func(context.Context, plog.Logs) error { <-open; return nil }
		r.add(t, "ab", nil)
		r.add(t, "c", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.EqualError(t, r.Shutdown(ctx), "the next consumer does not return, and 3 held items are lost")
		close(open)
		synctest.Wait()
		assert.Equal(t, 1, r.lost, "the first one went on after all")
	})
}

func TestTheSendersContextOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(1 << 20)
		var tenant []string
		var ended error
		var inherited context.Context
		r.send = func(ctx context.Context, _ plog.Logs) error {
			tenant, ended = client.FromContext(ctx).Metadata.Get("tenant"), ctx.Err()
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			inherited = ctx
			assert.NoError(t, child.Err())
			return nil
		}
		ctx, cancel := context.WithCancel(client.NewContext(t.Context(), client.Info{
			Metadata: client.NewMetadata(map[string][]string{"tenant": {"shop"}}),
		}))
		require.True(t, r.Add(ctx, batch("a"), until(nil)))
		cancel()
		time.Sleep(wait)
		synctest.Wait()
		assert.Equal(t, []string{"shop"}, tenant)
		assert.NoError(t, ended)
		r.stop(t)
		assert.ErrorIs(t, inherited.Err(), context.Canceled, "it ends with the queue")
	})
}

// TestNothingIsLostOrDoubled has many senders, and a consumer that takes all, some or nothing of a batch, ruins what it
// got, refuses for good, and is slow.
func TestNothingIsLostOrDoubled(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			taken, delivered, lost := map[string]bool{}, map[string]int{}, 0
			q := NewTraces(Settings[ptrace.Traces]{
				Hold:     wait,
				Budget:   NewBudget(60_000),
				Released: func(_ Reason, _ int64) {},
				Lost:     func(items int, _ error) { lost += items },
				Send: func(_ context.Context, batch ptrace.Traces) error {
					time.Sleep(time.Duration(random.Int64N(int64(wait / 10))))
					failed, last := ptrace.NewTraces(), ""
					left := failed.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
					kind := random.IntN(8)
					for _, resource := range batch.ResourceSpans().All() {
						for _, scope := range resource.ScopeSpans().All() {
							for _, span := range scope.Spans().All() {
								assert.Less(t, last, span.Name(), "in order")
								last = span.Name()
								if kind == 0 || kind == 1 || kind == 2 && random.IntN(2) == 0 {
									span.MoveTo(left.AppendEmpty())
									continue
								}
								delivered[span.Name()]++
							}
						}
					}
					batch.ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { return true })
					switch {
					case kind == 0:
						return errRefused
					case kind == 1:
						return errDown
					case kind == 2 && left.Len() > 0:
						return consumererror.NewTraces(errDown, failed)
					default:
						return nil
					}
				},
			})
			q.Start()
			var mu sync.Mutex
			var senders sync.WaitGroup
			for sender := range 4 {
				delays := rand.New(rand.NewPCG(seed, uint64(sender)))
				senders.Go(func() {
					for n := range 100 {
						traces := ptrace.NewTraces()
						spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
						var mine []string
						for i := range delays.IntN(9) {
							name := fmt.Sprintf("%d %03d %03d", sender, n, i)
							mine = append(mine, name)
							spans.AppendEmpty().SetName(name)
						}
						complete := time.Now().Add(time.Duration(delays.Int64N(int64(2 * wait))))
						if q.Add(t.Context(), traces, until(func() bool { return time.Now().After(complete) })) {
							mu.Lock()
							for _, name := range mine {
								taken[name] = true
							}
							mu.Unlock()
						}
						time.Sleep(time.Duration(delays.Int64N(int64(wait / 5))))
					}
				})
			}
			senders.Wait()
			err := q.Shutdown(t.Context())
			if err != nil {
				assert.ErrorContains(t, err, "held items are lost")
			}
			assert.Zero(t, q.Held())
			for name, times := range delivered {
				assert.Equal(t, 1, times, name)
				assert.True(t, taken[name], name)
			}
			assert.Equal(t, len(taken), len(delivered)+lost)
			assert.Positive(t, lost)
			assert.Greater(t, len(delivered), lost)
		})
	}
}

// TestSendersDoNotRace has nothing but the race detector to please.
func TestSendersDoNotRace(t *testing.T) {
	delivered := 0
	q := NewLogs(Settings[plog.Logs]{
		Hold:     3 * time.Millisecond,
		Budget:   NewBudget(1 << 20),
		Released: func(Reason, int64) {},
		Lost:     func(int, error) {},
		Send:     func(_ context.Context, batch plog.Logs) error { delivered += batch.LogRecordCount(); return nil },
	})
	q.Start()
	var senders sync.WaitGroup
	accepted := make([]int, 8)
	for sender := range accepted {
		senders.Go(func() {
			for n := range 2000 {
				if q.Add(t.Context(), batch("a"), until(func() bool { return n%2 == 0 })) {
					accepted[sender]++
				}
				assert.LessOrEqual(t, q.Held().Bytes, int64(1<<20))
			}
		})
	}
	senders.Wait()
	require.NoError(t, q.Shutdown(t.Context()))
	total := 0
	for _, count := range accepted {
		total += count
	}
	assert.Equal(t, total, delivered)
}
