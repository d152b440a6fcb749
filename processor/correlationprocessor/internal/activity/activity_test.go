package activity_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/activity"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const (
	// start is no round number, so that times are taken to the nanosecond.
	start     = int64(1_700_000_000_123_456_789)
	ms        = int64(time.Millisecond)
	second    = int64(time.Second)
	retention = time.Minute
	depth     = 64
)

var shop = activity.Instance{High: 1, Low: 2}

// wait is long enough for everything to be settled.
const wait = 10 * int64(time.Second)

// TestWhatFits asks what a record at 100 ms was written in, which may have been 2 ms before. Each instance has been known
// for a while. What fits is trace 1, with the span that is wanted, or without any.
func TestWhatFits(t *testing.T) {
	for name, given := range map[string]struct {
		spans  []activity.Span
		thread uint64
		want   uint64
		why    activity.Verdict
	}{
		"nothing was active":         {[]activity.Span{of(1, 1, 0, 10, 97)}, 0, 0, activity.None},
		"only one was active":        {[]activity.Span{of(1, 1, 0, 90, 110), of(2, 2, 0, 120, 130)}, 0, 1, activity.Fits},
		"from its first nanosecond":  {[]activity.Span{of(1, 1, 0, 100, 110)}, 0, 1, activity.Fits},
		"to its last":                {[]activity.Span{of(1, 1, 0, 90, 100)}, 0, 1, activity.Fits},
		"and for 2 ms after":         {[]activity.Span{of(1, 1, 0, 90, 98)}, 0, 1, activity.Fits},
		"it took no time at all":     {[]activity.Span{of(1, 1, 0, 100, 100)}, 0, 1, activity.Fits},
		"it is not the entry":        {[]activity.Span{of(1, 1, 9, 90, 110)}, 0, 0, activity.Fits},
		"two of one trace":           {[]activity.Span{of(1, 1, 0, 90, 110), of(1, 2, 1, 95, 105)}, 0, 0, activity.Fits},
		"another is still to begin":  {[]activity.Span{of(1, 1, 0, 90, 110), of(1, 2, 1, 105, 108)}, 0, 0, activity.Fits},
		"another has ended long ago": {[]activity.Span{of(1, 1, 0, 90, 110), of(1, 2, 9, 10, 15)}, 0, 0, activity.Fits},
		"two traces": {
			[]activity.Span{of(1, 1, 0, 90, 110), of(2, 2, 0, 95, 105)},
			0, 0, activity.Ambiguous,
		},
		"traces overlap elsewhere": {
			[]activity.Span{of(1, 1, 0, 90, 110), of(2, 2, 0, 120, 130), of(3, 3, 0, 125, 135)},
			0, 0, activity.Ambiguous,
		},
		"one within the other": {
			[]activity.Span{of(1, 1, 0, 120, 150), of(2, 2, 0, 130, 140), of(3, 3, 0, 90, 110)},
			0, 0, activity.Ambiguous,
		},
		"traces only touch": {
			[]activity.Span{of(2, 2, 0, 80, 90), of(1, 1, 0, 90, 110), of(3, 3, 0, 110, 120)},
			0, 1, activity.Fits,
		},
		"they touched a moment ago": {
			[]activity.Span{of(2, 2, 0, 80, 99), of(1, 1, 0, 99, 110)},
			0, 0, activity.Ambiguous,
		},
		"on its thread": {
			[]activity.Span{on(7, 1, 1, 0, 90, 110), on(8, 2, 2, 0, 95, 105)},
			7, 1, activity.Fits,
		},
		"on another thread":          {[]activity.Span{on(8, 2, 2, 0, 95, 105)}, 7, 0, activity.None},
		"the span names no thread":   {[]activity.Span{of(1, 1, 0, 90, 110)}, 7, 1, activity.Fits},
		"the record names no thread": {[]activity.Span{on(7, 1, 1, 0, 90, 110)}, 0, 1, activity.Fits},
		"neither does, of a chain":   {[]activity.Span{of(1, 1, 9, 90, 110), of(1, 2, 1, 95, 105)}, 0, 0, activity.Fits},
		"one names no thread": {
			[]activity.Span{on(7, 1, 1, 0, 90, 110), of(1, 2, 1, 95, 105)},
			7, 0, activity.Fits,
		},
		"some name no thread": {
			[]activity.Span{on(7, 1, 1, 0, 90, 110), on(8, 2, 2, 0, 95, 105), of(3, 3, 0, 200, 210)},
			7, 0, activity.Ambiguous,
		},
		"the innermost on its thread": {
			[]activity.Span{on(7, 1, 1, 0, 90, 110), on(7, 1, 3, 2, 98, 102), on(7, 1, 2, 1, 95, 105)},
			7, 3, activity.Fits,
		},
		"the innermost to its last": {[]activity.Span{on(7, 1, 1, 0, 90, 110), on(7, 1, 2, 1, 95, 100)}, 7, 2, activity.Fits},
		"it began a moment ago":     {[]activity.Span{on(7, 1, 1, 0, 90, 110), on(7, 1, 2, 1, 99, 105)}, 7, 0, activity.Fits},
		"it ended a moment ago":     {[]activity.Span{on(7, 1, 1, 0, 90, 110), on(7, 1, 2, 1, 95, 99)}, 7, 0, activity.Fits},
		"the parent is elsewhere": {
			[]activity.Span{on(7, 1, 2, 1, 90, 110), on(7, 1, 3, 2, 98, 102)},
			7, 3, activity.Fits,
		},
		"siblings on its thread": {
			[]activity.Span{on(7, 1, 1, 0, 90, 110), on(7, 1, 2, 1, 95, 105), on(7, 1, 3, 1, 96, 104)},
			7, 0, activity.Fits,
		},
		"strangers on its thread": {
			[]activity.Span{on(7, 1, 1, 0, 90, 110), on(7, 1, 2, 9, 95, 105)},
			7, 0, activity.Fits,
		},
		"a thread that is shared": {
			[]activity.Span{on(7, 1, 1, 0, 90, 110), on(8, 2, 2, 0, 200, 220), on(8, 3, 3, 0, 210, 230)},
			7, 0, activity.Ambiguous,
		},
		"shared in spite of others": {
			[]activity.Span{on(7, 1, 1, 0, 90, 110), on(8, 2, 2, 0, 200, 220), on(8, 3, 3, 0, 210, 230), on(9, 4, 4, 0, 205, 235)},
			7, 0, activity.Ambiguous,
		},
		"a span that came twice": {[]activity.Span{of(1, 1, 0, 90, 110), of(1, 1, 0, 90, 110)}, 0, 1, activity.Fits},
		"an id that is used twice": {
			[]activity.Span{on(7, 1, 1, 0, 90, 110), on(7, 1, 1, 0, 91, 109)},
			7, 0, activity.Fits,
		},
		"its own parent": {[]activity.Span{on(7, 1, 1, 1, 90, 110)}, 7, 0, activity.Fits},
		"parents of each other": {
			[]activity.Span{on(7, 1, 1, 2, 90, 110), on(7, 1, 2, 1, 91, 109)},
			7, 0, activity.Fits,
		},
		"some were not recorded": {
			[]activity.Span{of(1, 1, 0, 90, 110), {Trace: trace(2), ID: span(2), Start: start, End: start, Sampled: true}},
			0, 0, activity.Undecidable,
		},
		"one ended before it began": {
			[]activity.Span{of(1, 1, 0, 90, 110), of(2, 2, 0, 120, 80)},
			0, 0, activity.Undecidable,
		},
		"one ended before, but long ago": {[]activity.Span{of(1, 1, 0, 90, 110), of(2, 2, 0, 80, 10)}, 0, 1, activity.Fits},
		"one began before there was time": {
			[]activity.Span{of(1, 1, 0, 90, 110), {Trace: trace(2), ID: span(2), End: start + 89*ms}},
			0, 1, activity.Fits,
		},
		"and ended when another had begun": {
			[]activity.Span{of(1, 1, 0, 90, 110), {Trace: trace(2), ID: span(2), End: start + 90*ms}},
			0, 0, activity.Fits,
		},
		"one has not ended yet": {
			[]activity.Span{of(1, 1, 0, 90, 110), of(2, 2, 0, 95, 10_000)},
			0, 0, activity.Undecidable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				rand.Shuffle(len(given.spans), func(i, j int) { given.spans[i], given.spans[j] = given.spans[j], given.spans[i] })
				x := watching()
				x.Add(start+300*ms, shop, given.spans)
				gotTrace, gotSpan, why := x.Find(start+wait, shop, given.thread, start+100*ms)
				require.Equal(t, given.why.String(), why.String())
				require.Equal(t, span(given.want), gotSpan)
				require.Equal(t, why == activity.Fits, gotTrace == trace(1))
				require.Equal(t, why != activity.Fits, gotTrace.IsEmpty())
			}
		})
	}
}

func TestAnInstanceThatSentNothing(t *testing.T) {
	x := watching()
	x.Add(start+200*ms, shop, []activity.Span{of(1, 1, 0, 90, 110)})
	_, _, why := x.Find(start+wait, activity.Instance{High: 1, Low: 3}, 0, start+100*ms)
	assert.Equal(t, activity.None, why)
}

func TestThereIsNoTimeZeroAndNoFuture(t *testing.T) {
	x := watching()
	x.Add(start+200*ms, shop, []activity.Span{
		of(1, 1, 0, 90, 110),
		{Trace: trace(2), ID: span(2)},
		{Trace: trace(3), ID: span(3), Start: math.MinInt64, End: math.MinInt64},
		{Trace: trace(3), ID: span(4), Start: math.MinInt64, End: start},
	})
	for _, at := range []int64{math.MinInt64, -1, 0, start + wait + 1, math.MaxInt64, math.MaxInt64 / 1000 * 1000} {
		_, _, why := x.Find(start+wait, shop, 0, at)
		assert.Equal(t, activity.Undecidable, why, at)
	}
	_, found, why := x.Find(start+wait, shop, 0, start+100*ms)
	assert.Equal(t, activity.Fits, why)
	assert.Equal(t, span(1), found)

	x.Add(start+200*ms, shop, []activity.Span{{Trace: trace(5), ID: span(5), Start: start, End: math.MaxInt64}})
	_, _, why = x.Find(start+wait, shop, 0, start+100*ms)
	assert.Equal(t, activity.Undecidable, why)
}

func TestNothingIsDecidedBeforeWhatIsUsualHasCome(t *testing.T) {
	x := watching()
	// Spans last up to 400 ms, and come up to 300 ms late.
	x.Add(start+1700*ms, shop, []activity.Span{of(1, 1, 0, 1000, 1400)})
	x.Add(start+2110*ms, shop, []activity.Span{of(2, 2, 0, 2000, 2100)})
	at := start + 2050*ms
	_, _, why := x.Find(at+700*ms-1, shop, 0, at)
	assert.Equal(t, activity.Undecidable, why)
	_, found, why := x.Find(at+700*ms, shop, 0, at)
	assert.Equal(t, activity.Fits, why)
	assert.Equal(t, span(2), found)
}

func TestLaterSpansSettleWhatWasBefore(t *testing.T) {
	// What is replayed is years late, and the clock says nothing.
	const years = 5 * 365 * 24 * int64(time.Hour)
	x := activity.New(1<<20, retention, depth)
	now := start + years
	x.Add(now, shop, []activity.Span{of(9, 9, 0, 0, 50)})
	x.Add(now, shop, []activity.Span{of(1, 1, 0, 90, 110)})
	_, _, why := x.Find(now, shop, 0, start+100*ms)
	assert.Equal(t, activity.Undecidable, why)
	x.Add(now, shop, []activity.Span{of(2, 2, 0, 120, 149)})
	_, _, why = x.Find(now, shop, 0, start+100*ms)
	assert.Equal(t, activity.Undecidable, why)
	x.Add(now, shop, []activity.Span{of(3, 3, 0, 149, 150)})
	_, found, why := x.Find(now, shop, 0, start+100*ms)
	assert.Equal(t, activity.Fits, why)
	assert.Equal(t, span(1), found)

	// A span that comes after one that ended 30 ms later shows that as much may be missing.
	x.Add(now, shop, []activity.Span{of(4, 4, 0, 115, 120)})
	_, _, why = x.Find(now, shop, 0, start+100*ms)
	assert.Equal(t, activity.Undecidable, why)
	x.Add(now, shop, []activity.Span{of(5, 5, 0, 170, 180)})
	_, _, why = x.Find(now, shop, 0, start+100*ms)
	assert.Equal(t, activity.Fits, why)
}

func TestNothingIsKnownOfWhatWasBeforeTheFirstSpans(t *testing.T) {
	x := activity.New(1<<20, retention, depth)
	x.Add(start+200*ms, shop, []activity.Span{of(1, 1, 0, 90, 110), of(2, 2, 0, 120, 130)})
	_, _, why := x.Find(start+wait, shop, 0, start+112*ms)
	assert.Equal(t, activity.Undecidable, why)
	_, _, why = x.Find(start+wait, shop, 0, start+112*ms+1)
	assert.Equal(t, activity.None, why)
	_, found, why := x.Find(start+wait, shop, 0, start+121*ms)
	assert.Equal(t, activity.Fits, why)
	assert.Equal(t, span(2), found)
}

func TestNothingIsKnownOfWhatFellOut(t *testing.T) {
	x := watching()
	for i := range int64(depth + 10) {
		x.Add(start+second, shop, []activity.Span{of(uint64(i)+1, uint64(i)+1, 0, 10*i, 10*i+5)})
	}
	for i := range int64(depth + 10) {
		_, found, why := x.Find(start+wait, shop, 0, start+(10*i+4)*ms)
		if i < 10 {
			require.Equal(t, activity.Undecidable, why, i)
		} else {
			require.Equal(t, activity.Fits, why, i)
			require.Equal(t, span(uint64(i)+1), found)
		}
	}
	x.Add(start+second, shop, []activity.Span{of(998, 998, 0, 1, 2), of(999, 999, 0, 200, 205)})
	_, _, why := x.Find(start+wait, shop, 0, start+204*ms)
	assert.Equal(t, activity.Ambiguous, why, "what comes late takes its place")
}

func TestASpanIsNotAloneWhereOthersOfItsTraceMayHaveFallenOut(t *testing.T) {
	for children, want := range map[int64]uint64{0: 1, 1: 0} {
		x := watching()
		for i := range children {
			x.Add(start+second, shop, []activity.Span{of(1, uint64(i)+2, 1, 10, 20)})
		}
		x.Add(start+second, shop, []activity.Span{of(1, 1, 0, 5, 200)})
		for i := range int64(depth - 1) {
			x.Add(start+second, shop, []activity.Span{of(2, uint64(i)+1000, 0, 300+i, 301+i)})
		}
		gotTrace, got, why := x.Find(start+wait, shop, 0, start+150*ms)
		assert.Equal(t, activity.Fits, why)
		assert.Equal(t, trace(1), gotTrace)
		assert.Equal(t, span(want), got)
	}
}

func TestTheInnermostOfManyIsNotLookedFor(t *testing.T) {
	for nested, want := range map[int64]uint64{32: 32, 33: 0} {
		x := watching()
		var spans []activity.Span
		for i := range nested {
			spans = append(spans, on(7, 1, uint64(i)+1, uint64(i), i, 200-i))
		}
		x.Add(start+second, shop, spans)
		gotTrace, got, why := x.Find(start+wait, shop, 7, start+100*ms)
		assert.Equal(t, activity.Fits, why)
		assert.Equal(t, trace(1), gotTrace)
		assert.Equal(t, span(want), got)
	}
}

func TestWhatComesTooLateToBeTakenInIsKnownToBeMissing(t *testing.T) {
	x := watching()
	for i := range int64(depth) {
		x.Add(start+200*ms, shop, []activity.Span{of(1, uint64(i)+1, 0, 10+i, 11+i)})
	}
	_, _, why := x.Find(start+wait, shop, 0, start+3*ms)
	assert.Equal(t, activity.None, why)
	x.Add(start+200*ms, shop, []activity.Span{of(2, 999, 0, 1, 2)})
	_, _, why = x.Find(start+wait, shop, 0, start+3*ms)
	assert.Equal(t, activity.Undecidable, why)
}

func TestConcurrencyIsRememberedForTheRetention(t *testing.T) {
	x := watching()
	x.Add(start+10*ms, shop, []activity.Span{of(1, 1, 0, 1, 5), of(2, 2, 0, 3, 6)})
	for i := range int64(120) {
		now := start + (i+1)*second
		x.Add(now, shop, []activity.Span{{Trace: trace(3), ID: span(uint64(i) + 10), Start: now - 20*ms, End: now - 10*ms}})
		_, _, why := x.Find(now, shop, 0, now-second-15*ms)
		if i > 0 && now < start+10*ms+int64(retention) {
			require.Equal(t, activity.Ambiguous, why, i)
		} else if i > 0 {
			require.Equal(t, activity.Fits, why, i)
		}
	}
}

func TestHabitsAreForgotten(t *testing.T) {
	x := watching()
	x.Add(start+6*second, shop, []activity.Span{of(1, 1, 0, 1000, 6000)})
	decided := int64(0)
	for i := range int64(200) {
		now := start + (7+i)*second
		x.Add(now, shop, []activity.Span{{Trace: trace(3), ID: span(uint64(i) + 10), Start: now - 20*ms, End: now - 10*ms}})
		_, _, why := x.Find(now, shop, 0, now-second-15*ms)
		if why == activity.Fits && decided == 0 {
			decided = now
		}
	}
	assert.Greater(t, decided, start+6*second+int64(retention))
	assert.LessOrEqual(t, decided, start+8*second+2*int64(retention))
}

// TestATimeStandsForTheUnitThatItWasCutTo knows loggers that write no more than milliseconds, or seconds.
func TestATimeStandsForTheUnitThatItWasCutTo(t *testing.T) {
	const whole = int64(1_700_000_000_000_000_000)
	between := func(id uint64, parent uint64, from, to int64) activity.Span {
		return activity.Span{
			Trace: trace(1), ID: span(id), Parent: span(parent), Start: whole + from, End: whole + to, Thread: 7, Entry: parent == 0,
		}
	}
	other := func(s activity.Span) activity.Span {
		s.Trace = trace(2)
		return s
	}
	for name, given := range map[string]struct {
		spans []activity.Span
		at    int64
		want  uint64
		why   activity.Verdict
	}{
		"the span began within the millisecond": {
			[]activity.Span{between(1, 0, 5*ms+500_001, 9*ms+1)},
			5 * ms, 1, activity.Fits,
		},
		"it ended within it": {
			[]activity.Span{between(1, 0, 2*ms+1, 5*ms+500_001)},
			5 * ms, 1, activity.Fits,
		},
		"one ended and another began": {
			[]activity.Span{between(1, 0, 2*ms+1, 5*ms+300_001), other(between(2, 0, 5*ms+500_001, 9*ms+1))},
			5 * ms, 0, activity.Ambiguous,
		},
		"the innermost was there all the time": {
			[]activity.Span{between(1, 0, 2*ms+1, 9*ms+1), between(2, 1, 3*ms, 6*ms-1)},
			5 * ms, 2, activity.Fits,
		},
		"it began too late for that": {
			[]activity.Span{between(1, 0, 2*ms+1, 9*ms+1), between(2, 1, 3*ms+1, 7*ms+1)},
			5 * ms, 0, activity.Fits,
		},
		"it ended too early": {
			[]activity.Span{between(1, 0, 2*ms+1, 9*ms+1), between(2, 1, 3*ms, 6*ms-2)},
			5 * ms, 0, activity.Fits,
		},
		"none was": {
			[]activity.Span{between(1, 0, 5*ms+1, 9*ms+1), between(2, 1, 5*ms+3, 7*ms+1)},
			5 * ms, 0, activity.Fits,
		},
		"another trace says that it is its child": {
			[]activity.Span{between(1, 0, 2*ms, 5*ms), other(between(2, 1, 5*ms, 9*ms+1))}, 5 * ms, 0, activity.Ambiguous,
		},
		"it began in the next": {[]activity.Span{between(1, 0, 6*ms+1, 9*ms+1)}, 5 * ms, 0, activity.None},
		"it began later than a precise record": {
			[]activity.Span{between(1, 0, 5*ms+500_001, 9*ms+1)},
			5*ms + 1, 0, activity.None,
		},
		"the span's end was cut": {
			[]activity.Span{between(1, 0, 2*ms, 5*ms)},
			7*ms + 999_999, 1, activity.Fits,
		},
		"and the record is younger": {[]activity.Span{between(1, 0, 2*ms, 5*ms)}, 8*ms + 1, 0, activity.None},
		"a microsecond": {
			[]activity.Span{between(1, 0, 5*ms+1500, 9*ms+1)},
			5*ms + 1000, 1, activity.Fits,
		},
		"not all of the second was in the span": {[]activity.Span{between(1, 0, 1, 999*ms+1)}, 0, 0, activity.Undecidable},
		"nor the 2 ms before":                   {[]activity.Span{between(1, 0, 1-2*ms, 1000*ms+1)}, 0, 0, activity.Undecidable},
		"all of the second was":                 {[]activity.Span{between(1, 0, -2*ms, 1000*ms-1)}, 0, 1, activity.Fits},
		"all of it was in one of the trace": {
			[]activity.Span{between(1, 0, -2*ms, 1000*ms+1), between(2, 1, 1, 400*ms+1)},
			0, 0, activity.Fits,
		},
		"two in one second": {
			[]activity.Span{between(1, 0, 1, 400*ms+1), other(between(2, 0, 500*ms, 900*ms+1))},
			0, 0, activity.Ambiguous,
		},
		"it is settled only up to that second's end": {
			[]activity.Span{between(1, 0, -1, 2000*ms+1)},
			7000 * ms, 0, activity.Undecidable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := activity.New(1<<20, retention, depth)
			known := []activity.Span{{Trace: trace(9), ID: span(9), Start: whole - 2*second, End: whole - 2*second, Thread: 7}}
			x.Add(whole+10*second, shop, known)
			x.Add(whole+10*second, shop, given.spans)
			_, found, why := x.Find(whole+22*second, shop, 7, whole+given.at)
			assert.Equal(t, given.why.String(), why.String())
			assert.Equal(t, span(given.want), found)
		})
	}
}

func TestWhoeverIsSilentIsForgotten(t *testing.T) {
	x := watching()
	x.Add(start+200*ms, shop, []activity.Span{of(1, 1, 0, 90, 110)})
	later := start + 200*ms + int64(retention)
	_, _, why := x.Find(later, shop, 0, start+100*ms)
	assert.Equal(t, activity.Fits, why)
	_, _, why = x.Find(later+1, shop, 0, start+100*ms)
	assert.Equal(t, activity.None, why)
	_, _, why = x.Find(later, shop, 0, start+100*ms)
	assert.Equal(t, activity.None, why, "a clock that goes back brings nothing back")
	assert.Zero(t, x.Size())
	assert.Equal(t, recency.Evictions{Age: 1}, x.Evicted())
}

func TestAClockThatIsSetFarBackBeginsAnew(t *testing.T) {
	x := activity.New(1<<20, retention, depth)
	ahead := 30 * int64(time.Minute)
	x.Add(start+ahead+200*ms, shop, []activity.Span{of(1, 1, 0, 90, 110)})
	full := x.Size()
	x.Add(start+200*ms, shop, []activity.Span{of(2, 2, 0, 90, 110)})
	assert.Equal(t, full, x.Size())
	id, _, why := x.Find(start+300*ms, shop, 0, start+100*ms)
	assert.Equal(t, activity.Undecidable, why, "it is not known whether more comes")
	assert.Zero(t, id)
	_, _, why = x.Find(start+201*ms+int64(retention), shop, 0, start+100*ms)
	assert.Equal(t, activity.None, why, "nothing outlives the retention")
	assert.Equal(t, recency.Evictions{Age: 2}, x.Evicted())
}

func TestAFloodOfInstancesPushesOutTheOldest(t *testing.T) {
	const limit = 1 << 20
	x := activity.New(limit, retention, depth)
	const flood = 20_000
	for i := range uint64(flood) {
		x.Add(start+200*ms, activity.Instance{High: i, Low: i}, []activity.Span{of(1, 1, 0, 80, 85), of(2, 2, 0, 90, 110)})
		require.LessOrEqual(t, x.Size(), int64(limit))
	}
	evicted := x.Evicted()
	assert.Zero(t, evicted.Age)
	left := flood - uint64(evicted.Bytes)
	assert.Greater(t, left, uint64(limit/1000))
	for i := range uint64(flood) {
		_, _, why := x.Find(start+wait, activity.Instance{High: i, Low: i}, 0, start+100*ms)
		if i < flood-left {
			require.Equal(t, activity.None, why)
		} else {
			require.Equal(t, activity.Fits, why)
		}
	}
}

func TestAFloodOfSpansKeepsTheBound(t *testing.T) {
	for _, limit := range []int64{0, 100, 8 << 10, 64 << 10, 1 << 20} {
		x := activity.New(limit, retention, 256)
		for i := range int64(2000) {
			x.Add(start+3*second, shop, []activity.Span{of(1, uint64(i), 0, i, i+1), of(2, uint64(i)+5000, 0, i, i+1)})
			require.LessOrEqual(t, x.Size(), limit)
		}
		if limit >= 64<<10 {
			_, _, why := x.Find(start+wait, shop, 0, start+1999*ms)
			assert.Equal(t, activity.Ambiguous, why)
			_, _, why = x.Find(start+wait, shop, 0, start)
			assert.Equal(t, activity.Undecidable, why)
		}
	}
}

// TestSizeIsTheTruth holds the size that the index claims against what the runtime knows.
func TestSizeIsTheTruth(t *testing.T) {
	const limit = 4 << 20
	for _, spans := range []int{1, 10, 100} {
		t.Run(fmt.Sprint(spans, " spans each"), func(t *testing.T) {
			batch := make([]activity.Span, spans)
			for i := range batch {
				batch[i] = of(1, uint64(i), 0, int64(i), int64(i)+1)
			}
			before := heap()
			x := activity.New(limit, retention, 256)
			for i := range uint64(15_000) {
				x.Add(start+second, activity.Instance{High: i, Low: i}, batch)
			}
			taken := heap() - before
			assert.Positive(t, x.Evicted().Bytes)
			assert.InEpsilon(t, taken, x.Size(), 0.1)
			t.Logf("size %d, taken %d", x.Size(), taken)
			runtime.KeepAlive(x)
		})
	}
}

// model says the same as the index, by looking at everything each time.
type model struct {
	known                                    []activity.Span
	unknown                                  int64
	duration, lag, disorder                  int64
	concurrent, interleaved, unnamed, sample bool
}

func (m *model) add(now int64, spans []activity.Span) {
	latest, earliest := int64(0), int64(math.MaxInt64)
	for _, s := range m.known {
		latest = max(latest, s.End)
	}
	fresh := m.unknown == 0
	for _, s := range spans {
		if s.Start <= 0 || s.End < s.Start || s.End > now {
			m.unknown = max(m.unknown, s.Start, s.End)
			continue
		}
		earliest = min(earliest, s.End)
		m.duration = max(m.duration, s.End-s.Start)
		m.lag, m.disorder = max(m.lag, now-s.End), max(m.disorder, latest-s.End)
		m.unnamed, m.sample = m.unnamed || s.Thread == 0, m.sample || s.Sampled
		again := false
		for _, other := range m.known {
			again = again || other.End == s.End && other.ID == s.ID && other.Trace == s.Trace
			if other.Trace != s.Trace && other.Start < s.End && s.Start < other.End {
				m.concurrent = true
				m.interleaved = m.interleaved || s.Thread != 0 && s.Thread == other.Thread
			}
		}
		if again {
			continue
		}
		m.known = append(m.known, s)
		slices.SortStableFunc(m.known, func(a, b activity.Span) int { return cmp.Compare(a.End, b.End) })
		if len(m.known) > depth {
			m.unknown = max(m.unknown, m.known[0].End)
			m.known = m.known[1:]
		}
	}
	if fresh && earliest < math.MaxInt64 {
		m.unknown = max(m.unknown, earliest)
	}
}

func (m *model) find(now int64, thread uint64, at int64) (pcommon.TraceID, pcommon.SpanID, activity.Verdict) {
	var noTrace pcommon.TraceID
	var noSpan pcommon.SpanID
	unit := int64(1)
	for _, coarser := range []int64{1e3, 1e6, 1e9} {
		if at%coarser == 0 {
			unit = coarser
		}
	}
	settled := now - m.lag
	if len(m.known) > 0 {
		settled = max(settled, m.known[len(m.known)-1].End-m.disorder)
	}
	settled -= m.duration
	overlap := m.concurrent
	if thread != 0 && !m.unnamed {
		overlap = m.interleaved
	}
	switch {
	case m.sample || at-2*ms <= m.unknown:
		return noTrace, noSpan, activity.Undecidable
	case overlap:
		return noTrace, noSpan, activity.Ambiguous
	case at+unit-1 > settled:
		return noTrace, noSpan, activity.Undecidable
	}
	var fit []activity.Span
	allNamed := thread != 0
	for _, s := range m.known {
		end := s.End
		if end%1e6 == 0 {
			end += 1e6 - 1
		} else if end%1e3 == 0 {
			end += 1e3 - 1
		}
		if end < at-2*ms || s.Start > at+unit-1 || thread != 0 && s.Thread != 0 && s.Thread != thread {
			continue
		}
		fit = append(fit, s)
		allNamed = allNamed && s.Thread == thread
	}
	covers := func(s activity.Span) bool { return s.Start <= at-2*ms && at+unit-1 <= s.End }
	ofAnother := func(s activity.Span) bool { return s.Trace != fit[0].Trace }
	switch {
	case len(fit) == 0:
		return noTrace, noSpan, activity.None
	case slices.ContainsFunc(fit, ofAnother):
		return noTrace, noSpan, activity.Ambiguous
	case unit == second && !slices.ContainsFunc(fit, covers):
		return noTrace, noSpan, activity.Undecidable
	}
	if order := permute(fit); allNamed && order != nil && covers(order[len(order)-1]) {
		return fit[0].Trace, order[len(order)-1].ID, activity.Fits
	}
	ofItsTrace := len(m.known) - len(slices.DeleteFunc(slices.Clone(m.known), func(s activity.Span) bool { return !ofAnother(s) }))
	if len(fit) == 1 && ofItsTrace == 1 && fit[0].Entry && fit[0].Start > m.unknown {
		return fit[0].Trace, fit[0].ID, activity.Fits
	}
	return fit[0].Trace, noSpan, activity.Fits
}

// permute finds the only order in which each is the child of the one before, and the first of none.
func permute(spans []activity.Span) []activity.Span {
	byID, children := map[pcommon.SpanID]bool{}, map[pcommon.SpanID][]activity.Span{}
	for _, s := range spans {
		if byID[s.ID] || s.Trace != spans[0].Trace {
			return nil
		}
		byID[s.ID] = true
	}
	var outermost []activity.Span
	for _, s := range spans {
		if byID[s.Parent] {
			children[s.Parent] = append(children[s.Parent], s)
		} else {
			outermost = append(outermost, s)
		}
	}
	var order []activity.Span
	for next := outermost; len(next) == 1; next = children[next[0].ID] {
		order = append(order, next[0])
	}
	if len(order) != len(spans) {
		return nil
	}
	return order
}

func TestAgainstAModel(t *testing.T) {
	verdicts := map[string]int{}
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 7))
		x, m := activity.New(1<<20, retention, depth), &model{}
		threads := random.Uint64N(3)
		traces := []uint64{1, 2, 3, 12}[random.IntN(4)]
		grid := []int64{1, 1000, ms}[random.IntN(3)]
		sparse := 1 + random.Int64N(60)
		longest, most := []int64{30, 200}[random.IntN(2)], []int{3, 24}[random.IntN(2)]
		begin := start / ms * ms
		now := begin + 2*sparse*ms
		for range 1 + random.IntN(8) {
			now += random.Int64N(50) * ms
			batch := make([]activity.Span, random.IntN(most))
			for i := range batch {
				from := begin + random.Int64N(20*sparse)*ms/10/grid*grid
				id := random.Uint64N(12) + 1
				batch[i] = activity.Span{
					Trace: trace(1 + id%traces), ID: span(id), Parent: span(random.Uint64N(id)),
					Start: from, End: from + random.Int64N(longest)*ms/10/grid*grid, Thread: threads, Entry: random.IntN(2) == 0,
				}
				if random.IntN(40) == 0 {
					batch[i].Thread = random.Uint64N(3)
				}
				if random.IntN(2000) == 0 {
					batch[i].Sampled = true
				}
				if random.IntN(400) == 0 {
					batch[i].Start, batch[i].End = batch[i].End, batch[i].Start
				}
			}
			x.Add(now, shop, batch)
			m.add(now, batch)
			for range 10 {
				unit := []int64{1, 1000, ms, second}[random.IntN(4)]
				at := (begin + random.Int64N(20*sparse)*ms/10) / unit * unit
				thread := random.Uint64N(3)
				now += random.Int64N(400 * ms)
				wantTrace, want, why := m.find(now, thread, at)
				gotTrace, got, gotWhy := x.Find(now, shop, thread, at)
				if len(m.known) == 0 && m.unknown == 0 {
					require.Equal(t, activity.None, gotWhy)
					continue
				}
				require.Equal(t, why.String(), gotWhy.String(), "seed %d", seed)
				require.Equal(t, want, got, "seed %d", seed)
				require.Equal(t, wantTrace, gotTrace, "seed %d", seed)
				switch {
				case want.IsEmpty():
					verdicts[why.String()]++
				case thread == 0:
					verdicts["fits alone"]++
				default:
					verdicts["fits with a thread"]++
				}
			}
		}
	}
	for _, v := range []string{"none", "fits", "fits alone", "fits with a thread", "ambiguous", "undecidable"} {
		assert.Greater(t, verdicts[v], 100, v)
	}
	t.Log(verdicts)
}

// TestNoWrongID makes up instances of several kinds, and asks for records whose span is known.
func TestNoWrongID(t *testing.T) {
	for name, kind := range map[string]struct {
		workers int
		named   bool
		shared  bool
		// late is how long at most the times are behind, and unit what they are cut to.
		late, unit int64
		// decided and withSpan are the shares of records at least that get the id of a trace, and of a span.
		decided, withSpan float64
	}{
		"a thread for each request":          {8, true, false, 0, 1, 0.9, 0.6},
		"and late":                           {8, true, false, 2 * ms, 1, 0.9, 0.6},
		"and milliseconds":                   {8, true, false, 0, ms, 0.9, 0.5},
		"and late milliseconds":              {8, true, false, 2 * ms, ms, 0.9, 0.5},
		"one request at a time, no threads":  {1, false, false, 0, 1, 0.9, 0.1},
		"one at a time, late":                {1, false, false, 2 * ms, 1, 0.9, 0.1},
		"one at a time, milliseconds":        {1, false, false, 0, ms, 0.9, 0.1},
		"many at a time, no threads":         {8, false, false, 0, 1, 0, 0},
		"many at a time on a thread for all": {8, true, true, 0, 1, 0, 0},
		"two that seldom meet, no threads":   {2, false, false, 0, 1, 0, 0},
		"one worker and seconds":             {1, true, false, 0, second, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			asked, decided, withSpan, wrongTrace, wrongSpan := 0, 0, 0, 0, 0
			for seed := range uint64(20) {
				random := rand.New(rand.NewPCG(seed, 1))
				var spans []activity.Span
				var records []truth
				for worker := range kind.workers {
					thread := uint64(0)
					if kind.named {
						thread = uint64(worker) + 1
					}
					if kind.shared {
						thread = 1
					}
					clock := start + random.Int64N(second)
					for clock < start+60*second {
						clock += random.Int64N(2*second) + 10*ms
						spans, records, clock = request(random, spans, records, thread, clock)
					}
				}
				slices.SortFunc(spans, func(a, b activity.Span) int { return cmp.Compare(a.End, b.End) })
				slices.SortFunc(records, func(a, b truth) int { return cmp.Compare(a.at, b.at) })
				x := activity.New(4<<20, 2*retention, 1024)
				// An exporter sends every 5 s what has ended. Records wait for 7 s.
				for now := start; now < start+60*second; now += second / 2 {
					if now%(5*second) == start%(5*second) {
						var batch []activity.Span
						for len(spans) > 0 && spans[0].End < now-10*ms {
							batch, spans = append(batch, spans[0]), spans[1:]
						}
						x.Add(now, shop, batch)
					}
					for len(records) > 0 && records[0].at < now-7*second {
						r := records[0]
						records = records[1:]
						gotTrace, got, why := x.Find(now, shop, r.thread, (r.at+random.Int64N(kind.late+1))/kind.unit*kind.unit)
						asked++
						if why != activity.Fits {
							continue
						}
						decided++
						if gotTrace != r.trace {
							wrongTrace++
						}
						if !got.IsEmpty() {
							withSpan++
							if got != r.span {
								wrongSpan++
							}
						}
					}
				}
			}
			assert.Zero(t, wrongTrace)
			assert.Zero(t, wrongSpan)
			assert.Greater(t, asked, 1000)
			assert.GreaterOrEqual(t, float64(decided), kind.decided*float64(asked))
			assert.GreaterOrEqual(t, float64(withSpan), kind.withSpan*float64(asked))
			t.Logf("asked %d, decided %d, with span %d, wrong trace %d, wrong span %d",
				asked, decided, withSpan, wrongTrace, wrongSpan)
		})
	}
}

// truth is a record and what it was written in.
type truth struct {
	thread uint64
	at     int64
	trace  pcommon.TraceID
	span   pcommon.SpanID
}

// request makes up a span with up to two within it, and a record in each stretch.
func request(
	random *rand.Rand, spans []activity.Span, records []truth, thread uint64, clock int64,
) ([]activity.Span, []truth, int64) {
	id := trace(random.Uint64())
	root := activity.Span{Trace: id, ID: span(random.Uint64()), Start: clock, Thread: thread, Entry: true}
	write := func(into pcommon.SpanID) {
		stretch := random.Int64N(20*ms) + 10
		records = append(records, truth{thread, clock + 1 + random.Int64N(stretch-2), id, into})
		clock += stretch
	}
	write(root.ID)
	for range random.IntN(3) {
		child := activity.Span{Trace: id, ID: span(random.Uint64()), Parent: root.ID, Start: clock, Thread: thread}
		write(child.ID)
		child.End = clock
		spans = append(spans, child)
		clock++
		write(root.ID)
	}
	root.End = clock
	return append(spans, root), records, clock
}

func TestManyAtOnce(t *testing.T) {
	x := activity.New(1<<20, retention, depth)
	var wait sync.WaitGroup
	for worker := range uint64(4) {
		wait.Go(func() {
			for i := range int64(5000) {
				now := start + i*50*ms
				who := activity.Instance{High: uint64(i) % 97, Low: worker % 2}
				x.Add(now, who, []activity.Span{{Trace: trace(1), ID: span(uint64(i)), Start: now - 5*ms, End: now}})
				x.Find(now, who, worker, now-ms)
				x.Size()
				x.Evicted()
			}
		})
	}
	wait.Wait()
	for i := range uint64(8) {
		x.Find(start+int64(time.Hour), activity.Instance{High: i}, 0, start)
	}
	assert.Zero(t, x.Size())
}

func TestNothingIsAllocatedOnceAnInstanceIsKnown(t *testing.T) {
	x := activity.New(1<<20, retention, depth)
	i := int64(0)
	batch := make([]activity.Span, 1)
	step := func() {
		i++
		now := start + i*ms
		batch[0] = activity.Span{Trace: trace(1), ID: span(uint64(i)), Start: now - 5*ms, End: now, Thread: 7}
		x.Add(now, shop, batch)
		x.Find(now, shop, 7, now-20*ms)
	}
	for range 1000 {
		step()
	}
	assert.Zero(t, testing.AllocsPerRun(1000, step))
}

func BenchmarkAdd(b *testing.B) {
	for _, c := range []struct {
		name    string
		threads uint64
		overlap int64
	}{
		{"one_at_a_time", 1, 1},
		{"many_on_threads", 100, 50},
		{"many_on_one_thread", 1, 50},
		{"many_without_threads", 0, 50},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := activity.New(1<<20, retention, 256)
			batch := make([]activity.Span, 256)
			i := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				if i%int64(len(batch)) == 0 {
					x.Add(start+i*ms, shop, batch)
				}
				s := &batch[i%int64(len(batch))]
				*s = activity.Span{Trace: trace(uint64(i)), ID: span(uint64(i)), Start: start + (i-c.overlap)*ms, End: start + i*ms}
				if c.threads > 0 {
					s.Thread = uint64(i)%c.threads + 1
				}
				i++
			}
		})
	}
}

func BenchmarkFind(b *testing.B) {
	for _, c := range []struct {
		name   string
		thread uint64
		back   int64
		want   activity.Verdict
	}{
		{"latest", 7, 5, activity.Fits},
		{"latest_alone", 0, 5, activity.Fits},
		{"oldest", 7, 250, activity.Fits},
		{"forgotten", 7, 400, activity.Undecidable},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := activity.New(1<<20, retention, 256)
			for i := range int64(1000) {
				x.Add(start+10*i*ms, shop, []activity.Span{on(7, uint64(i), uint64(i), 0, 10*i-5, 10*i)})
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, why := x.Find(start+10_000*ms, shop, c.thread, start+10*(1000-c.back)*ms-ms); why != c.want {
					b.Fatal(why)
				}
			}
		})
	}
}

// watching makes an index that has known the shop for a while.
func watching() *activity.Index {
	x := activity.New(1<<20, retention, depth)
	x.Add(start, shop, []activity.Span{{Trace: trace(99), ID: span(99), Start: start - ms, End: start - ms, Thread: 5}})
	return x
}

// of makes a span of a trace, with an id and a parent's id, from one millisecond to another. It is the entry if it has no
// parent.
func of(traceID, id, parent uint64, from, to int64) activity.Span {
	return activity.Span{
		Trace: trace(traceID), ID: span(id), Parent: span(parent), Start: start + from*ms, End: start + to*ms, Entry: parent == 0,
	}
}

// on makes a span that names a thread.
func on(thread, traceID, id, parent uint64, from, to int64) activity.Span {
	s := of(traceID, id, parent, from, to)
	s.Thread = thread
	return s
}

func trace(n uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func span(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
