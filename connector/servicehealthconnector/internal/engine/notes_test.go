package engine

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/evidence"
)

func TestNotes(t *testing.T) {
	one, two := pcommon.TraceID{1}, pcommon.TraceID{2}
	n := newNotes(3)
	n.put(one, evidence.Note{Span: 1}, 0, 10)
	n.put(one, evidence.Note{Span: 2}, 0, 10)
	n.put(two, evidence.Note{Span: 3}, 5, 15)
	n.put(two, evidence.Note{Span: 4}, 5, 15)
	assert.Equal(t, 3, n.held, "what is beyond the bound is left out")
	assert.Equal(t, []evidence.Note{{Span: 1}, {Span: 2}}, n.take(one, nil))
	assert.Empty(t, n.take(one, nil), "they are taken once")
	n.put(one, evidence.Note{Span: 5}, 20, 30)
	assert.Empty(t, n.take(two, nil), "they expire")
	assert.Equal(t, 1, n.held)
}
