package place

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

// measures has a point say a value about what its resource identifies.
func measures(t testing.TB, x *Index, now int64, metric string, resource said, at int64, value float64) {
	var own, thing Places
	attributes := resource.attributes(t)
	x.Resource(&own, attributes)
	if x.Described(&thing, SubjectOf(metric), attributes, &own, said{}.attributes(t)) {
		x.Record(now, &thing, 3, at, value)
	}
}

// last is the reading that a span with this resource gets.
func last(t testing.TB, x *Index, now int64, resource said) any {
	var p Places
	x.Resource(&p, resource.attributes(t))
	if value, ok := x.Last(now, &p, 3); ok {
		return value
	}
	return nil
}

func TestASpanGetsTheReadingOfTheMostSpecificPlaceThatHasOne(t *testing.T) {
	x := NewIndex(1<<20, retention)
	span := said{
		"service.name": "shop", "service.instance.id": "1", "k8s.pod.uid": "u", "k8s.container.name": "c", "k8s.node.name": "n",
		"process.pid": 1,
	}
	assert.Nil(t, last(t, x, start, span))
	measures(t, x, start, "k8s.node.memory.usage", said{"k8s.node.name": "n"}, start, 5)
	assert.Equal(t, 5.0, last(t, x, start, span))
	measures(t, x, start, "k8s.pod.memory.usage", said{"k8s.pod.uid": "u", "k8s.node.name": "n"}, start, 4)
	assert.Equal(t, 4.0, last(t, x, start, span))
	measures(t, x, start, "container.memory.usage", said{"k8s.pod.uid": "u", "k8s.container.name": "c"}, start, 3)
	assert.Equal(t, 3.0, last(t, x, start, span))
	measures(t, x, start, "container.memory.usage", said{"k8s.pod.uid": "u", "k8s.container.name": "sidecar"}, start, 9)
	assert.Equal(t, 3.0, last(t, x, start, span))
	measures(t, x, start, "jvm.memory.used", said{"service.name": "shop", "service.instance.id": "2", "k8s.pod.uid": "u"}, start, 9)
	assert.Equal(t, 3.0, last(t, x, start, span), "of another instance")
	measures(t, x, start, "jvm.memory.used", said{"service.name": "shop", "service.instance.id": "1"}, start, 1)
	assert.Equal(t, 1.0, last(t, x, start, span))
	assert.Equal(t, 5.0, last(t, x, start, said{"k8s.pod.uid": "v", "k8s.node.name": "n"}))
}

func TestWhatAServiceMeasuresIsNotOfTheOthersOnItsHost(t *testing.T) {
	x := NewIndex(1<<20, retention)
	measures(t, x, start, "jvm.memory.used", said{"service.name": "shop", "host.name": "h"}, start, 1)
	assert.Equal(t, 1.0, last(t, x, start, said{"service.name": "shop", "host.name": "h"}))
	assert.Nil(t, last(t, x, start, said{"service.name": "cart", "host.name": "h"}))
	assert.Nil(t, last(t, x, start, said{"service.name": "shop", "host.name": "g"}))
}

func TestTheReadingOfADatabaseIsForThoseWhoCalledIt(t *testing.T) {
	x := NewIndex(1<<20, retention)
	measures(t, x, start, "postgresql.backends", said{"server.address": "a.b.c"}, start, 7)
	measures(t, x, start, "postgresql.backends", said{"server.address": "a.b.c", "postgresql.database.name": "orders"}, start, 2)
	for database, want := range map[string]float64{"orders": 2, "stock": 7} {
		var nowhere, called Places
		span := said{"db.system": "postgresql", "net.peer.name": "a.b.c", "db.name": database}
		require.True(t, x.Database(&called, span.attributes(t), &nowhere))
		value, ok := x.Last(start, &called, 3)
		assert.True(t, ok)
		assert.Equal(t, want, value, database)
	}
}

func TestTheLargestValueOfTheNewestTimeCounts(t *testing.T) {
	x := NewIndex(1<<20, retention)
	host := said{"host.name": "h"}
	for _, given := range []struct {
		at          int64
		value, want float64
	}{
		{start, 3, 3},
		{start, 5, 5},
		{start, 4, 5},
		{start - second, 9, 5},
		{start + second, 1, 1},
		{start + 2*second, math.NaN(), 1},
		{start + 2*second, math.Inf(1), 1},
		{start + maxSkew + 1, 9, 1},
		{0, 9, 1},
		{math.MaxInt64, 9, 1},
		{math.MinInt64, 9, 1},
	} {
		measures(t, x, start, "system.cpu.utilization", host, given.at, given.value)
		require.Equal(t, given.want, last(t, x, start, host), given)
	}
}

func TestOldReadingsAreNotGiven(t *testing.T) {
	x := NewIndex(1<<20, retention)
	host := said{"host.name": "h"}
	measures(t, x, start, "system.cpu.utilization", host, start, 1)
	assert.Equal(t, 1.0, last(t, x, start+int64(retention), host))
	assert.Nil(t, last(t, x, start+int64(retention)+1, host))

	ahead := start + 30*minute
	measures(t, x, start, "system.cpu.utilization", host, ahead, 2)
	assert.Nil(t, last(t, x, start+int64(retention)+1, host), "a clock ahead makes nothing younger")
	measures(t, x, start+3*minute, "system.cpu.utilization", host, start+3*minute, 3)
	assert.Equal(t, 3.0, last(t, x, start+3*minute, host))
}

func TestAReadingFromTheFutureKeepsNoneOut(t *testing.T) {
	x := NewIndex(1<<20, retention)
	host := said{"host.name": "h"}
	for _, given := range []struct {
		now, at     int64
		value, want float64
	}{
		{start, start + 50*minute, 100, 100},
		{start, start + 50*minute, 200, 200},
		{start + second, start, 1, 1},
		{start + second, start + second + usualSkew, 2, 2},
		{start + second, start, 3, 2},
		{start + 2*second, start + 2*second, 4, 2},
		{start + 2*second + usualSkew, start + 2*second + usualSkew, 5, 5},
	} {
		measures(t, x, given.now, "system.cpu.utilization", host, given.at, given.value)
		require.Equal(t, given.want, last(t, x, given.now, host), given)
	}
}

func TestServicesAreUTF8(t *testing.T) {
	x := NewIndex(1<<20, retention)
	host := said{"host.name": "h"}
	runs(t, x, start, "shop\xff", host)
	runs(t, x, start+tick, "shop\xff", host)
	assert.Equal(t, []string{"shop\uFFFD"}, about(t, x, start, "system.cpu.time", host, nil))
}

func TestAServiceLeavesWhenItHasBeenSilentForLong(t *testing.T) {
	x := NewIndex(1<<20, retention)
	host := said{"host.name": "h"}
	runs(t, x, start, "web", host)
	runs(t, x, start, "cart", host)
	both := about(t, x, start, "system.cpu.time", host, nil)
	assert.Equal(t, []string{"cart", "web"}, both)
	quiet := start + 10*minute
	runs(t, x, quiet, "web", host)
	assert.Equal(t, both, about(t, x, start+silence, "system.cpu.time", host, nil))
	assert.Equal(t, []string{"web"}, about(t, x, start+silence+1, "system.cpu.time", host, nil))
	assert.Equal(t, []string{"cart", "web"}, both, "what was handed out stays as it is")
	assert.Empty(t, about(t, x, quiet+silence+1, "system.cpu.time", host, nil))
	runs(t, x, quiet+silence+1, "web", said{"host.name": "g"})
	assert.Equal(t, recency.Evictions{Age: 1}, x.Evicted())
}

func TestThoseWhoAreThereStayUntilTheyFallSilent(t *testing.T) {
	x := NewIndex(1<<20, retention)
	host := said{"host.name": "h"}
	now := start
	for range 10 {
		for i := range maxServices + 4 {
			runs(t, x, now, fmt.Sprintf("service-%02d", i), host)
		}
		found := about(t, x, now, "system.cpu.time", host, nil)
		require.Len(t, found, maxServices)
		require.Equal(t, "service-00", found[0])
		require.Equal(t, "service-15", found[maxServices-1])
		now += minute
	}
	now += yield
	runs(t, x, now, "service-99", host)
	found := about(t, x, now, "system.cpu.time", host, nil)
	assert.Len(t, found, maxServices)
	assert.Contains(t, found, "service-99")
}

func TestHugeNamesAreCutBetweenCharacters(t *testing.T) {
	x := NewIndex(1<<20, retention)
	runs(t, x, start, "a"+strings.Repeat("ü", 1<<16), said{"host.name": "h"})
	assert.Equal(t, []string{"a" + strings.Repeat("ü", 127)}, about(t, x, start, "system.cpu.time", said{"host.name": "h"}, nil))
}

func TestTheOldestGoFirst(t *testing.T) {
	const limit = 128 << 10
	x := NewIndex(limit, retention)
	const flood = 2000
	for i := range flood {
		runs(t, x, start+int64(i), "shop", said{"host.name": fmt.Sprint("h", i)})
		require.LessOrEqual(t, x.Size(), int64(limit))
	}
	gone := int(x.Evicted().Bytes)
	assert.Positive(t, gone)
	assert.Zero(t, x.Evicted().Age)
	for i := range flood {
		found := about(t, x, start+flood, "system.cpu.time", said{"host.name": fmt.Sprint("h", i)}, nil)
		require.Equal(t, i >= gone, len(found) == 1, i)
	}
}

func TestAFloodKeepsTheBoundInTruth(t *testing.T) {
	const limit = 8 << 20
	for name, place := range map[string]func(x *Index, p *Places, i int){
		"hosts": func(x *Index, p *Places, i int) {
			x.Resource(p, said{"host.name": fmt.Sprint("h", i)}.attributes(t))
			x.Learn(start+int64(i), "shop", p)
		},
		"services": func(x *Index, p *Places, i int) {
			x.Resource(p, said{"host.name": fmt.Sprint("h", i/20)}.attributes(t))
			x.Learn(start+int64(i), fmt.Sprint("a service with a name of its own ", i), p)
		},
		"readings": func(x *Index, p *Places, i int) {
			x.Resource(p, said{"container.id": fmt.Sprint(i / 5)}.attributes(t))
			x.Record(start+int64(i), p, uint8(i%5), start+int64(i), 1)
		},
		"pods": func(x *Index, p *Places, i int) {
			x.Resource(p, said{
				"k8s.pod.name": fmt.Sprint("p", i), "k8s.pod.uid": fmt.Sprint(i), "k8s.namespace.name": "n",
				"k8s.node.name": fmt.Sprint(i / 50),
			}.attributes(t))
			x.Learn(start+int64(i), fmt.Sprint("service ", i%100), p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var p Places
			before := heap()
			x := NewIndex(limit, retention)
			for i := range 100_000 {
				place(x, &p, i)
				if x.Size() > limit {
					t.Fatal("beyond the bound", x.Size())
				}
			}
			assert.Positive(t, x.Evicted().Bytes)
			taken := heap() - before
			t.Logf("size %d, heap %d, records %d", x.Size(), taken, len(x.records))
			assert.InEpsilon(t, x.Size(), taken, 0.1)
			runtime.KeepAlive(x)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestAllCallsAtOnce(t *testing.T) {
	x := NewIndex(256<<10, retention)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for i := range 3000 {
				now := start + int64(i)*second
				host := said{"host.name": fmt.Sprint(random.IntN(200)), "host.id": fmt.Sprint(random.IntN(2)), "process.pid": 7}
				runs(t, x, now, fmt.Sprint("service ", random.IntN(30)), host)
				measures(t, x, now, "system.cpu.time", host, now, random.Float64())
				for _, found := range about(t, x, now, "system.cpu.time", host, nil) {
					assert.NotEmpty(t, found)
				}
				last(t, x, now, host)
				assert.LessOrEqual(t, x.Size(), int64(256<<10+4096))
			}
		})
	}
	all.Wait()
}

func TestWhatIsForgottenIsGivenBack(t *testing.T) {
	x := NewIndex(8<<20, retention)
	for i := range 1000 {
		runs(t, x, start, fmt.Sprint("service ", i), said{"host.name": fmt.Sprint(i % 50), "host.id": fmt.Sprint(i % 70)})
	}
	x.mu.Lock()
	x.trim(start + 2*x.keep)
	x.mu.Unlock()
	assert.Empty(t, x.names)
	assert.Equal(t, indexBytes+int64(x.mostRecords)*entryBytes+int64(x.mostNames)*nameBytes, x.Size())
}
