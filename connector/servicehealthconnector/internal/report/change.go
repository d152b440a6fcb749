package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

// ChangeKind is what kind of change came before something. The kinds are values of change.kind.
type ChangeKind string

// The kinds.
const (
	// VersionChange and RevisionChange are another version of a service, or another revision of its source.
	VersionChange  ChangeKind = "version"
	RevisionChange ChangeKind = "revision"
	// ConfigurationChange is a rollout of the same version.
	ConfigurationChange ChangeKind = "configuration"
	// FlagChange is a feature flag that is evaluated to something else.
	FlagChange ChangeKind = "feature_flag"
	// FlagRulesChange is another version of the rules of a feature flag.
	FlagRulesChange ChangeKind = "feature_flag.rules"
	// FlagFirst is a feature flag that was not evaluated before.
	FlagFirst ChangeKind = "feature_flag.first"
	// RestartChange is that instances of a service were replaced.
	RestartChange ChangeKind = "restart"
	// DependencyChange is that a service calls another one for the first time.
	DependencyChange ChangeKind = "dependency"
	// TrafficChange is that many more requests come to a service than did in the hour before.
	TrafficChange ChangeKind = "traffic"
	// MixChange is that many more of the requests to a service are for one operation than were in the hour before.
	MixChange ChangeKind = "traffic.mix"
)

// IsMade says whether such a change is one that people make. The others may be, and may also be what trouble makes.
func (k ChangeKind) IsMade() bool {
	switch k {
	case VersionChange, RevisionChange, ConfigurationChange, FlagChange, FlagRulesChange:
		return true
	default:
		return false
	}
}

// Change is what changed before something: an association, and no proof.
type Change struct {
	Kind    ChangeKind
	Service names.Entity
	At      time.Time
	// Subject is what of the service has changed: a flag, who is called, or an operation.
	Subject string
	// From and To are what it was and is, as far as they are known.
	From, To string
	// Share is the share of a flag's evaluations that To has, or of the requests that the operation has, and Before what it
	// was; both from 0 to 1.
	Share, Before float64
	// Of are how many there are and Many how many of them are concerned: instances, or requests now, where Of is how many
	// there were.
	Many, Of float64
}

// aside is from how long before on a change is not just before.
const aside = time.Minute

// when says how long before an onset the change was.
func (c *Change) when(onset time.Time) string {
	before := onset.Sub(c.At)
	if before <= aside {
		return "Just before"
	}
	return fmt.Sprintf("%.0f min before", before.Minutes())
}

// whole is the share from which on a flag has one variant.
const whole = 0.95

// what says what has changed.
func (c *Change) what() string {
	service := c.Service.Name
	from := cmp.Or(c.From, "unknown")
	switch c.Kind {
	case ConfigurationChange:
		return fmt.Sprintf("%s was rolled out anew in the same version (%s in place of %s)", service, c.To, from)
	case FlagFirst:
		return fmt.Sprintf("%s evaluated flag %s for the first time, to %s", service, c.Subject, c.To)
	case FlagRulesChange:
		return fmt.Sprintf("flag %s of %s got other rules, version %s in place of %s", c.Subject, service, c.To, from)
	case FlagChange:
		if c.Share >= whole && c.Before <= 1-whole {
			return fmt.Sprintf("flag %s of %s went from %s to %s", c.Subject, service, from, c.To)
		}
		return fmt.Sprintf("flag %s of %s came to be %s in %s of its evaluations (before: %s)",
			c.Subject, service, c.To, percent(c.Share), percent(c.Before))
	case RestartChange:
		switch {
		case c.Many >= c.Of:
			return service + " was restarted"
		case c.Many == 1:
			return fmt.Sprintf("1 of %.0f instances of %s was replaced", c.Of, service)
		default:
			return fmt.Sprintf("%.0f of %.0f instances of %s were replaced", c.Many, c.Of, service)
		}
	case DependencyChange:
		return fmt.Sprintf("%s called %s for the first time", service, c.Subject)
	case TrafficChange:
		return fmt.Sprintf("requests to %s rose to %s in ten seconds (in the hour before: at most %s)",
			service, figure(c.Many), figure(c.Of))
	case MixChange:
		return fmt.Sprintf("%s came to be %s of the requests to %s (in the hour before: at most %s)",
			c.Subject, percent(c.Share), service, percent(c.Before))
	default:
		return fmt.Sprintf("%s changed from %s %s to %s", service, c.Kind, from, c.To)
	}
}

// writeChange adds a sentence about what changed before an onset.
func writeChange(b *strings.Builder, c *Change, onset time.Time) {
	if c != nil {
		fmt.Fprintf(b, " %s, %s.", c.when(onset), c.what())
	}
}

func putChange(a pcommon.Map, c *Change) {
	if c == nil {
		return
	}
	a.PutStr("change.kind", string(c.Kind))
	a.PutStr("change.service.name", c.Service.Name)
	a.PutStr("change.time", clock(c.At))
	putUnlessEmpty(a, "change.subject", c.Subject)
	putUnlessEmpty(a, "change.from", c.From)
	putUnlessEmpty(a, "change.to", c.To)
}
