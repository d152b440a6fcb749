package store

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/internal/layer"
)

const (
	// blockLength makes a block as large as a line of the processor's cache.
	blockLength = 6
	// maxBlocks bounds the walk through the spans of a trace. Of one that has more, the oldest block makes place for the next.
	maxBlocks = 64
)

// block has spans of one trace, in the order in which they came. Blocks of a trace are linked.
type block struct {
	spans        [blockLength]pcommon.SpanID
	older, newer uint32
	layers       [blockLength]layer.Layer
	used         uint8
}

// find returns the layer of the newest span with the id.
func (b *block) find(id pcommon.SpanID) (layer.Layer, bool) {
	for i := int(b.used) - 1; i >= 0; i-- {
		if b.spans[i] == id {
			return b.layers[i], true
		}
	}
	return layer.Unknown, false
}
