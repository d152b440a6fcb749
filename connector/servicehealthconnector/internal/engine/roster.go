package engine

import (
	"time"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/ledger"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// roster numbers objectives. Held spans speak of objectives by their numbers, so that a number keeps its meaning as long as there
// are spans that were judged under it.
type roster struct {
	// objectives by number. Those without a name are numbers that nothing has now.
	objectives []openslo.Objective
	// leaving are numbers whose objective is no more, with the time, in nanoseconds since the epoch, after which no span was judged
	// under them; 0 as long as that is not known.
	leaving map[uint32]int64
}

func newRoster(objectives []openslo.Objective) roster {
	return roster{objectives: objectives, leaving: map[uint32]int64{}}
}

// number returns the objectives by their numbers: one that counts what a present one does has that one's, others have those that
// are free. All spans that came before the time decided are decided; now is a time after the last call of become.
func (r *roster) number(objectives []openslo.Objective, decided, now int64) []openslo.Objective {
	for number, since := range r.leaving {
		switch {
		case since == 0:
			r.leaving[number] = now
		case since <= decided:
			delete(r.leaving, number)
		}
	}
	present := make(map[ledger.ID]int, len(r.objectives))
	for number := range r.objectives {
		present[ledger.Identity(&r.objectives[number])] = number
	}
	numbered := make([]openslo.Objective, len(r.objectives))
	var fresh []openslo.Objective
	for i := range objectives {
		if number, ok := present[ledger.Identity(&objectives[i])]; ok {
			numbered[number] = objectives[i]
		} else {
			fresh = append(fresh, objectives[i])
		}
	}
	for number := 0; len(fresh) > 0; number++ {
		if number == len(numbered) {
			return append(numbered, fresh...)
		}
		if _, leaves := r.leaving[uint32(number)]; !leaves && r.objectives[number].Name == "" {
			numbered[number], fresh = fresh[0], fresh[1:]
		}
	}
	return numbered
}

// become makes numbered objectives the present ones.
func (r *roster) become(numbered []openslo.Objective) {
	for number := range r.objectives {
		if r.objectives[number].Name != "" && numbered[number].Name == "" {
			r.leaving[uint32(number)] = 0
		}
	}
	r.objectives = numbered
}

// same calls f with the numbers of the objectives that also others have as they are.
func (r *roster) same(numbered []openslo.Objective, f func(number uint32)) {
	for number := range r.objectives {
		if r.objectives[number].Name != "" && numbered[number].Name != "" {
			f(uint32(number))
		}
	}
}

// others are the numbers that have another objective than before, or none any more.
func (r *roster) others(numbered []openslo.Objective) []uint32 {
	var all []uint32
	for number := range numbered {
		had := number < len(r.objectives) && r.objectives[number].Name != ""
		if has := numbered[number].Name != ""; had != has {
			all = append(all, uint32(number))
		}
	}
	return all
}

// decidedUntil is the time before which all spans that came are decided, when traces whose deadline is not after due are.
func decidedUntil(due int64, window time.Duration) int64 { return due - int64(window) }
