// Package hold lets batches wait, for a bounded time and in bounded memory, for what they are to be joined with.
//
// A batch is in one pair of hands at a time: the sender's until Add has taken it, the queue's own goroutine's from then
// on. Of all that is held one batch at a time is handed on, so that a next consumer that blocks or fails holds up what
// waits behind, until the queue is full and senders meet the next consumer themselves.
package hold

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// minPause and maxPause bound the pause before a batch is sent again; it doubles in between.
	minPause, maxPause = 50 * time.Millisecond, 5 * time.Second
	// maxRetry is how long a batch is sent again and again. One that never passes must not stand in the way for ever. It
	// is also the default of exporters.
	maxRetry = 5 * time.Minute
	// maxStandstill is how long a stopping queue waits for the next consumer without handing on a single batch. The
	// Collector itself sets no limit to a shutdown.
	maxStandstill = 10 * time.Second
	// lastCall is how long a cancelled call to the next consumer may take to return.
	lastCall = time.Second
	// Readiness is asked for every twentieth of the hold, within these bounds.
	minTick, maxTick, ticks = 5 * time.Millisecond, 100 * time.Millisecond, 20
)

// ErrStopped is why a batch is lost that could not be handed on before the end of Shutdown.
var ErrStopped = errors.New("stopped before it could be handed on")

// Reason is why a batch goes on.
type Reason int

const (
	// Due has waited for as long as it may.
	Due Reason = iota
	// Ready misses nothing any longer.
	Ready
	// Shutdown does not wait any longer, since the queue stops.
	Shutdown
	// Full has not waited, since there was no room for it.
	Full
	// ReasonCount is how many reasons there are.
	ReasonCount
)

// String is the reason as an attribute's value.
func (r Reason) String() string {
	return [...]string{Due: "due", Ready: "ready", Shutdown: "shutdown", Full: "full"}[r]
}

// Settings say how long batches wait, and what becomes of them. All must be set. The functions are called from one
// goroutine, under no lock.
type Settings[T any] struct {
	// Hold is how long a batch waits at most.
	Hold time.Duration
	// Budget bounds the memory of all that is held.
	Budget *Budget
	// Send hands a batch on, for good or with an error. The batch may be changed even if there is an error.
	Send func(ctx context.Context, batch T) error
	// Released is told of each batch, right before it is prepared, why it goes on and how long it has waited, in nanoseconds.
	// Of those that there was no room for, it is told by whoever wanted to add them.
	Released func(reason Reason, waited int64)
	// Lost is told of items that will not be sent again, and why.
	Lost func(items int, err error)
}

// Budget is memory that several queues may share.
type Budget struct {
	bytes int64
	used  atomic.Int64
}

// NewBudget allows for so many bytes.
func NewBudget(bytes int64) *Budget {
	return &Budget{bytes: bytes}
}

// Used is how many bytes are held.
func (b *Budget) Used() int64 {
	return b.used.Load()
}

func (b *Budget) take(bytes int64) bool {
	if b.used.Add(bytes) <= b.bytes {
		return true
	}
	b.give(bytes)
	return false
}

func (b *Budget) give(bytes int64) {
	b.used.Add(-bytes)
}

// Wait is what a batch waits for.
type Wait struct {
	// Bytes is what the owner keeps for the batch beside it.
	Bytes int64
	// Ready, which may be nil, tells whether nothing is missing any longer. It is asked once in a while, from one goroutine,
	// and best remembers how far it got.
	Ready func() bool
	// Prepare is called once, when the batch has waited.
	Prepare func(ctx context.Context)
}

// Amount is how much waits or is on its way.
type Amount struct {
	Batches, Items int
	Bytes          int64
}

// Queue holds batches from Start to Shutdown, in the order of their arrival.
type Queue[T any] struct {
	Settings[T]
	signal signal[T]

	mu      sync.Mutex
	open    bool
	held    Amount
	arrived []*waiting[T]

	// arrival wakes the loop when a batch comes to an empty queue. With a batch in it, the loop wakes up by itself, and
	// not too late for any that came after.
	arrival chan struct{}
	// stop is closed when waiting has an end, and done when nothing is held any longer.
	stop, done chan struct{}
	// life ends when there is no more hope to hand anything on.
	life context.Context
	end  context.CancelFunc
	// standstill ends the life. It is set before stop is closed.
	standstill *time.Timer
	// lost counts the items that were lost while the queue stopped. It is set before done is closed.
	lost int
}

// waiting is a batch that is held.
type waiting[T any] struct {
	batch  T
	sender sender
	wait   Wait
	// since has a monotonic reading, so that a step of the wall clock changes no wait.
	since          time.Time
	items          int
	bytes          int64
	previous, next *waiting[T]
}

func newQueue[T any](settings Settings[T], of signal[T]) *Queue[T] {
	life, end := context.WithCancel(context.Background())
	return &Queue[T]{
		Settings: settings,
		signal:   of,
		arrival:  make(chan struct{}, 1),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
		life:     life,
		end:      end,
	}
}

// Start begins to take batches in.
func (q *Queue[T]) Start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = true
	go newLoop(q).run()
}

// Add takes a batch in, which must not be touched by the caller any longer. It is false if there is no room for it, or
// if the queue is not started or stops; the caller then hands the batch on by itself.
//
// The batch waits for as long as it may, or until nothing is missing any longer.
func (q *Queue[T]) Add(ctx context.Context, batch T, wait Wait) bool {
	items, bytes := q.signal.measure(batch)
	from := senderOf(ctx)
	taken, full := q.add(from, batch, wait, items, bytes+wait.Bytes+from.bytes())
	if full {
		q.Released(Full, 0)
	}
	return taken
}

func (q *Queue[T]) add(from sender, batch T, wait Wait, items int, bytes int64) (taken, full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.open {
		return false, false
	}
	if !q.Budget.take(bytes) {
		return false, true
	}
	// The pipeline takes its memory back when the sender's call returns.
	q.signal.ref(batch)
	q.arrived = append(q.arrived, &waiting[T]{
		batch: batch, sender: from, wait: wait, since: time.Now(), items: items, bytes: bytes,
	})
	if q.held.Batches == 0 {
		select {
		case q.arrival <- struct{}{}:
		default:
		}
	}
	q.held.Batches++
	q.held.Items += items
	q.held.Bytes += bytes
	return true, false
}

// Held is how much is held.
func (q *Queue[T]) Held() Amount {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}

// Shutdown hands on all that is held, in the order of its arrival, and tries for as long as the context and the next
// consumer let it: it gives up when nothing could be handed on for ten seconds. Its error says how much is lost.
func (q *Queue[T]) Shutdown(ctx context.Context) error {
	q.mu.Lock()
	started := q.open
	q.open = false
	q.mu.Unlock()
	if !started {
		return nil
	}
	defer q.end()
	q.standstill = time.AfterFunc(maxStandstill, q.end)
	defer q.standstill.Stop()
	close(q.stop)

	select {
	case <-q.done:
	case <-q.life.Done():
	case <-ctx.Done():
		q.end()
	}
	late := time.NewTimer(lastCall)
	defer late.Stop()
	select {
	case <-q.done:
	case <-late.C:
		return fmt.Errorf("the next consumer does not return, and %d held items are lost", q.Held().Items)
	}
	if q.lost > 0 {
		return fmt.Errorf("%d held items are lost", q.lost)
	}
	return nil
}
