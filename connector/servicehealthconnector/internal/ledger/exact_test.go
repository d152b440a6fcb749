package ledger

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/burn"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// happened is what was counted at one time.
type happened struct {
	at        int64
	good, bad uint64
}

// plain computes what a ledger says from all events that ever were, each time anew: by the definitions, without a thought for speed.
type plain struct {
	objective *openslo.Objective
	events    []happened
	// counts are the units of the present moment.
	counts []happened
	// maintenance says for each second that was asked about whether it counts.
	maintenance map[int64]bool
}

func (p *plain) isMaintenance(at int64) bool {
	is, known := p.maintenance[at/second]
	if !known {
		is = slices.ContainsFunc(p.objective.Maintenance, func(i openslo.Interval) bool {
			return at/second >= i.From.Unix() && at/second*second < i.To.UnixNano()
		})
		p.maintenance[at/second] = is
	}
	return is
}

// units are what the budget counts by their time: events, or slices that are over by now.
func (p *plain) units(now int64) []happened {
	s := p.objective.Slices
	if s.Length == 0 {
		return p.events
	}
	bySlice := map[int64]happened{}
	for _, e := range p.events {
		number := e.at / int64(s.Length)
		sum := bySlice[number]
		sum.good += e.good
		sum.bad += e.bad
		bySlice[number] = sum
	}
	var units []happened
	for _, number := range slices.Sorted(maps.Keys(bySlice)) {
		sum := bySlice[number]
		total := int64(sum.good + sum.bad)
		if total == 0 || (number+1)*int64(s.Length) > now {
			continue
		}
		unit := happened{at: number * int64(s.Length)}
		switch {
		case s.Ratio:
			half := big.NewRat(1, 2)
			parts := new(big.Rat).Add(big.NewRat(int64(sum.bad)*1e9, total), half)
			unit.bad = new(big.Int).Quo(parts.Num(), parts.Denom()).Uint64()
			unit.good = 1e9 - unit.bad
		case big.NewRat(int64(sum.good), total).Cmp(big.NewRat(int64(math.Round(s.Target*1e9)), 1e9)) >= 0:
			unit.good = 1
		default:
			unit.bad = 1
		}
		units = append(units, unit)
	}
	return units
}

// buckets are the beginning of a window's first bucket, how long each is, and how many there are.
func (p *plain) buckets(window time.Duration, now int64) (first, width, n int64) {
	width = int64(max(window/60, time.Second))
	if length := int64(p.objective.Slices.Length); length > 0 {
		width = (width + length - 1) / length * length
		now = now/length*length - 1
	}
	n = max(1, int64(window)/width)
	return (now/width - n + 1) * width, width, n
}

func (p *plain) sum(window time.Duration, now int64) burn.Count {
	first, width, n := p.buckets(window, now)
	var sum burn.Count
	for _, u := range p.counts {
		if u.at >= first && u.at < first+n*width {
			sum.Good += u.good
			sum.Bad += u.bad
		}
	}
	return sum
}

// counted is how many seconds of a time count. All edges are at whole seconds.
func (p *plain) counted(from, to int64) (seconds int64) {
	if len(p.objective.Maintenance) == 0 {
		return (to - from) / second
	}
	for at := from; at < to; at += second {
		if !p.isMaintenance(at) {
			seconds++
		}
	}
	return seconds
}

// budget is what the objective's window counts, and its coverage.
func (p *plain) budget(now int64) (burn.Count, float64) {
	from, width, n := p.buckets(p.objective.Window, now)
	to := from + n*width
	if p.objective.Calendar != nil {
		begin, end := p.objective.Calendar.Period(time.Unix(0, now))
		from, to, width = begin.UnixNano(), end.UnixNano(), int64(max(p.objective.Window/60, time.Second))
		n = (to - from + width - 1) / width
	}
	var sum burn.Count
	var measured, all int64
	for bucket := range n {
		start := from + bucket*width
		end := min(start+width, to)
		if p.objective.Calendar != nil {
			over := now
			if length := int64(p.objective.Slices.Length); length > 0 {
				over = max(from, now/length*length-1)
			}
			if start > over {
				continue
			}
			// The last one may still fill, but its time is not over.
			if over < end {
				end = over
			}
		}
		part := p.counted(start, end/second*second) * second
		if end%second > 0 && !p.isMaintenance(end) {
			part += end % second
		}
		c := p.between(start, min(start+width, to))
		sum.Good += c.Good
		sum.Bad += c.Bad
		all += part
		if c.Total() > 0 {
			measured += part
		}
	}
	if all == 0 {
		return sum, 1
	}
	return sum, float64(measured) / float64(all)
}

func (p *plain) between(from, to int64) burn.Count {
	var sum burn.Count
	for _, u := range p.counts {
		if u.at >= from && u.at < to {
			sum.Good += u.good
			sum.Bad += u.bad
		}
	}
	return sum
}

// TestExact holds the ledger against the plain computation: to the integer where it counts, else to 1e-9.
func TestExact(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	monday := time.Date(2026, 3, 23, 0, 0, 0, 0, berlin) // In that week clocks are set forward.
	alerts := []openslo.Alert{
		alert("page", 5*time.Minute, 15*time.Second, 3), alert("page", 90*time.Second, 20*time.Second, 2),
		alert("ticket", 2*time.Hour, 7*time.Minute, 1),
	}
	var outages []openslo.Interval
	for hour := range 40 {
		from := monday.Add(time.Duration(hour) * 7 * time.Hour / 2)
		long := time.Duration(1+hour*hour) * 13 * time.Second
		outages = append(outages, openslo.Interval{From: from.Add(1500 * time.Millisecond), To: from.Add(long)})
	}
	days := &openslo.Calendar{Start: monday, Count: 1, Unit: openslo.Day}
	for name, o := range map[string]openslo.Objective{
		"rolling":                       {Window: 6 * time.Hour},
		"rolling, maintenance":          {Window: 6 * time.Hour, Maintenance: outages},
		"days":                          {Window: 24 * time.Hour, Calendar: days},
		"days, maintenance":             {Window: 24 * time.Hour, Calendar: days, Maintenance: outages},
		"timeslices":                    {Window: 6 * time.Hour, Slices: openslo.Slices{Length: time.Minute, Target: 0.8}},
		"timeslices, odd":               {Window: 6 * time.Hour, Slices: openslo.Slices{Length: 7 * time.Second, Target: 0.75}},
		"timeslices, maintenance, days": {Window: 24 * time.Hour, Calendar: days, Maintenance: outages, Slices: openslo.Slices{Length: 10 * time.Second, Target: 0.8}},
		"ratio timeslices":              {Window: 6 * time.Hour, Slices: openslo.Slices{Length: 30 * time.Second, Ratio: true}},
	} {
		t.Run(name, func(t *testing.T) {
			o.Name, o.Target, o.Conditions = name, 0.9, alerts
			for range 2 {
				seed := rand.Uint64()
				if !exact(t, o, monday.UnixNano()-int64(time.Hour), seed) {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

func exact(t *testing.T, o openslo.Objective, begin int64, seed uint64) bool {
	random := rand.New(rand.NewPCG(seed, 0))
	slack := burn.Slack{Late: 2 * time.Minute, Ahead: 10 * time.Second}
	l := New([]openslo.Objective{o}, slack)
	p := &plain{objective: &o, maintenance: map[int64]bool{}}
	var total burn.Count
	var refused uint64
	present := int64(0)
	now := begin + random.Int64N(int64(time.Hour))
	ok := true
	for i := range 500 {
		switch random.IntN(60) {
		case 0:
			now += random.Int64N(int64(5 * time.Hour)) // a gap, or a jump
		case 1:
			now = (now/int64(time.Minute) + 1) * int64(time.Minute) // the very edge
		default:
			now += random.Int64N(int64(20 * time.Second))
		}
		l.Evaluate(now - int64(slack.Ahead))
		present = max(present, now)
		for range random.IntN(6) {
			e := happened{at: now, good: random.Uint64N(5), bad: random.Uint64N(2)}
			switch random.IntN(6) {
			case 0:
				e.at -= random.Int64N(int64(3 * time.Minute)) // late, at times too late
			case 1:
				e.at += random.Int64N(int64(time.Minute)) // of a clock that is ahead
			case 2:
				e.at = e.at / second * second
			}
			for range 1 + random.IntN(2) { // what comes twice counts twice
				late := e.at < present-int64(slack.Late)
				counted := l.AddCounts(Key{}, e.at, e.good, e.bad)
				ok = ok && assert.Equal(t, !late && !p.isMaintenance(e.at), counted)
				if late {
					refused += e.good + e.bad
				}
				if counted {
					p.events = append(p.events, e)
					total.Good += e.good
					total.Bad += e.bad
				}
			}
		}
		if i%9 != 0 || len(l.inOrder) == 0 {
			continue
		}
		// What is no longer in any window need not be looked at each time.
		oldest := now - int64(52*time.Hour)
		p.events = slices.DeleteFunc(p.events, func(e happened) bool { return e.at < oldest })
		horizon := now - int64(slack.Ahead)
		l.Evaluate(horizon)
		p.counts = p.units(horizon)
		l.Each(horizon, func(r Reading) {
			budget, coverage := p.budget(horizon)
			message := fmt.Sprintf("step %d at %s", i, time.Unix(0, horizon).UTC())
			ok = ok && assert.Equal(t, total, r.Total, message) && assert.Equal(t, budget, r.Budget.Count, message) &&
				assert.InDelta(t, coverage, r.Coverage, 1e-9, message)
			if rate, known := budget.Rate(o.Target); known {
				ok = ok && assert.InDelta(t, 1-rate, r.Remaining, 1e-9, message)
			}
			for _, w := range r.Rates {
				sum := p.sum(w.Window, horizon)
				rate, known := sum.Rate(o.Target)
				ok = ok && assert.Equal(t, sum, l.inOrder[0].meter.Sum(w.Window, horizon), "%s, window %s", message, w.Window) &&
					assert.Equal(t, known, w.Known, message) && assert.InDelta(t, rate, w.Burn, 1e-9, message)
			}
		})
		if !ok {
			return false
		}
	}
	return assert.Equal(t, refused, l.Refused())
}
