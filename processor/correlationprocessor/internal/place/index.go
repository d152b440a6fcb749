package place

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const (
	// silence is how long a service may say nothing before it leaves a place. A point whose attributes change begins another
	// series, so that this is long: longer than the pauses of what runs every few minutes, and of a place without traffic.
	silence = int64(15 * time.Minute)
	// rivalry is how long a name stands for nothing after two have claimed it, and how long a claim is kept up without being
	// repeated. Collectors repeat it every minute or so.
	rivalry = int64(5 * time.Minute)
	// tick is how exactly it is remembered when something was last heard of.
	tick = int64(15 * time.Second)
	// lull is how long the last value of a metric stands at least: most of what runs somewhere is measured once a minute.
	lull = int64(2 * time.Minute)
	// usualSkew is how far a sender's clock may be ahead before another's is believed instead.
	usualSkew = int64(10 * time.Second)
	// maxSkew is how far a sender's clock may be ahead before its time is taken for nonsense.
	maxSkew = int64(time.Hour)

	recentLength = 1 << 12
	indexBytes   = int64(unsafe.Sizeof(Index{}))
)

// Index finds what is known about a place. It reads no clock: every call says what time it is, in nanoseconds, by one that does
// not go back. All calls may come at once.
type Index struct {
	seed                 maphash.Seed
	budget               int64
	retention, keep      int64
	used, byAge, byBytes atomic.Int64
	// recent has what was learned in the current tick, so that it need not be learned again. What it says of a place that has
	// been forgotten meanwhile is mended at the next tick.
	recent [recentLength]atomic.Uint64

	mu      sync.RWMutex
	records map[uint64]*record
	names   map[string]*name
	order   recency.List[record, *record]
	// A map does not give back what it has once taken.
	mostRecords, mostNames int
}

// NewIndex makes an index of at most maxBytes, in which the oldest goes first. Readings older than the retention, or than two
// minutes if that is longer, are not given.
// Services are remembered for a quarter of an hour, or for the retention if that is longer.
func NewIndex(maxBytes int64, retention time.Duration) *Index {
	x := &Index{
		seed:      maphash.MakeSeed(),
		budget:    maxBytes,
		retention: max(int64(retention), lull),
		keep:      max(int64(retention), silence),
		records:   map[uint64]*record{},
		names:     map[string]*name{},
	}
	x.used.Store(indexBytes)
	return x
}

// Learn takes note that the service, under the name by which people know it, runs on these places.
func (x *Index) Learn(now int64, service string, p *Places) {
	if service != "" && x.isNews(now, p.fingerprint, service) {
		x.learn(now, service, p)
	}
}

// isNews tells whether something was not yet learned about the service in the current tick.
func (x *Index) isNews(now int64, what uint64, service string) bool {
	id := combine(what, maphash.String(x.seed, service))
	known := id<<16 | uint64(now/tick)&0xffff
	slot := &x.recent[id>>52]
	if slot.Load() == known {
		return false
	}
	slot.Store(known)
	return true
}

func (x *Index) learn(now int64, service string, p *Places) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for kind := range p.at {
		if Kind(kind) == Instance {
			continue
		}
		at := &p.at[kind]
		for i := range at.count {
			if r := x.open(now, &at.all[i]); r != nil {
				x.join(now, r, service)
			}
		}
	}
	x.trim(now)
}

// Services are those that run on the place, or call the database, in the order of their names. Of several places the most
// specific one answers, even if nobody is known there. The slice is shared, and must not be changed.
func (x *Index) Services(now int64, p *Places) []string {
	at := p.mostSpecific()
	if at == nil {
		return nil
	}
	x.mu.RLock()
	found, due := x.services(now, at)
	x.mu.RUnlock()
	if !due {
		return found
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range at.count {
		if r := x.records[at.all[i].key]; r != nil && now > r.due {
			x.leave(now, r)
		}
	}
	found, _ = x.services(now, at)
	return found
}

// services are those of the spelling under which most are known: the others have only heard of some of them. Whether any of
// them is due to leave is told too.
func (x *Index) services(now int64, at *spellings) (found []string, due bool) {
	for i := range at.count {
		r := x.find(now, &at.all[i])
		if r == nil {
			continue
		}
		due = due || now > r.due
		if len(r.answer) > len(found) {
			found = r.answer
		}
	}
	return found, due
}

// Record takes note of what a metric, by its number, had as its value at the most specific of the places. Of the points of
// one time the largest value counts. The time and the value are the sender's: those from further ahead than an hour, older
// than the retention, and those that are no finite number are not taken.
func (x *Index) Record(now int64, p *Places, metric uint8, at int64, value float64) {
	where := p.mostSpecific()
	if where == nil || at > now+maxSkew || at < now-x.retention || value-value != 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range where.count {
		if r := x.open(now, &where.all[i]); r != nil {
			r.read(now-x.retention, now+usualSkew, reading{metric: metric, at: at, fresh: min(at, now), value: value})
			x.settle(r)
		}
	}
	x.trim(now)
}

// Last is the last value of a metric, by its number, at the most specific of the places that has one.
func (x *Index) Last(now int64, p *Places, metric uint8) (value float64, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for kind := range p.at {
		at, newest := &p.at[kind], int64(0)
		for i := range at.count {
			r := x.find(now, &at.all[i])
			if r == nil {
				continue
			}
			if last := r.last(metric); last != nil && last.fresh >= now-x.retention && (!ok || last.at > newest) {
				value, newest, ok = last.value, last.at, true
			}
		}
		if ok {
			return value, true
		}
	}
	return 0, false
}

// Size is how many bytes the index takes.
func (x *Index) Size() int64 {
	return x.used.Load()
}

// Evicted counts the spellings of places that have left so far.
func (x *Index) Evicted() recency.Evictions {
	return recency.Evictions{Age: x.byAge.Load(), Bytes: x.byBytes.Load()}
}

// find is nil unless the spelling stands for the place that is asked for.
func (x *Index) find(now int64, s *spelling) *record {
	r := x.records[s.key]
	if r == nil || now < r.contested || r.claims.contradict(&s.claims) {
		return nil
	}
	return r
}

// open finds the record to write to, or makes it. It is nil while the name is contested.
func (x *Index) open(now int64, s *spelling) *record {
	r, ok := x.records[s.key]
	if !ok {
		r = &record{key: s.key, due: math.MaxInt64}
		x.records[s.key] = r
		if len(x.records) > x.mostRecords {
			x.mostRecords = len(x.records)
			x.used.Add(entryBytes)
		}
		x.settle(r)
		x.order.Push(r)
	} else {
		x.order.Touch(r)
	}
	r.seen = now
	if r.claims.contradict(&s.claims) {
		x.empty(r)
		if now-r.claimed <= rivalry {
			r.contested = now + rivalry
			return nil
		}
		// Who claimed it has gone, as the former pod of a stateful set has.
		r.claims = claims{}
		r.contested = 0
	}
	if s.claims.any() {
		r.claims.adopt(&s.claims)
		r.claimed = now
	}
	if now < r.contested {
		return nil
	}
	return r
}

// trim lets go of what has been silent for too long, and of the oldest for as long as the bound is exceeded.
func (x *Index) trim(now int64) {
	for r := x.order.Oldest(); r != nil; r = x.order.Oldest() {
		switch {
		case r.seen < now-x.keep:
			x.byAge.Add(1)
		case x.used.Load() > x.budget:
			x.byBytes.Add(1)
		default:
			return
		}
		x.empty(r)
		x.order.Remove(r)
		delete(x.records, r.key)
		x.used.Add(-r.bytes)
	}
}
