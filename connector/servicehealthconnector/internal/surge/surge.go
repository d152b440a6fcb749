// Package surge notices when many more requests come than usual. It is pure: it gets counts, one for each slot of time.
package surge

// Window is how many slots are looked at together: ten seconds.
const Window = 2

const (
	// multiple is how many times as many requests have to come as came in any window of the past hour. Whatever the distribution, of
	// windows that are alike the latest is the busiest of so many by a chance of one in their number, and twice as busy as any
	// much more seldom.
	multiple = 2
	// least is by how many requests they have to be more.
	least = 50
	// settled is how many slots make a past: ten minutes.
	settled = 120
	// waiting is how many slots pass until one is part of the past: a minute, so that a rise is compared with what was before it.
	waiting = 12
	// stretches are of which the past is made: of each, only the busiest window is remembered. perStretch are their slots, five minutes.
	stretches  = 12
	perStretch = 60
)

// Watch watches the requests to one service. The zero Watch has seen nothing.
type Watch struct {
	latest  [Window]float64
	pending [waiting]float64
	busiest [stretches]float64
	slots   int
	on      bool
}

// Surge is how many requests came in a window, and how many did at the most in one of the past hour.
type Surge struct{ Requests, Most float64 }

// Close ends a slot in which so many requests came, and says whether they have begun to be many more than usual.
func (w *Watch) Close(requests float64) (Surge, bool) {
	w.latest[w.slots%Window] = requests
	var s Surge
	for _, n := range w.latest {
		s.Requests += n
	}
	for _, n := range w.busiest {
		s.Most = max(s.Most, n)
	}
	was := w.on
	w.on = w.slots >= settled && s.Requests >= multiple*s.Most && s.Requests >= s.Most+least
	if at := w.slots % perStretch; at == 0 {
		w.busiest[w.slots/perStretch%stretches] = 0
	}
	stretch := &w.busiest[w.slots/perStretch%stretches]
	*stretch = max(*stretch, w.pending[w.slots%waiting])
	w.pending[w.slots%waiting] = s.Requests
	w.slots++
	return s, w.on && !was
}
