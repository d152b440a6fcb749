package report

import (
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/evidence"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/gauge"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

// Deviation is what somebody does otherwise than usual.
type Deviation struct {
	Kind evidence.Kind
	// Operation is where it was seen; What the operation, the peer or the records that it is about.
	Operation, What string
	// Share is the share of its runs now, or of their time where it is slow; Usual is what it used to be under the same circumstances.
	Share, Usual float64
	// Least is how often it happens at least each time.
	Least int
	// Alone says that shares are those of moments of two seconds, since its records name no request.
	Alone bool
}

// String is a phrase that can be checked.
func (d Deviation) String() string {
	switch {
	case d.Alone:
		d.Operation = "all spells of two seconds"
	case d.Operation == "":
		d.Operation = "its requests"
	}
	shares := fmt.Sprintf("in %s of %s (usually %s)", percent(d.Share), d.Operation, percent(d.Usual))
	if d.Least > 1 {
		shares = fmt.Sprintf("at least %d times %s", d.Least, shares)
	}
	switch d.Kind {
	case evidence.Slow:
		return fmt.Sprintf("works longer than usual in %s: %s of the time of its requests", d.Operation, percent(d.Share))
	case evidence.Gap:
		return fmt.Sprintf("time is lost on the way to %s in %s: %s of the time of its requests", d.What, d.Operation, percent(d.Share))
	case evidence.Call:
		return "runs " + d.What + " " + shares
	case evidence.Last:
		if d.What == "" {
			return "calls nobody " + shares
		}
		return "ends after " + d.What + " " + shares
	case evidence.Record:
		return fmt.Sprintf("logs %q %s", d.What, shares)
	case evidence.Errors:
		return "fails of itself " + shares
	case evidence.ErrorRecords:
		return "logs errors " + shares
	default:
		return "logs warnings " + shares
	}
}

// strain says what stands out of where a suspect runs, so that a person can check it.
func strain(s *gauge.Strain) string {
	if s.Name == "" {
		return ""
	}
	most, unit := "most", ""
	if s.Falls {
		most = "least"
	}
	if s.Rate {
		unit = " a second"
	}
	since := time.Unix(0, s.Since).UTC().Format("15:04:05")
	return fmt.Sprintf("; %s at %.3g%s, before at %s %.3g, since %s", s.Name, s.Value, unit, most, s.Before, since)
}

// Suspected is a service that does otherwise than usual, and is likely to be where trouble began.
type Suspected struct {
	Service    names.Entity
	Onset, Now time.Time
	Suspects   []Suspect
	Change     *Change
}

// Suspected announces a suspect.
func (e *Events) Suspected(s Suspected) {
	s.Suspects = s.Suspects[:min(len(s.Suspects), maxSuspects)]
	var b strings.Builder
	fmt.Fprintf(&b, "%s is suspect: %s", s.Service.Name, phrase(s.Suspects[0]))
	if len(s.Suspects) > 1 {
		fmt.Fprintf(&b, "; less likely it is %s: %s", s.Suspects[1].Name, phrase(s.Suspects[1]))
	}
	b.WriteString(".")
	writeChange(&b, s.Change, s.Onset)
	a := e.add("service.suspected", s.Now, plog.SeverityNumberWarn, b.String())
	a.PutStr("service.name", s.Service.Name)
	putUnlessEmpty(a, "service.namespace", s.Service.Namespace)
	a.PutStr("suspicion.onset", clock(s.Onset))
	putSuspects(a, s.Suspects)
	putChange(a, s.Change)
}
