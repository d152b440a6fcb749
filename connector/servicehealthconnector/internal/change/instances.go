package change

import (
	"slices"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/rollout"
)

// maxInstances bounds the instances of one service that are told apart at a time, and maxAllInstances those of all; those
// beyond are not noticed.
const (
	maxInstances    = 64
	maxAllInstances = 1 << 16
)

// instances are those of a service: where some fall silent while others begin, it was restarted. That some come beside those
// that stay, or that some go, is scaling, and no change.
type instances struct {
	seen []instance
	// arrived is when one came that was not there before, and restart what came of it, if anything did.
	arrived int64
	restart *entry
}

type instance struct {
	id          string
	first, last int64
}

// see notes that an instance serves, and says whether one has come while none was awaited. Without room for more of all services
// it takes the place of one that has gone, and else is not noticed; of a service that is not yet familiar all have been there
// before.
func (is *instances) see(id string, now int64, room, familiar bool) (arrived bool) {
	for i := range is.seen {
		if s := &is.seen[i]; s.id == id {
			s.last = max(s.last, now)
			return false
		}
	}
	if before := len(is.seen); !room || before >= maxInstances {
		is.forget(now)
		room = room || len(is.seen) < before
	}
	if !room || len(is.seen) >= maxInstances {
		return false
	}
	is.seen = append(is.seen, instance{id, now, now})
	awaited := is.arrived != 0
	if !familiar || len(is.seen) == 1 || awaited && now-is.arrived <= rollout.Gone {
		return false
	}
	is.arrived, is.restart = now, nil
	return !awaited
}

// forget makes room by those that have been silent for long.
func (is *instances) forget(now int64) {
	is.seen = slices.DeleteFunc(is.seen, func(s instance) bool { return now-s.last > rollout.Forgotten })
}

// replaced is how many of the instances that were there when the latest one arrived have fallen silent since, of how many.
// Where as many went within the ten minutes before, that is what they do anyway.
func (is *instances) replaced(now int64) (replaced, all int) {
	earlier := 0
	for i := range is.seen {
		s := &is.seen[i]
		switch silent := now-s.last > rollout.Gone; {
		case s.first >= is.arrived:
		case s.last < is.arrived-rollout.Gone:
			if is.arrived-s.last <= rollout.Forgotten {
				earlier++
			}
		default:
			all++
			if silent && s.last < is.arrived+rollout.Gone {
				replaced++
			}
		}
	}
	if earlier >= replaced {
		return 0, all
	}
	return replaced, all
}
