package store

import (
	"hash/maphash"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/name"
)

const (
	// ticks is how many steps of time there are in the retention.
	ticks = 1024
	// burst is how many traces leave at a time.
	burst = 16
)

// trace is what is known about a trace, in a list of all of the shard in the order of their newest spans.
type trace struct {
	id           pcommon.TraceID
	entryStart   int64
	seen         int64 // when its newest span came, in ticks
	older, newer uint32
	// Links of its blocks.
	newest, oldest uint32
	entry          uint32
	blocks         uint8
	outcome        Outcome
	decided        Outcome
	entryFailed    bool
}

// entry is where traces came in.
type entry struct {
	door
	traces int
}

type door struct {
	service   string
	operation string
}

func (d *door) bytes() int64 {
	return name.Bytes(d.service) + name.Bytes(d.operation)
}

// shard has the traces whose hashes start alike.
type shard struct {
	mu    sync.Mutex
	store *Store
	// budget leaves the slack that is needed for what grows with a single span and is not asked about before.
	budget         int64
	tick           int64 // in nanoseconds
	lifetime       int64 // in ticks
	latest         int64 // in ticks
	seed           maphash.Seed
	traces         pool[trace]
	oldest, newest uint32
	byID           index // of traces
	blocks         pool[block]
	entries        pool[entry]
	byDoor         index // of entries
	// current and recent are the trace and the entry that were found last: they are likely to be the next ones too.
	current, recent uint32
	nameBytes       int64
	reported        int64
	touched         uint32
	_               [64]byte // Shards are locked by different cores.
}

func (s *shard) init(store *Store, budget, retention int64) {
	s.store = store
	s.budget = budget - budget/64 - 20<<10
	s.tick = max(1, (retention+ticks-1)/ticks)
	s.lifetime = (retention + s.tick - 1) / s.tick
	s.seed = maphash.MakeSeed()
	s.clear()
}

// clear forgets everything and gives the memory back.
func (s *shard) clear() {
	s.traces, s.oldest, s.newest, s.byID = pool[trace]{}, 0, 0, newIndex()
	s.blocks, s.current = pool[block]{}, 0
	s.entries, s.byDoor, s.recent, s.nameBytes = pool[entry]{}, newIndex(), 0, 0
}

func (s *shard) lock(now int64) {
	s.mu.Lock()
	if tick := now / s.tick; tick > s.latest {
		s.latest = tick
		s.expire()
	}
}

func (s *shard) unlock() {
	if used := s.used(); used != s.reported {
		s.store.used.Add(used - s.reported)
		s.reported = used
	}
	s.mu.Unlock()
}

func (s *shard) used() int64 {
	return s.traces.bytes + s.byID.bytes + s.blocks.bytes + s.entries.bytes + s.byDoor.bytes + s.nameBytes
}

// expire lets go of what is too old.
func (s *shard) expire() {
	oldest := s.latest - s.lifetime
	gone := int64(0)
	for s.oldest != 0 && s.traces.at(s.oldest).seen < oldest {
		gone += s.drop(oldest)
	}
	if gone == 0 {
		return
	}
	s.store.byAge.Add(gone)
	if s.oldest == 0 {
		s.clear()
	}
}

// makeRoom lets the oldest traces go until there is room for a span of a new one.
func (s *shard) makeRoom() {
	gone := int64(0)
	for s.oldest != 0 && s.crammed() {
		gone += s.drop(s.latest + 1)
	}
	if gone > 0 {
		s.store.byBytes.Add(gone)
	}
}

func (s *shard) crammed() bool {
	used := s.used()
	return used > s.budget ||
		s.blocks.full() && used+s.blocks.groupBytes() > s.budget ||
		s.traces.full() && used+s.traces.groupBytes() > s.budget
}

// drop forgets the oldest traces, a burst of them at most, that have not been seen since the given tick, and tells how many
// spans they had. What it needs of them lies scattered, so that it takes a first look at all of it: the processor then waits
// for all at once, and not for one after the other.
func (s *shard) drop(before int64) (spans int64) {
	var dying [burst]uint32
	deaths, touched := 0, uint32(0)
	for link := s.oldest; link != 0 && deaths < burst; deaths++ {
		t := s.traces.at(link)
		if t.seen >= before {
			break
		}
		dying[deaths] = link
		touched += s.byID.at(s.hashOf(t)).link + uint32(s.blocks.at(t.newest).used)
		link = t.newer
	}
	s.touched = touched
	for _, link := range dying[:deaths] {
		t := s.traces.at(link)
		s.leave(t)
		for at := t.newest; at != 0; {
			b := s.blocks.at(at)
			spans += int64(b.used)
			older := b.older
			s.blocks.remove(at)
			at = older
		}
		s.byID.remove(s.hashOf(t), link)
		s.unlink(t)
		s.traces.remove(link)
		if s.current == link {
			s.current = 0
		}
	}
	return spans
}

func (s *shard) hashOf(t *trace) uint32 {
	return uint32(s.store.traceHash(lowHalf(t.id)))
}

// remember takes in the spans of some lists.
func (s *shard) remember(now int64, spans []Span, r *run, lists []uint16) {
	if !slices.ContainsFunc(lists, func(first uint16) bool { return first != 0 }) {
		return
	}
	s.lock(now)
	s.meet(r, lists)
	for _, link := range lists {
		for ; link != 0; link = r.next[link-1] {
			s.insert(&spans[link-1], r.hashes[link-1])
		}
	}
	s.unlock()
}

// meet takes a first look at what insert will need, as drop does.
func (s *shard) meet(r *run, lists []uint16) {
	touched := uint32(0)
	for _, link := range lists {
		if link == 0 {
			continue
		}
		hash := uint32(r.hashes[link-1])
		if likely := s.byID.at(hash); likely.hash == hash && likely.link != 0 {
			touched += s.traces.at(likely.link).newest
		}
	}
	s.touched = touched
}

func (s *shard) insert(span *Span, hash uint64) {
	s.makeRoom()
	t := s.trace(&span.Trace, uint32(hash))
	if t == nil {
		s.store.byBytes.Add(1)
		return
	}
	b := s.open(t)
	b.spans[b.used], b.layers[b.used] = span.ID, span.Layer
	b.used++
	t.outcome = max(t.outcome, s.outcome(span))
	if span.Root && (t.entry == 0 || span.Start < t.entryStart) {
		s.leave(t)
		t.entry, t.entryStart, t.entryFailed = s.enter(door{span.Service, span.Operation}), span.Start, span.Failed
	}
}

// trace returns the one of a span that has just come. It is nil where there are too many traces of its hash.
func (s *shard) trace(id *pcommon.TraceID, hash uint32) *trace {
	link, t := s.find(id, hash)
	switch {
	case t == nil:
		if link, t = s.traces.add(); !s.byID.add(hash, link) {
			s.traces.remove(link)
			return nil
		}
		t.id, t.seen = *id, s.latest
		s.link(link, t)
	case t.seen != s.latest:
		t.seen = s.latest
		s.unlink(t)
		s.link(link, t)
	}
	s.current = link
	return t
}

// open returns the block of a trace that has room for another span.
func (s *shard) open(t *trace) *block {
	if t.newest != 0 {
		if b := s.blocks.at(t.newest); b.used < blockLength {
			return b
		}
	}
	var link uint32
	var b *block
	if t.blocks == maxBlocks {
		link = t.oldest
		b = s.blocks.at(link)
		t.oldest = b.newer
		s.blocks.at(t.oldest).older = 0
		*b = block{}
		s.store.crowded.Add(blockLength)
	} else {
		link, b = s.blocks.add()
		t.blocks++
	}
	b.older = t.newest
	if t.newest != 0 {
		s.blocks.at(t.newest).newer = link
	} else {
		t.oldest = link
	}
	t.newest = link
	return b
}

// link puts a trace at the young end of the list.
func (s *shard) link(link uint32, t *trace) {
	t.older, t.newer = s.newest, 0
	if s.newest != 0 {
		s.traces.at(s.newest).newer = link
	} else {
		s.oldest = link
	}
	s.newest = link
}

func (s *shard) unlink(t *trace) {
	if t.newer != 0 {
		s.traces.at(t.newer).older = t.older
	} else {
		s.newest = t.older
	}
	if t.older != 0 {
		s.traces.at(t.older).newer = t.newer
	} else {
		s.oldest = t.newer
	}
}

func (s *shard) outcome(span *Span) Outcome {
	switch {
	case span.Failed:
		return Failed
	case span.End > span.Start && uint64(span.End-span.Start) > uint64(s.store.slowAbove):
		return Slow
	default:
		return Fine
	}
}

func (s *shard) find(id *pcommon.TraceID, hash uint32) (uint32, *trace) {
	if s.current != 0 {
		if t := s.traces.at(s.current); t.id == *id {
			return s.current, t
		}
	}
	search := s.byID.search(hash)
	for found := search.next(); found != nil; found = search.next() {
		if t := s.traces.at(found.link); t.id == *id {
			s.current = found.link
			return found.link, t
		}
	}
	return 0, nil
}

func (s *shard) context(id pcommon.TraceID, span pcommon.SpanID, hash uint64) (Context, bool) {
	_, t := s.find(&id, uint32(hash))
	if t == nil {
		return Context{}, false
	}
	found := Context{Outcome: t.outcome}
	if t.entry != 0 {
		e := s.entries.at(t.entry)
		found.RootSeen, found.Entry, found.Operation, found.Failed = true, e.service, e.operation, t.entryFailed
	}
	if span.IsEmpty() {
		return found, true
	}
	for link := t.newest; link != 0 && !found.SpanSeen; {
		b := s.blocks.at(link)
		found.Layer, found.SpanSeen = b.find(span)
		link = b.older
	}
	return found, true
}

func (s *shard) decide(id pcommon.TraceID, hash uint64) (Outcome, bool) {
	_, t := s.find(&id, uint32(hash))
	if t == nil {
		return Unknown, false
	}
	if t.decided == Unknown {
		t.decided = t.outcome
	}
	return t.decided, true
}

func (s *shard) resolve(half, hash uint64) (resolved pcommon.TraceID, ok bool) {
	search := s.byID.search(uint32(hash))
	for found := search.next(); found != nil; found = search.next() {
		t := s.traces.at(found.link)
		if lowHalf(t.id) != half {
			continue
		}
		if ok {
			return pcommon.TraceID{}, false
		}
		resolved, ok = t.id, true
	}
	return resolved, ok
}

// enter returns the link of the entry with one more trace. What is kept of the operation keeps nothing else alive.
func (s *shard) enter(through door) uint32 {
	// Spans of one sender come together.
	if s.recent != 0 {
		if e := s.entries.at(s.recent); e.door == through {
			e.traces++
			return s.recent
		}
	}
	through = door{name.Cut(through.service), name.Cut(through.operation)}
	hash := s.entryHash(through)
	search := s.byDoor.search(hash)
	for found := search.next(); found != nil; found = search.next() {
		if e := s.entries.at(found.link); e.door == through {
			e.traces++
			s.recent = found.link
			return found.link
		}
	}
	link, e := s.entries.add()
	if !s.byDoor.add(hash, link) {
		s.entries.remove(link)
		return 0
	}
	through = door{name.Keep(through.service), name.Keep(through.operation)}
	s.nameBytes += through.bytes()
	e.door, e.traces = through, 1
	return link
}

// leave takes the trace from its entry, which goes with its last one.
func (s *shard) leave(t *trace) {
	if t.entry == 0 {
		return
	}
	e := s.entries.at(t.entry)
	if e.traces--; e.traces == 0 {
		s.nameBytes -= e.bytes()
		s.byDoor.remove(s.entryHash(e.door), t.entry)
		s.entries.remove(t.entry)
		if s.recent == t.entry {
			s.recent = 0
		}
	}
	t.entry = 0
}

func (s *shard) entryHash(through door) uint32 {
	return uint32(maphash.Comparable(s.seed, through))
}
