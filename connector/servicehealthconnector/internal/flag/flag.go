package flag

import (
	"math"
	"strings"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/rollout"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/shares"
)

const (
	// maxFlags bounds the flags of all services that are watched, and maxOfService those of one; further ones are not.
	maxFlags     = 4096
	maxOfService = 256
	// maxVariants bounds the variants of a flag that are told apart. A flag with more than maxTold of them takes values
	// rather than variants, of which one more is no change.
	maxVariants = 16
	maxTold     = 8
	// idle is after how long in nanoseconds without an evaluation a flag makes room for another one, and swept how often it is
	// looked for such flags.
	idle  = int64(3600e9)
	swept = int64(60e9)
	// learning is for how long in nanoseconds from its first evaluation on what a flag comes to is no change.
	learning = int64(60e9)
	// A slot is a time, in nanoseconds, whose evaluations are compared with those before it: as long as it takes for enough
	// of them, between two limits.
	shortest, longest = int64(5e9), int64(60e9)
	enough            = 20
	// moved is by how much a variant's share has to grow.
	moved = 0.2
	// rare is the share below which what comes before the first evaluation to a variant in a slot is not of the time of the change.
	rare = 0.05
	// leastPast is how many evaluations make a past.
	leastPast = 20
	// halfLife is the age in nanoseconds at which an evaluation counts half.
	halfLife = float64(600e9)
	// back is for how long in nanoseconds a change may be taken back: to go back later is a change of its own.
	back = rollout.Forgotten
	// together is within how many nanoseconds the changes of a service's flags are one.
	together = int64(15e9)
)

// Kind is what has changed of a flag. Of those that come together, the later one here says more.
type Kind uint8

// The kinds.
const (
	// New is a flag that was not evaluated before.
	New Kind = iota
	// Rules is another version of the rules.
	Rules
	// Served is a variant that was not served before, or is served more often than before.
	Served
)

// Change is that a flag is evaluated to something else than before. The book goes on to write into it for a while, so that
// whoever reads it locks the book.
type Change struct {
	Service  uint32
	Kind     Kind
	Set, Key string
	// Variant is what it is evaluated to now, and Previous what it was most often before, beside that.
	Variant, Previous Variant
	// Share is Variant's share of the evaluations, and Before what it was; both from 0 to 1.
	Share, Before float64
	// Version and PreviousVersion are those of the rules, where they are what has changed.
	Version, PreviousVersion string
	// At is when it was first seen, in nanoseconds since the epoch.
	At int64

	of *flag
	// void says that it was taken back, or that another one says more of the same change.
	void bool
}

// Holds says whether the change has not been taken back.
func (c *Change) Holds() bool {
	switch {
	case c.void:
		return false
	case c.Kind == Rules:
		return c.of.versions.Serves(c.Version, c.of.last)
	case c.Kind == Served:
		v := c.of.variant(c.Variant)
		return v != nil && c.of.last-v.last <= rollout.Gone
	default:
		return true
	}
}

// Book knows what flags are evaluated to. It is not safe for concurrent use.
type Book struct {
	flags map[id]*flag
	// ofService is how many there are of each service, and latest what changed last of them.
	ofService map[uint32]int
	latest    map[uint32]*Change
	sweptAt   int64
}

type id struct {
	service  uint32
	set, key string
}

type flag struct {
	id
	// first and last are when it was evaluated first and last.
	first, last int64
	// slotAt is when the present slot began; slot, past and before are how many evaluations were in it, before it and, if there
	// was a change, before that.
	slotAt             int64
	slot, past, before float64
	variants           []variant
	versions           rollout.Rollout[string]
	// change is the latest one of what it is evaluated to.
	change *Change
}

// variant counts its evaluations as its flag does.
type variant struct {
	Variant
	// first is when it was evaluated first in the present slot, last when it was last.
	first, last        int64
	slot, past, before float64
	// skipped are the evaluations of the flag in the present slot that came before the first one to it.
	skipped float64
}

// NewBook returns an empty book.
func NewBook() *Book {
	return &Book{flags: map[id]*flag{}, ofService: map[uint32]int{}, latest: map[uint32]*Change{}}
}

// Observe takes an evaluation into account, and appends the changes that it shows. known says that the service is not new
// itself; now is in nanoseconds since the epoch.
func (b *Book) Observe(service uint32, known bool, e *Evaluation, now int64, changes []*Change) []*Change {
	f := b.flags[id{service, e.Set, e.Key}]
	if f == nil {
		if f = b.open(service, e, now); f == nil {
			return changes
		}
		if known {
			changes = b.tell(&Change{Kind: New, Variant: e.Variant.clone()}, f, now, changes)
		}
	}
	now = max(now, f.last)
	f.last = now
	if e.Version != "" {
		if previous, changed := f.versions.See(e.Version, now, strings.Clone); changed && now-f.first >= learning {
			changes = b.tell(&Change{Kind: Rules, Version: f.versions.Current(), PreviousVersion: previous}, f, now, changes)
		}
	}
	if now-f.slotAt >= longest || now-f.slotAt >= shortest && f.slot >= enough {
		changes = b.close(f, now, changes)
	}
	v := f.variant(e.Variant)
	if v == nil && len(f.variants) < maxVariants {
		if now-f.first >= learning && f.past+f.slot >= leastPast && len(f.variants) < maxTold {
			f.fold(now)
			f.remember()
			f.change = &Change{Kind: Served, Variant: e.Variant.clone(), Previous: f.usual(e.Variant)}
			changes = b.tell(f.change, f, now, changes)
		}
		f.variants = append(f.variants, variant{Variant: e.Variant.clone()})
		v = &f.variants[len(f.variants)-1]
	}
	f.slot++
	if v != nil {
		if v.slot++; v.slot == 1 {
			v.first, v.skipped = now, f.slot-1
		}
		v.last = now
	}
	if c := f.change; c != nil && c.At >= f.slotAt {
		c.Share = f.variant(c.Variant).slot / f.slot
	}
	return changes
}

// open begins to watch a flag, if there is room for it.
func (b *Book) open(service uint32, e *Evaluation, now int64) *flag {
	if len(b.flags) >= maxFlags || b.ofService[service] >= maxOfService {
		b.sweep(now)
	}
	if len(b.flags) >= maxFlags || b.ofService[service] >= maxOfService {
		return nil
	}
	f := &flag{id: id{service, strings.Clone(e.Set), strings.Clone(e.Key)}, first: now, slotAt: now}
	b.flags[f.id] = f
	b.ofService[service]++
	return f
}

// sweep forgets the flags that are idle.
func (b *Book) sweep(now int64) {
	if now-b.sweptAt < swept {
		return
	}
	b.sweptAt = now
	for id, f := range b.flags {
		if now-f.last < idle {
			continue
		}
		delete(b.flags, id)
		if b.ofService[id.service]--; b.ofService[id.service] == 0 {
			delete(b.ofService, id.service)
			delete(b.latest, id.service)
		}
	}
}

// tell appends a change, unless it is the same as one that was told shortly before: one rollout often concerns several flags.
func (b *Book) tell(c *Change, f *flag, now int64, changes []*Change) []*Change {
	c.Service, c.Set, c.Key, c.of = f.service, f.set, f.key, f
	if c.At == 0 {
		c.At = now
	}
	if last := b.latest[f.service]; last != nil && c.At-last.At <= together && last.Holds() {
		if c.Kind < last.Kind || c.Kind == last.Kind && c.Kind != Served {
			return changes
		}
		if c.Kind > last.Kind {
			last.void = true
		}
	}
	b.latest[f.service] = c
	return append(changes, c)
}

// close ends the present slot of a flag, and appends a change if what it was evaluated to in it is another than before.
func (b *Book) close(f *flag, now int64, changes []*Change) []*Change {
	riser := f.riser()
	switch {
	case riser == nil:
	case f.slotAt-f.first < learning:
		f.restart()
	case f.change != nil && !f.change.void && f.slotAt-f.change.At <= back && f.isBack():
		f.change.void = true
		f.restore()
	case f.change != nil && !f.change.void && f.slotAt-f.change.At <= together && f.change.Variant == riser.Variant:
		f.change.Share = riser.slot / f.slot
		f.restart() // What it rolled out to is the past of what comes next.
	default:
		f.remember()
		f.change = &Change{
			Kind: Served, Variant: riser.Variant, Previous: f.usual(riser.Variant),
			Share: riser.slot / f.slot, Before: riser.past / f.past, At: riser.first,
		}
		if f.change.Before < rare {
			f.change.Share = riser.slot / (f.slot - riser.skipped)
		}
		changes = b.tell(f.change, f, now, changes)
		f.restart()
	}
	f.fold(now)
	return changes
}

// riser is the variant whose share has grown most in the present slot, if that is beyond chance.
func (f *flag) riser() *variant {
	if f.past < leastPast || f.slot == 0 {
		return nil
	}
	var riser *variant
	most := moved
	for i := range f.variants {
		v := &f.variants[i]
		if rise := v.slot/f.slot - v.past/f.past; rise >= most {
			riser, most = v, rise
		}
	}
	if riser == nil || shares.Weight(riser.past, f.past, riser.slot, f.slot) < shares.Certain {
		return nil
	}
	return riser
}

// isBack says whether the present slot is as it was before the latest change.
func (f *flag) isBack() bool {
	if f.before == 0 {
		return false
	}
	for i := range f.variants {
		if v := &f.variants[i]; math.Abs(v.slot/f.slot-v.before/f.before) >= moved {
			return false
		}
	}
	return true
}

// usual is the variant that was served most often before the present slot, beside one.
func (f *flag) usual(beside Variant) Variant {
	var usual Variant
	var most float64
	for i := range f.variants {
		if v := &f.variants[i]; v.Variant != beside && v.past > most {
			usual, most = v.Variant, v.past
		}
	}
	return usual
}

// remember keeps the past as what was before a change.
func (f *flag) remember() {
	f.before = f.past
	for i := range f.variants {
		f.variants[i].before = f.variants[i].past
	}
}

// restore makes what was before a change the past again.
func (f *flag) restore() {
	f.past, f.before = f.before, 0
	for i := range f.variants {
		v := &f.variants[i]
		v.past, v.before = v.before, 0
	}
}

// restart forgets the past.
func (f *flag) restart() {
	f.past = 0
	for i := range f.variants {
		f.variants[i].past = 0
	}
}

// fold makes the present slot a part of the past, and begins another one.
func (f *flag) fold(now int64) {
	keep := math.Exp2(-float64(now-f.slotAt) / halfLife)
	f.past, f.slot = f.past*keep+f.slot, 0
	for i := range f.variants {
		v := &f.variants[i]
		v.past, v.slot = v.past*keep+v.slot, 0
	}
	f.slotAt = now
}

func (f *flag) variant(is Variant) *variant {
	for i := range f.variants {
		if f.variants[i].Variant == is {
			return &f.variants[i]
		}
	}
	return nil
}
