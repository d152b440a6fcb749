package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/throughline-otel/throughline/examples/replay/internal/pacer"
	"github.com/throughline-otel/throughline/examples/replay/internal/recording"
	"github.com/throughline-otel/throughline/examples/replay/internal/sender"
)

var begin = time.Date(2022, 8, 22, 3, 52, 19, 0, time.UTC)

// records is a line with one record, at that second of the recording.
func records(second float64) string {
	return fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"%d"}]}]}]}`,
		begin.Add(time.Duration(second*1e9)).UnixNano())
}

// lines is a source of given lines, which ends with err or io.EOF.
type lines struct {
	text  []string
	err   error
	next  int
	block chan struct{} // if set, the end is waited for
}

func (l *lines) Next() (recording.Line, error) {
	if l.next == len(l.text) {
		if l.block != nil {
			<-l.block
		}
		if l.err != nil {
			return recording.Line{}, l.err
		}
		return recording.Line{}, io.EOF
	}
	l.next++
	return recording.Line{File: "f", Number: l.next, Data: []byte(l.text[l.next-1]), Offset: int64(l.next)}, nil
}

// collector notes what it gets and when, and answers with what answer says.
type collector struct {
	began  time.Time
	at     []float64 // seconds after began
	got    []recording.Request
	answer func(n int) (sender.Result, error) // n counts from 1; nil: success
	takes  time.Duration
}

func (c *collector) Send(ctx context.Context, request recording.Request) (sender.Result, error) {
	c.at = append(c.at, time.Since(c.began).Seconds())
	c.got = append(c.got, request)
	time.Sleep(c.takes)
	if c.answer != nil {
		return c.answer(len(c.got))
	}
	return sender.Result{}, ctx.Err()
}

func recordTime(t *testing.T, request recording.Request) time.Time {
	decoded := plogotlp.NewExportRequest()
	require.NoError(t, decoded.UnmarshalProto(request.Body))
	return decoded.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Timestamp().AsTime()
}

func TestOrderAndTotals(t *testing.T) {
	src := &lines{text: []string{
		records(2),
		`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{"name":"b"}]}]}],"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}`,
		`{"resourceSpans":[]}`,
		records(0),
		records(7),
	}}
	dst := &collector{answer: func(n int) (sender.Result, error) {
		switch n {
		case 2:
			return sender.Result{Rejected: 1, Message: "no", Retries: 2}, nil
		case 3:
			return sender.Result{Message: "hm", Retries: 1}, nil
		}
		return sender.Result{}, nil
	}}
	released := false
	var accepted []int64
	var partial []string
	totals, err := Run(t.Context(), src, func() { released = true }, dst, Options{
		OnAccept: func(sum Totals, line recording.Line) {
			assert.Equal(t, line.Number, sum.Lines)
			assert.Nil(t, line.Data)
			accepted = append(accepted, line.Offset)
		},
		OnPartial: func(line recording.Line, signal recording.Signal, result sender.Result) {
			partial = append(partial, fmt.Sprint(line.File, ":", line.Number, " ", signal, " ", result.Rejected, " ", result.Message))
		},
	})
	require.NoError(t, err)
	assert.True(t, released)
	assert.Equal(t, []int64{1, 2, 3, 4, 5}, accepted)
	assert.Equal(t, []string{"f:2 traces 1 no", "f:2 logs 0 hm"}, partial)
	var signals []recording.Signal
	for _, request := range dst.got {
		signals = append(signals, request.Signal)
	}
	assert.Equal(t, []recording.Signal{recording.Logs, recording.Traces, recording.Logs, recording.Logs, recording.Logs}, signals)
	totals.Elapsed = 2 * time.Second
	assert.Equal(t, Totals{
		Lines: 5, Counts: recording.Counts{Spans: 2, Records: 4}, Rejected: 1, Retries: 3, Elapsed: 2 * time.Second,
		FirstEvent: begin, LastEvent: begin.Add(7 * time.Second),
	}, totals)
	assert.Equal(t, "lines=5 spans=2 points=0 records=4 seconds=2.00 lines_per_second=2 items_per_second=3 "+
		"event_from=2022-08-22T03:52:19Z event_to=2022-08-22T03:52:26Z event_seconds=7.00 retries=3 rejected=1", totals.String())
	assert.Equal(t, "lines=0 spans=0 points=0 records=0 seconds=0.00 lines_per_second=0 items_per_second=0 retries=0 rejected=0", Totals{}.String())
}

func TestPace(t *testing.T) {
	for name, test := range map[string]struct {
		pacer  *pacer.Pacer
		takes  time.Duration
		want   []float64
		behind time.Duration
	}{
		"own speed":              {pacer.New(1, 0), 0, []float64{0, 1, 1, 61}, 0},
		"ten times":              {pacer.New(10, 0), 0, []float64{0, 0.1, 0.1, 6.1}, 0},
		"gaps shortened":         {pacer.New(1, 5*time.Second), 0, []float64{0, 1, 1, 6}, 0},
		"max":                    {nil, 0, []float64{0, 0, 0, 0}, 0},
		"held up, it catches up": {pacer.New(1, 0), 2 * time.Second, []float64{0, 2, 4, 61}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dst := &collector{began: time.Now(), takes: test.takes}
				src := &lines{text: []string{records(0), records(1), records(0.5), records(61)}}
				totals, err := Run(t.Context(), src, nil, dst, Options{Pacer: test.pacer})
				require.NoError(t, err)
				assert.InDeltaSlice(t, test.want, dst.at, 1e-6)
				assert.Equal(t, test.behind, totals.Behind)
			})
		})
	}
}

func TestShiftMakesTheRecordingHappenNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &collector{}
		began := time.Now()
		src := &lines{text: []string{records(0), records(2), records(1), records(600)}}
		totals, err := Run(t.Context(), src, nil, dst, Options{Pacer: pacer.New(1, 5*time.Second), Shift: true})
		require.NoError(t, err)
		for i, want := range []float64{0, 2, 1, 7} {
			assert.InDelta(t, want, recordTime(t, dst.got[i]).Sub(began).Seconds(), 1e-6, "line %d", i+1)
		}
		assert.InDelta(t, 7, totals.LastEvent.Sub(began).Seconds(), 1e-6)
	})
}

func TestWhatComesBeforeABadLineIsSent(t *testing.T) {
	dst := &collector{}
	totals, err := Run(t.Context(), &lines{text: []string{records(0), records(1), "{oops", records(2)}}, nil, dst, Options{})
	assert.EqualError(t, err, "f:3: the line ends in the middle of its JSON object: the file is truncated, or not made of JSON lines")
	assert.Equal(t, 2, totals.Lines)
	assert.Len(t, dst.got, 2)

	dst = &collector{}
	cut := errors.New("the disk is gone")
	totals, err = Run(t.Context(), &lines{text: []string{records(0)}, err: cut}, nil, dst, Options{})
	assert.ErrorIs(t, err, cut)
	assert.Equal(t, 1, totals.Lines)
}

func TestARefusalStopsAndNamesTheLine(t *testing.T) {
	many := make([]string, 10*ahead)
	for i := range many {
		many[i] = records(float64(i))
	}
	refused := errors.New("no")
	dst := &collector{answer: func(n int) (sender.Result, error) {
		if n == 3 {
			return sender.Result{Retries: 4}, refused
		}
		return sender.Result{}, nil
	}}
	src := &lines{text: many}
	totals, err := Run(t.Context(), src, nil, dst, Options{})
	require.ErrorIs(t, err, refused)
	assert.EqualError(t, err, "f:3: no")
	assert.Equal(t, 2, totals.Lines)
	assert.Equal(t, 4, totals.Retries)
	assert.Len(t, dst.got, 3, "nothing is sent after a refusal")
	assert.LessOrEqual(t, src.next, 3+ahead+2, "no more is read ahead than said")
}

func TestCancelEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		dst := &collector{began: time.Now()}
		totals, err := Run(ctx, &lines{text: []string{records(0), records(3600)}}, nil, dst, Options{Pacer: pacer.New(1, 0)})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 1, totals.Lines)
		assert.Equal(t, 3*time.Second, time.Since(dst.began))
	})
}

func TestCancelDoesNotWaitForAReadThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		src := &lines{text: []string{records(0)}, block: make(chan struct{})}
		began := time.Now()
		_, err := Run(ctx, src, nil, &collector{}, Options{})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second+grace, time.Since(began))
		close(src.block)
		synctest.Wait()
	})
}
