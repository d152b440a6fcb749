package series

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/internal/service"
	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const (
	start     = int64(1_700_000_000_000_000_000)
	retention = time.Minute
)

var shop = service.Identity{Name: "shop"}

func TestTheNameOfAMetricSaysWhichSpansItIsAbout(t *testing.T) {
	for name, want := range map[string]Role{
		"http.server.request.duration":         {httpSlots, serving},
		"http_client_request_duration_seconds": {httpSlots, calling},
		"rpc.server.duration":                  {rpcSlots, serving},
		"db.client.operation.duration":         {dbSlots, calling},
		"messaging.process.duration":           {messagingSlots, consuming},
		"messaging.client.sent.messages":       {messagingSlots, sending},
		"messaging.client.consumed.messages":   {messagingSlots, receiving},
		"checkout.server.duration":             {0, anyKind},
		"":                                     {0, anyKind},
	} {
		assert.Equal(t, want, RoleOf(name), name)
	}
}

func TestDurations(t *testing.T) {
	for given, want := range map[[2]string]float64{
		{"http.server.request.duration", "s"}:        1e9,
		{"http.server.duration", "ms"}:               1e6,
		{"http_server_duration_milliseconds", ""}:    1e6,
		{"http_server_request_duration_seconds", ""}: 1e9,
		{"db.sql.latency", "ms"}:                     1e6,
		{"http.server.request.body.size", "By"}:      0,
		{"http.client.connection.duration", "s"}:     0,
		{"a.duration", "h"}:                          0,
		{"a.duration", ""}:                           0,
		{"", "s"}:                                    0,
	} {
		unit, ok := DurationUnit(given[0], given[1])
		assert.Equal(t, want, unit, given)
		assert.Equal(t, want > 0, ok, given)
	}
}

func TestFailedThenSlowSpansArePicked(t *testing.T) {
	x := NewIndex(1<<20, retention)
	key := keyOf(x, "http.route", "/")
	source := x.Source(start, shop, "")
	for i := range int64(40) {
		source.Add(start, []Sighting{sighting(key, i, i*1e6, i%10 == 3)})
	}
	var p Picker
	p.Begin(x, start, 1)
	require.True(t, p.Reset(shop, ""))
	p.Prepare(RoleOf("http.server.requests"), Dimensions{}, &key)
	picked := p.Pick(&Point{Key: key, Until: start}, 4, nil)
	require.Len(t, picked, 4)
	for i := range picked[:3] {
		assert.True(t, picked[i].Failed)
	}
	assert.False(t, picked[3].Failed)
	assert.Equal(t, int64(39e6), picked[3].Duration())
	assert.Greater(t, picked[0].Duration(), picked[1].Duration())
}

func TestWhereOtherPointsSayMoreAPointThatDoesNotIsAboutSpansThatDoNot(t *testing.T) {
	x := NewIndex(1<<20, retention)
	fine, failed := keyOf(x, "http.route", "/"), keyOf(x, "http.route", "/", "error.type", "timeout")
	x.Source(start, shop, "").Add(start, []Sighting{sighting(fine, 1, 1, false), sighting(failed, 2, 2, true)})
	var p Picker
	p.Begin(x, start, 1)
	require.True(t, p.Reset(shop, ""))
	asked, role := &Point{Key: fine, Until: start}, RoleOf("http.server.requests")
	p.Prepare(role, Dimensions{}, &fine)
	assert.Len(t, p.Pick(asked, 5, nil), 2)

	var dimensions Dimensions
	dimensions.Add(&failed)
	p.Prepare(role, dimensions, &fine)
	picked := p.Pick(asked, 5, nil)
	require.Len(t, picked, 1)
	assert.False(t, picked[0].Failed)
}

func TestEachPointOfManyFindsItsOwnSeries(t *testing.T) {
	x := NewIndex(1<<20, retention)
	source := x.Source(start, shop, "")
	keys := make([]Key, 200)
	for i := range keys {
		keys[i] = keyOf(x, "http.route", fmt.Sprint("/", i), "http.request.method", "GET")
		source.Add(start, []Sighting{sighting(keys[i], int64(i), int64(i)+1, false)})
	}
	var p Picker
	p.Begin(x, start, 1)
	require.True(t, p.Reset(shop, ""))
	p.Prepare(RoleOf("http.server.requests"), Dimensions{}, &keys[0])
	for i := range keys {
		picked := p.Pick(&Point{Key: keys[i], Until: start}, 5, nil)
		require.Len(t, picked, 1)
		assert.Equal(t, int64(i)+1, picked[0].Duration())
	}
	unknown := keyOf(x, "http.route", "/elsewhere", "http.request.method", "GET")
	assert.Empty(t, p.Pick(&Point{Key: unknown, Until: start}, 5, nil))
}

func TestNobodyKnowsWhichSideAMetricIsAbout(t *testing.T) {
	x := NewIndex(1<<20, retention)
	key := keyOf(x, "http.request.method", "GET")
	serving, calling := sighting(key, 1, 1, false), sighting(key, 2, 2, false)
	calling.Kind = ptrace.SpanKindClient
	x.Source(start, shop, "").Add(start, []Sighting{serving})
	var p Picker
	p.Begin(x, start, 1)
	require.True(t, p.Reset(shop, ""))
	asked := &Point{Key: key, Until: start}
	p.Prepare(RoleOf("requests"), Dimensions{}, &key)
	assert.Len(t, p.Pick(asked, 5, nil), 1)
	x.Source(start, shop, "").Add(start, []Sighting{calling})
	p.Prepare(RoleOf("requests"), Dimensions{}, &key)
	assert.Empty(t, p.Pick(asked, 5, nil))
}

func TestAKindThatTheProtocolDoesNotHaveIsUnspecified(t *testing.T) {
	x := NewIndex(1<<20, retention)
	key := keyOf(x, "http.request.method", "GET")
	source := x.Source(start, shop, "")
	for i, kind := range []ptrace.SpanKind{-1, math.MinInt32, math.MaxInt32, 6, 8, 32, 256 + ptrace.SpanKindServer} {
		unknown := sighting(key, int64(i), 1, false)
		unknown.Kind = kind
		source.Add(start, []Sighting{unknown})
	}
	assert.Len(t, source.series, 1)
	var p Picker
	p.Begin(x, start, 1)
	require.True(t, p.Reset(shop, ""))
	for _, name := range []string{"http.server.requests", "requests"} {
		p.Prepare(RoleOf(name), Dimensions{}, &key)
		assert.Empty(t, p.Pick(&Point{Key: key, Until: start}, 5, nil), name)
	}

	source.Add(start, []Sighting{sighting(key, 9, 1, false)})
	p.Prepare(RoleOf("http.server.requests"), Dimensions{}, &key)
	assert.Len(t, p.Pick(&Point{Key: key, Until: start}, 5, nil), 1)
}

// many adds series that differ in their routes alone, of which the first, which are the oldest, are the slowest.
func many(x *Index, instance string, count int) {
	source := x.Source(start, shop, instance)
	for i := range count {
		key := keyOf(x, "http.request.method", "GET", "http.route", fmt.Sprint("/", i))
		source.Add(start, []Sighting{sighting(key, int64(i), int64(count-i)*1e6, false)})
	}
}

func TestOfManySeriesTheNewestAreLookedAt(t *testing.T) {
	x := NewIndex(1<<24, retention)
	many(x, "", maxSeries)
	for _, like := range []Key{{}, keyOf(x, "http.request.method", "GET")} {
		var p Picker
		p.Begin(x, start, 1)
		require.True(t, p.Reset(shop, ""))
		p.Prepare(RoleOf("http.server.requests"), Dimensions{}, &like)
		picked := p.Pick(&Point{Key: like, Until: start}, maxSeries, nil)
		require.Len(t, picked, maxWalk)
		assert.Equal(t, int64(maxWalk)*1e6, picked[0].Duration())
	}
}

func TestEachInstanceHasItsShare(t *testing.T) {
	x := NewIndex(1<<24, retention)
	like := keyOf(x, "http.request.method", "GET")
	for i := range maxInstances {
		many(x, fmt.Sprint(i), 100)
		failed := keyOf(x, "http.request.method", "GET", "http.route", "/failed")
		x.Source(start, shop, fmt.Sprint(i)).Add(start, []Sighting{sighting(failed, int64(i), 1, true)})
	}
	var p Picker
	p.Begin(x, start, 1)
	require.True(t, p.Reset(shop, ""))
	p.Prepare(RoleOf("http.server.requests"), Dimensions{}, &like)
	picked := p.Pick(&Point{Key: like, Until: start}, maxSeries, nil)
	require.Len(t, picked, maxWalk)
	for i := range picked {
		assert.Equal(t, i < maxInstances, picked[i].Failed)
	}
}

func TestASeriesThatIsNotLookedAtMayBeOfTheOtherSide(t *testing.T) {
	x := NewIndex(1<<24, retention)
	like := keyOf(x, "http.request.method", "GET")
	calling := sighting(like, 1, 1, false)
	calling.Kind = ptrace.SpanKindClient
	x.Source(start, shop, "").Add(start, []Sighting{calling})
	many(x, "", 2*maxWalk)
	var p Picker
	p.Begin(x, start, 1)
	require.True(t, p.Reset(shop, ""))
	p.Prepare(RoleOf("requests"), Dimensions{}, &like)
	assert.Empty(t, p.Pick(&Point{Key: like, Until: start}, 5, nil))
}

func TestABatchHasItsCredit(t *testing.T) {
	x := NewIndex(1<<24, retention)
	many(x, "", maxSeries)
	like := keyOf(x, "http.request.method", "GET")
	role, asked := RoleOf("http.server.requests"), &Point{Key: like, Until: start}
	var p Picker
	for range 2 {
		const points = 2 * maxSeries / pointCredit
		p.Begin(x, start, points)
		require.True(t, p.Reset(shop, ""))
		for range batchCredit/maxSeries + 2 {
			p.Prepare(role, Dimensions{}, &like)
			require.NotEmpty(t, p.Pick(asked, 5, nil))
		}
		p.Prepare(role, Dimensions{}, &like)
		require.Empty(t, p.Pick(asked, 5, nil))
	}
}

func TestPointsAskedForOneAfterTheOther(t *testing.T) {
	x := NewIndex(1<<20, retention)
	like := keyOf(x, "http.request.method", "GET", "server.address", "a")
	x.Source(start, shop, "").Add(start, []Sighting{sighting(like, 1, 1, false), sighting(like, 2, 1e9, true)})
	other := keyOf(x, "http.request.method", "GET", "server.address", "b")
	var p Picker
	p.Begin(x, start, 1)
	require.True(t, p.Reset(shop, ""))
	p.Prepare(RoleOf("http.server.requests"), Dimensions{}, &like)
	single := func(int64) int { return 0 }
	for range 2 {
		assert.Len(t, p.Pick(&Point{Key: like, Until: start}, 5, nil), 2)
		assert.Len(t, p.Pick(&Point{Key: like, Until: start}, 5, single), 1)
		assert.Len(t, p.Pick(&Point{Key: like, Until: start}, 5, nil), 2)
		assert.Empty(t, p.Pick(&Point{Key: like, Until: start - 1}, 5, nil))
		assert.Empty(t, p.Pick(&Point{Key: other, Until: start}, 5, nil))
		assert.Empty(t, p.Pick(&Point{Key: like, Since: start + 1, Until: start + 2}, 5, nil))
	}
	p.Prepare(RoleOf("http.client.requests"), Dimensions{}, &like)
	assert.Empty(t, p.Pick(&Point{Key: like, Since: start + 1, Until: start + 2}, 5, nil))
	assert.Empty(t, p.Pick(&Point{Key: like, Until: start}, 5, nil))
}

func TestASeriesHasFewClasses(t *testing.T) {
	x := NewIndex(1<<20, retention)
	key := keyOf(x, "http.route", "/")
	source := x.Source(start, shop, "")
	for magnitude := range 63 {
		for _, failed := range []bool{false, true} {
			source.Add(start, []Sighting{sighting(key, 1, 1<<magnitude, failed)})
		}
	}
	require.NotNil(t, source.order.Newest())
	assert.Len(t, source.order.Newest().classes, 64)
}

func TestWhatIsSilentIsForgotten(t *testing.T) {
	x := NewIndex(1<<20, retention)
	key := keyOf(x, "http.route", "/")
	x.Source(start, shop, "a").Add(start, []Sighting{sighting(key, 1, 1, false)})
	later := start + int64(retention) + 1
	var p Picker
	p.Begin(x, later, 1)
	require.True(t, p.Reset(shop, "a"))
	p.Prepare(RoleOf("http.server.requests"), Dimensions{}, &key)
	assert.Empty(t, p.Pick(&Point{Key: key, Until: later}, 5, nil))

	x.Source(later, shop, "b")
	p.Begin(x, later, 1)
	assert.False(t, p.Reset(shop, "a"))
	assert.Equal(t, recency.Evictions{Age: 1}, x.Evicted())
	for now := later; now < later+10*int64(retention); now += int64(retention) {
		x.Source(now, shop, "c").Add(now, []Sighting{sighting(keyOf(x, "http.route", fmt.Sprint(now)), 1, 1, false)})
	}
	assert.Less(t, x.Size(), 4*(sourceBytes+seriesBytes+classBytes))
}

func TestAFloodOfSeriesKeepsTheBound(t *testing.T) {
	const limit = 256 << 10
	x := NewIndex(limit, retention)
	for i := range int64(20_000) {
		source := x.Source(start, service.Identity{Name: fmt.Sprint("service-", i%100)}, fmt.Sprint(i/100%3))
		source.Add(start, []Sighting{sighting(keyOf(x, "http.route", fmt.Sprint(i)), i, 1<<(i%30), false)})
		require.LessOrEqual(t, x.Size(), int64(limit+sourceBytes))
	}
	assert.Positive(t, x.Evicted().Bytes)

	single := NewIndex(limit, retention)
	for i := range int64(20_000) {
		single.Source(start, shop, "").Add(start, []Sighting{sighting(keyOf(single, "http.route", fmt.Sprint(i)), i, 1, false)})
	}
	assert.LessOrEqual(t, single.Size(), int64(limit))
}

func keyOf(x *Index, pairs ...string) (key Key) {
	for i := 0; i < len(pairs); i += 2 {
		key.Add(x.Seed, pairs[i], pcommon.NewValueStr(pairs[i+1]))
	}
	return key
}

func sighting(key Key, id, duration int64, failed bool) Sighting {
	return Sighting{Key: key, Kind: ptrace.SpanKindServer, Candidate: Candidate{
		Trace: pcommon.TraceID{15: byte(id), 14: 1}, Span: pcommon.SpanID{7: byte(id), 0: 1}, Start: start - duration, End: start, Failed: failed,
	}}
}

func TestEveryNameHasItsSlot(t *testing.T) {
	for slot, all := range names {
		for _, name := range all {
			assert.Equal(t, slot, slotOf(name), name)
			assert.Equal(t, slot, slotOf(strings.ReplaceAll(name, ".", "_")), name)
			assert.Equal(t, none, slotOf(name+"."), name)
			assert.Equal(t, none, slotOf("x"+name[1:]), name)
		}
	}
	for _, name := range []string{"", "db", "db.nam", "url.path", "user_agent.original", "http.request.header.x", strings.Repeat("x", 1000)} {
		assert.Equal(t, none, slotOf(name), name)
	}
}

func BenchmarkSlotOf(b *testing.B) {
	keys := []string{
		"http.request.method", "http.route", "url.path", "url.scheme", "http.response.status_code", "server.address", "server.port",
		"network.protocol.version", "user_agent.original", "client.address",
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		slotOf(keys[n%len(keys)])
	}
}
