package evidence

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
)

const usual = `
	1 - shop server 0-100 op=buy
	2 1 shop client 10-50 op=pay
	3 2 bank server 12-48 op=charge
	4 3 bank internal 20-40 op=insert`

// stretch is so many seconds with one trace in each.
type stretch struct {
	seconds int
	trace   string
	notes   []Note
}

// play returns what deviates after the stretches.
func play(t *testing.T, table *names.Table, stretches ...stretch) []Finding {
	t.Helper()
	b := New(int64(10 * time.Second))
	var tree trace.Trace
	now := tracetest.Epoch
	var found []Finding
	for _, s := range stretches {
		for range s.seconds {
			now += 1e9
			records := tracetest.Records(table, s.trace)
			for i := range records {
				records[i].Start += now - tracetest.Epoch
				records[i].End += now - tracetest.Epoch
			}
			tree.Build([16]byte{1}, records)
			b.Observe(&tree, s.notes, now)
			found, _ = b.Findings(now, true, found[:0])
		}
	}
	return found
}

func heaviest(t *testing.T, found []Finding) Finding {
	t.Helper()
	require.NotEmpty(t, found)
	most := found[0]
	for _, f := range found {
		if f.Weight > most.Weight {
			most = f
		}
	}
	return most
}

func TestFindings(t *testing.T) {
	tests := map[string]struct {
		then            stretch
		kind            Kind
		service, callee string
	}{
		"slow itself": {
			stretch{seconds: 20, trace: `
				1 - shop server 0-500 op=buy
				2 1 shop client 10-450 op=pay
				3 2 bank server 12-448 op=charge
				4 3 bank internal 20-440 op=insert`}, Slow, "bank", "",
		},
		"slow on the way": {
			stretch{seconds: 20, trace: `
				1 - shop server 0-500 op=buy
				2 1 shop client 10-450 op=pay
				3 2 bank server 212-248 op=charge
				4 3 bank internal 220-240 op=insert`}, Gap, "shop", "bank",
		},
		"a call less": {
			stretch{seconds: 20, trace: `
				1 - shop server 0-80 op=buy
				2 1 shop client 10-30 op=pay
				3 2 bank server 12-28 op=charge`}, Call, "bank", "",
		},
		"fails of itself": {
			stretch{seconds: 20, trace: `
				1 - shop server 0-100 failed op=buy
				2 1 shop client 10-50 failed op=pay
				3 2 bank server 12-48 failed op=charge
				4 3 bank internal 20-40 op=insert`}, Errors, "bank", "",
		},
		"logs an error":   {stretch{seconds: 20, trace: usual, notes: []Note{{Span: 3, Severity: 17}}}, ErrorRecords, "bank", ""},
		"logs a warning":  {stretch{seconds: 20, trace: usual, notes: []Note{{Span: 3, Severity: 13}}}, WarningRecords, "bank", ""},
		"logs a new text": {stretch{seconds: 20, trace: usual, notes: []Note{{Span: 3, Template: 5, Severity: 9}}}, Record, "bank", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			table := names.New()
			f := heaviest(t, play(t, table, stretch{seconds: 200, trace: usual}, test.then))
			assert.Equal(t, test.kind, f.Kind)
			assert.Equal(t, test.service, table.EntityOf(f.Service).Name)
			assert.Equal(t, test.callee, table.EntityOf(f.Callee).Name)
		})
	}
}

// All requests that come in are one operation, and few of them buy. After these have paid, nothing is sent any more.
func TestEndsEarlyInFewRequests(t *testing.T) {
	look := "1 - shop server 0-100 op=receive\n2 1 shop client 10-50 op=list peer=db"
	buy := `
		1 - shop server 0-100 op=receive
		2 1 shop client 10-50 op=pay peer=bank
		3 1 shop client 60-90 op=send peer=mail`
	throws := "1 - shop server 0-100 op=receive\n2 1 shop client 10-50 op=pay peer=bank"
	day := func(n int, bought string) (stretches []stretch) {
		for range n {
			stretches = append(stretches, stretch{seconds: 9, trace: look}, stretch{seconds: 1, trace: bought})
		}
		return stretches
	}
	table := names.New()
	assert.Empty(t, play(t, table, day(40, buy)...))
	f := heaviest(t, play(t, table, append(day(40, buy), day(8, throws)...)...))
	assert.Equal(t, Last, f.Kind)
	assert.Equal(t, "pay", table.OperationOf(f.What).Name)
	assert.InDelta(t, 1, f.Share, 0.01)
	assert.Less(t, f.Usual, 0.05)
}

// An operation makes one call each time, then two for a while, and then one again.
func TestWhereItEndedBeforeIsNoNews(t *testing.T) {
	one := "1 - shop server 0-100 op=receive\n2 1 shop client 10-50 op=list peer=db"
	two := one + "\n3 1 shop client 60-90 op=rate peer=rates"
	found := play(t, names.New(), stretch{seconds: 300, trace: one}, stretch{seconds: 100, trace: two}, stretch{seconds: 30, trace: one})
	for _, f := range found {
		assert.NotEqual(t, Last, f.Kind)
	}
}

// What users decide: half of the requests do one thing, and then all.
func TestAnotherMixOfRequestsIsNoFinding(t *testing.T) {
	one := "1 - shop server 0-100 op=receive\n2 1 shop client 10-50 op=list peer=db\n3 1 shop client 60-90 op=rate peer=rates"
	other := "1 - shop server 0-100 op=receive\n2 1 shop client 10-50 op=list peer=db"
	var stretches []stretch
	for range 100 {
		stretches = append(stretches, stretch{seconds: 2, trace: one}, stretch{seconds: 2, trace: other})
	}
	assert.Empty(t, play(t, names.New(), append(stretches, stretch{seconds: 30, trace: one})...))
	assert.Empty(t, play(t, names.New(), append(stretches, stretch{seconds: 30, trace: other})...))
}

// A service that fails at all times, and then does what it is there for.
func TestWhoGetsWellIsNotSuspect(t *testing.T) {
	failing := "1 - shop server 0-100 failed op=buy\n2 1 shop internal 10-50 op=apologize"
	well := "1 - shop server 0-100 op=buy\n2 1 shop client 10-50 op=pay peer=bank"
	assert.Empty(t, play(t, names.New(), stretch{seconds: 200, trace: failing}, stretch{seconds: 30, trace: well}))
	assert.NotEmpty(t, play(t, names.New(), stretch{seconds: 200, trace: well}, stretch{seconds: 30, trace: failing}))
}

// A twentieth of the time has to be lost for 40 s, a half for 4 s.
func TestLittleLossHasToLast(t *testing.T) {
	slower := func(by int) string {
		return fmt.Sprintf("1 - shop server 0-1000 op=buy\n2 1 shop internal 0-%d op=count", 10+by)
	}
	after := func(by, seconds int) []Finding {
		return play(t, names.New(), stretch{seconds: 200, trace: slower(0)}, stretch{seconds: seconds, trace: slower(by)})
	}
	assert.Empty(t, after(60, 20))
	assert.NotEmpty(t, after(60, 45))
	assert.NotEmpty(t, after(600, 15))
}

// While nothing comes, nobody gets well.
func TestHeard(t *testing.T) {
	b := New(0)
	var tree trace.Trace
	tree.Build([16]byte{1}, tracetest.Records(names.New(), usual))
	assert.Zero(t, b.Heard(1000e9))
	for at := int64(1000); at <= 1060; at++ {
		b.Observe(&tree, nil, at*1e9)
	}
	assert.EqualValues(t, 60e9, b.Heard(1060e9))
	assert.EqualValues(t, 70e9, b.Heard(5000e9), "a pause is one after ten seconds")
	b.Observe(&tree, nil, 5000e9)
	assert.EqualValues(t, 50e9, b.Heard(5000e9), "what comes at first is not compared")
}

// Who is called has begun to send telemetry, and its caller does nothing new. From then on it is known what is usual.
func TestACallThatIsAnsweredForTheFirstTime(t *testing.T) {
	const (
		nobody = `
			1 - shop server 0-100 op=buy
			2 1 shop client 5-8 op=query peer=db
			7 1 shop internal 91-95 op=print`
		unanswered = nobody + `
			3 1 shop client 10-50 op=pay peer=pay.example.com`
		answered = unanswered + `
			4 3 bank server 12-48 op=charge`
		twice = answered + `
			5 1 shop client 52-90 op=pay peer=pay.example.com
			6 5 bank server 54-88 op=charge`
	)
	long := stretch{seconds: 300, trace: unanswered}
	assert.Empty(t, play(t, names.New(), long, stretch{seconds: 20, trace: answered}))
	assert.Empty(t, play(t, names.New(), long, stretch{seconds: 300, trace: answered}))
	table := names.New()
	for what, then := range map[string]string{"pay": unanswered, "charge": nobody} {
		f := heaviest(t, play(t, table, long, stretch{seconds: 300, trace: answered}, stretch{seconds: 20, trace: then}))
		assert.Equal(t, Call, f.Kind)
		assert.Equal(t, what, table.OperationOf(f.What).Name)
	}
	f := heaviest(t, play(t, table, long, stretch{seconds: 300, trace: answered}, stretch{seconds: 20, trace: twice}))
	assert.Equal(t, 2, f.Least)
}

// A loop that runs another number of times does nothing that it did not do before.
func TestRepetition(t *testing.T) {
	queries := func(n int) string {
		var b strings.Builder
		b.WriteString("1 - shop server 0-100 op=buy\n")
		for i := range n {
			fmt.Fprintf(&b, "%d 1 shop client %d-%d op=query peer=db\n", i+2, 10+i, 11+i)
		}
		return b.String()
	}
	table := names.New()
	more := heaviest(t, play(t, table, stretch{seconds: 200, trace: queries(3)}, stretch{seconds: 20, trace: queries(20)}))
	assert.Equal(t, Call, more.Kind)
	assert.Equal(t, 4, more.Least)
	assert.Greater(t, more.Share, more.Usual)
	fewer := heaviest(t, play(t, table, stretch{seconds: 200, trace: queries(20)}, stretch{seconds: 20, trace: queries(3)}))
	assert.Equal(t, Call, fewer.Kind)
	assert.Less(t, fewer.Share, fewer.Usual)
}

func TestADeviationBeganWithItsFirstUnit(t *testing.T) {
	failing := `
		1 - shop server 0-100 failed op=buy
		2 1 shop client 10-50 op=pay
		3 2 bank server 12-48 op=charge
		4 3 bank internal 20-40 op=insert`
	f := heaviest(t, play(t, names.New(), stretch{seconds: 200, trace: usual}, stretch{seconds: 15, trace: failing}))
	assert.Equal(t, tracetest.Epoch+200e9, f.Since, "to the moment")
}

func TestAThousandOfOneMomentAreFewWitnesses(t *testing.T) {
	b := New(0)
	var tree trace.Trace
	tree.Build([16]byte{1}, tracetest.Records(names.New(), usual))
	for range 1000 {
		b.Observe(&tree, nil, tracetest.Epoch)
	}
	for _, s := range b.strata {
		assert.Less(t, s.witnesses, 1/alike)
	}
}

func TestWhatComesRightAfterAPauseDoesNotCount(t *testing.T) {
	b := New(0)
	var tree trace.Trace
	observe := func(at int64) {
		records := tracetest.Records(names.New(), "1 - shop server 0-100 op=buy")
		records[0].Start += at
		records[0].End += at
		tree.Build([16]byte{1}, records)
		b.Observe(&tree, nil, tracetest.Epoch+at)
	}
	for at := range int64(10) {
		observe(at * 1e9)
	}
	known := b.strata
	seen := func() (units float64) {
		for _, s := range known {
			units = max(units, s.units)
		}
		return units
	}
	before := seen()
	observe(30e9)
	assert.InDelta(t, before, seen(), 1e-9)
	for at := range int64(2 * settling / 1e9) {
		observe(31e9 + at*1e9)
	}
	assert.Greater(t, seen(), before)
}

func TestUsualIsNoFinding(t *testing.T) {
	assert.Empty(t, play(t, names.New(), stretch{seconds: 300, trace: usual}))
}

func TestColdStartSaysNothing(t *testing.T) {
	bad := "1 - shop server 0-9000 failed op=buy"
	assert.Empty(t, play(t, names.New(), stretch{seconds: 3, trace: usual}, stretch{seconds: 20, trace: bad}))
}

func TestWhatLastsBecomesUsual(t *testing.T) {
	slow := `
		1 - shop server 0-900 op=buy
		2 1 shop client 10-50 op=pay
		3 2 bank server 12-48 op=charge
		4 3 bank internal 20-40 op=insert`
	assert.NotEmpty(t, play(t, names.New(), stretch{seconds: 200, trace: usual}, stretch{seconds: 30, trace: slow}))
	assert.Empty(t, play(t, names.New(), stretch{seconds: 200, trace: usual}, stretch{seconds: 6 * 3600, trace: slow}))
}

func TestBoundPerStratum(t *testing.T) {
	b := New(0)
	var tree trace.Trace
	tree.Build([16]byte{1}, tracetest.Records(names.New(), usual))
	for i := range 10 * maxPerStratum {
		b.Observe(&tree, []Note{{Span: 1, Template: uint32(i + 1)}}, int64(i)*1e9)
	}
	for _, s := range b.strata {
		assert.LessOrEqual(t, len(s.events), maxPerStratum)
	}
}

// Strangers who invent operations and calls fill the tables, and these stay as small as documented.
func TestMemoryIsBounded(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	b := New(0)
	var tree trace.Trace
	records := make([]trace.Record, 1+maxPerStratum)
	random := rand.New(rand.NewPCG(1, 2))
	for at := range int64(3000) {
		for i := range records {
			records[i] = trace.Record{
				ID: uint64(i + 1), Start: at * 1e7, End: at*1e7 + 1e6 + random.Int64N(1e9),
				Service: 2 + uint32(i)%2, Operation: 2 + random.Uint32N(1_000_000)%(1+uint32(at)*10), Kind: uint8(ptrace.SpanKindInternal),
			}
			if i > 0 {
				records[i].Parent = 1
			}
		}
		tree.Build([16]byte{1}, records)
		b.Observe(&tree, nil, at*1e7)
	}
	known := 0
	for _, s := range b.strata {
		known += len(s.events)
	}
	assert.Equal(t, known, b.known)
	assert.LessOrEqual(t, known, maxKnown)
	assert.Len(t, b.strata, maxStrata)
	assert.LessOrEqual(t, b.timed, maxTimed)
	assert.Less(t, (heap()-before)>>20, int64(160), "MiB")
	t.Logf("%d MiB", (heap()-before)>>20)
	runtime.KeepAlive(b)
}

func TestWhatIsGoneIsForgotten(t *testing.T) {
	b := New(0)
	table := names.New()
	var tree trace.Trace
	for i := range 100 {
		tree.Build([16]byte{1}, tracetest.Records(table, fmt.Sprintf("1 - shop server 0-100 op=buy%d", i)))
		b.Observe(&tree, nil, 1)
	}
	before := len(b.all)
	tree.Build([16]byte{1}, tracetest.Records(table, usual))
	for at := range int64(24) {
		b.Observe(&tree, nil, at*3600e9)
	}
	assert.Less(t, len(b.all), before/2)
	assert.Len(t, b.features, len(b.all))
}

func BenchmarkObserve(b *testing.B) {
	b.ReportAllocs()
	book := New(0)
	var tree trace.Trace
	tree.Build([16]byte{1}, tracetest.Records(names.New(), usual))
	notes := []Note{{Span: 3, Template: 5, Severity: 9}}
	var now int64
	for b.Loop() {
		now += 1e7
		book.Observe(&tree, notes, now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(tree.Spans)), "ns/span")
}

func BenchmarkFindings(b *testing.B) {
	for _, operations := range []int{100, 1000} {
		b.Run(fmt.Sprint(operations), func(b *testing.B) {
			b.ReportAllocs()
			book := New(0)
			table := names.New()
			var tree trace.Trace
			for i := range operations {
				tree.Build([16]byte{1}, tracetest.Records(table, fmt.Sprintf("1 - shop server 0-100 op=buy%d\n2 1 shop internal 0-50 op=pay%d", i, i)))
				for range 20 {
					book.Observe(&tree, nil, 1)
				}
			}
			now := int64(1)
			var found []Finding
			for b.Loop() {
				found, _ = book.Findings(now, true, found[:0])
			}
		})
	}
}
