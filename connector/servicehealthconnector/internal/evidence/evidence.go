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
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/scale"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

const (
	// maxStrata, maxTimed (strata with durations), maxFeatures and maxCalls bound what is remembered; what comes beyond is not
	// compared.
	maxStrata   = 50_000
	maxTimed    = 20_000
	maxFeatures = 50_000
	maxCalls    = 20_000
	// maxPerStratum bounds the events of one stratum that are told apart.
	maxPerStratum = 48
	// leastPast is how many units a stratum needs before its past is compared with.
	leastPast = 5
	// mature is how many it needs to speak for itself; before that, its operation under any circumstances does.
	mature = 20
	// sure is the share up to which, or to which from one, circumstances do not matter.
	sure = 0.05
	// generation is the time in nanoseconds after which what came becomes previous, and then part of the past: twice that is longer
	// than any window lasts.
	generation = int64(30e9)
	// doubtful is how much of what deviates counts as usual.
	doubtful = 0.1
	// leastDurations is how many spans an operation needs before it is known what is slow.
	leastDurations = 5
	// surprising is the surprise from which on time counts as lost: one span in seven took as long.
	surprising = 2
	// halfLife is the age in nanoseconds at which the past counts half.
	halfLife = 1800e9
	// pause is for how long in nanoseconds nothing has to come from anywhere for traces to be cut in two by it.
	pause = int64(10e9)
	// faded is after how long in nanoseconds the past is made to fade.
	faded = int64(60e9)
)

// moment is the time in nanoseconds within which units are alike, and alike the correlation between them.
const (
	moment = int64(2e9)
	alike  = 0.3
)

// windows are the time constants in nanoseconds of what counts as now: a short one for what is bad enough to be seen at once.
var windows = [...]float64{8e9, 32e9}

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
	// Errors is that an operation fails of itself, ErrorRecords and WarningRecords that it writes records of such a severity.
	Errors
	ErrorRecords
	WarningRecords
)

// event is something that happens, or does not, when an operation runs.
type event struct {
	kind Kind
	// what is an operation, a template, or for failures who failed.
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
	timed    int
	calls    map[Edge]*traffic
	fadedAt  int64
	// turn counts how often the past was made to fade.
	turn uint32
	// observed is when a trace was last seen, resumed when one was seen first after a pause; hold is how long traces are held.
	observed, resumed, hold int64

	decay decay

	paths  []uint64
	order  []int32
	events []count
	notes  []Note
	// compared are the services of which something is.
	compared map[uint32]struct{}
}

// Edge is a pair of services of which one calls the other.
type Edge struct{ Caller, Callee uint32 }

// traffic is how many calls went along an edge of late.
type traffic struct {
	calls float64
	// compared says that the time between the two is.
	compared bool
}

// stratum is an operation under the same circumstances: the operations through which the trace came to it. What is usual depends
// on them.
type stratum struct {
	units  generations
	events []known
	times  *durations
	turned int64
}

// generations are the past, and what came too lately to be part of it, so that what is compared with the past is not in it.
type generations struct{ past, previous, latest float64 }

func (g *generations) turn(as float64) {
	g.past += as * g.previous
	g.previous, g.latest = g.latest, 0
}

// known is an event that happened in a stratum.
type known struct {
	event
	feature *feature
	units   generations
}

type count struct {
	event
	n float64
}

// feature is an event under an operation, over all strata: what was seen of late, and what was to be expected.
type feature struct {
	key
	service, callee uint32
	now             [len(windows)]sums
	at              int64
	// pending is what was seen in the present moment.
	pending sums
	moment  int64
	// since is when the present deviation began; 0 while there is none.
	since int64
	// excess is the time in nanoseconds beyond the usual one in the long window, and whole that of all these traces.
	excess, whole float64
	// restless is how much its weight usually is, over so many looks.
	restless, looks float64
	// turn is the latest one in which a stratum knew of it.
	turn uint32
}

// sums are over the units of a window, which count the less the older they are.
type sums struct{ units, observed, expected, past float64 }

// durations are the own times of spans.
type durations struct {
	seen             float64
	steps            [scale.Steps]float32
	previous, latest [scale.Steps]uint16
	// surprise is, for each step, the logarithm of how seldom spans took as long; measured is of how many spans.
	surprise [scale.Steps]float32
	measured float64
	median   int64
	feature  *feature
}

// New returns an empty book. hold is how long traces are held before they are decided, in nanoseconds.
func New(hold int64) *Book {
	return &Book{
		hold:   hold,
		strata: map[uint64]*stratum{}, features: map[key]*feature{}, calls: map[Edge]*traffic{}, compared: map[uint32]struct{}{},
	}
}

// Observe compares a trace and the log records of its spans with the past, of which they become part later.
// now is in nanoseconds since the epoch.
func (b *Book) Observe(t *trace.Trace, notes []Note, now int64) {
	b.fade(now)
	if now-b.observed > pause {
		b.resumed = now
	}
	b.observed = now
	if t.Spans[0].Start < b.resumed-b.hold {
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

// failures compares how often services fail or complain in a trace, whatever they do in it: that is known sooner than what is usual
// of each operation.
func (b *Book) failures(t *trace.Trace, now int64) {
	slices.SortFunc(b.order, func(x, y int32) int { return cmp.Compare(t.Spans[x].Service, t.Spans[y].Service) })
	for from, to := 0, 0; from < len(b.order); from = to {
		service := t.Spans[b.order[from]].Service
		b.events = b.events[:0]
		for to = from; to < len(b.order) && t.Spans[b.order[to]].Service == service; to++ {
			b.failed(t, b.order[to], 0)
		}
		s := b.stratum(mix(2, service))
		if s == nil || service <= names.Other {
			continue
		}
		s.turn(now)
		for _, kind := range [...]Kind{Errors, ErrorRecords, WarningRecords} {
			b.know(s, key{names.None, event{kind, service}}, service)
		}
		for _, c := range b.events {
			b.know(s, key{names.None, c.event}, c.what)
		}
		if s.units.past >= leastPast {
			b.judge(s, 1, now, true)
		}
		b.count(s, 1)
	}
}

// failed notes that span i failed of itself, that whom it called did without a span to tell of it, or that records speak of
// failure.
func (b *Book) failed(t *trace.Trace, i int32, from int) {
	span := &t.Spans[i]
	service := span.Service
	switch {
	case !span.Has(trace.Failed) || failsBelow(t, i):
	case span.Has(trace.Call) && span.Peer != names.None && t.Remote(i) == trace.None:
		b.note(from, event{Errors, span.Peer})
	default:
		b.note(from, event{Errors, service})
	}
	for _, n := range b.notesOf(t.Spans[i].ID) {
		switch {
		case n.Severity >= severityError:
			b.note(from, event{ErrorRecords, service})
		case n.Severity >= severityWarning:
			b.note(from, event{WarningRecords, service})
		}
	}
}

// The least severities of errors and warnings. See https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber.
const (
	severityWarning = 13
	severityError   = 17
)

// notesOf returns the log records of a span.
func (b *Book) notesOf(span uint64) []Note {
	from, _ := slices.BinarySearchFunc(b.notes, span, func(n Note, id uint64) int { return cmp.Compare(n.Span, id) })
	to := from
	for to < len(b.notes) && b.notes[to].Span == span {
		to++
	}
	return b.notes[from:to]
}

// sort finds the path of each span, and orders the spans by it.
func (b *Book) sort(t *trace.Trace) {
	n := len(t.Spans)
	b.paths = slices.Grow(b.paths[:0], n)[:n]
	b.order = slices.Grow(b.order[:0], n)[:n]
	for i := range t.Spans {
		b.order[i] = int32(i)
		b.paths[i] = 0
	}
	for i := range t.Spans {
		b.path(t, int32(i))
	}
	slices.SortFunc(b.order, func(x, y int32) int {
		return cmp.Or(cmp.Compare(b.paths[x], b.paths[y]), cmp.Compare(x, y))
	})
}

// maxDepth bounds the way up from a span: what is deeper has the circumstances of whom it is reached from there.
const maxDepth = 64

func (b *Book) path(t *trace.Trace, i int32) {
	var way [maxDepth]int32
	n := 0
	at := i
	for ; at != trace.None && b.paths[at] == 0 && n < maxDepth; at = t.Parent[at] {
		way[n] = at
		n++
	}
	hash := uint64(0x51_7C_C1_B7_27_22_0A_95)
	if at != trace.None && b.paths[at] != 0 {
		hash = b.paths[at]
	}
	for n--; n >= 0; n-- {
		span := way[n]
		hash = mix(mix(hash, t.Spans[span].Operation), b.does(t, span))
		b.paths[span] = hash
	}
}

// mix adds an operation to a hash, which is never 0.
func mix(hash uint64, operation uint32) uint64 {
	hash = (hash ^ uint64(operation)) * 0x9E3779B97F4A7C15
	return hash ^ hash>>29 | 1
}

// does is the operation that says what span i is for: of a call to another service, the one that is called. The spans of a service
// through which requests only come in have that of the one call that they make.
func (b *Book) does(t *trace.Trace, i int32) uint32 {
	for range maxDepth {
		remote := t.Remote(i)
		if t.Spans[i].IsOutgoing() && remote != trace.None {
			return t.Spans[remote].Operation
		}
		only := t.FirstChild[i]
		if t.Spans[i].Service != t.Spans[0].Service || only == trace.None || t.NextSibling[only] != trace.None {
			break
		}
		i = only
	}
	return t.Spans[i].Operation
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
	wide := b.stratum(mix(mix(1, first.Operation), b.does(t, spans[0])))
	compared := own
	for _, s := range []*stratum{own, wide} {
		if s != nil {
			s.turn(now)
		}
	}
	if own == nil || own.units.past < mature {
		compared = wide
	}
	if compared != nil {
		b.compare(t, compared, spans, weight, now, compared == own)
	}
	for _, s := range []*stratum{own, wide} {
		if s != nil {
			b.learn(t, s, spans, weight)
		}
	}
}

// stratum returns the one with this hash, or nil if there is no room for it.
func (b *Book) stratum(hash uint64) *stratum {
	s := b.strata[hash]
	if s == nil && len(b.strata) < maxStrata {
		s = &stratum{}
		b.strata[hash] = s
	}
	return s
}

// compare notes how what happened compares with what is usual in a stratum.
func (b *Book) compare(t *trace.Trace, s *stratum, spans []int32, weight float64, now int64, alike bool) {
	if s.units.past >= leastPast {
		b.knowAll(s, &t.Spans[spans[0]])
		b.judge(s, weight, now, alike)
	}
	d := s.times
	if d == nil || d.measured == 0 {
		return
	}
	var sum, excess float64
	for _, i := range spans {
		surprise := float64(d.surprise[scale.Step(t.Self[i])])
		sum += surprise
		if surprise >= surprising {
			excess += float64(t.Self[i] - d.median)
		}
	}
	d.feature.add(now, sum/float64(len(spans)), 0, 0, &b.decay)
	d.feature.excess += excess
	d.feature.whole += float64(t.Spans[0].End - t.Spans[0].Start)
}

// judge notes what happened of all that is known in a stratum. Where circumstances are not alike, only what happens always or never
// is compared.
func (b *Book) judge(s *stratum, weight float64, now int64, alike bool) {
	for i := range s.events {
		k := &s.events[i]
		usual := (k.units.past + 0.5) / (s.units.past + 1)
		if k.feature != nil && (alike || usual <= sure || usual >= 1-sure) {
			k.feature.add(now, b.share(k.event, weight), usual, s.units.past+1, &b.decay)
		}
	}
}

func (b *Book) knowAll(s *stratum, span *trace.Record) {
	for _, c := range b.events {
		service := span.Service
		if c.kind == Errors {
			service = c.what
		}
		b.know(s, key{span.Operation, c.event}, service)
	}
}

// count makes a unit part of what came lately.
func (b *Book) count(s *stratum, weight float64) {
	s.units.latest++
	for i := range s.events {
		s.events[i].units.latest += b.share(s.events[i].event, weight)
	}
}

// share is the share of the spans of a unit under which an event happened.
func (b *Book) share(e event, weight float64) float64 {
	if i := indexOf(b.events, e); i >= 0 {
		return min(1, b.events[i].n*weight)
	}
	return 0
}

// learn makes a unit part, as so many, of what is usual in a stratum.
func (b *Book) learn(t *trace.Trace, s *stratum, spans []int32, weight float64) {
	b.knowAll(s, &t.Spans[spans[0]])
	b.count(s, weight)
	if s.times == nil {
		if s.times = b.newDurations(t, spans[0]); s.times == nil {
			return
		}
	}
	for _, i := range spans {
		if n := &s.times.latest[scale.Step(t.Self[i])]; *n < math.MaxUint16 {
			*n++
		}
	}
}

// turn makes what came lately part of the past, when it is no longer compared with that. What deviates counts little there: trouble
// must not become usual soon, and a false alarm not last.
func (s *stratum) turn(now int64) {
	if s.turned == 0 {
		s.turned = now
	}
	turns := min(2, (now-s.turned)/generation)
	if turns == 0 {
		return
	}
	s.turned = now
	as := 1.0
	if s.deviates() {
		as = doubtful
	}
	for range turns {
		s.units.turn(as)
		for i := range s.events {
			s.events[i].units.turn(as)
		}
		if s.times != nil {
			s.times.turn(as)
		}
	}
}

func (s *stratum) deviates() bool {
	if s.times != nil && s.times.feature.since != 0 {
		return true
	}
	for i := range s.events {
		if f := s.events[i].feature; f != nil && f.since != 0 {
			return true
		}
	}
	return false
}

func (d *durations) turn(as float64) {
	for i, n := range d.previous {
		d.steps[i] += float32(as * float64(n))
		d.seen += as * float64(n)
	}
	d.previous, d.latest = d.latest, [scale.Steps]uint16{}
	if d.seen >= leastDurations && d.seen >= 1.1*d.measured {
		d.measure()
	}
}

// happened notes what happened under span i.
func (b *Book) happened(t *trace.Trace, i int32) {
	from := len(b.events)
	for child := t.FirstChild[i]; child != trace.None; child = t.NextSibling[child] {
		b.note(from, event{Call, b.does(t, child)})
	}
	for _, n := range b.notesOf(t.Spans[i].ID) {
		if n.Template != 0 {
			b.note(from, event{Record, n.Template})
		}
	}
	b.failed(t, i, from)
	// What happened under this span counts once, together with what happened under others like it.
	for at := from; at < len(b.events); {
		if j := indexOf(b.events[:from], b.events[at].event); j >= 0 {
			b.events[j].n++
			b.events = slices.Delete(b.events, at, at+1)
			continue
		}
		at++
	}
}

func failsBelow(t *trace.Trace, i int32) bool {
	for child := t.FirstChild[i]; child != trace.None; child = t.NextSibling[child] {
		if t.Spans[child].Has(trace.Failed) {
			return true
		}
	}
	return false
}

// note adds an event to those from an index on, unless it is there.
func (b *Book) note(from int, e event) {
	if indexOf(b.events[from:], e) < 0 && len(b.events)-from < maxPerStratum {
		b.events = append(b.events, count{e, 1})
	}
}

func indexOf(list []count, e event) int {
	for i := range list {
		if list[i].event == e {
			return i
		}
	}
	return -1
}

// know makes an event one of those of a stratum.
func (b *Book) know(s *stratum, k key, service uint32) {
	for i := range s.events {
		if s.events[i].event == k.event {
			return
		}
	}
	if len(s.events) < maxPerStratum {
		s.events = append(s.events, known{event: k.event, feature: b.feature(k, service, names.None)})
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

// newDurations returns empty ones for spans like i, or nil if there is no room.
func (b *Book) newDurations(t *trace.Trace, i int32) *durations {
	span := &t.Spans[i]
	k, callee := key{span.Operation, event{kind: Slow}}, names.None
	switch remote := t.Remote(i); {
	case !span.IsOutgoing():
	case remote != trace.None && !t.Async(remote):
		k.event, callee = event{Gap, t.Spans[remote].Operation}, t.Spans[remote].Service
	case span.Peer != names.None:
		k.event, callee = event{kind: Gap}, span.Peer
	}
	if f := b.feature(k, span.Service, callee); f != nil && b.timed < maxTimed {
		b.timed++
		return &durations{feature: f}
	}
	return nil
}

// measure finds out how surprising each duration is. Beyond the longest one that was seen, the tail is taken to be as heavy as one that
// still has a mean at all may be: Pareto's with an index of one, half as many being twice as long.
func (d *durations) measure() {
	d.measured = d.seen
	var longer float64
	longest := -1
	d.median = 0
	for step := scale.Steps - 1; step >= 0; step-- {
		if longer += float64(d.steps[step]); longest < 0 && longer >= 0.1 {
			longest = step
		}
		d.surprise[step] = float32(-math.Log(min(1, (longer+0.5)/(d.seen+0.5))))
		if d.median == 0 && longer >= d.seen/2 {
			d.median = scale.Upper(step)
		}
	}
	for step := longest + 1; step < scale.Steps; step++ {
		d.surprise[step] = d.surprise[longest+1] + float32(step-longest-1)*math.Ln2/scale.StepsPerOctave
	}
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

// add adds a unit. Those of one moment share their fate, so that a hundred of them are not a hundred witnesses.
func (f *feature) add(now int64, x, p, past float64, by *decay) {
	if m := now / moment; m != f.moment {
		f.close(by)
		f.moment = m
	}
	f.pending.units++
	f.pending.observed += x
	f.pending.expected += p
	f.pending.past += past
}

// close adds the witnesses of a moment to the windows: n alike ones count as n/(1+(n-1)*alike). L. Kish, Survey Sampling (1965), 5.4.
func (f *feature) close(by *decay) {
	n := f.pending.units
	if n == 0 {
		return
	}
	f.decay(f.moment*moment, by)
	weight := 1 / (1 + (n-1)*alike)
	for w := range f.now {
		s := &f.now[w]
		s.units += weight * n
		s.observed += weight * f.pending.observed
		s.expected += weight * f.pending.expected
		s.past += weight * f.pending.past
	}
	f.pending = sums{}
}

// decay makes what was seen count less.
func (f *feature) decay(now int64, by *decay) {
	if now <= f.at {
		return
	}
	by.over(now - f.at)
	for w, keep := range by.keep {
		s := &f.now[w]
		s.units *= keep
		s.observed *= keep
		s.expected *= keep
		s.past *= keep
		if w == len(windows)-1 {
			f.excess *= keep
			f.whole *= keep
		}
	}
	f.at = now
}

// decay is what is left of the windows after a time. Most features ask for the same time.
type decay struct {
	time int64
	keep [len(windows)]float64
}

func (d *decay) over(time int64) {
	if d.time == time {
		return
	}
	d.time = time
	for w := range d.keep {
		d.keep[w] = math.Exp(-float64(time) / windows[w])
	}
}

// fade makes the past count less, once in a while.
func (b *Book) fade(now int64) {
	if b.fadedAt == 0 {
		b.fadedAt = now
	}
	if now-b.fadedAt < faded {
		return
	}
	keep := math.Exp2(-float64(now-b.fadedAt) / halfLife)
	b.fadedAt = now
	b.turn++
	for path, s := range b.strata {
		s.turn(now) // It may not be seen again.
		if s.units.past *= keep; s.units.past+s.units.previous+s.units.latest < 0.5 {
			if s.times != nil {
				b.timed--
			}
			delete(b.strata, path)
			continue
		}
		if d := s.times; d != nil {
			d.feature.turn = b.turn
			d.seen *= keep
			d.measured *= keep
			for i := range d.steps {
				d.steps[i] *= float32(keep)
			}
		}
		for i := range s.events {
			if f := s.events[i].feature; f != nil {
				f.turn = b.turn
			}
			s.events[i].units.past *= keep
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
