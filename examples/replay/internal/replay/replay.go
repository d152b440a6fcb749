// Package replay sends the lines of a recording in order, each after the one before it was accepted, at the recording's
// pace or as fast as they are taken.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/throughline-otel/throughline/examples/replay/internal/pacer"
	"github.com/throughline-otel/throughline/examples/replay/internal/recording"
	"github.com/throughline-otel/throughline/examples/replay/internal/sender"
)

const (
	// ahead is how many decoded lines wait to be sent: enough that the sender never starves on a short line after a long
	// one, and a bound on memory of that many lines.
	ahead = 8

	// grace is how long Run waits, once it is cancelled, for a read that is under way. A read from a terminal or a silent
	// pipe cannot be interrupted; it then ends with the process.
	grace = time.Second
)

// Source gives the lines, as [recording.Reader] does. It is used by one goroutine at a time.
type Source interface {
	Next() (recording.Line, error)
}

// Destination takes the requests, as [sender.Sender] does. It is used by one goroutine.
type Destination interface {
	Send(context.Context, recording.Request) (sender.Result, error)
}

// Options says how to replay.
type Options struct {
	Pacer *pacer.Pacer // nil: as fast as the destination takes it
	Shift bool         // move recorded times so that the telemetry seems to happen now; needs a Pacer of speed 1

	// OnAccept, if set, is called after each line that was accepted, with the sums so far and the line.
	OnAccept func(Totals, recording.Line)
	// OnPartial, if set, is called for each request that was rejected in part, or accepted with a warning.
	OnPartial func(recording.Line, recording.Signal, sender.Result)
}

// Run replays all of src. It returns what was accepted also when there is an error, which names file and line. Rejected
// items are no error here: they are in the totals. A line is in the totals when all its requests were accepted.
//
// One goroutine reads, decodes and encodes ahead while the caller's sends. It alone uses src, and calls release, if that is
// not nil, when it is done with it. That has happened when Run returns, but for a read that no cancellation can end.
func Run(ctx context.Context, src Source, release func(), dst Destination, options Options) (Totals, error) {
	ctx, cancel := context.WithCancel(ctx)
	lines := make(chan prepared, ahead)
	released := make(chan struct{})
	go func() {
		defer close(released)
		if release != nil {
			defer release()
		}
		defer close(lines)
		prepare(ctx, src, options, lines)
	}()
	started := time.Now()
	totals, err := send(ctx, lines, dst, options)
	totals.Elapsed = time.Since(started)
	cancel()
	wait := time.NewTimer(grace)
	defer wait.Stop()
	select {
	case <-released:
	case <-wait.C:
	}
	return totals, err
}

// prepared is a line ready to be sent, or the error that ends the recording; what came before an error is sent first.
type prepared struct {
	line     recording.Line // without its data
	counts   recording.Counts
	event    time.Time
	due      time.Time // zero: at once
	requests []recording.Request
	err      error
}

func prepare(ctx context.Context, src Source, options Options, out chan<- prepared) {
	for {
		next := prepareLine(src, options)
		if errors.Is(next.err, io.EOF) {
			return
		}
		select {
		case out <- next:
		case <-ctx.Done():
			return
		}
		if next.err != nil {
			return
		}
	}
}

func prepareLine(src Source, options Options) prepared {
	line, err := src.Next()
	if err != nil {
		return prepared{err: err}
	}
	export, err := recording.Parse(line.Data)
	if err != nil {
		return prepared{err: at(line, err)}
	}
	line.Data = nil
	next := prepared{line: line, counts: export.Counts, event: export.Last}
	if options.Pacer != nil {
		next.due = options.Pacer.Due(export.Last, time.Now())
		if options.Shift {
			export.Shift(options.Pacer.Shift())
			next.event = export.Last
		}
	}
	if next.requests, err = export.Requests(); err != nil {
		return prepared{err: at(line, err)}
	}
	return next
}

func send(ctx context.Context, lines <-chan prepared, dst Destination, options Options) (Totals, error) {
	var totals Totals
	for {
		var next prepared
		var open bool
		select {
		case next, open = <-lines:
		case <-ctx.Done():
			return totals, ctx.Err()
		}
		if !open {
			return totals, ctx.Err()
		}
		if next.err != nil {
			return totals, next.err
		}
		if err := waitUntil(ctx, next.due); err != nil {
			return totals, err
		}
		if !next.due.IsZero() {
			totals.Behind = max(totals.Behind, time.Since(next.due))
		}
		for _, request := range next.requests {
			result, err := dst.Send(ctx, request)
			totals.Retries += result.Retries
			if err != nil {
				return totals, at(next.line, err)
			}
			totals.Rejected += result.Rejected
			if options.OnPartial != nil && (result.Rejected > 0 || result.Message != "") {
				options.OnPartial(next.line, request.Signal, result)
			}
		}
		totals.add(next.counts, next.event)
		if options.OnAccept != nil {
			options.OnAccept(totals, next.line)
		}
	}
}

func at(line recording.Line, err error) error {
	return &recording.Error{File: line.File, Line: line.Number, Err: err}
}

func waitUntil(ctx context.Context, due time.Time) error {
	wait := time.Until(due)
	if due.IsZero() || wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Totals is what a replay did.
type Totals struct {
	Lines      int
	Counts     recording.Counts // in those lines, with what was rejected
	Rejected   int              // spans, points and records that the collector did not take
	Retries    int
	Elapsed    time.Duration
	Behind     time.Duration // how late a line was sent at worst; 0 without a pacer
	FirstEvent time.Time     // the earliest event time of a line; zero if no line has one
	LastEvent  time.Time     // the latest
}

func (t *Totals) add(counts recording.Counts, event time.Time) {
	t.Lines++
	t.Counts.Spans += counts.Spans
	t.Counts.Points += counts.Points
	t.Counts.Records += counts.Records
	if event.IsZero() {
		return
	}
	if t.FirstEvent.IsZero() || event.Before(t.FirstEvent) {
		t.FirstEvent = event
	}
	if event.After(t.LastEvent) {
		t.LastEvent = event
	}
}

// String is the summary, one line of key=value pairs. Times are in seconds and UTC.
func (t Totals) String() string {
	seconds := t.Elapsed.Seconds()
	perSecond := func(n int) float64 {
		if seconds <= 0 {
			return 0
		}
		return float64(n) / seconds
	}
	text := fmt.Sprintf("lines=%d spans=%d points=%d records=%d seconds=%.2f lines_per_second=%.0f items_per_second=%.0f",
		t.Lines, t.Counts.Spans, t.Counts.Points, t.Counts.Records, seconds, perSecond(t.Lines), perSecond(t.Counts.Items()))
	if !t.FirstEvent.IsZero() {
		text += fmt.Sprintf(" event_from=%s event_to=%s event_seconds=%.2f", t.FirstEvent.UTC().Format(time.RFC3339),
			t.LastEvent.UTC().Format(time.RFC3339), t.LastEvent.Sub(t.FirstEvent).Seconds())
	}
	if t.Behind > 0 {
		text += fmt.Sprintf(" behind_seconds=%.2f", t.Behind.Seconds())
	}
	return text + fmt.Sprintf(" retries=%d rejected=%d", t.Retries, t.Rejected)
}
