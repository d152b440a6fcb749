// Package activity remembers which spans were active on an instance of a service at which time, so that a log record
// without any id can be given the trace that it must have been written in, and if possible the span.
//
// A record may be up to 2 ms older than its time, and younger by the unit that this was cut to. It fits a trace if all
// spans that were active meanwhile are of it. Of a trace with several spans on the instance it gets no more than the
// trace, since it may just have left one that ended, or not have entered one that begins. It gets the span too if that
// is the only one of its trace on the instance, and the entry there, or if the spans and the record name their thread,
// the spans are within each other, and the innermost was active all the time.
//
// A wrong id is worse than none, and what was active is known only afterwards: a span comes when it has ended and its
// sender has exported it. So a question is answered only where the answer is unlikely to change:
//
//   - Not before everything that was active at that time must have come. Of each instance it is known how long its
//     spans last, how late they come, and how far they come out of order. A moment is settled when the longest span that
//     began just before it would have come by now, by the clock or by the end of the latest span.
//   - Not about the time before an instance's first spans came, nor before what has fallen out of the bound.
//   - Not where requests overlap. An instance on which spans of different traces were active at once within the
//     retention may have had another one at any time that is not known yet. Where the spans and the record name their
//     threads, that goes for each thread: overlap on one thread says that threads there are shared between requests,
//     as by event loops and virtual threads, and mean nothing.
//   - Not where spans say that others like them were not recorded.
//
// What remains: the first time that requests overlap on an instance, a span that lasts longer than any before it, a
// sampler that leaves no trace in the spans, and a record that was written beside the only request, outside of any
// span, when no thread is named. It takes an instance that writes records without ids and one request at a time.
package activity

import (
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

const shardCount = 8

// Instance is a hash of what makes an instance of a service, with a seed that strangers do not know.
type Instance struct {
	High, Low uint64
}

// Span is what is remembered of a span. Times are in nanoseconds since 1970.
type Span struct {
	Trace      pcommon.TraceID
	ID, Parent pcommon.SpanID
	Start, End int64
	// Thread is a hash of the thread that the span began on. It is 0 where the span does not say.
	Thread uint64
	// Entry says that the trace came to the instance with it: what the instance does for the trace is done within.
	Entry bool
	// Sampled says that others like it were not recorded: its tracestate has a sampling threshold.
	Sampled bool
}

// Verdict says whether a trace fits, or why none does.
type Verdict int

const (
	// None was active.
	None Verdict = iota
	// Fits means that all that were active are of one trace.
	Fits
	// Ambiguous means that spans of several traces were active, or may have been since requests overlap there.
	Ambiguous
	// Undecidable means that it is not known, or not yet, what was active.
	Undecidable
)

// String is the verdict in a word.
func (v Verdict) String() string {
	return [...]string{"none", "fits", "ambiguous", "undecidable"}[v]
}

// Index finds active spans by instance. It reads no clock: every call says what time it is by the wall clock, since that is
// compared with what senders say, in nanoseconds.
type Index struct {
	retention    int64
	depth        int
	shards       [shardCount]shard
	used         atomic.Int64
	byAge, bytes atomic.Int64
}

// New makes an index of at most maxBytes, which forgets the instances that have sent nothing for the retention. It
// remembers of each instance the depth spans that ended last, where depth is a power of two.
func New(maxBytes int64, retention time.Duration, depth int) *Index {
	x := &Index{retention: int64(retention), depth: depth}
	for i := range x.shards {
		x.shards[i] = shard{index: x, budget: maxBytes / shardCount, instances: map[Instance]*instance{}}
	}
	return x
}

// Add takes in the spans that an instance has just sent. Spans that were sent together belong into one call: it is told
// from one call to the next how far they are out of order.
func (x *Index) Add(now int64, of Instance, spans []Span) {
	if len(spans) == 0 {
		return
	}
	s := x.shard(of)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(now, of, spans)
}

// Find tells which trace a record was written in that an instance wrote at a time, and which span. That is empty where
// it may have been another one of the trace. The thread is a hash of the one that the record names, or 0. A time that
// ends in zeros stands for all of the microsecond, millisecond or second that it was cut to. Only the sender's own time
// will do, or that of whoever reads its output at once, not the one at which somebody else has seen the record.
//
// If the verdict is Undecidable, a later call may say more.
func (x *Index) Find(now int64, on Instance, thread uint64, at int64) (pcommon.TraceID, pcommon.SpanID, Verdict) {
	s := x.shard(on)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	i, ok := s.instances[on]
	if !ok {
		return pcommon.TraceID{}, pcommon.SpanID{}, None
	}
	return i.find(s.latest, thread, at)
}

// Size is how many bytes the index takes.
func (x *Index) Size() int64 {
	return x.used.Load()
}

// Evicted counts the instances that have left so far.
func (x *Index) Evicted() recency.Evictions {
	return recency.Evictions{Age: x.byAge.Load(), Bytes: x.bytes.Load()}
}

func (x *Index) shard(of Instance) *shard {
	return &x.shards[of.High%shardCount]
}
