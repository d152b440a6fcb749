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
	maxPerStratum = 64
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
	// pause is for how long in nanoseconds nothing has to come from anywhere for traces to be cut in two by it.
	pause = int64(10e9)
	// learning is for how long in nanoseconds from the first trace on nothing is found: all is new.
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
	// started is when the first trace was seen.
	started int64
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
	// witnesses is what its units are worth.
	units, witnesses float64
	// latest is how many units came in moment.
	latest float64
	moment int64
	events []known
	times  *durations
}

// known is an event that happened in a stratum.
type known struct {
	event
	feature *feature
	// units are those of the past under which it happened; of those since a change may have come, pending is by how much they are
	// more than was to be expected.
	units, pending float64
	// moment is when pending was last added to.
	moment int64
	// before is how much of the stratum's past says nothing of the event, since it could not be seen then.
	before past
}

// past is so many units, and what they are worth.
type past struct{ units, witnesses float64 }

type count struct {
	event
	n float64
	// unanswered is, for a Call, the operation that it would have been had nobody answered.
	unanswered uint32
}

// feature is an event under an operation, over all strata: what was seen since it last was as usual, and what was to be expected.
type feature struct {
	key
	service, callee uint32
	// more and less are what was seen since it began to happen more, and less; of times, more is since they are longer.
	more, less run
	at         int64
	// pending is what was seen in the present moment.
	pending sums
	moment  int64
	// excess is the time in nanoseconds beyond the usual one of late, and whole that of all these traces.
	excess, usual, whole float64
	// restless is how much its weight usually is, over so many looks.
	restless, looks float64
	// tried is what its weight was since a change may have come, over so many looks: it is no measure of itself.
	tried, tries float64
	// turn is the latest one in which a stratum knew of it.
	turn uint32
}

// run is what was seen since a change is most likely to have come, if one did. E. S. Page, Continuous inspection schemes, Biometrika 41
// (1954).
type run struct {
	sums
	// gain is the logarithm of how much likelier it has been since, had there been a change.
	gain        float64
	since, last int64
}

// sums are over units.
type sums struct{ units, observed, expected, past float64 }

// durations are the own times of spans.
type durations struct {
	seen    float64
	steps   [scale.Steps]float32
	pending [scale.Steps]uint16
	// moment is when pending was last added to; 0 while it is empty.
	moment int64
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
		apart: map[uint32]*apart{},
	}
}

// Observe compares a trace and the log records of its spans with the past, of which they become part later.
// now is in nanoseconds since the epoch.
func (b *Book) Observe(t *trace.Trace, notes []Note, now int64) {
	b.fade(now)
	if b.started == 0 {
		b.started = now
	}
	if now-b.observed > pause {
		if b.resumed = now - b.hold; b.observed > 0 {
			b.resumed += settling
		}
	}
	b.observed = now
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
		s := b.stratum(mix(3, service))
		if s == nil || service <= names.Other {
			continue
		}
		b.settle(s, now)
		for _, kind := range [...]Kind{Errors, ErrorRecords, WarningRecords} {
			b.know(s, key{names.None, event{kind: kind, what: service}}, service)
		}
		for _, c := range b.events {
			b.know(s, key{names.None, c.event}, c.what)
		}
		if s.witnesses >= leastPast {
			b.judge(s, 1, now, true)
		}
		b.count(s, 1, now)
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
		b.note(from, event{kind: Errors, what: span.Peer})
	default:
		b.note(from, event{kind: Errors, what: service})
	}
	for _, n := range b.notesOf(t.Spans[i].ID) {
		switch {
		case n.Severity >= severityError:
			b.note(from, event{kind: ErrorRecords, what: service})
		case n.Severity >= severityWarning:
			b.note(from, event{kind: WarningRecords, what: service})
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
		does, _ := b.does(t, span)
		hash = mix(mix(hash, t.Spans[span].Operation), does)
		b.paths[span] = hash
	}
}

// mix adds an operation to a hash, which is never 0.
func mix(hash uint64, operation uint32) uint64 {
	hash = (hash ^ uint64(operation)) * 0x9E3779B97F4A7C15
	return hash ^ hash>>29 | 1
}

// does is the operation that says what span i is for: of a call to another service, the one that is called. The spans of a service
// through which requests only come in have that of the one call that they make. unanswered is what it were had nobody answered.
func (b *Book) does(t *trace.Trace, i int32) (operation, unanswered uint32) {
	for range maxDepth {
		remote := t.Remote(i)
		if t.Spans[i].IsOutgoing() && remote != trace.None {
			return t.Spans[remote].Operation, t.Spans[i].Operation
		}
		only := t.FirstChild[i]
		if t.Spans[i].Service != t.Spans[0].Service || only == trace.None || t.NextSibling[only] != trace.None {
			break
		}
		i = only
	}
	return t.Spans[i].Operation, t.Spans[i].Operation
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
	under := b.stratum(mix(mix(mix(2, caller(t, spans[0])), first.Operation), does))
	anywhere := b.stratum(mix(mix(1, first.Operation), does))
	for _, s := range []*stratum{own, under, anywhere} {
		if s != nil {
			b.settle(s, now)
		}
	}
	shape, time := own, own
	if own == nil || own.witnesses < mature {
		shape, time = under, anywhere
	}
	if shape != nil && shape.witnesses >= leastPast {
		b.knowAll(shape, first)
		b.judge(shape, weight, now, shape == own)
	}
	if time != nil && time.times != nil && time.times.measured > 0 {
		b.compare(t, time.times, spans, now)
	}
	for _, s := range []*stratum{own, under} {
		if s != nil {
			b.knowAll(s, first)
		}
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

// caller is the operation under which span i ran.
func caller(t *trace.Trace, i int32) uint32 {
	if parent := t.Parent[i]; parent != trace.None {
		return t.Spans[parent].Operation
	}
	return names.None
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

// compare notes how long spans took of themselves, compared with what is usual.
func (b *Book) compare(t *trace.Trace, d *durations, spans []int32, now int64) {
	var sum, excess float64
	for _, i := range spans {
		surprise := float64(d.surprise[scale.Step(t.Self[i])])
		sum += surprise
		if surprise >= surprising {
			excess += float64(t.Self[i] - d.median)
		}
	}
	d.feature.add(now, sum/float64(len(spans)), 0, d.seen, &b.decay)
	d.feature.excess += excess
	d.feature.usual += float64(len(spans)) * float64(d.median)
	d.feature.whole += float64(t.Spans[0].End - t.Spans[0].Start)
}

// judge notes what happened of all that is known in a stratum. Where circumstances are not alike, only what happens always or never
// is compared.
func (b *Book) judge(s *stratum, weight float64, now int64, alike bool) {
	for i := range s.events {
		k := &s.events[i]
		usual, past := k.usual(s), k.past(s)
		if k.feature != nil && past.witnesses >= leastPast && (alike || usual <= sure || usual >= 1-sure) {
			k.feature.add(now, b.share(k.event, weight), usual, past.witnesses+1, &b.decay)
		}
	}
}

func (b *Book) knowAll(s *stratum, span *trace.Record) {
	for _, c := range b.events {
		service := span.Service
		if c.kind == Errors {
			service = c.what
		}
		if k := b.know(s, key{span.Operation, c.event}, service); k != nil && c.unanswered != c.what {
			s.answered(k, c.unanswered)
		}
	}
}

// answered lets the past of a call begin when it is first answered, of one that hardly ever was before: who is called has begun to
// send telemetry, and the caller does what it always did.
func (s *stratum) answered(by *known, call uint32) {
	is := func(k *known) bool { return k.kind == Call && k.what == call }
	i := slices.IndexFunc(s.events, func(k known) bool { return is(&k) && k.doublings == 0 })
	if i < 0 {
		return
	}
	if s.events[i].usual(s) >= always {
		for j := range s.events {
			if k := &s.events[j]; is(k) {
				k.units, k.pending, k.before = 0, 0, past{s.units, s.witnesses}
			}
		}
	}
	by.before = s.events[i].before
}

// past is that of an event in its stratum.
func (k *known) past(s *stratum) past {
	return past{s.units - k.before.units, s.witnesses - k.before.witnesses}
}

// usual is the share of units under which an event happens.
func (k *known) usual(s *stratum) float64 {
	past := k.past(s)
	return (min(1, max(0, k.units/max(1, past.units)))*past.witnesses + 0.5) / (past.witnesses + 1)
}

// count makes a unit part of the past, as usual as can be until it is known whether it is after a change.
func (b *Book) count(s *stratum, weight float64, now int64) {
	for i := range s.events {
		k := &s.events[i]
		usual := k.units / max(1, k.past(s).units)
		k.units += usual
		k.pending += b.share(k.event, weight) - usual
		k.moment = now / moment
	}
	if s.moment != now/moment {
		s.moment, s.latest = now/moment, 0
	}
	s.units++
	s.latest++
	s.witnesses += witnesses(s.latest) - witnesses(s.latest-1)
}

// witnesses is how many independent ones so many of one moment are worth. L. Kish, Survey Sampling (1965), 5.4.
func witnesses(n float64) float64 { return n / (1 + max(0, n-1)*alike) }

// settle makes part of the past what came before a change, or without one.
func (b *Book) settle(s *stratum, now int64) {
	for i := range s.events {
		if k := &s.events[i]; k.pending != 0 && k.feature != nil && k.feature.settled(k.moment, now, &b.decay) {
			k.units += k.pending
			k.pending = 0
		}
	}
	if d := s.times; d != nil && d.moment != 0 && d.feature.settled(d.moment, now, &b.decay) {
		d.learn(1, s.witnesses)
	}
}

// settled says whether what came in a moment was before a change, or without one.
func (f *feature) settled(m, now int64, by *decay) bool {
	if f.moment < now/moment {
		f.close(by)
	}
	return m < now/moment && f.more.gain == 0 && f.less.gain == 0
}

// share is the share of the spans of a unit under which an event happened.
func (b *Book) share(e event, weight float64) float64 {
	if i := indexOf(b.events, e); i >= 0 {
		return min(1, b.events[i].n*weight)
	}
	return 0
}

// learn notes how long spans took, for what is usual in a stratum.
func (b *Book) learn(t *trace.Trace, s *stratum, spans []int32, now int64) {
	if s.times == nil {
		if s.times = b.newDurations(t, spans[0]); s.times == nil {
			return
		}
	}
	for _, i := range spans {
		if n := &s.times.pending[scale.Step(t.Self[i])]; *n < math.MaxUint16 {
			*n++
		}
	}
	s.times.moment = now / moment
}

// learn makes so much of what is pending part of the past.
func (d *durations) learn(as, witnesses float64) {
	for i, n := range d.pending {
		d.steps[i] += float32(as * float64(n))
		d.seen += as * float64(n)
	}
	d.pending = [scale.Steps]uint16{}
	d.moment = 0
	if d.seen >= leastDurations && d.seen >= 1.1*d.measured {
		d.measure(min(1, witnesses/d.seen))
	}
}

// happened notes what happened under span i.
func (b *Book) happened(t *trace.Trace, i int32) {
	from := len(b.events)
	b.times = b.times[:0]
	for child := t.FirstChild[i]; child != trace.None; child = t.NextSibling[child] {
		does, unanswered := b.does(t, child)
		b.again(event{kind: Call, what: does}, unanswered)
	}
	for _, n := range b.notesOf(t.Spans[i].ID) {
		if n.Template != 0 {
			b.again(event{kind: Record, what: n.Template}, n.Template)
		}
	}
	for _, c := range b.times {
		for least := 1.0; least <= c.n; least *= 2 {
			b.add(from, count{c.event, 1, c.unanswered})
			c.doublings++
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

// again counts what happens under the present span.
func (b *Book) again(e event, unanswered uint32) {
	if i := indexOf(b.times, e); i >= 0 {
		b.times[i].n++
	} else if len(b.times) < maxPerStratum {
		b.times = append(b.times, count{e, 1, unanswered})
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
func (b *Book) note(from int, e event) { b.add(from, count{e, 1, e.what}) }

func (b *Book) add(from int, c count) {
	if indexOf(b.events[from:], c.event) < 0 && len(b.events)-from < maxPerStratum {
		b.events = append(b.events, c)
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

// know makes an event one of those of a stratum, and returns it if it is new.
func (b *Book) know(s *stratum, k key, service uint32) *known {
	for i := range s.events {
		if s.events[i].event == k.event {
			return nil
		}
	}
	if len(s.events) >= maxPerStratum {
		return nil
	}
	s.events = append(s.events, known{event: k.event, feature: b.feature(k, service, names.None)})
	return &s.events[len(s.events)-1]
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
		k.event, callee = event{kind: Gap, what: t.Spans[remote].Operation}, t.Spans[remote].Service
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
func (d *durations) measure(worth float64) {
	d.measured = d.seen
	var longer float64
	longest := -1
	d.median = 0
	for step := scale.Steps - 1; step >= 0; step-- {
		if longer += float64(d.steps[step]); longest < 0 && longer >= 0.1 {
			longest = step
		}
		d.surprise[step] = float32(-math.Log(min(1, (worth*longer+0.5)/(worth*d.seen+0.5))))
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

// close adds the witnesses of a moment to what was seen since a change.
func (f *feature) close(by *decay) {
	n := f.pending.units
	if n == 0 {
		return
	}
	f.decay(f.moment*moment, by)
	p := f.pending.times(witnesses(n) / n)
	f.pending = sums{}
	if f.event.kind == Slow || f.event.kind == Gap {
		// Were they to become four times as surprising.
		f.more.add(&p, p.observed*0.75-p.units*2*math.Ln2, f.moment*moment)
		return
	}
	usual := p.expected / p.units
	// Were half of those with it to be without it, or half of those without it with it.
	if usual <= 1-effect {
		f.more.add(&p, p.observed*math.Log((1+usual)/2/usual)-(p.units-p.observed)*math.Ln2, f.moment*moment)
	}
	if usual >= effect {
		f.less.add(&p, (p.units-p.observed)*math.Log((1-usual/2)/(1-usual))-p.observed*math.Ln2, f.moment*moment)
	}
}

func (s *sums) times(weight float64) sums {
	return sums{weight * s.units, weight * s.observed, weight * s.expected, weight * s.past}
}

// add adds what was seen in a moment, and how much likelier it was after a change.
func (r *run) add(s *sums, gain float64, at int64) {
	if at-r.last > forgotten {
		*r = run{}
	}
	if r.gain == 0 {
		r.since = at
	}
	r.last = at
	if r.gain = min(mostGain, r.gain+gain); r.gain <= 0 {
		*r = run{}
		return
	}
	r.units += s.units
	r.observed += s.observed
	r.expected += s.expected
	r.past += s.past
}

// decay makes the time that was lost count less.
func (f *feature) decay(now int64, by *decay) {
	if now <= f.at {
		return
	}
	keep := by.over(now - f.at)
	f.excess *= keep
	f.usual *= keep
	f.whole *= keep
	f.at = now
}

// decay is what is left after a time. Most features ask for the same time.
type decay struct {
	time int64
	keep float64
}

func (d *decay) over(time int64) float64 {
	if d.time != time {
		d.time, d.keep = time, math.Exp(-float64(time)/lately)
	}
	return d.keep
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
		b.settle(s, now)
		s.witnesses *= keep
		if s.units *= keep; s.units < 0.5 {
			if s.times != nil {
				b.timed--
			}
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
