package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/change"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

// Change is what changed before something: an association, and no proof.
type Change struct {
	Kind    change.Kind
	Service names.Entity
	At      time.Time
	// Subject is what of the service has changed: a flag, who is called, or an operation.
	Subject string
	// From and To are what it was and is, as far as they are known.
	From, To string
	// Back says that To served before From did.
	Back bool
	// Share is the share of a flag's evaluations that To has, or of the requests that the operation has, and Before what it
	// was; both from 0 to 1.
	Share, Before float64
	// Of are how many there are and Many how many of them are concerned: instances, or requests now, where Of is how many
	// there were.
	Many, Of float64
}

// NameChange gives a change the names that people know; nil stays nil.
func NameChange(c *change.Change, table *names.Table) *Change {
	if c == nil {
		return nil
	}
	named := &Change{
		Kind: c.Kind, Service: table.EntityOf(c.Service), At: time.Unix(0, c.At), Subject: c.Flag,
		From: c.From, To: c.To, Back: c.Back, Share: c.Share, Before: c.Before, Many: c.Many, Of: c.Of,
	}
	switch c.Kind {
	case change.Dependency:
		named.Subject = table.EntityOf(c.Callee).Name
	case change.Mix:
		named.Subject = table.OperationOf(c.Operation).Name
	}
	return named
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
	case change.Configuration:
		return fmt.Sprintf("%s was rolled out anew in the same version (%s in place of %s)", service, c.To, from)
	case change.FlagFirst:
		return fmt.Sprintf("%s evaluated flag %s for the first time, to %s", service, c.Subject, c.To)
	case change.FlagRules:
		return fmt.Sprintf("flag %s of %s got other rules, version %s in place of %s", c.Subject, service, c.To, from)
	case change.Flag:
		if c.Share >= whole && c.Before <= 1-whole {
			return fmt.Sprintf("flag %s of %s went from %s to %s", c.Subject, service, from, c.To)
		}
		return fmt.Sprintf("flag %s of %s came to be %s in %s of its evaluations (before: %s)",
			c.Subject, service, c.To, percent(c.Share), percent(c.Before))
	case change.Restart:
		switch {
		case c.Many >= c.Of:
			return service + " was restarted"
		case c.Many == 1:
			return fmt.Sprintf("1 of %.0f instances of %s was replaced", c.Of, service)
		default:
			return fmt.Sprintf("%.0f of %.0f instances of %s were replaced", c.Many, c.Of, service)
		}
	case change.Dependency:
		return fmt.Sprintf("%s called %s for the first time", service, c.Subject)
	case change.Traffic:
		return fmt.Sprintf("requests to %s rose to %s in ten seconds (in the hour before: at most %s)",
			service, figure(c.Many), figure(c.Of))
	case change.Mix:
		return fmt.Sprintf("%s came to be %s of the requests to %s (in the hour before: at most %s)",
			c.Subject, percent(c.Share), service, percent(c.Before))
	default:
		if c.Back {
			return fmt.Sprintf("%s went back from %s %s to %s", service, c.Kind, from, c.To)
		}
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
