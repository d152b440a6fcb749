package evidence

import (
	"math"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

const (
	// noticed is the weight in nats from which on a deviation is a finding at all.
	noticed = 3
	// effect is by how much a share has to change to matter.
	effect = 0.15
	// forgotten is for how long in nanoseconds a deviation is one that nothing more is seen of.
	forgotten = int64(90e9)
	// always is the share from which on what no longer happens is missing.
	always = 0.8
	// leastUnits are the units below which nothing is concluded.
	leastUnits = 2
	// leastWitnesses are those below which nothing is concluded from what happened or did not: that, a user can bring about.
	leastWitnesses = 4
	// leastExcess is the share of a trace's time that has to be lost to matter.
	leastExcess = 0.05
	// leastLoss is how much time in nanoseconds has to be lost to matter: a twentieth of it for 40 s, or half of it for 4 s.
	leastLoss = 2e9
	// slower is by how much an operation has to take longer to matter.
	slower = 1.0
	// byChance is the mean weight of a feature that varies by chance alone: half of a chi squared with one degree of freedom.
	byChance = 0.5
	// prior is how many looks count as if they had been such, and mostRestless the most that one adds.
	prior        = 30
	mostRestless = 10
)

// Finding is a deviation from the past.
type Finding struct {
	Kind Kind
	// Service did it; Callee is who was called, for a Gap.
	Service, Callee uint32
	Operation       uint32
	// What is the operation that was called, or the template of the records.
	What uint32
	// Least is how often it happens at least each time, for a Call and a Record.
	Least int
	// Alone says that it is about records that name no request: shares are those of moments, and not of requests.
	Alone bool
	// Weight is the logarithm of how much better a new share explains what was seen than the past one does.
	Weight float64
	// Share is the share of units with the event now, Usual the one to be expected, Units how many there are.
	Share, Usual, Units float64
	// Excess is the time beyond the usual one in nanoseconds, of late.
	Excess float64
	// Since is when the deviation began, in nanoseconds since the epoch.
	Since int64
}

// Learning says that it is too early to tell what is usual.
func (b *Book) Learning(now int64) bool { return b.started == 0 || now-b.started < learning }

// Findings appends what deviates at present, and returns it with the number of services that were compared.
func (b *Book) Findings(now int64, learn bool, found []Finding) ([]Finding, int) {
	clear(b.compared)
	b.closeApart(now)
	for _, c := range b.calls {
		c.compared = false
	}
	clear(b.mending)
	for _, f := range b.all {
		if now-f.at > forgotten {
			continue
		}
		if f.moment != now/moment {
			f.close(&b.decay)
		}
		b.compared[f.service] = struct{}{}
		if f.event.kind == Gap {
			if c := b.calls[Edge{f.service, f.callee}]; c != nil {
				c.compared = true
			}
		}
		if f.mends() {
			b.mending[f.service] = struct{}{}
		}
	}
	for _, f := range b.all {
		if _, mends := b.mending[f.service]; now-f.at > forgotten || mends && f.event.kind.shape() {
			continue
		}
		best := f.best(now)
		weight := best.Weight
		best.Weight /= f.dispersion()
		if learn {
			f.tried += min(weight, mostRestless)
			f.tries++
		}
		if f.more.gain == 0 && f.less.gain == 0 {
			f.restless += f.tried
			f.looks += f.tries
			f.tried, f.tries = 0, 0
		}
		if best.Weight < noticed || b.Learning(now) {
			continue
		}
		best.Kind, best.What, best.Least = f.event.kind, f.event.what, 1<<f.event.doublings
		best.Alone = f.event.alone
		best.Service, best.Callee, best.Operation = f.service, f.callee, f.operation
		best.Excess = f.excess * b.decay.over(now-f.at)
		found = append(found, best)
	}
	return found, len(b.compared)
}

// shape says whether it is about what an operation does.
func (k Kind) shape() bool { return k == Call || k == Record || k == Last }

func (f *feature) best(now int64) (best Finding) {
	if f.event.kind == Slow || f.event.kind == Gap {
		if s := &f.more; s.units >= leastUnits && s.lost(now-s.since) {
			best.Weight, best.Share, best.Units, best.Since = s.surprise(), s.excess/s.whole, s.units, s.since
		}
		return best
	}
	for _, s := range [...]*run{&f.more, &f.less} {
		if s.units < leastWitnesses {
			continue
		}
		share, usual := s.observed/s.units, s.expected/s.units
		if math.Abs(share-usual) < effect || !f.counts(share, usual) {
			continue
		}
		if weight := s.weight(); weight > best.Weight {
			best.Weight, best.Share, best.Usual, best.Units, best.Since = weight, share, usual, s.units, s.since
		}
	}
	return best
}

// lost says whether so much time is lost, and for so long in nanoseconds, that somebody should know.
func (s *sums) lost(during int64) bool {
	return s.excess >= leastExcess*s.whole && s.excess >= slower*s.usual && s.excess*float64(during) >= leastLoss*s.whole
}

// counts says whether a change of a share is trouble. It is users who decide how often something happens that does at times, so that
// only what was as good as always done is missing, and only what was as good as never done is new.
func (f *feature) counts(share, usual float64) bool {
	if share < usual {
		return usual >= always && !f.event.alone && (f.event.kind == Call || f.event.kind == Record)
	}
	return usual <= 1-always || !f.event.kind.shape() && f.operation != names.None
}

// mends says that a service fails less than before. What it does otherwise comes of that.
func (f *feature) mends() bool {
	s := &f.less
	return f.operation == names.None && (f.event.kind == Errors || f.event.kind == ErrorRecords) && !f.event.alone &&
		s.units >= leastWitnesses && s.expected-s.observed >= effect*s.units && s.weight() >= noticed
}

// dispersion is by how much the weight of a feature usually is larger than chance would have it. Operations have bad moments
// that are theirs.
func (f *feature) dispersion() float64 {
	return max(1, (f.restless+prior*byChance)/(f.looks+prior)/byChance)
}

// surprise is the logarithm of how improbable so long durations are: the logarithms of their probabilities add up to as many units
// with a mean of one at the most (R. A. Fisher, 1932), and Chernoff bounds the tail of their gamma distribution.
func (s *sums) surprise() float64 {
	if s.observed <= s.units {
		return 0
	}
	return s.observed - s.units - s.units*math.Log(s.observed/s.units)
}

// weight is the log-likelihood ratio of two samples, what was seen and the past under the same circumstances, between different
// shares and one in common. S. S. Wilks (1938); half of the G statistic of a two by two table.
func (s *sums) weight() float64 {
	n, k := s.units, s.observed
	m := s.past / n
	j := s.expected / n * m
	p := (k + j) / (n + m)
	return term(k, n*p) + term(n-k, n*(1-p)) + term(j, m*p) + term(m-j, m*(1-p))
}

func term(observed, expected float64) float64 {
	if observed <= 0 || expected <= 0 {
		return 0
	}
	return observed * math.Log(observed/expected)
}

// Way is a pair of services of which one called the other of late.
type Way struct {
	Edge
	// Compared says that the time between the two is being compared with the past.
	Compared bool
}

// Ways appends all of them.
func (b *Book) Ways(ways []Way) []Way {
	for e, c := range b.calls {
		ways = append(ways, Way{e, c.compared})
	}
	return ways
}
