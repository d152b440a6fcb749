package engine

import "github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"

// atticBytes bounds what an attic keeps.
const atticBytes = 16 << 20

// attic keeps what objectives have counted that are no more, in case that they come back: a change of documents is often taken back.
// The oldest goes first.
type attic struct {
	kept  []stored
	bytes int
}

// stored is an account with what take opens it with.
type stored struct {
	account
	state []byte
}

// put keeps accounts, and returns those for which there is no more room.
func (a *attic) put(accounts []stored) (gone []stored) {
	a.kept = append(a.kept, accounts...)
	for i := range accounts {
		a.bytes += len(accounts[i].state)
	}
	first := 0
	for ; a.bytes > atticBytes; first++ {
		a.bytes -= len(a.kept[first].state)
	}
	gone = a.kept[:first:first]
	a.kept = append([]stored(nil), a.kept[first:]...)
	return gone
}

// take calls f with the accounts of objectives, and keeps them no longer.
func (a *attic) take(of map[ledger.ID]uint32, f func(objective uint32, s *stored)) {
	left := a.kept[:0]
	for i := range a.kept {
		s := &a.kept[i]
		objective, ok := of[s.id]
		if !ok {
			left = append(left, *s)
			continue
		}
		a.bytes -= len(s.state)
		f(objective, s)
	}
	clear(a.kept[len(left):])
	a.kept = left
}
