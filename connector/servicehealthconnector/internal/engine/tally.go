package engine

// maxTallies bounds the tallies that wait to be counted.
const maxTallies = 1024

// tally is how many spans said the same good things of their objectives at about the same time.
type tally struct {
	marks uint32
	at    int64
	count float64
}

// tallies add up good events, which come by the thousand. Bad ones are told apart.
type tallies struct {
	all []tally
	// places holds, for each remainder of a hash, one more than the place of the tally that was added to last.
	places [maxTallies]uint16
}

// add counts a span. Spans whose sets and times are equal become one tally, as far as their places do not collide.
func (t *tallies) add(marks uint32, at int64, count float64) {
	place := &t.places[(uint64(marks)*0x9E3779B97F4A7C15^uint64(at)*0xD6E8FEB86659FD93)>>54]
	if *place > 0 {
		if is := &t.all[*place-1]; is.marks == marks && is.at == at {
			is.count += count
			return
		}
	}
	t.all = append(t.all, tally{marks, at, count})
	*place = uint16(min(len(t.all), 1<<16-1))
}

// full says that it is time to count them.
func (t *tallies) full() bool { return len(t.all) >= maxTallies }

func (t *tallies) reset() {
	if len(t.all) > 0 {
		t.all = t.all[:0]
		clear(t.places[:])
	}
}
