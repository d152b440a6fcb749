// Package gauge compares what is measured of where services run, such as a container's processor time, with what it used to be. It
// gets points and the time, and has no clock of its own.
//
// docs/diagnosis.md has the formulae and where they come from.
package gauge

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/series"
)

// MaxServices bounds the services of which one series tells.
const MaxServices = 64

const (
	// maxSeries bounds what is remembered; further series are not compared.
	maxSeries = 50_000
	// leastPoints is how many points a series needs before it is compared with.
	leastPoints = 5
	// noticed is the weight in nats from which on a point stands out.
	noticed = 3
	// steady is the least standard deviation, as a share of a value: what never moved may.
	steady = 0.05
	// doubtful is how much a point that stands out counts in the past.
	doubtful = 0.1
	// halfLife is the age in nanoseconds at which the past counts half.
	halfLife = 1800e9
	// silent is for how long in nanoseconds a series that nothing comes of is remembered.
	silent = int64(3600e9)
	// swept is how often in nanoseconds what is silent is looked for.
	swept = int64(60e9)
	// current is for how long in nanoseconds a point holds: one that comes once a minute may be late.
	current = int64(90e9)
)

// About is what a series is about.
type About struct {
	Name string
	// Services are those that run where it was measured.
	Services []uint32
	// Shared says that it was measured at a host, and not at something that one service has for itself.
	Shared bool
	// Falls says that the less of it there is, the worse.
	Falls bool
	// Rate says that values are changes in a second.
	Rate bool
}

// Strain is that something stands out.
type Strain struct {
	Name string
	// Value is what it is, and Before the most that it was, or the least of what there should be much of.
	Value, Before       float64
	Shared, Falls, Rate bool
	// Since is when it began, in nanoseconds since the epoch.
	Since int64
	// Weight is the logarithm of how improbable it is, in nats.
	Weight float64
}

// Point is one point of a series.
type Point struct {
	// At is its time, in nanoseconds since the epoch.
	At    int64
	Value float64
	// Cumulative says that it is a sum since Start that only grows, so that its rate is what matters.
	Cumulative bool
	Start      int64
}

// Book remembers. It is not safe for concurrent use.
type Book struct {
	series  map[series.Identity]*past
	names   map[string]string
	refused uint64
	sweptAt int64
	strains map[uint32]*strained
}

// strained is the strain of a service, of so many series that were compared.
type strained struct {
	Strain
	compared int
}

// past is what a series used to be. What should be much is counted with a negative sign.
type past struct {
	About
	last  Point
	seen  int64
	since int64
	// n points have this mean, and this sum of squared differences from it; most is the largest of all before since.
	n, mean, squares, most float64
	// peak is the largest since, value the present one, and weight how improbable that is.
	peak, value, weight float64
}

// New returns an empty book.
func New() *Book {
	return &Book{series: map[series.Identity]*past{}, names: map[string]string{}, strains: map[uint32]*strained{}}
}

// tells are the namespaces of the semantic conventions that say how much of something limited is used. See
// https://opentelemetry.io/docs/specs/semconv/system/.
var tells = [...]struct {
	prefix string
	shared bool
}{
	{"container.", false},
	{"k8s.pod.", false},
	{"k8s.container.", false},
	{"process.", false},
	{"system.", true},
	{"k8s.node.", true},
}

// Of says whether a metric tells of what services run on, and whether several may share it.
func Of(name string) (shared, ok bool) {
	for i := range tells {
		if strings.HasPrefix(name, tells[i].prefix) {
			return tells[i].shared, true
		}
	}
	return false, false
}

// Falls says whether a series tells of what is left, by its name or by an attribute such as system.memory.state.
func Falls(name string, attributes pcommon.Map) bool {
	if strings.HasSuffix(name, ".available") {
		return true
	}
	for key, v := range attributes.All() {
		if v.Type() == pcommon.ValueTypeStr && (strings.HasSuffix(key, "state") || strings.HasSuffix(key, "mode")) {
			switch v.Str() {
			case "idle", "free", "available":
				return true
			}
		}
	}
	return false
}

// Knows says whether a series has been described, and is worth its next point.
func (b *Book) Knows(id series.Identity) bool { return b.series[id] != nil }

// Describe makes a series known, unless there is no room for it, which counts as refused.
// now is in nanoseconds since the epoch.
func (b *Book) Describe(id series.Identity, about About, now int64) {
	if len(b.series) >= maxSeries {
		b.refused++
		return
	}
	if len(about.Services) == 0 {
		return
	}
	name, known := b.names[about.Name]
	if !known {
		name = names.Clean(about.Name)
		b.names[name] = name
	}
	about.Name = name
	about.Services = slices.Clone(about.Services[:min(len(about.Services), MaxServices)])
	b.series[id] = &past{About: about, seen: now}
}

// Observe compares a point with those before it. A point that is no number, or not later than the last one, says nothing.
// now is in nanoseconds since the epoch.
func (b *Book) Observe(id series.Identity, p Point, now int64) {
	b.sweep(now)
	s := b.series[id]
	if s == nil || p.At <= s.last.At || math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
		return
	}
	last := s.last
	s.last, s.seen = p, now
	value := p.Value
	if p.Cumulative {
		if last.At == 0 || p.Value < last.Value || p.Start != last.Start {
			return
		}
		value = (p.Value - last.Value) / (float64(p.At-last.At) / 1e9)
	}
	if s.Falls {
		value = -value
	}
	if last.At != 0 {
		keep := math.Exp2(-float64(p.At-last.At) / halfLife)
		s.n *= keep
		s.squares *= keep
	}
	s.compare(value, p.At)
}

// compare makes a value the present one, and part of the past.
func (s *past) compare(value float64, at int64) {
	s.value, s.weight = value, s.surprise(value)
	counts := 1.0
	switch {
	case s.weight >= noticed && s.since == 0:
		s.since, s.peak = at, value
		counts = doubtful
	case s.weight >= noticed:
		s.peak = max(s.peak, value)
		counts = doubtful
	case s.since != 0:
		s.most, s.since = max(s.most, s.peak, value), 0
	case s.n == 0:
		s.most = value
	default:
		s.most = max(s.most, value)
	}
	s.n += counts
	difference := value - s.mean
	s.mean += difference * counts / s.n
	s.squares += counts * difference * (value - s.mean)
}

// surprise is a bound for the logarithm of how improbable so large a value is: a new one of a normal distribution, of which only n
// others are known, differs from their mean by Student's t with n - 1 degrees of freedom, and the tail of that beyond t is at most
// (1 + t² / (n - 1))^(-(n - 1) / 2) / 2. What has been as large before is no surprise.
func (s *past) surprise(value float64) float64 {
	if s.n < leastPoints-0.5 || value <= s.most || value <= s.mean {
		return 0
	}
	free := s.n - 1
	deviation := max(math.Sqrt(s.squares/free), steady*max(math.Abs(s.mean), math.Abs(value)))
	t := (value - s.mean) / deviation / math.Sqrt(1+1/s.n)
	return math.Ln2 + free/2*math.Log1p(t*t/free)
}

// Compare finds out what stands out at present.
func (b *Book) Compare(now int64) {
	for _, s := range b.strains {
		*s = strained{}
	}
	for _, s := range b.series {
		if s.n < leastPoints || now-s.last.At > current {
			continue
		}
		for _, service := range s.Services {
			has := b.strains[service]
			if has == nil {
				has = &strained{}
				b.strains[service] = has
			}
			has.compared++
			if s.since != 0 && s.more(&has.Strain) {
				has.Strain = s.strain()
			}
		}
	}
}

// more says whether a series stands out more than what did so far, whatever their order.
func (s *past) more(than *Strain) bool {
	return cmp.Or(cmp.Compare(s.weight, than.Weight), cmp.Compare(than.Since, s.since), cmp.Compare(than.Name, s.Name)) > 0
}

func (s *past) strain() Strain {
	value, before := s.value, s.most
	if s.Falls {
		value, before = -value, -before
	}
	return Strain{
		Name: s.Name, Value: value, Before: before, Shared: s.Shared, Falls: s.Falls, Rate: s.Rate, Since: s.since, Weight: s.weight,
	}
}

// Of returns what stands out most of where a service runs, if anything does by more than chance among so many series (Bonferroni).
func (b *Book) Of(service uint32) (Strain, bool) {
	s := b.strains[service]
	if s == nil || s.Weight == 0 {
		return Strain{}, false
	}
	strain := s.Strain
	strain.Weight -= math.Log(float64(s.compared))
	return strain, strain.Weight >= noticed
}

// Len is the number of series.
func (b *Book) Len() int { return len(b.series) }

// Refused is how many points came of series beyond the bound.
func (b *Book) Refused() uint64 { return b.refused }

// sweep forgets the series that nothing comes of any more.
func (b *Book) sweep(now int64) {
	if now-b.sweptAt < swept {
		return
	}
	b.sweptAt = now
	for id, s := range b.series {
		if now-s.seen > silent {
			delete(b.series, id)
		}
	}
	clear(b.names)
	for _, s := range b.series {
		b.names[s.Name] = s.Name
	}
}
