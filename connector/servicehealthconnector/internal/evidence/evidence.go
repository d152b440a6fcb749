// Package evidence compares what services do with what they used to do: how long their operations work themselves, which calls they
// make, and what they log, all under the same circumstances. It gets decided traces and the time, and has no clock of its own.
//
// docs/diagnosis.md has the formulae and where they come from.
package evidence

import (
	"cmp"
	"math"
	"slices"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

const (
	// maxStrata, maxTimed (strata with durations), maxFeatures and maxCalls bound what is remembered; what comes beyond is not
	// compared.
	maxStrata   = 50_000
	maxTimed    = 20_000
	maxFeatures = 50_000
	maxCalls    = 20_000
	// maxPerStratum bounds the events of one stratum that are told apart, maxPerUnit those of one unit, each of which is looked for
	// among all, and maxKnown those of all strata.
	maxPerStratum = 64
	maxPerUnit    = 256
	maxKnown      = 500_000
	// leastPast is how many witnesses a stratum needs before its past is compared with.
	leastPast = 5
	// mature is how many it needs to speak for itself; before that, its operation does, of what happens in it under the same caller.
	mature = 20
	// sure is the share up to which, or to which from one, circumstances do not matter.
	sure = 0.05
	// doubtful is how much of what deviates becomes usual each time that the past fades.
	doubtful = 0.1
	// leastDurations is how many spans an operation needs before it is known what is slow.
	leastDurations = 5
	// surprising is the surprise from which on time counts as lost: one span in seven took as long.
	surprising = 2
	// mostGain is how sure a change may be: as many nats the other way, and it is over.
	mostGain = 5
	// halfLife is the age in nanoseconds at which the past counts half.
	halfLife = 1800e9
	// pause is for how long in nanoseconds nothing has to come from anywhere, at the least, for traces to be cut in two by it: silent
	// times as long as it was lately, on average over intervals, until something came.
	pause     = int64(10e9)
	silent    = 4
	intervals = 8
	// learning is for how long in nanoseconds traces have to come before anything is found: all is new.
	learning = int64(60e9)
	// settling is the time in nanoseconds after a pause until things go their usual way.
	settling = int64(20e9)
	// faded is after how long in nanoseconds the past is made to fade.
	faded = int64(60e9)
)

// moment is the time in nanoseconds within which units are alike, and alike the correlation between them.
const (
	moment = int64(2e9)
	alike  = 0.3
)

// lately is the time constant in nanoseconds of how much time is lost.
const lately = 32e9

// Kind is a kind of evidence.
type Kind uint8

// The kinds of evidence.
const (
	// Slow is an operation that works longer itself.
	Slow Kind = iota
	// Gap is a call that takes longer than who is called works on it: between the two there is a network or a queue.
	Gap
	// Call is a child operation, and Record a template of log records, that comes more or less often than usual under an operation.
	Call
	Record
	// Last is that an operation calls nobody more after a child operation, or calls nobody at all.
	Last
	// Errors is that an operation fails of itself, ErrorRecords and WarningRecords that it writes records of such a severity.
	Errors
	ErrorRecords
	WarningRecords
)

// event is something that happens, or does not, when an operation runs.
type event struct {
	kind Kind
	// doublings is the logarithm to the base of two of how often it happens at least under one span, for a Call and a Record.
	doublings uint8
	// alone says that it comes in records that name no request, and is counted by time.
	alone bool
	// what is an operation, a template, or for failures who failed. It is none for a Last without any call.
	what uint32
}

// key is an event under an operation.
type key struct {
	operation uint32
	event     event
}

// Note is a log record that was written by a span.
type Note struct {
	Span     uint64
	Template uint32
	Severity int32
}

// Book remembers. It is not safe for concurrent use.
type Book struct {
	strata   map[uint64]*stratum
	features map[key]*feature
	all      []*feature
	// timed and known are how many strata have durations, and how many events all have.
	timed, known int
	calls        map[Edge]*traffic
	// fadedAt is when, by Heard, the past was made to fade.
	fadedAt int64
	// turn counts how often the past was made to fade.
	turn uint32
	// calling is how much each operation was ever seen to call.
	calling []uint8
	// observed is when a trace was last seen, resumed when one was seen first after a pause; hold is how long traces are held.
	observed, resumed, hold int64
	// interval is the average time between the latest moments in which traces were seen.
	interval int64
	// started is when the first trace was seen, and missed for how long from then until settled nothing was compared, because nothing
	// came.
	started, missed, settled int64
	// apart are the records of each service that name no request, and services those services in the order in which they came.
	apart    map[uint32]*apart
	services []uint32

	decay decay

	paths  []uint64
	order  []int32
	events []count
	times  []count
	notes  []Note
	// compared are the services of which something is.
	compared map[uint32]struct{}
	// mending are since when those fail less that do.
	mending map[uint32]int64
}

// Edge is a pair of services of which one calls the other.
type Edge struct{ Caller, Callee uint32 }

// Compare orders edges.
func (e Edge) Compare(other Edge) int {
	return cmp.Or(cmp.Compare(e.Caller, other.Caller), cmp.Compare(e.Callee, other.Callee))
}

// traffic is how many calls went along an edge of late.
type traffic struct {
	calls float64
	// compared says that the time between the two is.
	compared bool
}

// New returns an empty book. hold is how long traces are held before they are decided, in nanoseconds.
func New(hold int64) *Book {
	return &Book{
		hold:   hold,
		strata: map[uint64]*stratum{}, features: map[key]*feature{}, calls: map[Edge]*traffic{}, apart: map[uint32]*apart{},
		compared: map[uint32]struct{}{}, mending: map[uint32]int64{},
	}
}

// Observe compares a trace and the log records of its spans with the past, of which they become part later.
// now is in nanoseconds since the epoch.
func (b *Book) Observe(t *trace.Trace, notes []Note, now int64) {
	b.fade(now)
	if b.started == 0 {
		b.started = now
	}
	b.listen(now)
	if t.Spans[0].Start < b.resumed {
		return // It began when nothing was seen yet, and is not whole.
	}
	b.sort(t)
	b.notes = append(b.notes[:0], notes...)
	slices.SortFunc(b.notes, func(x, y Note) int { return cmp.Compare(x.Span, y.Span) })
	for i := range t.Spans {
		switch remote := t.Remote(int32(i)); {
		case remote != trace.None:
			b.called(Edge{t.Spans[i].Service, t.Spans[remote].Service})
		case t.Spans[i].IsOutgoing() && t.Spans[i].Peer != names.None:
			b.called(Edge{t.Spans[i].Service, t.Spans[i].Peer})
		}
	}
	for from := 0; from < len(b.order); {
		to := from + 1
		for to < len(b.order) && b.paths[b.order[to]] == b.paths[b.order[from]] {
			to++
		}
		b.unit(t, b.order[from:to], now)
		from = to
	}
	b.failures(t, now)
}

// listen notes that a trace was seen.
func (b *Book) listen(now int64) {
	since := now - b.observed
	if b.observed == 0 {
		since, b.resumed = 0, now-b.hold
	}
	if since > b.silence() {
		b.resumed = now - b.hold + settling
		b.missed += now + settling - max(b.observed+pause, b.settled)
		b.settled = now + settling
	}
	if now/moment > b.observed/moment {
		b.interval += (since - b.interval) / intervals
	}
	b.observed = now
}

// silence is after how long in nanoseconds without traces there is a pause.
func (b *Book) silence() int64 { return max(pause, min(forgotten, silent*b.interval)) }

// Heard is for how long in nanoseconds traces have come until now, and were compared: silence makes nobody well.
func (b *Book) Heard(now int64) int64 {
	if b.started == 0 {
		return 0
	}
	return max(min(now, b.observed+pause), b.settled) - b.started - b.missed
}

// unit is what the spans of one trace under the same circumstances say: they are one witness.
func (b *Book) unit(t *trace.Trace, spans []int32, now int64) {
	first := &t.Spans[spans[0]]
	if first.Operation <= names.Other {
		return
	}
	b.events = b.events[:0]
	for _, i := range spans {
		b.happened(t, i)
	}
	weight := 1 / float64(len(spans))
	own := b.stratum(b.paths[spans[0]])
	does, _ := b.does(t, spans[0])
	under := b.stratum(mix(mix(mix(ofCaller, caller(t, spans[0])), first.Operation), does))
	anywhere := b.stratum(mix(mix(ofOperation, first.Operation), does))
	b.ended(t, spans[0], own, len(spans), now)
	for _, s := range []*stratum{own, under, anywhere} {
		if s != nil {
			b.settle(s, now)
		}
	}
	for _, s := range []*stratum{own, under} {
		if s != nil {
			b.knowAll(s, first)
		}
	}
	shape, time := own, own
	if own == nil || own.witnesses < mature {
		shape, time = under, anywhere
	}
	if shape != nil && shape.witnesses >= leastPast {
		b.judge(shape, weight, now, shape == own)
	}
	if time != nil && time.times != nil && time.times.measured > 0 {
		b.compare(t, time.times, spans, now)
	}
	for _, s := range []*stratum{own, under, anywhere} {
		if s != nil {
			b.count(s, weight, now)
		}
	}
	for _, s := range []*stratum{own, anywhere} {
		if s != nil {
			b.learn(t, s, spans, now)
		}
	}
}

func (b *Book) feature(k key, service, callee uint32) *feature {
	f := b.features[k]
	if f == nil && len(b.features) < maxFeatures {
		f = &feature{key: k, service: service, callee: callee}
		b.features[k] = f
		b.all = append(b.all, f)
	}
	return f
}

func (b *Book) called(e Edge) {
	c := b.calls[e]
	if c == nil {
		if len(b.calls) >= maxCalls {
			return
		}
		c = &traffic{}
		b.calls[e] = c
	}
	c.calls++
}

// fade makes the past count less, once in a while. While nothing comes, nothing newer is known.
func (b *Book) fade(now int64) {
	heard := b.Heard(now)
	if heard-b.fadedAt < faded {
		return
	}
	keep := math.Exp2(-float64(heard-b.fadedAt) / halfLife)
	b.fadedAt = heard
	b.turn++
	for path, s := range b.strata {
		b.settle(s, now)
		s.witnesses *= keep
		if s.units *= keep; s.units < 0.5 {
			if s.times != nil {
				b.timed--
			}
			b.known -= len(s.events)
			delete(b.strata, path)
			continue
		}
		if d := s.times; d != nil {
			d.feature.turn = b.turn
			d.learn(doubtful, s.witnesses)
			d.seen *= keep
			d.measured *= keep
			for i := range d.steps {
				d.steps[i] *= float32(keep)
			}
		}
		for i := range s.events {
			k := &s.events[i]
			if k.feature != nil {
				k.feature.turn = b.turn
			}
			k.units = keep * (k.units + doubtful*k.pending)
			k.pending = 0
			k.before.units *= keep
			k.before.witnesses *= keep
		}
	}
	b.all = slices.DeleteFunc(b.all, func(f *feature) bool {
		if f.turn == b.turn {
			return false
		}
		delete(b.features, f.key) // No stratum knows of it any more.
		return true
	})
	for e, c := range b.calls {
		if c.calls *= keep; c.calls < 0.5 {
			delete(b.calls, e)
		}
	}
}
