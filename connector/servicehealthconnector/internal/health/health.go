// Package health decides whether calls along a dependency go as well as they used to. It is pure: it gets counts and the time.
//
// docs/health.md has the formulae and where they come from.
package health

import (
	"math"
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/scale"
)

// State is how a dependency is.
type State uint8

// The states, the worst last.
const (
	// Unknown is a dependency of which too little was seen, or nothing any more.
	Unknown State = iota
	Healthy
	// Degraded is one whose calls fail or are slow more often than they used to.
	Degraded
	// Failing is one half of whose calls fail.
	Failing
)

var states = [...]string{"unknown", "healthy", "degraded", "failing"}

// String is the state's name as an attribute's value.
func (s State) String() string { return states[s] }

// States are all of them.
func States() []State { return []State{Unknown, Healthy, Degraded, Failing} }

// IsBad says whether the state is trouble.
func (s State) IsBad() bool { return s >= Degraded }

// Reason is why a dependency is in its state.
type Reason uint8

// The reasons.
const (
	// None needs no reason.
	None Reason = iota
	Errors
	Latency
	// Silence says that calls which should have come did not.
	Silence
)

// String is the reason's name as an attribute's value, empty for None.
func (r Reason) String() string { return [...]string{"", "errors", "latency", "silence"}[r] }

const (
	// SlotLength is the time in nanoseconds after which a dependency is looked at anew.
	SlotLength = int64(5 * time.Second)
	// slots are the last minute.
	slots = 12
	// quick and middle are the numbers of slots of the shorter windows: for what is bad enough to be seen sooner.
	quick, middle = 2, 4
	// calm is the number of slots that have to be well before trouble is over; with little traffic it takes more, up to those that
	// are kept. Past them, trouble lapses.
	calm = 6
	kept = 5 * slots

	// significant is how improbable numbers have to be under the past. At one look every 5 s at each of 100 dependencies, with
	// three windows and two questions, chance alone would be wrong about once in a day if calls were independent of each other;
	// they are not, and that is what the dispersion is for.
	significant = 1e-7
	// confidence is the number of standard deviations by which the past may be worse than it looks.
	confidence = 2
	// leastCalls are the calls in a window below which nothing is concluded.
	leastCalls = 10
	// leastWitnesses are how many independent calls they have to be worth.
	leastWitnesses = 5
	// leastPast are the calls, and leastSlots the slots with calls, that make a past: one minute is no measure of another.
	leastPast  = 50
	leastSlots = 2 * slots
	// halfLife is the age in nanoseconds at which the past counts half.
	halfLife = float64(time.Hour)
	// accepted is after how long latency that stays is the new usual one, in nanoseconds. Failures are never.
	accepted = int64(time.Hour)

	// tailShare is the share of calls that may take longer than a limit on their duration.
	tailShare = 0.05
	// half is the share of failed calls that makes a dependency a failing one.
	half = 0.5
	// nearLimit is the part of a limit below which trouble with it is over, so that numbers close to it do not flap.
	nearLimit = 0.7
	// expectedCalls is how many calls have to be missing before silence says something: by chance alone, exp(-20) of them would be.
	expectedCalls = 20
	// steadyMinutes is for how many minutes calls must have come in each.
	steadyMinutes = 8
)

// effect is by how much the share of bad calls has to rise over each window. What is significant need not matter: with enough calls
// every change is significant.
type effect struct{ quick, middle, minute float64 }

var effectOfErrors = effect{0.2, 0.1, 0.05}

// level is one meaning of slow: longer, by a margin in steps, than all but a share of the past calls.
type level struct {
	share  float64
	margin int
	effect effect
}

// The tail shows what happens to some of the calls; where it is long already, only the body shows what happens to all of them.
var levels = [...]level{
	{0.05, 2, effect{0.3, 0.15, 0.1}},
	{0.25, 4, effect{0.6, 0.5, 0.5}},
}

// Limit holds limits that somebody set. The zero Limit has none.
type Limit struct {
	// FailureRate is the share of failed calls beyond which there are too many, from 0 to less than 1.
	FailureRate float64
	// Duration is what calls should take, in nanoseconds, below LongestLimit: too slow are those of which one in twenty takes longer.
	Duration int64
}

// LongestLimit is the duration in nanoseconds from which on longer calls are not told apart.
func LongestLimit() int64 { return scale.Upper(scale.Steps - 2) }

// Watch watches one dependency. The zero Watch knows nothing. It is not safe for concurrent use.
type Watch struct {
	Limit Limit

	state  State
	reason Reason
	since  int64
	onset  int64

	// unwell says that there was trouble or silence and that it is not over, though it may have lapsed.
	unwell bool

	past    past
	pending past
	// slots are the latest in which anything at all was seen, the last of them at next-1.
	slots [kept]slot
	next  int
	// slowFrom is the first step of slow calls by each level; 0 while it is not known.
	slowFrom [len(levels)]int
	errors   dispersion
	latency  [len(levels)]dispersion
}

type slot struct {
	calls, failed, squares float64
	slow                   [len(levels)]float64
}

func (s *slot) add(o slot) {
	s.calls += o.calls
	s.failed += o.failed
	s.squares += o.squares
	for i, n := range o.slow {
		s.slow[i] += n
	}
}

// past is what used to be.
type past struct {
	calls, failed float64
	// slots are all of them since the first call, busy those with calls.
	slots, busy float64
	// minutes and empty are how many minutes had calls, and how many had none though they were to be expected.
	minutes, empty float64
	took           [scale.Steps]float32
}

// Verdict is how a dependency is.
type Verdict struct {
	State  State
	Reason Reason
	// Since is when it came into this state, and Onset when what led to it was first seen, in nanoseconds since the epoch.
	Since, Onset int64
	// Share is the share of bad calls in the window that decided, and Past what it used to be or, if Limited, what a limit allows.
	Share, Past float64
	Limited     bool
	// Slow is the duration in nanoseconds beyond which calls are slow.
	Slow int64
}

// Add adds what was seen.
func (w *Watch) Add(r *dependency.Recent) {
	if w.Limit.Duration > 0 {
		w.slowFrom = [len(levels)]int{scale.Step(w.Limit.Duration) + 1}
	}
	s := &w.slots[w.next]
	s.calls += float64(r.Calls)
	s.failed += float64(r.Failed)
	s.squares += float64(r.Squares)
	for step, n := range r.Took {
		if n == 0 {
			continue
		}
		w.pending.took[step] += float32(n)
		for i, from := range w.slowFrom {
			if from > 0 && step >= from {
				s.slow[i] += float64(n)
			}
		}
	}
	w.pending.calls += float64(r.Calls)
	w.pending.failed += float64(r.Failed)
}

// SlowFrom is the duration in nanoseconds from which a call may be slow, or 0 while that is not known.
func (w *Watch) SlowFrom() int64 {
	from := 0
	for _, step := range w.slowFrom {
		if step > 0 && (from == 0 || step < from) {
			from = step
		}
	}
	return duration(from)
}

// duration is the one from which on calls are in a step, or 0 for step 0.
func duration(step int) int64 {
	if step == 0 {
		return 0
	}
	return scale.Upper(step - 1)
}

// Rate is the usual number of calls in a slot, with or without any, and Calls that of the last minute.
func (w *Watch) Rate() float64 { return w.past.calls / max(1, w.past.slots) }

// Calls is the number of calls in the last minute.
func (w *Watch) Calls() float64 { return w.window(slots).calls }

// Known says whether there is a past to compare with.
func (w *Watch) Known() bool { return w.past.calls >= leastPast && w.past.busy >= leastSlots }

// Close ends a slot in which something was seen, if not of this dependency, and decides. expected is how many calls of the last
// minute would have been usual, as those show who make them, or 0 if they show nothing. It says whether there is a change to be told.
func (w *Watch) Close(now int64, expected float64) (Verdict, bool) {
	current := w.slots[w.next]
	before, waited := w.state, w.unwell
	v := w.decide(now, expected)
	// Nobody asks whether what never was unwell is healthy; but who was told of trouble waits to be told that it is over, or lapsed.
	changed := w.state != before && (w.state.IsBad() || waited) || w.reason == Silence && !waited
	w.learn(current, expected)
	w.next = (w.next + 1) % kept
	w.slots[w.next] = slot{}
	return v, changed
}

// Verdict is the latest one.
func (w *Watch) Verdict() Verdict {
	return Verdict{State: w.state, Reason: w.reason, Since: w.since, Onset: w.onset}
}

func (w *Watch) decide(now int64, expected float64) Verdict {
	rest := w.shortest(calm)
	errors := w.ask(func(s *slot) float64 { return s.failed }, w.past.failed, &w.errors, effectOfErrors, &rest)
	latency := w.askLatency(&rest)
	w.applyLimit(&errors, &latency)
	known := w.Known() || w.Limit != (Limit{})
	switch {
	case expected >= expectedCalls && w.window(slots).calls == 0 && w.past.isSteady():
		w.slots = [kept]slot{} // What was before says nothing of those that come next.
		w.enter(Unknown, Silence, now, now-slots*SlotLength)
	case known && errors.bad && errors.share >= half:
		w.enter(Failing, Errors, now, errors.onset(now))
	case known && errors.bad && w.state != Failing:
		w.enter(Degraded, Errors, now, errors.onset(now))
	case known && latency.bad && !w.state.IsBad():
		w.enter(Degraded, Latency, now, latency.onset(now))
	case w.reason == Latency && w.Limit.Duration == 0 && now-w.since > accepted:
		w.past = past{}
		w.enter(Healthy, None, now, now)
	case w.unwell:
		if rest.calls < leastCalls {
			w.enter(Unknown, None, now, now)
		} else if !errors.lingers && !latency.lingers {
			w.enter(Healthy, None, now, now)
		}
	case known && w.window(slots).calls > 0:
		w.enter(Healthy, None, now, now)
	case w.window(kept).calls == 0:
		w.enter(Unknown, None, now, now)
	}
	v := w.Verdict()
	switch w.reason {
	case Errors:
		v.Share, v.Past, v.Limited = errors.share, errors.past, w.Limit.FailureRate > 0
	case Latency:
		v.Share, v.Past, v.Slow, v.Limited = latency.share, latency.past, latency.slow, w.Limit.Duration > 0
	default:
	}
	return v
}

func (w *Watch) enter(s State, r Reason, now, onset int64) {
	if w.state == s && w.reason == r {
		return
	}
	if w.state != s {
		w.since = now
	}
	if !w.state.IsBad() || !s.IsBad() {
		w.onset = onset
	}
	w.state, w.reason = s, r
	if s != Unknown || r == Silence {
		w.unwell = s != Healthy
	}
}

// answer is what the slots say about one kind of bad calls.
type answer struct {
	bad bool
	// lingers says that there are still more than there should be for trouble to be over.
	lingers     bool
	share, past float64
	slots       int
	// slow is the duration in nanoseconds of which it speaks.
	slow int64
}

func (a answer) onset(now int64) int64 { return now - int64(a.slots)*SlotLength }

// askLatency asks by each level, and returns the first that says bad.
func (w *Watch) askLatency(rest *slot) (a answer) {
	for i := range levels {
		if w.slowFrom[i] == 0 {
			continue
		}
		by := w.ask(func(s *slot) float64 { return s.slow[i] }, w.past.slower(w.slowFrom[i]), &w.latency[i], levels[i].effect, rest)
		by.slow = duration(w.slowFrom[i])
		lingers := a.lingers || by.lingers
		if !a.bad && (by.bad || i == 0) {
			a = by
		}
		a.lingers = lingers
	}
	return a
}

// ask compares the slots with the past. rest are those by which trouble would be over.
func (w *Watch) ask(of func(*slot) float64, k float64, d *dispersion, e effect, rest *slot) answer {
	var a answer
	a.past = k / max(1, w.past.calls)
	p := upper(k, w.past.calls, confidence)
	for _, window := range []struct {
		slots  int
		effect float64
	}{{quick, e.quick}, {middle, e.middle}, {slots, e.minute}} {
		n := w.window(window.slots)
		x := of(&n)
		share := x / max(1, n.calls)
		if n.calls < leastCalls || share-a.past < window.effect || share < 2*a.past {
			continue
		}
		// At worst, all calls of a trace are bad together. L. Kish, Survey Sampling (1965), 5.4: the design effect.
		phi := max(d.value(), w.clustering(window.slots))
		if n.calls/phi < leastWitnesses {
			continue
		}
		// One bad moment is none: the trouble has to be there in two slots, of which one is the latest with enough calls.
		if !w.spread(of, a.past+window.effect/2) || tail(x/phi, n.calls/phi, p) > significant {
			continue
		}
		a.bad, a.share, a.slots = true, share, w.first(of, a.past+window.effect/2)
		break
	}
	a.lingers = of(rest) > (a.past+e.minute/2)*rest.calls && of(rest) > 1
	return a
}

// clustering is the largest number of calls of one trace, on average over calls, in any of the last n slots: it is in the bad slots
// that it matters.
func (w *Watch) clustering(n int) float64 {
	var most float64
	for back := range n {
		if s := w.back(back); s.calls > 0 {
			most = max(most, s.squares/s.calls)
		}
	}
	return most
}

// spread says whether at least two of the last three slots with calls have a share of bad ones that is that high.
func (w *Watch) spread(of func(*slot) float64, share float64) bool {
	bad, seen := 0, 0
	for back := 0; back < slots && seen < 3; back++ {
		s := w.back(back)
		if s.calls == 0 {
			continue
		}
		seen++
		if of(s) >= share*s.calls {
			bad++
		}
	}
	return bad >= 2
}

// first is how many slots ago the present stretch of high shares began.
func (w *Watch) first(of func(*slot) float64, share float64) int {
	first := 1
	for back := range slots {
		s := w.back(back)
		if s.calls == 0 {
			continue
		}
		if of(s) < share*s.calls {
			break
		}
		first = back + 1
	}
	return first
}

func (w *Watch) applyLimit(errors, latency *answer) {
	n := w.shortest(slots)
	if n.calls < leastCalls {
		return
	}
	enough := w.Calls() >= leastCalls
	if limit := w.Limit.FailureRate; limit > 0 {
		errors.past, errors.share = limit, n.failed/n.calls
		errors.bad = enough && errors.share > limit
		errors.lingers = errors.share > nearLimit*limit
	}
	if w.Limit.Duration > 0 {
		latency.past, latency.share, latency.slow = tailShare, n.slow[0]/n.calls, duration(w.slowFrom[0])
		latency.bad = enough && latency.share > tailShare
		latency.lingers = latency.share > nearLimit*tailShare
	}
}

// window is the sum of the last n slots.
func (w *Watch) window(n int) slot {
	var sum slot
	for back := range n {
		sum.add(*w.back(back))
	}
	return sum
}

// shortest is the sum of the last n slots, or of as many more as it takes to have enough calls, as far as they are kept.
func (w *Watch) shortest(n int) slot {
	sum := w.window(n)
	for ; sum.calls < leastCalls && n < kept; n++ {
		sum.add(*w.back(n))
	}
	return sum
}

func (w *Watch) back(n int) *slot { return &w.slots[(w.next-n+kept)%kept] }

// learn adds a minute to the past once it is over, unless it was bad: so that trouble never becomes usual while it lasts, and what
// leads to trouble is not in the past with which it is compared.
func (w *Watch) learn(current slot, expected float64) {
	w.pending.slots++
	if w.pending.calls > 0 && current.calls > 0 {
		w.pending.busy++
	}
	if w.unwell {
		w.pending = past{}
		return
	}
	if w.Known() && current.calls > 0 {
		w.errors.add(current.failed, current.calls, w.past.failed/w.past.calls)
		for i, from := range w.slowFrom {
			if from > 0 {
				w.latency[i].add(current.slow[i], current.calls, w.past.slower(from)/w.past.calls)
			}
		}
	}
	if (w.next+1)%slots != 0 {
		return
	}
	switch {
	case w.pending.calls > 0:
		w.pending.minutes = 1
	case expected >= expectedCalls:
		w.pending.empty = 1
	}
	w.past.add(&w.pending)
	w.pending = past{}
	if w.Limit.Duration > 0 {
		return // It says what is slow.
	}
	for i := range levels {
		w.slowFrom[i] = w.past.slowFrom(&levels[i])
	}
}

func (p *past) add(o *past) {
	keep := math.Exp2(-float64(slots*SlotLength) / halfLife)
	p.calls = p.calls*keep + o.calls
	p.failed = p.failed*keep + o.failed
	p.slots = p.slots*keep + o.slots
	p.busy = p.busy*keep + o.busy
	p.minutes = p.minutes*keep + o.minutes
	p.empty = p.empty*keep + o.empty
	for i := range p.took {
		p.took[i] = p.took[i]*float32(keep) + o.took[i]
	}
}

// isSteady says whether calls have come in each minute for long enough that a minute without any means something.
func (p *past) isSteady() bool { return p.minutes >= steadyMinutes && p.empty < 0.5 }

// slowFrom is the first step of slow calls by a level.
func (p *past) slowFrom(by *level) int {
	left := by.share * p.calls
	for step := scale.Steps - 1; step >= 0; step-- {
		if left -= float64(p.took[step]); left < 0 {
			return step + 1 + by.margin
		}
	}
	return 0
}

// slower is the number of calls from a step on.
func (p *past) slower(from int) float64 {
	var n float64
	for step := from; step < scale.Steps; step++ {
		n += float64(p.took[step])
	}
	return n
}

// dispersion is by how much the numbers of bad calls in a slot vary more than those of independent calls would: the mean of
// Pearson's statistic over past slots. P. McCullagh and J. A. Nelder, Generalized Linear Models, 2nd ed. (1989), 4.5.
type dispersion struct{ sum, n float64 }

// mostOfStatistic bounds the weight of one slot, so that a single mishap does not make everything probable.
const mostOfStatistic = 50

// add adds a slot with x bad ones of n calls, where a share of p would have been usual.
func (d *dispersion) add(x, n, p float64) {
	p = max(p, 0.5/(n+1)) // A past without a single bad call does not rule them out.
	statistic := (x - n*p) * (x - n*p) / (n * p * (1 - min(p, 0.99)))
	keep := math.Exp2(-float64(SlotLength) / halfLife)
	d.sum = d.sum*keep + min(statistic, mostOfStatistic)
	d.n = d.n*keep + 1
}

// value is at least 1: calls do not keep apart.
func (d *dispersion) value() float64 {
	const prior = 10 // slots that count as if they had been as independent calls are
	return max(1, (d.sum+prior)/(d.n+prior))
}
