package change

import "github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/rollout"

const (
	// due is how often a release has to have been seen, and how often it would have been seen since, to be gone: by chance alone so
	// many are missed once in e^20 times.
	due = 20
	// recent bounds the sightings that say how often a release is seen: beyond it all count half.
	recent = 4096
)

// absence is how long, and for how many sightings of other releases, the one that was announced last has not been seen. One that
// is quiet is not gone because it is not seen for a while, nor is one that has only begun.
type absence struct {
	// first and last are when the release was seen.
	first, last int64
	// own are the sightings of it, and all those of any release until it was seen last.
	own, all float64
	// missed are those of others since then, the first of which was at since; most is the highest number of them after which it was
	// seen again.
	missed, most float64
	since        int64
}

func begun(now int64) absence { return absence{first: now, last: now, own: 1, all: 1} }

// see notes a sighting, of the release itself or of another one, and says whether the release is gone.
func (a *absence) see(own bool, now int64) bool {
	if !own {
		if a.missed == 0 {
			a.since = now
		}
		a.missed++
		return a.isGone(now)
	}
	a.last = max(a.last, now)
	a.own++
	a.all += a.missed + 1
	a.most, a.missed = max(a.most, a.missed), 0
	if a.all > recent {
		a.own, a.all, a.most = a.own/2, a.all/2, a.most/2
	}
	return false
}

func (a *absence) isGone(now int64) bool {
	return a.own >= due && a.last-a.first >= rollout.Gone &&
		a.missed*a.own/a.all >= due && now-a.last >= rollout.Gone && a.missed >= 2*a.most
}
