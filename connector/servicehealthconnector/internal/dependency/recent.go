package dependency

import "github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/scale"

// Recent is what was seen of an edge in a short time. A sampled span is one: whoever draws conclusions from numbers has to know
// how much was looked at.
type Recent struct {
	Calls, Failed uint32
	// Squares is the sum, over the traces that they are from, of the squares of the numbers of calls: those of one trace are not
	// independent of each other.
	Squares uint64
	// Took counts calls by the step of their duration.
	Took [scale.Steps]uint32
}

func (r *Recent) add(failed bool, ns int64) {
	r.Calls++
	if failed {
		r.Failed++
	}
	r.Took[scale.Step(ns)]++
}
