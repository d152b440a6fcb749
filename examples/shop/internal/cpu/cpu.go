// Package cpu models the CPU share that a container limit leaves to one service.
//
// A real hog would burn the cores of everything else on the machine, too, the collector included.
// Here the limit is a token: who computes holds it, the others of the same service wait in line.
package cpu

import (
	"context"
	"sync"
	"time"
)

// Share is the CPU share of one service.
type Share struct {
	token chan struct{} // holds one element while the CPU is free; waiters are served in order

	mu    sync.Mutex
	busy  time.Duration
	since time.Time
	now   func() time.Time
}

// NewShare returns a share that nobody uses yet.
func NewShare() *Share {
	s := &Share{token: make(chan struct{}, 1), since: time.Now(), now: time.Now}
	s.token <- struct{}{}
	return s
}

// Use waits for the CPU and computes for so long. It returns early, with an error, if ctx ends
// while it waits.
func (s *Share) Use(ctx context.Context, compute time.Duration) error {
	select {
	case <-s.token:
	case <-ctx.Done():
		return ctx.Err()
	}
	start := s.now()
	time.Sleep(compute)
	s.mu.Lock()
	s.busy += s.now().Sub(start)
	s.mu.Unlock()
	s.token <- struct{}{}
	return nil
}

// Hog takes the CPU again and again, each time for hold, until ctx ends. As waiters are served in
// order, every other user gets its turn, but each turn costs up to one hold: this is how a
// container at its CPU limit is throttled.
func (s *Share) Hog(ctx context.Context, hold time.Duration) {
	for s.Use(ctx, hold) == nil && ctx.Err() == nil {
	}
}

// Utilization is the part of the time since the last call in which the CPU was in use.
func (s *Share) Utilization() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	elapsed := now.Sub(s.since)
	if elapsed <= 0 {
		return 0
	}
	used := float64(s.busy) / float64(elapsed)
	s.busy, s.since = 0, now
	return min(used, 1)
}
