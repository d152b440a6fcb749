package change

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// releases are the changes of front that have an event of their own, where each second of some those versions serve that
// serving says.
func releases(o *observed, seconds int64, serving func(second int64) []string) (all []string) {
	for at := range seconds {
		for _, version := range serving(at) {
			o.version(o.front, version, (100+at)*second)
		}
		for _, c := range o.Fresh((100+at)*second, false) {
			word := "to"
			if c.Back {
				word = "back to"
			}
			all = append(all, fmt.Sprintf("%d s: %s %s %s", c.At/second-100, c.From, word, c.To))
		}
	}
	return all
}

func TestARollbackIsAChange(t *testing.T) {
	o := newObserved()
	serving := func(at int64) []string {
		if at >= 60 && at < 120 {
			return []string{"2"}
		}
		return []string{"1"}
	}
	assert.Equal(t, []string{"60 s: 1 to 2"}, releases(o, 120, serving))
	assert.Equal(t, []string{"60 s: 1 to 2", "120 s: 2 back to 1"}, releases(newObserved(), 300, serving))

	o = newObserved()
	releases(o, 150, serving)
	c := o.Before(225*second, 230*second, o.front)
	require.NotNil(t, c)
	assert.Equal(t, Change{
		Kind: Version, Service: o.front, At: 220 * second, From: "2", To: "1", Back: true,
		Release: Release{Version: "1"}, Previous: Release{Version: "2"},
	}, *c)
	assert.True(t, o.Changed(o.front, 249*second))
}

func TestARollbackIsToldWithItsShareOnceThatWasMeasured(t *testing.T) {
	o := newObserved()
	one, two := Release{Version: "1"}, Release{Version: "2"}
	for at := int64(100); at < 160; at++ {
		o.version(o.front, "2", at*second)
	}
	require.Len(t, o.Fresh(160*second, false), 1)
	at := int64(160)
	for ; o.measuring.Load() == 0; at++ {
		o.version(o.front, "1", at*second)
	}
	o.Count(o.front, one, 3)
	o.Count(o.front, two, 1)
	known := (at - 1) * second
	assert.Empty(t, o.Fresh(known+measured-1, false))
	back := o.Fresh(known+measured, false)
	require.Len(t, back, 1)
	assert.InDelta(t, 0.75, back[0].Share, 1e-9)
	assert.Equal(t, 160*second, back[0].At)
}

func TestItIsBackToWhatServesNow(t *testing.T) {
	assert.Equal(t, []string{"30 s: 1 to 2", "60 s: 2 to 3", "90 s: 3 back to 1", "150 s: 1 back to 3"},
		releases(newObserved(), 240, func(at int64) []string {
			return []string{[]string{"1", "2", "3", "1", "1", "3", "3", "3"}[at/30]}
		}))
}

func TestWhatIsNoRollback(t *testing.T) {
	for name, serving := range map[string]func(at int64) []string{
		"a quiet canary": func(at int64) []string {
			if at%30 == 0 {
				return []string{"1", "1", "1", "2"}
			}
			return []string{"1", "1", "1"}
		},
		"a canary that is quiet after a busy start": func(at int64) []string {
			if at < 10 || at%60 == 0 {
				return []string{"1", "2", "2", "2"}
			}
			return []string{"1"}
		},
		"a canary with requests at random": func() func(int64) []string {
			r := rand.New(rand.NewPCG(1, 2))
			return func(int64) []string {
				if r.IntN(10) == 0 {
					return []string{"1", "2"}
				}
				return []string{"1"}
			}
		}(),
		"versions take turns each second": func(at int64) []string { return []string{strconv.FormatInt(1+at%2, 10)} },
		"versions take turns each fifteen seconds": func(at int64) []string {
			return []string{strconv.FormatInt(1+at/15%2, 10)}
		},
		"a rollout that is slow": func(at int64) []string {
			if at%600 < at {
				return []string{"1", "2"}
			}
			return []string{"2", "1", "1", "1", "1", "1"}
		},
		"nothing comes any more": func(at int64) []string {
			if at < 60 {
				return []string{"2"}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := releases(newObserved(), 3000, serving)
			require.Len(t, all, 1, "%v", all)
			assert.Contains(t, all[0], "1 to 2")
		})
	}
}

func TestWhoIsMistakenForGoneIsSoOnce(t *testing.T) {
	all := releases(newObserved(), 6000, func(at int64) []string {
		if at%300 < 30 {
			return []string{"1", "2"}
		}
		return []string{"1"}
	})
	assert.Equal(t, []string{"0 s: 1 to 2", "30 s: 2 back to 1"}, all)
}

// Those that are beyond what is told apart are nothing to go back to.
func TestVersionsWithoutNumberAreNoRollback(t *testing.T) {
	i := 0
	for _, told := range releases(newObserved(), 300, func(at int64) []string {
		if at < 60 {
			return []string{"2"}
		}
		i++
		return []string{strconv.Itoa(i)}
	}) {
		assert.NotContains(t, told, "back")
	}
}

func TestWhatWasSeenLongAgoCountsLess(t *testing.T) {
	a := begun(0)
	for at := range int64(100_000) {
		a.see(true, at*second)
	}
	assert.LessOrEqual(t, a.all, float64(recent))
	gone := int64(0)
	for at := int64(100_000); gone == 0; at++ {
		switch {
		case at < 110_000 && at%10 == 0:
			a.see(true, at*second)
		case a.see(false, at*second):
			gone = at
		}
	}
	assert.InDelta(t, 110_000+150, gone, 50, "it has about a tenth by then, and no longer all")
}

func BenchmarkSee(b *testing.B) {
	o := newObserved()
	o.version(o.front, "2", 101*second)
	is := Served{Release{"2", "9d59409acf479dfa0df1aa568182e43e43df8bbe"}, "front-6d4cf56db6", "front-6d4cf56db6-x2x9z"}
	now := 102 * second
	b.ReportAllocs()
	for b.Loop() {
		o.See(o.front, is, now)
		now += second / 10_000
	}
}

func BenchmarkCount(b *testing.B) {
	o := newObserved()
	b.ReportAllocs()
	for b.Loop() {
		o.Count(o.front, Release{Version: "1"}, 100)
	}
}
