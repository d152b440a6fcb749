package note_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/note"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const (
	start     = int64(1_700_000_000_000_000_000)
	retention = time.Minute
)

var warnings = note.Config{MinSeverity: plog.SeverityNumberWarn, MaxPerSpan: 3, Attributes: []string{"user", "try"}}

func TestErrorsAreCountedEvenIfNothingIsNoted(t *testing.T) {
	x := note.New(1<<20, retention, note.Config{})
	assert.True(t, x.Empty())
	for _, severity := range []plog.SeverityNumber{
		plog.SeverityNumberUnspecified, plog.SeverityNumberInfo, plog.SeverityNumberWarn4, plog.SeverityNumberFatal4 + 1, -1,
	} {
		x.Add(start, record(1, 1, severity, "no error"))
	}
	assert.True(t, x.Empty())
	x.Add(start, record(1, 1, plog.SeverityNumberError, "an error"))
	x.Add(start, record(1, 1, plog.SeverityNumberFatal4, "a worse one"))
	assert.False(t, x.Empty())

	s := ptrace.NewSpan()
	assert.Zero(t, appendTo(t, x, 1, 1, s))
	assert.Equal(t, map[string]any{"throughline.logs.error_count": int64(2)}, s.Attributes().AsRaw())
	assert.Zero(t, s.Events().Len())
}

func TestARecordNeedsBothIDs(t *testing.T) {
	x := note.New(1<<20, retention, warnings)
	x.Add(start, record(0, 1, plog.SeverityNumberError, ""))
	x.Add(start, record(1, 0, plog.SeverityNumberError, ""))
	assert.True(t, x.Empty())
	x.Add(start, record(1, 1, plog.SeverityNumberError, ""))
	for _, other := range [][2]uint64{{1, 2}, {2, 1}, {0, 1}, {1, 0}} {
		_, ok := x.Of(start, trace(other[0]), span(other[1]))
		assert.False(t, ok, other)
	}
}

func TestARecordBecomesAnEvent(t *testing.T) {
	x := note.New(1<<20, retention, note.Config{
		MinSeverity: plog.SeverityNumberInfo, MaxPerSpan: 8,
		Attributes: []string{"user", "try", "ratio", "last", "nothing", "all", "raw", "missing"},
	})
	r := record(1, 1, plog.SeverityNumberError2, "payment refused")
	r.SetTimestamp(7)
	r.Attributes().PutStr("user", "ann")
	r.Attributes().PutInt("try", math.MinInt64)
	r.Attributes().PutDouble("ratio", 0.5)
	r.Attributes().PutBool("last", true)
	r.Attributes().PutEmpty("nothing")
	all := r.Attributes().PutEmptySlice("all")
	all.AppendEmpty().SetStr("a\"b\\\n")
	all.AppendEmpty().SetEmptyMap().PutEmptySlice("x")
	all.AppendEmpty().SetEmptyMap()
	all.AppendEmpty().SetEmptyBytes().FromRaw([]byte{1})
	all.AppendEmpty()
	r.Attributes().PutEmptyBytes("raw").FromRaw([]byte("abc"))
	r.Attributes().PutStr("secret", "not listed")
	x.Add(start, r)

	s := ptrace.NewSpan()
	require.Equal(t, 1, appendTo(t, x, 1, 1, s))
	event := s.Events().At(0)
	assert.Equal(t, "log", event.Name())
	assert.Equal(t, pcommon.Timestamp(7), event.Timestamp())
	assert.Equal(t, map[string]any{
		"throughline.log.severity": "ERROR2", "throughline.log.body": "payment refused",
		"user": "ann", "try": int64(math.MinInt64), "ratio": 0.5, "last": true, "nothing": nil,
		"all": `["a\"b\\\u000a",{"x":[]},{},"AQ==",null]`, "raw": "YWJj",
	}, event.Attributes().AsRaw())
}

func TestTheNameOfAnEvent(t *testing.T) {
	named := record(1, 1, plog.SeverityNumberWarn, "")
	exception := record(1, 2, plog.SeverityNumberWarn, "")
	both := record(1, 3, plog.SeverityNumberWarn, "")
	named.SetEventName("cart.emptied")
	exception.Attributes().PutStr("exception.type", "IOError")
	exception.Attributes().PutStr("exception.stacktrace", "not listed")
	both.SetEventName("cart.broken")
	both.Attributes().PutStr("exception.message", "broken pipe")
	x := note.New(1<<20, retention, warnings)
	for i, want := range []struct {
		record plog.LogRecord
		name   string
		key    string
		value  string
	}{
		{named, "cart.emptied", "throughline.log.severity", "WARN"},
		{exception, "exception", "exception.type", "IOError"},
		{both, "cart.broken", "exception.message", "broken pipe"},
	} {
		x.Add(start, want.record)
		s := ptrace.NewSpan()
		require.Equal(t, 1, appendTo(t, x, 1, uint64(i+1), s))
		assert.Equal(t, want.name, s.Events().At(0).Name())
		value, ok := s.Events().At(0).Attributes().Get(want.key)
		require.True(t, ok)
		assert.Equal(t, want.value, value.Str())
		_, ok = s.Events().At(0).Attributes().Get("exception.stacktrace")
		assert.False(t, ok)
	}
}

func TestAnEventHasTheTimeOfItsRecord(t *testing.T) {
	x := note.New(1<<20, retention, warnings)
	observed, never := record(1, 1, plog.SeverityNumberWarn, "observed"), record(1, 2, plog.SeverityNumberWarn, "never")
	observed.SetObservedTimestamp(5)
	x.Add(start, observed)
	x.Add(start, never)
	for id, want := range map[uint64]pcommon.Timestamp{1: 5, 2: pcommon.Timestamp(start)} {
		s := ptrace.NewSpan()
		require.Equal(t, 1, appendTo(t, x, 1, id, s))
		assert.Equal(t, want, s.Events().At(0).Timestamp())
	}
}

func TestTheMostSevereStayAndOfThoseTheEarliest(t *testing.T) {
	type given struct {
		severity plog.SeverityNumber
		at       pcommon.Timestamp
	}
	records := []given{
		{plog.SeverityNumberWarn, 1},
		{plog.SeverityNumberError, 9},
		{plog.SeverityNumberError, 5},
		{plog.SeverityNumberWarn, 2},
		{plog.SeverityNumberFatal, 8},
		{plog.SeverityNumberError, 7},
	}
	for range 50 {
		x := note.New(1<<20, retention, warnings)
		rand.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		for _, g := range records {
			r := record(1, 1, g.severity, fmt.Sprint(uint64(g.at)))
			r.SetTimestamp(g.at)
			x.Add(start, r)
		}
		about, ok := x.Of(start, trace(1), span(1))
		require.True(t, ok)
		assert.Equal(t, int64(4), about.Errors)
		assert.Equal(t, int64(3), about.LeftOut)
		s := ptrace.NewSpan()
		require.Equal(t, 3, about.AppendTo(s))
		var bodies []string
		for _, event := range s.Events().All() {
			body, _ := event.Attributes().Get("throughline.log.body")
			bodies = append(bodies, body.Str())
		}
		assert.Equal(t, []string{"5", "7", "8"}, bodies, "in the order of time")
	}
}

func TestARecordThatIsSentAgainIsNotedOnce(t *testing.T) {
	x := note.New(1<<20, retention, warnings)
	one, other := record(1, 1, plog.SeverityNumberError, "one"), record(1, 1, plog.SeverityNumberError, "other")
	for _, r := range []plog.LogRecord{one, other, one, other} {
		r.SetTimestamp(3)
		x.Add(start, r)
	}
	about, ok := x.Of(start, trace(1), span(1))
	require.True(t, ok)
	assert.Equal(t, int64(2), about.Errors)
	assert.Equal(t, 2, about.AppendTo(ptrace.NewSpan()))
}

func TestARecordThatIsSentAgainCountsOnceEvenIfNothingIsNoted(t *testing.T) {
	many := make([]plog.LogRecord, 0, 20)
	for i := range cap(many) {
		r := record(1, 1, plog.SeverityNumberError, "an error")
		r.SetTimestamp(pcommon.Timestamp(i + 1))
		many = append(many, r)
	}
	for name, config := range map[string]note.Config{
		"no notes":       {MaxPerSpan: 8},
		"of worse alone": {MinSeverity: plog.SeverityNumberFatal, MaxPerSpan: 8},
		"few notes":      {MinSeverity: plog.SeverityNumberWarn, MaxPerSpan: 2},
	} {
		x := note.New(1<<20, retention, config)
		var want int64
		for i := range many {
			x.Add(start, many[i])
			for _, again := range many[max(0, i-14) : i+1] {
				x.Add(start+1, again)
			}
			want++
		}
		about, ok := x.Of(start, trace(1), span(1))
		require.True(t, ok)
		assert.Equal(t, want, about.Errors, name)
		if config.MinSeverity == plog.SeverityNumberWarn {
			assert.Equal(t, want-2, about.LeftOut, name)
		}
	}
}

func TestRecordsThatDifferAreNotTheSame(t *testing.T) {
	x := note.New(1<<20, retention, note.Config{})
	first := record(1, 1, plog.SeverityNumberError, "an error")
	first.SetTimestamp(1)
	x.Add(start, first)
	for _, change := range []func(plog.LogRecord){
		func(r plog.LogRecord) { r.SetTimestamp(2) },
		func(r plog.LogRecord) { r.SetSeverityNumber(plog.SeverityNumberError2) },
		func(r plog.LogRecord) { r.Body().SetStr("another error") },
		func(r plog.LogRecord) { r.SetEventName("named") },
		func(r plog.LogRecord) { r.Attributes().PutStr("exception.message", "why") },
	} {
		other := plog.NewLogRecord()
		first.CopyTo(other)
		change(other)
		x.Add(start, other)
	}
	about, _ := x.Of(start, trace(1), span(1))
	assert.Equal(t, int64(6), about.Errors)
}

func TestASpanThatComesAgainGetsTheSame(t *testing.T) {
	x := note.New(1<<20, retention, warnings)
	x.Add(start, record(1, 1, plog.SeverityNumberError, "x"))
	for range 2 {
		s := ptrace.NewSpan()
		assert.Equal(t, 1, appendTo(t, x, 1, 1, s))
		assert.Equal(t, 1, s.Attributes().Len())
	}
}

func TestWhatWasFoundDoesNotChange(t *testing.T) {
	x := note.New(1<<20, retention, warnings)
	x.Add(start, record(1, 1, plog.SeverityNumberWarn, "first"))
	x.Add(start, record(1, 1, plog.SeverityNumberWarn, "second"))
	x.Add(start, record(1, 1, plog.SeverityNumberWarn, "third"))
	about, ok := x.Of(start, trace(1), span(1))
	require.True(t, ok)
	for range 3 {
		x.Add(start, record(1, 1, plog.SeverityNumberFatal, fmt.Sprint(rand.Uint64())))
	}
	s := ptrace.NewSpan()
	require.Equal(t, 3, about.AppendTo(s))
	for i, want := range []string{"first", "second", "third"} {
		body, _ := s.Events().At(i).Attributes().Get("throughline.log.body")
		assert.Equal(t, want, body.Str())
	}
	assert.Zero(t, s.Attributes().Len())
}

func TestWhatAnAgentHasDoneIsLeftAlone(t *testing.T) {
	x := note.New(1<<20, retention, warnings)
	x.Add(start, record(1, 1, plog.SeverityNumberError, "x"))
	s := ptrace.NewSpan()
	s.Events().AppendEmpty().SetName("the sender's")
	require.Equal(t, 1, appendTo(t, x, 1, 1, s))
	assert.Equal(t, "the sender's", s.Events().At(0).Name())

	s.Attributes().PutInt("throughline.logs.error_count", 7)
	before := ptrace.NewSpan()
	s.CopyTo(before)
	assert.Zero(t, appendTo(t, x, 1, 1, s))
	assert.Equal(t, before, s)
}

func TestTextsAreBoundedAndUTF8(t *testing.T) {
	for body, want := range map[string]string{
		strings.Repeat("a", 1<<20):          strings.Repeat("a", note.MaxText),
		"a" + strings.Repeat("ü", 1<<20):    "a" + strings.Repeat("ü", (note.MaxText-1)/2),
		strings.Repeat("\x80", 1<<20):       strings.Repeat("\uFFFD", note.MaxText/3),
		"fine\xff\xfe and after":            "fine\uFFFD\uFFFD and after",
		strings.Repeat("語", 341) + "\xe8ab": strings.Repeat("語", 341),
	} {
		x := note.New(1<<20, retention, note.Config{MinSeverity: plog.SeverityNumberWarn, MaxPerSpan: 1, Attributes: []string{"copy"}})
		r := record(1, 1, plog.SeverityNumberWarn, body)
		r.Attributes().PutStr("copy", body)
		r.SetEventName(body)
		x.Add(start, r)
		s := ptrace.NewSpan()
		require.Equal(t, 1, appendTo(t, x, 1, 1, s))
		for _, key := range []string{"throughline.log.body", "copy"} {
			got, _ := s.Events().At(0).Attributes().Get(key)
			assert.Equal(t, want, got.Str())
		}
		assert.LessOrEqual(t, len(s.Events().At(0).Name()), 256)
		assert.True(t, utf8.ValidString(s.Events().At(0).Name()))
	}
}

func TestDeepAndWideBodiesCostNoMoreThanTheBound(t *testing.T) {
	wide, deep, raw := pcommon.NewValueSlice(), pcommon.NewValueSlice(), pcommon.NewValueBytes()
	wide.Slice().EnsureCapacity(1_000_000)
	for range 1_000_000 {
		wide.Slice().AppendEmpty().SetBool(true)
	}
	into := deep.Slice()
	for range 1_000_000 {
		into = into.AppendEmpty().SetEmptySlice()
	}
	raw.Bytes().FromRaw(make([]byte, 10<<20))
	pairs, mapped := map[string]any{}, pcommon.NewValueMap()
	for i := range 500_000 {
		pairs[fmt.Sprint(i)] = true
	}
	require.NoError(t, mapped.Map().FromRaw(pairs))
	for name, body := range map[string]pcommon.Value{"wide": wide, "deep": deep, "raw": raw, "map": mapped} {
		t.Run(name, func(t *testing.T) {
			r := record(1, 1, plog.SeverityNumberWarn, "")
			body.MoveTo(r.Body())
			x := note.New(1<<20, retention, warnings)
			began := time.Now()
			for i := range pcommon.Timestamp(500) {
				r.SetTimestamp(1000 - i)
				x.Add(start, r)
			}
			assert.Less(t, time.Since(began), time.Second)
			s := ptrace.NewSpan()
			require.Equal(t, 3, appendTo(t, x, 1, 1, s))
			for _, event := range s.Events().All() {
				text, _ := event.Attributes().Get("throughline.log.body")
				assert.LessOrEqual(t, len(text.Str()), note.MaxText)
				assert.Greater(t, len(text.Str()), note.MaxText-20)
			}
		})
	}
}

func TestWhatIsKeptKeepsNoBatchAlive(t *testing.T) {
	x := note.New(1<<20, retention, warnings)
	r := record(1, 1, plog.SeverityNumberWarn, "")
	gone := make(chan struct{})
	func() {
		batch := new([1 << 16]byte)
		copy(batch[:], "a body")
		runtime.AddCleanup(batch, func(c chan struct{}) { close(c) }, gone)
		r.Body().SetStr(unsafe.String(&batch[0], 6))
		x.Add(start, r)
		r.Body().SetStr("")
	}()
	for range 20 {
		runtime.GC()
		select {
		case <-gone:
			assert.False(t, x.Empty())
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("the batch is still there")
}

func TestWhatIsOldIsForgotten(t *testing.T) {
	x := note.New(1<<20, retention, note.Config{})
	x.Add(start, record(1, 1, plog.SeverityNumberError, ""))
	x.Add(start, record(2, 1, plog.SeverityNumberError, ""))
	half := start + int64(retention)/2
	x.Add(half, record(1, 1, plog.SeverityNumberError, ""))

	about, ok := x.Of(start+int64(retention)+1, trace(1), span(1))
	assert.True(t, ok, "it is as old as its newest record")
	assert.Equal(t, int64(2), about.Errors)
	_, ok = x.Of(start+int64(retention)+1, trace(2), span(1))
	assert.False(t, ok)
	_, ok = x.Of(half+int64(retention)+1, trace(1), span(1))
	assert.False(t, ok)
	_, ok = x.Of(half, trace(1), span(1))
	assert.False(t, ok, "a clock that goes back brings nothing back")
	assert.Equal(t, recency.Evictions{Age: 2}, x.Evicted())
}

func TestSpansWithoutRecordsSeeToItThatWhatIsOldGoes(t *testing.T) {
	x := note.New(1<<20, retention, warnings)
	empty := x.Size()
	for i := range uint64(1000) {
		x.Add(start, record(i+1, 1, plog.SeverityNumberError, "body"))
	}
	for i := range uint64(2000) {
		r := record(1, 1, plog.SeverityNumberError, fmt.Sprint("each earlier than the last ", i))
		r.SetTimestamp(pcommon.Timestamp(start) - pcommon.Timestamp(i))
		x.Add(start, r)
	}
	for now := start; now < start+2*int64(retention); now += int64(time.Second) {
		x.Of(now, trace(5000), span(1))
	}
	assert.True(t, x.Empty())
	assert.Less(t, x.Size(), empty+1000*16+8*1024, "tables and scratch are all that is left")
}

func TestAFloodPushesOutTheOldestAndKeepsTheBound(t *testing.T) {
	const limit = 1 << 20
	x := note.New(limit, retention, warnings)
	const flood = 20_000
	for i := range uint64(flood) {
		x.Add(start+int64(i), record(i+1, i+1, plog.SeverityNumberError, strings.Repeat("x", int(i%300))))
		require.LessOrEqual(t, x.Size(), int64(limit))
	}
	evicted := x.Evicted()
	assert.Zero(t, evicted.Age)
	left := flood - int(evicted.Bytes)
	assert.Greater(t, left, limit/600)
	// The shards do not fill evenly, so that the border between old and young is a little blurred.
	for i := range flood {
		_, ok := x.Of(start+flood, trace(uint64(i)+1), span(uint64(i)+1))
		if i < flood-left*13/10 {
			require.False(t, ok, i)
		} else if i >= flood-left*7/10 {
			require.True(t, ok, i)
		}
	}
}

func TestASpanThatTakesAllThereIsIsCutShort(t *testing.T) {
	const limit = 64 << 10
	x := note.New(limit, retention, note.Config{MinSeverity: plog.SeverityNumberWarn, MaxPerSpan: 1000})
	for i := range 1000 {
		x.Add(start, record(1, 1, plog.SeverityNumberError, fmt.Sprint(i, strings.Repeat("x", 1000))))
		require.LessOrEqual(t, x.Size(), int64(limit))
	}
	about, ok := x.Of(start, trace(1), span(1))
	require.True(t, ok)
	assert.Equal(t, int64(1000), about.Errors)
	assert.Equal(t, int64(1000), about.LeftOut+int64(about.AppendTo(ptrace.NewSpan())))

	tiny := note.New(100, retention, warnings)
	tiny.Add(start, record(1, 1, plog.SeverityNumberError, "x"))
	assert.True(t, tiny.Empty())
}

// TestSizeIsTheTruth holds the size that the index claims against what the runtime knows.
func TestSizeIsTheTruth(t *testing.T) {
	const limit = 4 << 20
	for name, c := range map[string]note.Config{
		"counts": {},
		"notes":  {MinSeverity: plog.SeverityNumberWarn, MaxPerSpan: 8, Attributes: []string{"user"}},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			r := record(1, 1, plog.SeverityNumberError, "")
			r.Attributes().PutStr("user", "somebody")
			before := heap()
			x := note.New(limit, retention, c)
			for i := range uint64(60_000) {
				r.SetTraceID(trace(random.Uint64()))
				for n := range i % 3 {
					r.SetSpanID(span(n + 1))
					r.SetTimestamp(pcommon.Timestamp(i))
					r.Body().SetStr(strings.Repeat("x", int(random.Uint64N(200))))
					x.Add(start, r)
				}
			}
			taken := heap() - before
			assert.Positive(t, x.Evicted().Bytes)
			assert.Greater(t, x.Size(), int64(limit*9/10))
			assert.InEpsilon(t, taken, x.Size(), 0.1)
			t.Logf("size %d, taken %d", x.Size(), taken)
			runtime.KeepAlive(x)
		})
	}
}

// TestAgainstAMap holds the counts against the simplest thing that counts.
func TestAgainstAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	x := note.New(64<<20, retention, note.Config{})
	counts := map[[2]uint64]int64{}
	for n := range 50_000 {
		id := [2]uint64{random.Uint64N(500) + 1, random.Uint64N(50) + 1}
		severity := plog.SeverityNumber(random.IntN(30) - 3)
		x.Add(start, record(id[0], id[1], severity, fmt.Sprint(n)))
		if severity >= plog.SeverityNumberError && severity <= plog.SeverityNumberFatal4 {
			counts[id]++
		}
	}
	for id, want := range counts {
		about, ok := x.Of(start, trace(id[0]), span(id[1]))
		require.True(t, ok)
		require.Equal(t, want, about.Errors)
	}
}

func TestManyAtOnce(t *testing.T) {
	x := note.New(1<<20, retention, warnings)
	var wait sync.WaitGroup
	for worker := range uint64(4) {
		wait.Go(func() {
			for i := range uint64(5000) {
				now := start + int64(i)*int64(50*time.Millisecond)
				x.Add(now, record(i%97+1, worker%2+1, plog.SeverityNumberError, fmt.Sprint(i)))
				if about, ok := x.Of(now, trace(i*31%97+1), span(worker%2+1)); ok {
					about.AppendTo(ptrace.NewSpan())
				}
				x.Empty()
				x.Size()
				x.Evicted()
			}
		})
	}
	wait.Wait()
	x.Of(start+int64(time.Hour), trace(1), span(1))
	assert.True(t, x.Empty())
}

func TestNothingIsAllocatedWhereNothingIsAdded(t *testing.T) {
	x := note.New(1<<20, retention, note.Config{MinSeverity: plog.SeverityNumberWarn, MaxPerSpan: 1})
	r, fine := record(1, 1, plog.SeverityNumberError, "x"), record(2, 2, plog.SeverityNumberInfo, "x")
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		x.Add(start, fine)
		x.Of(start, trace(3), span(3))
	}))
	x.Add(start, r)
	r.SetTimestamp(pcommon.Timestamp(start + 1))
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		x.Add(start, r)
		x.Of(start, trace(3), span(3))
	}))
}

// FuzzRecord makes sure that whatever a record says comes out as UTF-8, in bounds, and only what was asked for.
func FuzzRecord(f *testing.F) {
	f.Add("body", "user", "ann", "", int64(1), int32(17), uint8(0))
	f.Add("\xff\x00\"\\", "exception.type", "\xc3", "event\xf0\x9f", int64(-1), int32(24), uint8(1))
	f.Add(strings.Repeat("語", 500), "throughline.log.severity", "x", "log", int64(0), int32(13), uint8(2))
	f.Add("{\"", "throughline.log.body", strings.Repeat("\\", 2000), "log", int64(0), int32(99), uint8(3))
	f.Fuzz(func(t *testing.T, body, key, text, name string, at int64, severity int32, shape uint8) {
		r := plog.NewLogRecord()
		r.SetTraceID(trace(1))
		r.SetSpanID(span(1))
		r.SetSeverityNumber(plog.SeverityNumber(severity))
		r.SetTimestamp(pcommon.Timestamp(at))
		r.SetEventName(name)
		nest(r.Body(), key, body, shape)
		nest(r.Attributes().PutEmpty(key), text, body, shape>>4)
		nest(r.Attributes().PutEmpty("exception.message"), body, text, shape>>2)
		x := note.New(1<<20, retention, note.Config{
			MinSeverity: plog.SeverityNumberWarn, MaxPerSpan: 2, Attributes: []string{key, key},
		})
		x.Add(start, r)
		about, ok := x.Of(start, trace(1), span(1))
		require.Equal(t, severity >= 13 && severity <= 24, ok)
		s := ptrace.NewSpan()
		if !ok {
			return
		}
		require.Equal(t, 1, about.AppendTo(s))
		event := s.Events().At(0)
		require.LessOrEqual(t, len(event.Name()), 256)
		require.True(t, utf8.ValidString(event.Name()))
		require.LessOrEqual(t, event.Attributes().Len(), 4)
		seen := map[string]bool{}
		for got, value := range event.Attributes().All() {
			require.False(t, seen[got], "twice: %q", got)
			seen[got] = true
			require.Contains(t, []string{"throughline.log.severity", "throughline.log.body", key, "exception.message"}, got)
			require.LessOrEqual(t, len(value.AsString()), note.MaxText)
			require.True(t, utf8.ValidString(value.AsString()))
		}
		require.Zero(t, about.LeftOut)
		require.LessOrEqual(t, x.Size(), int64(1<<20))
	})
}

// nest makes a value of a shape.
func nest(into pcommon.Value, key, text string, shape uint8) {
	switch shape % 8 {
	case 0:
		into.SetStr(text)
	case 1:
		nest(into.SetEmptyMap().PutEmpty(key), key, text, shape/8)
		nest(into.Map().PutEmpty(text), key, text, 0)
	case 2:
		nest(into.SetEmptySlice().AppendEmpty(), key, text, shape/8)
		nest(into.Slice().AppendEmpty(), key, text, 1)
	case 3:
		into.SetEmptyBytes().FromRaw([]byte(text))
	case 4:
		into.SetDouble(math.Inf(len(text) - 1))
	case 5:
		into.SetInt(int64(len(text)))
	case 6:
		into.SetBool(text == key)
	}
}

func BenchmarkAdd(b *testing.B) {
	config := note.Config{MinSeverity: plog.SeverityNumberError, MaxPerSpan: 8, Attributes: []string{"user"}}
	for _, c := range []struct {
		name     string
		severity plog.SeverityNumber
		config   note.Config
		spans    uint64
	}{
		{"info", plog.SeverityNumberInfo, config, 1 << 62},
		{"counted", plog.SeverityNumberError, note.Config{}, 1 << 62},
		{"noted", plog.SeverityNumberError, config, 1 << 62},
		{"left_out", plog.SeverityNumberError, config, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := note.New(4<<20, retention, c.config)
			r := record(1, 1, c.severity, "payment of 12.50 EUR refused: the card has expired, order 123456 is cancelled")
			r.Attributes().PutStr("user", "ann")
			i := uint64(0)
			step := func() {
				i++
				r.SetSpanID(span(i%c.spans + 1))
				r.SetTraceID(trace(i%c.spans + 1))
				r.SetTimestamp(pcommon.Timestamp(i))
				x.Add(start, r)
			}
			for range 100_000 {
				step()
			}
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}

func BenchmarkOf(b *testing.B) {
	for _, c := range []struct {
		name  string
		noted uint64
		step  uint64
	}{
		{"nothing_noted", 0, 1},
		{"others_noted", 500, 1},
		{"index_full", 100_000, 1},
		{"hit", 500, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := note.New(4<<20, retention, note.Config{MinSeverity: plog.SeverityNumberError, MaxPerSpan: 8})
			for i := range c.noted {
				x.Add(start, record(1<<40+i, 1, plog.SeverityNumberError, "payment of 12.50 EUR refused: the card has expired"))
			}
			i := uint64(1 << 40)
			if c.step > 0 {
				i = 0
			}
			b.ReportAllocs()
			for b.Loop() {
				i += c.step
				if x.Empty() {
					continue
				}
				if _, ok := x.Of(start, trace(i), span(1)); ok != (c.step == 0) {
					b.Fatal(i)
				}
			}
		})
	}
}

func BenchmarkAppendTo(b *testing.B) {
	x := note.New(4<<20, retention, note.Config{MinSeverity: plog.SeverityNumberError, MaxPerSpan: 8})
	x.Add(start, record(1, 1, plog.SeverityNumberError, "payment of 12.50 EUR refused: the card has expired"))
	b.ReportAllocs()
	for b.Loop() {
		about, _ := x.Of(start, trace(1), span(1))
		about.AppendTo(ptrace.NewSpan())
	}
}

func appendTo(t *testing.T, x *note.Index, traceID, spanID uint64, into ptrace.Span) int {
	about, ok := x.Of(start, trace(traceID), span(spanID))
	require.True(t, ok)
	return about.AppendTo(into)
}

func record(traceID, spanID uint64, severity plog.SeverityNumber, body string) plog.LogRecord {
	r := plog.NewLogRecord()
	r.SetTraceID(trace(traceID))
	r.SetSpanID(span(spanID))
	r.SetSeverityNumber(severity)
	r.Body().SetStr(body)
	return r
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
