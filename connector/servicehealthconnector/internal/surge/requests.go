package surge

import (
	"maps"
	"slices"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

// maxRequested bounds the operations whose requests are counted between two ticks; those beyond are not.
const maxRequested = 1 << 14

// Requests counts the requests for each operation. It is not safe for concurrent use.
type Requests map[uint32]requested

type requested struct {
	service uint32
	n       float64
}

// Add counts a request for an operation of a service.
func (r Requests) Add(operation, service uint32) {
	if operation <= names.Other {
		return
	}
	if has, known := r[operation]; known || len(r) < maxRequested {
		r[operation] = requested{service, has.n + 1}
	}
}

// Drain tells how many requests came for each operation, and forgets them. The order is always the same, so that a recording has
// the same verdicts each time.
func (r Requests) Drain(tell func(service, operation uint32, n float64)) {
	for _, operation := range slices.Sorted(maps.Keys(r)) {
		tell(r[operation].service, operation, r[operation].n)
	}
	clear(r)
}
