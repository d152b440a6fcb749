package evidence

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
