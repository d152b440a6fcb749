package cpu

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	slice = time.Millisecond
	hold  = 100 * time.Millisecond
)

func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewShare()
		start := time.Now()
		var users sync.WaitGroup
		for range 10 {
			users.Go(func() {
				if err := s.Use(t.Context(), slice); err != nil {
					t.Error(err)
				}
			})
		}
		users.Wait()
		if took := time.Since(start); took != 10*slice {
			t.Errorf("ten users took %s", took)
		}
		time.Sleep(10 * slice)
		if got := s.Utilization(); got != 0.5 {
			t.Errorf("utilization %v", got)
		}
		if got := s.Utilization(); got != 0 {
			t.Errorf("utilization %v in no time", got)
		}
	})
}

func TestHog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewShare()
		ctx, cancel := context.WithCancel(t.Context())
		var hog sync.WaitGroup
		hog.Go(func() { s.Hog(ctx, hold) })
		synctest.Wait()

		start := time.Now()
		for range 4 {
			if err := s.Use(t.Context(), slice); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 4*(hold+slice) {
			t.Errorf("four slices took %s", took)
		}
		if got := s.Utilization(); got < 0.7 { // the hold that goes on is not counted yet
			t.Errorf("utilization %v", got)
		}
		impatient, stop := context.WithTimeout(t.Context(), slice)
		defer stop()
		if err := s.Use(impatient, slice); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		cancel()
		hog.Wait()
		if err := s.Use(t.Context(), slice); err != nil {
			t.Error(err)
		}
	})
}
