// Package progress shows how far a replay is: a bar on a terminal, otherwise a line every few seconds.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	barInterval  = 200 * time.Millisecond
	lineInterval = 5 * time.Second

	// rateWindow is the time over which the rate is taken: long enough to be read, short enough to show a stall.
	rateWindow = 5 * time.Second
)

// State is how far the replay is.
type State struct {
	Bytes int64 // of the input, before decompression, up to the last line that was accepted
	Lines int
	Items int // spans, points and records
}

// Meter shows the latest state until it is stopped. Its methods may be called from any goroutine.
type Meter struct {
	out   io.Writer
	total int64
	bar   *progressbar.ProgressBar // nil: lines

	mu    sync.Mutex // also keeps what is written apart
	state State
	rate  rate

	stop, stopped chan struct{}
}

// Start begins to show progress on out: as a bar if terminal is true, else as lines. total is the size of the input in
// bytes, or -1 if unknown. Stop must be called.
func Start(out io.Writer, terminal bool, total int64) *Meter {
	m := &Meter{out: out, total: total, stop: make(chan struct{}), stopped: make(chan struct{})}
	interval := lineInterval
	if terminal {
		interval = barInterval
		size := total
		if size == 0 {
			size = -1 // the library takes a bar of no length for a finished one
		}
		m.bar = progressbar.NewOptions64(
			size,
			progressbar.OptionSetWriter(out),
			progressbar.OptionShowBytes(true),
			progressbar.OptionShowCount(),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionUseANSICodes(true),
			progressbar.OptionFullWidth(),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetSpinnerChangeInterval(0), // the library's own goroutine would outlive an unfinished bar
		)
	}
	m.rate.add(time.Now(), 0)
	go m.run(interval)
	return m
}

// Update sets the state that is shown next. It is cheap.
func (m *Meter) Update(state State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = state
}

// Notice prints a line that stays, above the bar if there is one.
func (m *Meter) Notice(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bar != nil {
		_ = m.bar.Clear()
	}
	_, _ = fmt.Fprintln(m.out, text)
}

// Stop takes the bar away and returns when nothing more will be written.
func (m *Meter) Stop() {
	close(m.stop)
	<-m.stopped
	if m.bar != nil {
		_ = m.bar.Clear()
	}
}

func (m *Meter) run(interval time.Duration) {
	defer close(m.stopped)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-m.stop:
			return
		case now := <-ticker.C:
			m.show(now)
		}
	}
}

func (m *Meter) show(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	perSecond := m.rate.add(now, m.state.Items)
	if m.bar == nil {
		_, _ = fmt.Fprintln(m.out, line(m.state, m.total, perSecond))
		return
	}
	// Short of the end, because the library would take a full bar for a finished one; lines may still wait to be accepted.
	shown := m.state.Bytes
	if m.total > 0 {
		shown = min(shown, m.total-1)
	}
	_ = m.bar.Set64(shown)
	m.bar.Describe(fmt.Sprintf("%d lines, %.0f items/s", m.state.Lines, perSecond)) // draws
}

func line(state State, total int64, perSecond float64) string {
	share := ""
	if total > 0 {
		share = fmt.Sprintf("%d%% of the input, ", 100*state.Bytes/total)
	}
	return fmt.Sprintf("replayed %s%d lines, %d items, %.0f items/s", share, state.Lines, state.Items, perSecond)
}

// rate is the growth of a count per second over the last rateWindow.
type rate struct {
	samples []sample // oldest first
}

type sample struct {
	at    time.Time
	count int
}

func (r *rate) add(now time.Time, count int) float64 {
	r.samples = append(r.samples, sample{now, count})
	// One sample at or beyond the window's edge stays, so that the window is covered.
	for len(r.samples) > 2 && now.Sub(r.samples[1].at) >= rateWindow {
		r.samples = r.samples[1:]
	}
	oldest := r.samples[0]
	seconds := now.Sub(oldest.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(count-oldest.count) / seconds
}
