// Package usual remembers how long operations usually work themselves, and how often they usually call others.
package usual

import (
	"math"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/scale"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/trace"
)

const (
	// steps is the resolution of a self time.
	steps = scale.Steps
	// halfLife is the age in nanoseconds at which what was seen counts half: short against a day, so that the past of another
	// load does not count. What lasts longer becomes usual, so bad traces had better not be added.
	halfLife = 600e9
	// enough is how many spans make a median that says something.
	enough = 20
	// plenty is how many traces that begin with the same operation are looked at between two merges; of those beyond, one in
	// thinned, which then counts that often.
	plenty  = 64
	thinned = 8
	// maxCalls bounds the pairs of operations that are remembered. What goes beyond is taken for as usual as can be.
	maxCalls = 100_000
)

// Call is an operation that is called from another.
type Call struct{ From, To uint32 }

// Sample is what was seen since the last merge. It is not safe for concurrent use.
type Sample struct {
	self  map[uint32]*[steps]uint32
	calls map[Call]float64
	// traces is how many traces began with each operation.
	traces map[uint32]uint32
}

// NewSample returns an empty sample.
func NewSample() *Sample {
	return &Sample{self: map[uint32]*[steps]uint32{}, calls: map[Call]float64{}, traces: map[uint32]uint32{}}
}

// Add adds the spans of t. Of traces that begin alike and come by the hundred, one stands for several: a median does not need
// them all.
func (s *Sample) Add(t *trace.Trace) {
	root := t.Spans[0].Operation
	n := s.traces[root]
	s.traces[root] = n + 1
	weight := uint32(1)
	if n >= plenty {
		if n%thinned != 0 {
			return
		}
		weight = thinned
	}
	for i := range t.Spans {
		operation := t.Spans[i].Operation
		h := s.self[operation]
		if h == nil {
			h = new([steps]uint32)
			s.self[operation] = h
		}
		h[scale.Step(t.Self[i])] += weight
		if parent := t.Parent[i]; parent != trace.None {
			call := Call{t.Spans[parent].Operation, operation}
			if n, known := s.calls[call]; known || len(s.calls) < maxCalls {
				s.calls[call] = n + float64(weight)
			}
		}
	}
}

// Past is all that was seen, the older the less it counts. Its owner merges samples into it.
type Past struct {
	self  map[uint32]*[steps]float32
	calls map[Call]float64
	at    int64
}

// NewPast returns an empty past.
func NewPast() *Past {
	return &Past{self: map[uint32]*[steps]float32{}, calls: map[Call]float64{}}
}

// Merge moves what samples hold into the past. now is in nanoseconds since the epoch.
func (p *Past) Merge(now int64, sample *Sample) {
	p.fade(now)
	for operation, from := range sample.self {
		if *from == ([steps]uint32{}) {
			delete(sample.self, operation) // It did not run since the last merge, and may never again.
			continue
		}
		to := p.self[operation]
		if to == nil {
			to = new([steps]float32)
			p.self[operation] = to
		}
		for i, n := range from {
			to[i] += float32(n)
		}
		clear(from[:])
	}
	for call, n := range sample.calls {
		if has, known := p.calls[call]; known || len(p.calls) < maxCalls {
			p.calls[call] = has + n
		}
	}
	clear(sample.calls)
	clear(sample.traces)
}

// fade lets the past count less, once in so many seconds that it costs next to nothing.
func (p *Past) fade(now int64) {
	const pause = halfLife / 64
	if p.at == 0 {
		p.at = now
	}
	if now-p.at < pause {
		return
	}
	keep := math.Exp2(-float64(now-p.at) / halfLife)
	p.at = now
	for operation, h := range p.self {
		var left float32
		for i := range h {
			h[i] *= float32(keep)
			left += h[i]
		}
		if left < 0.5 {
			delete(p.self, operation)
		}
	}
	for call := range p.calls {
		if p.calls[call] *= keep; p.calls[call] < 0.01 {
			delete(p.calls, call)
		}
	}
}

// Usual is a view of the past for readers of any number. It does not change.
type Usual struct {
	self  map[uint32]operation
	calls map[Call]float64
}

type operation struct {
	seen float64
	self int64
}

// View computes what is usual by now.
func (p *Past) View() *Usual {
	u := &Usual{self: make(map[uint32]operation, len(p.self)), calls: make(map[Call]float64, len(p.calls))}
	for number, h := range p.self {
		u.self[number] = median(h)
	}
	for call, n := range p.calls {
		if from := u.self[call.From]; from.seen > 0 {
			u.calls[call] = n / from.seen
		}
	}
	return u
}

// Self is the median time in nanoseconds in which an operation works itself. It is false while too little was seen.
func (u *Usual) Self(number uint32) (int64, bool) {
	o := u.self[number]
	return o.self, o.seen >= enough && number != names.Other // Operations beyond the bound are many in one.
}

// Calls is how often one operation calls another on average, each time that it runs.
func (u *Usual) Calls(from, to uint32) float64 {
	n, known := u.calls[Call{from, to}]
	if from == names.Other || to == names.Other || !known && len(u.calls) >= maxCalls {
		return math.Inf(1)
	}
	return n
}

func median(h *[steps]float32) operation {
	var total float64
	for _, n := range h {
		total += float64(n)
	}
	half := total / 2
	for i, n := range h {
		if half -= float64(n); half <= 0 && n > 0 {
			return operation{seen: total, self: scale.Upper(i)}
		}
	}
	return operation{}
}
