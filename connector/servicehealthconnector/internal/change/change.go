package change

import (
	"cmp"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/flag"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

// Kind is what kind of change it is. The kinds are values of change.kind.
type Kind string

// The kinds.
const (
	// Version and Revision are another version of a service, or another revision of its source.
	Version  Kind = "version"
	Revision Kind = "revision"
	// Configuration is a rollout of the same version.
	Configuration Kind = "configuration"
	// Flag is a feature flag that is evaluated to something else.
	Flag Kind = "feature_flag"
	// FlagRules is another version of the rules of a feature flag.
	FlagRules Kind = "feature_flag.rules"
	// FlagFirst is a feature flag that was not evaluated before.
	FlagFirst Kind = "feature_flag.first"
	// Restart is that instances of a service were replaced.
	Restart Kind = "restart"
	// Dependency is that a service calls another one for the first time.
	Dependency Kind = "dependency"
	// Traffic is that many more requests come to a service than did in the hour before.
	Traffic Kind = "traffic"
	// Mix is that many more of the requests to a service are for one operation than were in the hour before.
	Mix Kind = "traffic.mix"
)

// ofFlag are the kinds of what changes of a flag.
var ofFlag = [...]Kind{flag.Served: Flag, flag.Rules: FlagRules, flag.New: FlagFirst}

// IsMade says whether such a change is one that people make. The others may be, and may also be what trouble makes.
func (k Kind) IsMade() bool {
	switch k {
	case Version, Revision, Configuration, Flag, FlagRules:
		return true
	default:
		return false
	}
}

// Change is what has changed of a service.
type Change struct {
	Kind Kind
	// Service is the number of an entity, and At when the change was first seen.
	Service uint32
	At      int64
	// Release and Previous are what is and was deployed, where that is another one. Back says that Release served before
	// Previous did, and serves in its place again.
	Release, Previous Release
	Back              bool
	// From and To are what it was and is, as far as they are known.
	From, To string
	// Flag is the key of a flag, Callee the number of who is called, and Operation that of what is asked for more often.
	Flag              string
	Callee, Operation uint32
	// Share is that of a flag's evaluations which To has, of the requests which the operation has, or of the spans which the
	// release had in its first ten seconds; Before what it was, except of a release. Both are from 0 to 1.
	Share, Before float64
	// Of are how many there are and Many how many of them are concerned: instances, or requests now, where Of is how many
	// there were at most.
	Many, Of float64
}

// entry is a change in the book.
type entry struct {
	Change
	// flag writes itself on for a while, where the change is of one.
	flag *flag.Change
	// known is when a release was told from what served before; told says that it is no longer measured.
	known int64
	told  bool
	// served is how many spans of the service were of the release since then, all how many there were.
	served, all float64
}

// released is the change from one release to another one that served at a time: of the version, or if that is missing or the
// same, of the revision.
func released(service uint32, is, was Release, at int64) *entry {
	e := &entry{Change: Change{Kind: Version, Service: service, At: at, Release: is, Previous: was}}
	if is.Version == was.Version || (is.Version == "" || was.Version == "") && is.Revision != "" && was.Revision != "" {
		e.Kind, e.From, e.To = Revision, was.Revision, is.Revision
	} else {
		e.From, e.To = cmp.Or(was.Version, was.Revision), cmp.Or(is.Version, is.Revision)
	}
	return e
}

// seen is the change as it is by now.
func (e *entry) seen() Change {
	c := e.Change
	if f := e.flag; f != nil {
		c.Flag = names.Clean(f.Key)
		c.To, c.From = names.Clean(f.Variant.String()), names.Clean(f.Previous.String())
		c.Share, c.Before = f.Share, f.Before
		if f.Kind == flag.Rules {
			c.To, c.From = names.Clean(f.Version), names.Clean(f.PreviousVersion)
		}
	}
	if e.all > 0 {
		c.Share = e.served / e.all
	}
	return c
}
