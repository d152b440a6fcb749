// Package surge notices when many more requests come to a service than usual, or many more of one kind among them. It is
// pure: it gets counts, one for each slot of time.
//
// Usual is what came in any ten seconds of the past hour. Whatever the distribution, of windows that are alike the latest is
// beyond all others by a chance of one in their number, and as far beyond them as is asked for here much more seldom.
package surge

// Window is how many slots are looked at together: ten seconds.
const Window = 2

const (
	// multiple is how many times as many requests have to come as came in any window of the past hour, and least by how many they
	// have to be more.
	multiple = 2
	least    = 50
	// share is by how much the share of an operation has to be beyond that of any window, and enough how many requests make
	// a share.
	share  = 0.2
	enough = 50
	// settled is how many slots make a past: ten minutes.
	settled = 120
	// waiting is how many slots pass until one is part of the past: a minute, so that a rise is compared with what was before it.
	waiting = 12
	// stretches are of which the past is made: of each, only the highest value is remembered. perStretch are their slots: five
	// minutes.
	stretches  = 12
	perStretch = 60
	// maxOperations bounds the operations of a service whose shares are known; others count among all.
	maxOperations = 16
)

// window holds what came in the latest slots.
type window [Window]float64

func (w *window) close(slot int, n float64) (sum float64) {
	w[slot%Window] = n
	for _, n := range w {
		sum += n
	}
	return sum
}

// past holds the highest values of an hour, but for the last minute.
type past struct {
	pending [waiting]float64
	highest [stretches]float64
}

// most is the highest value of the past.
func (p *past) most() float64 {
	var most float64
	for _, v := range p.highest {
		most = max(most, v)
	}
	return most
}

func (p *past) close(slot int, value float64) {
	stretch := &p.highest[slot/perStretch%stretches]
	if slot%perStretch == 0 {
		*stretch = 0
	}
	*stretch = max(*stretch, p.pending[slot%waiting])
	p.pending[slot%waiting] = value
}

// Watch watches how many requests come to one service. The zero Watch has seen nothing.
type Watch struct {
	window
	past
	slots int
	on    bool
}

// Surge is how many requests came in a window, and how many did at the most in one of the past hour.
type Surge struct{ Requests, Most float64 }

// Close ends a slot in which so many requests came, and says whether they have begun to be many more than usual.
func (w *Watch) Close(requests float64) (Surge, bool) {
	s := Surge{Requests: w.window.close(w.slots, requests), Most: w.most()}
	was := w.on
	w.on = w.slots >= settled && s.Requests >= multiple*s.Most && s.Requests >= s.Most+least
	w.past.close(w.slots, s.Requests)
	w.slots++
	return s, w.on && !was
}

// Mix watches which share of the requests to one service each of its operations has. The zero Mix has seen nothing.
type Mix struct {
	all        window
	operations []operation
	// slots are those that were closed, and shared those of them of which shares are known.
	slots, shared int
}

type operation struct {
	number uint32
	slot   float64
	window
	past
	on bool
}

// Rise is the share that an operation had in a window, and that which it had at the most in one of the past hour; from 0 to 1.
type Rise struct {
	Operation   uint32
	Share, Most float64
}

// Add counts requests for an operation in the present slot.
func (m *Mix) Add(number uint32, requests float64) {
	for i := range m.operations {
		if o := &m.operations[i]; o.number == number {
			o.slot += requests
			return
		}
	}
	if len(m.operations) < maxOperations {
		m.operations = append(m.operations, operation{number: number, slot: requests})
	}
}

// Close ends a slot in which so many requests came in all, and says whether the share of an operation has begun to be much
// larger than usual: of several, the one that is so by most.
func (m *Mix) Close(all float64) (largest Rise, rises bool) {
	total := m.all.close(m.slots, all)
	known := m.shared >= settled
	left := m.operations[:0]
	for i := range m.operations {
		o := &m.operations[i]
		n := o.window.close(m.slots, o.slot)
		o.slot = 0
		if total >= enough {
			r := Rise{Operation: o.number, Share: min(1, n/total), Most: o.most()}
			was := o.on
			o.on = known && r.Share >= r.Most+share
			if o.on && !was && (!rises || r.Share-r.Most > largest.Share-largest.Most) {
				largest, rises = r, true
			}
			o.past.close(m.shared, r.Share)
		}
		if n > 0 || o.most() > 0 || o.pending != [waiting]float64{} {
			left = append(left, *o)
		}
	}
	m.operations = left
	m.slots++
	if total >= enough {
		m.shared++
	}
	return largest, rises
}
