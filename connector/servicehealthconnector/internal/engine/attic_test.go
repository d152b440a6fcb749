package engine

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"
)

func TestTheAtticHasABound(t *testing.T) {
	const large = atticBytes/2 - 1
	put := func(a *attic, id byte, size int) (gone []ledger.ID) {
		for _, s := range a.put([]stored{{account{id: ledger.ID{id}}, make([]byte, size)}}) {
			gone = append(gone, s.id)
		}
		return gone
	}
	var a attic
	assert.Empty(t, put(&a, 1, large))
	assert.Empty(t, put(&a, 2, large))
	assert.Empty(t, put(&a, 3, 2))
	assert.Equal(t, []ledger.ID{{1}}, put(&a, 4, 1), "the oldest goes")
	var taken []uint32
	a.take(map[ledger.ID]uint32{{2}: 7, {3}: 8, {5}: 9}, func(objective uint32, _ *stored) { taken = append(taken, objective) })
	assert.Equal(t, []uint32{7, 8}, taken)
	assert.Equal(t, 1, a.bytes)
	assert.Equal(t, []ledger.ID{{4}, {6}}, put(&a, 6, atticBytes+1), "what is too large is not kept")
	assert.Zero(t, a.bytes)
}
