package surge

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRequestsAreToldInTheSameOrderEachTime(t *testing.T) {
	type told struct {
		service, operation uint32
		n                  float64
	}
	r := Requests{}
	for _, operation := range []uint32{9, 5, 7, 5, 0, 1} {
		r.Add(operation, 10*operation)
	}
	var all []told
	r.Drain(func(service, operation uint32, n float64) { all = append(all, told{service, operation, n}) })
	assert.Equal(t, []told{{50, 5, 2}, {70, 7, 1}, {90, 9, 1}}, all)
	assert.Empty(t, r)
}

func TestRequestsAreBounded(t *testing.T) {
	r := Requests{}
	for operation := range uint32(2 * maxRequested) {
		r.Add(operation, 2)
	}
	assert.Len(t, r, maxRequested)
}
