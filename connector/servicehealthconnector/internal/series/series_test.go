package series

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const second = int64(1e9)

// point is one that counts whole numbers, with times in seconds.
func point(start, at, total, good int64) Point {
	return Point{Start: start * second, At: at * second, Total: Amount{Whole: total}, Good: Amount{Whole: good}}
}

func listening(most int) *Store {
	s := New(most)
	s.Begin(100 * second)
	s.Begin(900 * second) // Only the first says when.
	return s
}

func TestAdd(t *testing.T) {
	broken := func(p Point, total float64) Point {
		p.Total = Amount{Broken: total}
		return p
	}
	cut := func(p Point, at float64) Point {
		p.Cut = at
		return p
	}
	later := func(p Point) Point {
		p.Start += jitter / 2
		return p
	}
	type step struct {
		point   Point
		want    Increase
		outcome Outcome
	}
	nothing := Increase{}
	for name, steps := range map[string][]step{
		"began before anybody listened": {{point(50, 110, 1000, 900), nothing, Past}, {point(50, 120, 1010, 907), Increase{10, 7}, Counted}},
		"began at that moment":          {{point(100, 110, 1000, 900), nothing, Past}},
		"began later":                   {{point(101, 110, 10, 9), Increase{10, 9}, Counted}, {point(101, 120, 11, 10), Increase{1, 1}, Counted}},
		"start is not known":            {{point(0, 110, 10, 9), nothing, Past}, {point(0, 120, 12, 11), Increase{2, 2}, Counted}},
		"start is the time of the point": {
			{point(110, 110, 10, 9), nothing, Past},
			{point(120, 120, 12, 11), Increase{2, 2}, Counted},
			{point(130, 130, 5, 5), Increase{5, 5}, Counted},
			{point(130, 140, 6, 5), Increase{1, 0}, Counted},
		},
		"nothing new":      {{point(50, 110, 10, 9), nothing, Past}, {point(50, 120, 10, 9), nothing, Counted}},
		"twice":            {{point(101, 110, 10, 9), Increase{10, 9}, Counted}, {point(101, 110, 10, 9), nothing, Stale}},
		"out of order":     {{point(101, 120, 10, 9), Increase{10, 9}, Counted}, {point(101, 110, 5, 5), nothing, Stale}, {point(101, 130, 11, 9), Increase{1, 0}, Counted}},
		"falls":            {{point(50, 110, 10, 9), nothing, Past}, {point(50, 120, 3, 1), Increase{3, 1}, Counted}},
		"begins anew":      {{point(50, 110, 10, 9), nothing, Past}, {point(115, 120, 30, 20), Increase{30, 20}, Counted}},
		"start is learned": {{point(0, 110, 10, 9), nothing, Past}, {point(50, 120, 12, 9), Increase{2, 0}, Counted}, {point(0, 130, 13, 9), Increase{1, 0}, Counted}, {point(50, 140, 14, 9), Increase{1, 0}, Counted}},
		"start is not exact": {
			{Point{Start: 101 * second, At: 110 * second, Total: Amount{Whole: 5}}, Increase{Total: 5}, Counted},
			{Point{Start: 101*second + jitter, At: 120 * second, Total: Amount{Whole: 7}}, Increase{Total: 2}, Counted},
			{Point{Start: 101 * second, At: 130 * second, Total: Amount{Whole: 8}}, Increase{Total: 1}, Counted},
		},
		"two senders": {{point(105, 110, 10, 9), Increase{10, 9}, Counted}, {point(102, 111, 500, 400), nothing, Overlapping}, {point(105, 120, 12, 10), Increase{2, 1}, Counted}},
		"two senders that began within a second": {
			{point(101, 110, 1000, 900), Increase{1000, 900}, Counted},
			{later(point(101, 111, 10, 9)), nothing, Overlapping},
			{point(101, 120, 1010, 905), Increase{10, 5}, Counted},
			{later(point(101, 121, 12, 10)), nothing, Overlapping},
			{point(101, 130, 1011, 905), Increase{1, 0}, Counted},
		},
		"start is after the point": {
			{point(5000, 110, 10, 9), nothing, Past},
			{point(105, 120, 12, 10), Increase{2, 1}, Counted},
			{point(1<<33, 130, 13, 11), Increase{1, 1}, Counted},
			{point(105, 140, 15, 12), Increase{2, 1}, Counted},
			{point(145, 150, 20, 20), Increase{20, 20}, Counted},
		},
		"other buckets": {
			{cut(point(101, 110, 10, 9), 0.5), Increase{10, 9}, Counted},
			{cut(point(101, 120, 20, 11), 0.4), nothing, Recut},
			{cut(point(101, 130, 25, 14), 0.4), Increase{5, 3}, Counted},
			{cut(point(135, 140, 4, 4), 0.3), Increase{4, 4}, Counted},
		},
		"a part that grows faster than the whole": {{point(101, 110, 10, 0), Increase{10, 0}, Counted}, {point(101, 120, 12, 9), Increase{2, 2}, Counted}, {point(101, 130, 20, 1), Increase{8, 0}, Counted}},
		"broken": {{broken(point(101, 110, 0, 0), 0.5), Increase{Total: 0.5}, Counted}, {broken(point(101, 120, 0, 0), 2.25), Increase{Total: 1.75}, Counted}},
		"large":  {{point(50, 110, 1<<60, 1<<60), nothing, Past}, {point(50, 120, 1<<60+1, 1<<60), Increase{1, 0}, Counted}},
	} {
		t.Run(name, func(t *testing.T) {
			s := listening(10)
			for i, step := range steps {
				got, outcome := s.Add(Key{Objective: 7}, step.point, step.point.At)
				assert.Equal(t, step.outcome, outcome, i)
				assert.Equal(t, step.want, got, i)
			}
			assert.Equal(t, 1, s.Len())
		})
	}
}

func TestSeriesBeyondTheBound(t *testing.T) {
	s := listening(2)
	for i := range uint64(3) {
		_, outcome := s.Add(Key{Identity: Identity{i}}, point(105, 110, 5, 5), 110*second)
		assert.Equal(t, i == 2, outcome == Full, i)
	}
	got, _ := s.Add(Key{}, point(105, 120, 7, 7), 120*second)
	assert.Equal(t, Increase{2, 2}, got, "those that are known go on")
	s.Forget(115 * second)
	assert.Equal(t, 1, s.Len())
	_, outcome := s.Add(Key{Identity: Identity{2}}, point(105, 130, 50, 50), 130*second)
	assert.Equal(t, Past, outcome, "what was counted while there was no room has no time of its own any more")
	got, _ = s.Add(Key{Identity: Identity{2}}, point(105, 140, 51, 51), 140*second)
	assert.Equal(t, Increase{1, 1}, got)
}

// What was counted once must not be counted again because its series was silent for long.
func TestAForgottenSeriesComesBack(t *testing.T) {
	s := listening(10)
	got, _ := s.Add(Key{}, point(105, 110, 1000, 1000), 110*second)
	assert.Equal(t, Increase{1000, 1000}, got)
	s.Forget(110 * second)
	assert.Equal(t, 1, s.Len(), "it is not silent for that long")
	s.Forget(111 * second)
	assert.Zero(t, s.Len())
	_, outcome := s.Add(Key{}, point(105, 5000, 1001, 1001), 5000*second)
	assert.Equal(t, Past, outcome)
	s.Forget(5001 * second)
	got, _ = s.Add(Key{}, point(5002, 5010, 3, 3), 5010*second)
	assert.Equal(t, Increase{3, 3}, got, "another run of it counts from its start")
}

// Whatever order and resets a counter has, what is counted is what it counted.
func TestRandomCounters(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	s := New(100)
	s.Begin(1)
	var counted, want float64
	type counter struct{ start, total int64 }
	counters := make([]counter, 20)
	for at := int64(1); at < 3000; at++ {
		i := r.IntN(len(counters))
		c := &counters[i]
		if c.start == 0 || r.IntN(20) == 0 {
			*c = counter{start: at}
			at += 2
		}
		more := r.Int64N(100)
		c.total += more
		want += float64(more)
		increase, outcome := s.Add(Key{Identity: Identity{uint64(i)}}, point(c.start, at, c.total, 0), at*second)
		if outcome != Counted {
			t.Fatal(outcome, "seed", seed)
		}
		counted += increase.Total
	}
	assert.Equal(t, want, counted, "seed %d", seed)
}

func metric(name, unit string) pmetric.Metric {
	m := pmetric.NewMetric()
	m.SetName(name)
	m.SetUnit(unit)
	m.SetEmptySum()
	return m
}

func TestIdentity(t *testing.T) {
	h := NewHasher()
	attributes := func(raw map[string]any) pcommon.Map {
		m := pcommon.NewMap()
		assert.NoError(t, m.FromRaw(raw))
		return m
	}
	resource := func(raw map[string]any) Identity {
		r := pcommon.NewResource()
		attributes(raw).CopyTo(r.Attributes())
		return h.Resource(r)
	}
	scope := func(of Identity, name, version string) Identity {
		s := pcommon.NewInstrumentationScope()
		s.SetName(name)
		s.SetVersion(version)
		return h.Scope(of, s)
	}
	front, back := resource(map[string]any{"service.name": "front"}), resource(map[string]any{"service.name": "back"})
	gauge := metric("a", "1")
	gauge.SetEmptyGauge()
	of := h.Metric(scope(front, "s", "1"), metric("a", "1"))
	all := []Identity{
		front, back, scope(front, "s", "1"), scope(back, "s", "1"), scope(front, "s1", ""), scope(front, "s", ""),
		of, h.Metric(scope(front, "s", "1"), metric("b", "1")), h.Metric(scope(front, "s", "1"), metric("a", "s")), h.Metric(scope(front, "s", "1"), gauge),
	}
	for _, raw := range []map[string]any{
		{},
		{"k": "v"},
		{"k": 1},
		{"k": 2},
		{"k": 1.0},
		{"k": "1"},
		{"k": true},
		{"k": math.NaN()},
		{"k": math.Inf(1)},
		{"k": nil},
		{"v": "k"},
		{"k": []any{1}},
		{"k": map[string]any{"a": 1}},
		{"k": "v", "l": "w"},
		{"k": "w", "l": "v"},
	} {
		all = append(all, h.Series(of, attributes(raw)))
		assert.Equal(t, h.Series(of, attributes(raw)), h.Series(of, attributes(raw)))
	}
	for i, id := range all {
		assert.Equal(t, i, slices.Index(all, id), "each is another")
	}
	turned := pcommon.NewMap()
	turned.PutStr("l", "w")
	turned.PutStr("k", "v")
	assert.Equal(t, h.Series(of, attributes(map[string]any{"k": "v", "l": "w"})), h.Series(of, turned), "in whatever order")
	assert.NotEqual(t, front, NewHasher().attributes(attributes(map[string]any{"service.name": "front"})), "nobody knows the seeds")
}

// BenchmarkAdd identifies a point with five attributes and adds it to its series, one of 10,000.
func BenchmarkAdd(b *testing.B) {
	h, s := NewHasher(), New(100_000)
	s.Begin(1)
	of := h.Metric(Identity{}, metric("http.server.request.duration", "s"))
	points := make([]pcommon.Map, 10_000)
	for i := range points {
		points[i] = pcommon.NewMap()
		points[i].PutStr("http.request.method", "GET")
		points[i].PutStr("http.route", fmt.Sprintf("/orders/%d", i))
		points[i].PutInt("http.response.status_code", 200)
		points[i].PutStr("url.scheme", "https")
		points[i].PutStr("network.protocol.version", "1.1")
	}
	b.ReportAllocs()
	at := int64(2)
	for b.Loop() {
		at++
		i := at % int64(len(points))
		s.Add(Key{Identity: h.Series(of, points[i])}, point(0, at, at, at), at)
	}
}
