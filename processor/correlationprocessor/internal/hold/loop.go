package hold

import (
	"context"
	"time"
)

// loop owns the batches from their arrival on.
type loop[T any] struct {
	*Queue[T]
	tick time.Duration

	// The batches stand in the order of their arrival, and so of their end, since all wait equally long.
	first, last *waiting[T]
	// asked is the next batch that is asked whether it is ready, until all were asked, and nextAsk when that begins anew.
	asked   *waiting[T]
	nextAsk time.Time

	// stopping turns true when stop is seen to be closed.
	stopping bool
	timer    *time.Timer
}

func newLoop[T any](q *Queue[T]) *loop[T] {
	timer := time.NewTimer(0)
	timer.Stop()
	return &loop[T]{Queue: q, tick: min(max(q.Hold/ticks, minTick), maxTick), timer: timer}
}

func (l *loop[T]) run() {
	defer close(l.done)
	for {
		l.take()
		now := time.Now()
		batch, reason, wait := l.pick(now)
		switch {
		case batch != nil:
			l.release(now, batch, reason)
		case l.stopping:
			return
		default:
			l.sleep(wait, l.arrival)
		}
	}
}

// take puts what has arrived behind what waits. Once the queue is seen to stop, nothing arrives any longer.
func (l *loop[T]) take() {
	l.notice()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.arrived {
		w.previous = l.last
		if l.last != nil {
			l.last.next = w
		} else {
			l.first = w
		}
		l.last = w
	}
	clear(l.arrived)
	l.arrived = l.arrived[:0]
}

// pick decides which batch goes on now, or how long to wait for one. Without any batch that is zero: until one arrives.
func (l *loop[T]) pick(now time.Time) (*waiting[T], Reason, time.Duration) {
	if l.first == nil {
		return nil, 0, 0
	}
	if l.stopping {
		return l.first, Shutdown, 0
	}
	left := l.Hold - now.Sub(l.first.since)
	if left <= 0 {
		return l.first, Due, 0
	}
	if l.asked == nil {
		if wait := l.nextAsk.Sub(now); wait > 0 {
			return nil, 0, min(left, wait)
		}
		l.asked = l.first
	}
	// Counted from the end of a round: however long one takes, there is a tick without.
	l.nextAsk = now.Add(l.tick)
	for l.asked != nil {
		w := l.asked
		l.asked = w.next
		if w.wait.Ready != nil && w.wait.Ready() {
			return w, Ready, 0
		}
	}
	return nil, 0, min(left, l.tick)
}

// release lets a batch go on, for good.
func (l *loop[T]) release(now time.Time, w *waiting[T], reason Reason) {
	l.remove(w)
	if l.life.Err() != nil {
		l.lose(w.items, ErrStopped)
		l.signal.unref(w.batch)
	} else {
		ctx := w.sender.context(l.life)
		l.Released(reason, int64(now.Sub(w.since)))
		w.wait.Prepare(ctx)
		l.send(ctx, w.batch)
	}
	if l.notice(); l.stopping && l.life.Err() == nil {
		l.standstill.Reset(maxStandstill)
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.held.Batches--
	l.held.Items -= w.items
	l.held.Bytes -= w.bytes
	l.Budget.give(w.bytes)
}

func (l *loop[T]) remove(w *waiting[T]) {
	if l.asked == w {
		l.asked = w.next
	}
	if w.previous != nil {
		w.previous.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.previous = w.previous
	} else {
		l.last = w.previous
	}
	w.previous, w.next = nil, nil
}

// send hands a batch on until it has passed, as a whole or part by part, or never will. Whoever gets a batch may change
// it and fail all the same, and nothing tells whether somebody further down does. Therefore what is sent is kept in its
// encoded form, which is cheaper than a copy, and decoded only if it must be sent again.
func (l *loop[T]) send(ctx context.Context, batch T) {
	began := time.Now()
	items, encoded := l.signal.count(batch), l.signal.encode(batch)
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := l.Send(ctx, batch)
		failed, partial, retry := judge(err, l.signal.failed)
		if partial {
			// More than was sent, or nothing, cannot be what has failed of it.
			if left := l.signal.count(failed); left > 0 && left <= items {
				items, encoded = left, l.signal.encode(failed)
			}
		}
		l.signal.unref(batch)
		if err == nil {
			return
		}
		if !retry || time.Since(began)+pause > maxRetry || !l.sleep(pause, nil) {
			l.lose(items, err)
			return
		}
		if batch, err = l.signal.decode(encoded); err != nil {
			l.lose(items, err)
			return
		}
		l.signal.ref(batch)
	}
}

func (l *loop[T]) lose(items int, err error) {
	if l.notice(); l.stopping {
		l.lost += items
	}
	l.Lost(items, err)
}

// notice looks whether the queue stops.
func (l *loop[T]) notice() {
	select {
	case <-l.stop:
		l.stopping = true
	default:
	}
}

// sleep waits for the given time, for an arrival, or until the queue stops. No time at all means without end. It is false
// if there is no more hope to hand anything on.
func (l *loop[T]) sleep(wait time.Duration, arrival <-chan struct{}) bool {
	var over <-chan time.Time
	if wait > 0 {
		l.timer.Reset(wait)
		defer l.timer.Stop()
		over = l.timer.C
	}
	stop := l.stop
	if l.stopping {
		stop = nil
	}
	select {
	case <-over:
	case <-arrival:
	case <-stop:
		l.notice()
	case <-l.life.Done():
	}
	return l.life.Err() == nil
}
