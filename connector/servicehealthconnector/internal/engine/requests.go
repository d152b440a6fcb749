package engine

import "github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"

// maxRequested bounds the operations whose requests are counted between two ticks; those beyond are not.
const maxRequested = 1 << 14

// requests counts the requests for each operation.
type requests map[uint32]requested

type requested struct {
	service uint32
	n       float64
}

func (r requests) add(operation, service uint32) {
	if operation <= names.Other {
		return
	}
	if has, known := r[operation]; known || len(r) < maxRequested {
		r[operation] = requested{service, has.n + 1}
	}
}
