package change

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/flag"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/rollout"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/surge"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/tracetest"
)

const second = int64(1e9)

// observed are changes among services front, which calls back, which calls deep, and one aside, which is on its own.
type observed struct {
	*Book
	table                    *names.Table
	front, back, deep, other uint32
}

func newObserved() *observed {
	table := names.New()
	o := &observed{
		Book: New(), table: table,
		front: tracetest.Service(table, "front"), back: tracetest.Service(table, "back"),
		deep: tracetest.Service(table, "deep"), other: tracetest.Service(table, "aside"),
	}
	for _, service := range []uint32{o.front, o.back, o.deep, o.other} {
		o.version(service, "1", 100*second)
	}
	o.Look(100*second, []dependency.Edge{
		{Caller: o.front, Callee: o.back}, {Caller: o.back, Callee: o.deep}, dependency.Entry(o.front), dependency.Entry(o.other),
	})
	return o
}

func (o *observed) version(service uint32, version string, at int64) {
	o.See(service, Served{Release: Release{Version: version}}, at)
}

// told is the kind and the service of the change before an onset that is told a little later.
func (o *observed) told(onset int64, suspect uint32) string {
	c := o.Before(onset, onset+5*second, suspect)
	if c == nil {
		return ""
	}
	return fmt.Sprintf("%s of %s", c.Kind, o.table.EntityOf(c.Service).Name)
}

func TestReleases(t *testing.T) {
	t.Run("a change is told with its share of the traffic, once that was measured", func(t *testing.T) {
		o := newObserved()
		one, two := Release{"1", "a"}, Release{"1", "b"}
		o.See(o.front, Served{Release: one}, 100*second)
		o.Fresh(100*second+measured, false)
		o.Count(o.front, one, 1000)
		o.See(o.front, Served{Release: two}, 120*second)
		o.Count(o.front, two, 1)
		o.Count(o.back, two, 1000)
		o.Count(o.front, one, 2)
		o.Count(o.front, Release{}, 1)
		assert.Empty(t, o.Fresh(120*second+measured-1, false))
		fresh := o.Fresh(120*second+measured, false)
		assert.Len(t, fresh, 1)
		assert.InDelta(t, 0.25, fresh[0].Share, 1e-9)
		assert.Equal(t, 120*second, fresh[0].At)
		assert.Zero(t, o.measuring.Load())
		o.Count(o.front, two, 1000)
		assert.InDelta(t, 0.25, fresh[0].Share, 1e-9)
	})
	t.Run("while a rollout goes on, versions take turns", func(t *testing.T) {
		o := newObserved()
		for i := range int64(10) {
			o.version(o.front, []string{"1", "2"}[i%2], (100+i)*second)
		}
		for _, at := range []int64{108, 109} { // Whichever was seen last.
			found := o.Before(at*second, at*second, o.front)
			require.NotNil(t, found)
			assert.Equal(t, "2", found.To)
		}
	})
	t.Run("what was taken back is not held against anybody", func(t *testing.T) {
		o := newObserved()
		o.version(o.front, "2", 110*second)
		o.version(o.front, "1", 120*second)
		assert.True(t, o.Changed(o.front, 124*second))
		assert.False(t, o.Changed(o.front, 130*second))
		assert.Empty(t, o.told(130*second, o.front))
	})
}

func TestPodsOfAnotherTemplateAreAnotherConfiguration(t *testing.T) {
	o := newObserved()
	o.See(o.front, Served{Release: Release{Version: "1"}, Template: "front-6d4cf56db6"}, 110*second)
	o.See(o.front, Served{Release: Release{Version: "1"}, Template: "front-of-the-north-5f7d8c9b4"}, 110*second)
	o.version(o.front, "1", 115*second)
	assert.Empty(t, o.told(120*second, o.front), "a service may have several, and one that is not told is none")
	o.See(o.front, Served{Release: Release{Version: "1"}, Template: "front-7c5ddbdf54"}, 170*second)
	assert.Equal(t, "configuration of front", o.told(170*second, o.front))
	assert.True(t, o.Changed(o.front, 170*second))
	o.See(o.front, Served{Release: Release{Version: "2"}, Template: "front-84f7c6b9d8"}, 300*second)
	assert.Equal(t, "version of front", o.told(300*second, o.front), "another version has another template anyway")
}

func TestRestarts(t *testing.T) {
	// serve lets instances serve once a second, and looks.
	serve := func(o *observed, from, until int64, ids ...string) {
		for at := from; at < until; at++ {
			for _, id := range ids {
				o.See(o.front, Served{Instance: id}, at*second)
			}
			o.Look(at*second, nil)
		}
	}
	t.Run("an instance in the place of another one", func(t *testing.T) {
		o := newObserved()
		serve(o, 100, 170, "a", "b")
		serve(o, 170, 200, "b", "c")
		assert.Equal(t, &Change{
			Kind: Restart, Service: o.front, At: 170 * second, Many: 1, Of: 2,
		}, o.Before(171*second, 200*second, o.front))
		assert.False(t, o.Changed(o.front, 200*second), "it may be a symptom")
	})
	t.Run("more of them, and fewer later", func(t *testing.T) {
		o := newObserved()
		serve(o, 100, 170, "a")
		serve(o, 170, 230, "a", "b")
		serve(o, 230, 300, "b")
		for at := int64(170); at < 300; at++ {
			assert.Empty(t, o.told(at*second, o.front))
		}
	})
	t.Run("where they come and go all the time", func(t *testing.T) {
		o := newObserved()
		for i := range int64(10) {
			serve(o, 100+30*i, 130+30*i, strconv.FormatInt(i, 10))
		}
		assert.Empty(t, o.odds)
	})
	t.Run("instances are bounded", func(t *testing.T) {
		o := newObserved()
		for i := range int64(1000) {
			o.See(o.front, Served{Instance: strconv.FormatInt(i, 10)}, 100*second)
		}
		assert.Equal(t, maxInstances, o.instances)
		o.See(o.front, Served{Instance: "late"}, 100*second+2*int64(15*time.Minute))
		assert.Equal(t, 1, o.instances)
	})
}

func TestWithoutRoomAnInstanceTakesThePlaceOfOneThatHasGone(t *testing.T) {
	var is instances
	is.see("a", 100*second, true, true)
	is.see("b", 110*second, false, true)
	assert.Len(t, is.seen, 1)
	assert.Equal(t, "a", is.seen[0].id)
	is.see("c", 100*second+rollout.Forgotten+1, false, true)
	assert.Len(t, is.seen, 1)
	assert.Equal(t, "c", is.seen[0].id)
}

func TestWhichChangeIsTold(t *testing.T) {
	o := newObserved()
	o.Linked(dependency.Edge{Caller: o.other, Callee: o.deep}, 150*second)
	assert.Empty(t, o.told(200*second, o.other), "who is new calls everybody for the first time")
	o.Linked(dependency.Edge{Caller: o.other, Callee: o.deep}, 300*second)
	assert.Empty(t, o.told(310*second, o.front), "a symptom of somebody else")
	assert.Equal(t, "dependency of aside", o.told(310*second, o.other))
	assert.Empty(t, o.told(299*second, o.other), "a symptom that comes after")
	o.Surged(o.front, surge.Surge{Requests: 1000, Most: 100}, 301*second)
	assert.Equal(t, "traffic of front", o.told(310*second, o.deep), "who calls it")
	o.version(o.other, "2", 305*second)
	assert.Equal(t, "version of aside", o.told(310*second, 0))
	assert.Equal(t, "traffic of front", o.told(310*second, o.deep))
	assert.Equal(t, "version of aside", o.told(310*second, o.other), "and not the first call")
	o.version(o.deep, "2", 306*second)
	assert.Equal(t, "version of deep", o.told(310*second, o.front), "whom it calls")
	assert.Equal(t, "version of deep", o.told(304*second, o.front), "seen a little earlier than it")
	o.version(o.front, "2", 303*second)
	assert.Equal(t, "version of front", o.told(310*second, o.front), "its own, though earlier")
	assert.Equal(t, "version of aside", o.told(310*second, o.other))
}

// To scale out every minute must not displace the rollout of some minutes ago.
func TestManyChangesOfOneServiceDisplaceNoOther(t *testing.T) {
	o := newObserved()
	o.version(o.front, "2", 110*second)
	for i := range int64(1000) {
		o.version(o.back, strconv.FormatInt(i, 10), 120*second+i*61*second/100)
		o.Surged(o.front, surge.Surge{}, 120*second)
	}
	o.version(o.front, "2", 720*second)
	assert.Equal(t, "version of front", o.told(720*second, o.front))
	assert.LessOrEqual(t, len(o.made), 2*maxOfService)
	assert.Len(t, o.odds, maxOfService)
	for i := range uint32(2 * maxChanges) {
		o.Surged(100+i, surge.Surge{}, 120*second)
	}
	assert.Len(t, o.odds, maxChanges)
}

func TestABookIsForMany(t *testing.T) {
	o := newObserved()
	var tasks sync.WaitGroup
	for i := range int64(4) {
		tasks.Go(func() {
			for at := 100 + i; at < 200; at++ {
				version := strconv.FormatInt(at/50, 10)
				o.version(o.front, version, at*second)
				o.Count(o.front, Release{Version: version}, 1)
				logo := flag.Evaluation{Key: "logo", Variant: flag.Named(version)}
				o.Evaluate([]Evaluation{{Service: o.front, Evaluation: logo}}, at*second)
				o.Fresh(at*second, false)
				o.Before(at*second, at*second, o.back)
			}
		})
	}
	tasks.Wait()
	assert.True(t, o.Changed(o.front, 200*second))
}
