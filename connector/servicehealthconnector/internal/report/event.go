// Package report puts what the engine found into OpenTelemetry's forms: metrics and events.
package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/change"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/gauge"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/health"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/internal/layer"
)

// maxSuspects bounds the suspects that an event carries.
const maxSuspects = 5

// Objective is what is said of an objective and one group of its events.
type Objective struct {
	Name, Service string
	// Group holds the grouping attributes.
	Group []Attribute
}

// Attribute is a key and its value.
type Attribute struct{ Key, Value string }

// Suspect is a service or peer that bad events began in.
type Suspect struct {
	Name string
	// Own says that it is the objective's own service.
	Own bool
	// Peer says that it sends no telemetry of its own.
	Peer      bool
	Layer     layer.Layer
	Reason    blame.Reason
	Operation string
	// Share is the share of the bad events that began there, and Score how likely it is by all that is known, both from 0 to 1.
	Share, Score float64
	Since        time.Time
	// Seen is what it does otherwise than usual, if the suspicion comes from that.
	Seen Deviation
	// Strain is what stands out of where it runs, if anything does.
	Strain gauge.Strain
}

// Started is a burn that begins to be announced.
type Started struct {
	Objective
	Severity            string
	Target              float64
	Long, Short         time.Duration
	LongRate, ShortRate float64
	// OfOne is the burn rate over the long window that one event makes alone; 0 if that says nothing.
	OfOne      float64
	Remaining  float64
	Exhaustion float64 // seconds; +Inf where the budget will not be gone
	Onset, Now time.Time
	Suspects   []Suspect
	// Learning says that what is usual is not known yet.
	Learning bool
	Change   *Change
	Traces   []pcommon.TraceID
	Runbook  string
	Targets  []Target
}

// Target is whom the objective's policies want to be told. To tell them is up to whoever receives the event.
type Target struct{ Name, Kind string }

// Resolved is a burn that is over.
type Resolved struct {
	Objective
	Severity  string
	Remaining float64
	// Known says that there is any data in the objective's window.
	Known         bool
	Interruptions uint64
	Onset, Now    time.Time
	// Withdrawn says that nobody looks at the burn any more, since its document was changed.
	Withdrawn bool
	Targets   []Target
}

// NoData says that nothing is measured any more, or again.
type NoData struct {
	Objective
	Severity string
	Back     bool
	// Withdrawn says that nobody looks any more whether it is back, since its document was changed.
	Withdrawn bool
	Runbook   string
	Targets   []Target
	// Last is when the last event was, before there were no more.
	Last, Now time.Time
}

// Events collects log records.
type Events struct {
	logs    plog.Logs
	records plog.LogRecordSlice
}

// NewEvents returns an empty collection. scope is the emitter's name, version its version.
func NewEvents(scope, version string) *Events {
	logs := plog.NewLogs()
	sl := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	sl.Scope().SetName(scope)
	sl.Scope().SetVersion(version)
	return &Events{logs: logs, records: sl.LogRecords()}
}

// Logs returns what was collected.
func (e *Events) Logs() plog.Logs { return e.logs }

// Len is the number of events collected.
func (e *Events) Len() int { return e.records.Len() }

func (e *Events) add(name string, at time.Time, severity plog.SeverityNumber, body string) pcommon.Map {
	r := e.records.AppendEmpty()
	r.SetEventName(name)
	r.SetTimestamp(pcommon.NewTimestampFromTime(at))
	r.SetObservedTimestamp(r.Timestamp())
	r.SetSeverityNumber(severity)
	r.SetSeverityText(severity.String())
	r.Body().SetStr(body)
	return r.Attributes()
}

// Discovered says that an edge was seen for the first time.
func (e *Events) Discovered(at time.Time, edge dependency.Edge, table *names.Table) {
	a := e.add("dependency.discovered", at, plog.SeverityNumberInfo,
		fmt.Sprintf("%s depends on %s (%s).", table.EntityOf(edge.Caller).Name, table.EntityOf(edge.Callee).Name, edge.Type))
	putEdge(a, edge, table)
	source := table.SourceOf(edge.Callee)
	a.PutStr("callee.source", source.String())
	a.PutDouble("callee.confidence", source.Confidence())
}

// Changed is a dependency, or without a caller a service, that came into another state.
type Changed struct {
	dependency.Edge
	State, Previous health.State
	Reason          health.Reason
	Origin          Origin
	Onset, Now      time.Time
	// Share is the share of calls that fail or are slow, and Past what it used to be or, if Limited, what a limit allows; Slow is from
	// when on a call is slow.
	Share, Past float64
	Limited     bool
	Slow        time.Duration
	Suspects    []Suspect
	// Learning says that what is usual is not known yet.
	Learning bool
	Change   *Change
	Traces   []pcommon.TraceID
}

// isTrouble says whether somebody should look at it.
func (c *Changed) isTrouble() bool { return c.State.IsBad() || c.Reason == health.Silence }

// StateChanged announces that a dependency is in another state.
func (e *Events) StateChanged(c Changed, table *names.Table) {
	c.Suspects = c.Suspects[:min(len(c.Suspects), maxSuspects)]
	severity := plog.SeverityNumberInfo
	switch {
	case c.State == health.Failing:
		severity = plog.SeverityNumberError
	case c.isTrouble():
		severity = plog.SeverityNumberWarn
	}
	a := e.add("dependency.state_changed", c.Now, severity, c.sentence(table))
	putEdge(a, c.Edge, table)
	a.PutStr("state", c.State.String())
	a.PutStr("previous_state", c.Previous.String())
	putUnlessEmpty(a, "reason", c.Reason.String())
	putUnlessEmpty(a, "origin", string(c.Origin))
	if !c.isTrouble() {
		return
	}
	a.PutStr("dependency.onset", clock(c.Onset))
	if c.Reason != health.Silence {
		a.PutDouble("dependency.bad_share", c.Share)
		if c.Limited {
			a.PutDouble("dependency.allowed_bad_share", c.Past)
		} else {
			a.PutDouble("dependency.past_bad_share", c.Past)
		}
	}
	putSuspects(a, c.Suspects)
	putLearning(a, c.Learning)
	putChange(a, c.Change)
	putTraces(a, "dependency.bad_calls.trace_ids", c.Traces)
}

// sentence says how the dependency is, and who is to be asked.
func (c *Changed) sentence(table *names.Table) string {
	callee := table.EntityOf(c.Callee).Name
	what := "Calls from " + table.EntityOf(c.Caller).Name + " to " + callee
	if c.Caller == names.None {
		what = "Requests to " + callee
	}
	switch {
	case c.State == health.Unknown && !c.isTrouble():
		return fmt.Sprintf("%s have become too few to say how they are; when last seen, they were %s.", what, c.Previous)
	case !c.isTrouble():
		return what + " are as they used to be."
	}
	since := c.Onset.UTC().Format("15:04:05")
	var b strings.Builder
	switch c.Reason {
	case health.Silence:
		fmt.Fprintf(&b, "%s have stopped coming, since %s.", what, since)
		return b.String()
	case health.Latency:
		fmt.Fprintf(&b, "%s are slow: %s take longer than %s (%s), since %s", what, percent(c.Share), rough(c.Slow), c.measure(), since)
	default:
		fmt.Fprintf(&b, "%s fail: %s of them (%s), since %s", what, percent(c.Share), c.measure(), since)
	}
	if len(c.Suspects) > 0 {
		fmt.Fprintf(&b, "; the likely cause is %s (%s): %s", c.Suspects[0].Name, c.Suspects[0].Layer, phrase(c.Suspects[0]))
	}
	b.WriteString(".")
	writeChange(&b, c.Change, c.Onset)
	return b.String()
}

// measure is what the share of bad calls is compared with.
func (c *Changed) measure() string {
	if c.Limited {
		return "the limit: " + percent(c.Past)
	}
	return "before: " + percent(c.Past)
}

// rough writes a duration with two digits.
func rough(d time.Duration) string {
	for unit := time.Second; unit >= time.Microsecond; unit /= 10 {
		if d >= unit {
			return d.Round(unit / 10).String()
		}
	}
	return d.String()
}

// VersionChanged says that a version serves for the first time or again, and which share of the service's traffic it had while
// that was measured. The event's time is when it first did, and that at which it was observed is now.
func (e *Events) VersionChanged(c *change.Change, table *names.Table, now time.Time) {
	service := table.EntityOf(c.Service)
	a := e.add("service.version_changed", time.Unix(0, c.At), plog.SeverityNumberInfo,
		fmt.Sprintf("%s now serves %s %s with %s of its traffic; before, it was %s.",
			service.Name, c.Kind, c.To, percent(c.Share), cmp.Or(c.From, "unknown")))
	e.records.At(e.records.Len() - 1).SetObservedTimestamp(pcommon.NewTimestampFromTime(now))
	a.PutStr("service.name", service.Name)
	putUnlessEmpty(a, "service.namespace", service.Namespace)
	putUnlessEmpty(a, "service.version", c.Release.Version)
	putUnlessEmpty(a, "service.previous_version", c.Previous.Version)
	putUnlessEmpty(a, "vcs.ref.head.revision", c.Release.Revision)
	putUnlessEmpty(a, "vcs.ref.head.previous_revision", c.Previous.Revision)
	a.PutDouble("service.version.traffic_share", c.Share)
}

// BurnStarted announces a burn.
func (e *Events) BurnStarted(s Started) {
	s.Suspects = s.Suspects[:min(len(s.Suspects), maxSuspects)]
	severity := plog.SeverityNumberWarn
	if s.Severity == "page" {
		severity = plog.SeverityNumberError
	}
	a := e.add("slo.burn.started", s.Now, severity, sentence(s))
	putObjective(a, s.Objective)
	a.PutStr("severity", s.Severity)
	a.PutDouble("slo.objective", s.Target)
	a.PutStr("slo.burn.onset", clock(s.Onset))
	a.PutDouble("slo.burn.detection_delay", s.Now.Sub(s.Onset).Seconds())
	a.PutStr("slo.burn.long_window", Window(s.Long))
	a.PutStr("slo.burn.short_window", Window(s.Short))
	a.PutDouble("slo.burn.long_rate", s.LongRate)
	a.PutDouble("slo.burn.short_rate", s.ShortRate)
	if s.OfOne > 0 {
		a.PutDouble("slo.burn.of_one_event", s.OfOne)
	}
	a.PutDouble("slo.error_budget.remaining", s.Remaining)
	if !math.IsInf(s.Exhaustion, 0) {
		a.PutDouble("slo.error_budget.exhaustion", s.Exhaustion)
	}
	putSuspects(a, s.Suspects)
	putLearning(a, s.Learning)
	putChange(a, s.Change)
	putTraces(a, "slo.bad_events.trace_ids", s.Traces)
	putTargets(a, s.Targets)
	putUnlessEmpty(a, "url.runbook", s.Runbook)
}

// BurnResolved says that a burn is over.
func (e *Events) BurnResolved(r Resolved) {
	var b strings.Builder
	form := "%s of %s has stopped burning after %s"
	if r.Withdrawn {
		form = "%s of %s is defined in another way now, or no more, and whether it still burns is not known; it did for %s"
	}
	fmt.Fprintf(&b, form, r.Name, r.Service, round(r.Now.Sub(r.Onset)))
	switch r.Interruptions {
	case 0:
	case 1:
		b.WriteString(" with one interruption")
	default:
		fmt.Fprintf(&b, " with %d interruptions", r.Interruptions)
	}
	if r.Known {
		b.WriteString("; " + budget(r.Remaining))
	}
	b.WriteString(".")
	a := e.add("slo.burn.resolved", r.Now, plog.SeverityNumberInfo, b.String())
	putObjective(a, r.Objective)
	a.PutStr("severity", r.Severity)
	a.PutStr("slo.burn.onset", clock(r.Onset))
	a.PutDouble("slo.burn.duration", r.Now.Sub(r.Onset).Seconds())
	a.PutInt("slo.burn.interruptions", int64(r.Interruptions))
	putTargets(a, r.Targets)
	if r.Withdrawn {
		a.PutBool("slo.burn.withdrawn", true)
	}
	if r.Known {
		a.PutDouble("slo.error_budget.remaining", r.Remaining)
	}
}

// NoData says that nothing is measured any more, or again.
func (e *Events) NoData(n NoData) {
	name, severity := "slo.no_data.started", plog.SeverityNumberWarn
	body := fmt.Sprintf("Of %s of %s nothing is measured any more, since %s: nobody knows how it is, and its alerts stand still.",
		n.Name, n.Service, n.Last.UTC().Format("15:04:05"))
	if n.Back {
		name, severity = "slo.no_data.resolved", plog.SeverityNumberInfo
		form := "%s of %s is measured again, after %s without any data."
		if n.Withdrawn {
			form = "%s of %s is defined in another way now, or no more; nothing was measured of it for %s."
		}
		body = fmt.Sprintf(form, n.Name, n.Service, round(n.Now.Sub(n.Last)))
	}
	a := e.add(name, n.Now, severity, body)
	putObjective(a, n.Objective)
	a.PutStr("severity", n.Severity)
	a.PutStr("slo.no_data.onset", clock(n.Last))
	putTargets(a, n.Targets)
	if n.Back {
		a.PutDouble("slo.no_data.duration", n.Now.Sub(n.Last).Seconds())
		if n.Withdrawn {
			a.PutBool("slo.no_data.withdrawn", true)
		}
	} else {
		putUnlessEmpty(a, "url.runbook", n.Runbook)
	}
}

// sentence says whose burn it is, the way one tells a colleague who has just been woken up.
func sentence(s Started) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s burns its error budget %s times faster than its objective of %s allows, since %s",
		s.Name, s.Service, figure(s.LongRate), percent(s.Target), s.Onset.UTC().Format("15:04:05"))
	if len(s.Suspects) == 0 {
		b.WriteString("; where it began cannot be told.")
		return b.String()
	}
	first := s.Suspects[0]
	whose := "the likely cause is " + first.Name
	if first.Own && first.Layer != layer.Platform {
		whose = "it began in " + first.Name + " itself"
	}
	fmt.Fprintf(&b, "; %s (%s): %s.", whose, first.Layer, phrase(first))
	writeChange(&b, s.Change, s.Onset)
	switch {
	case s.Remaining <= 0:
		b.WriteString(" The error budget is gone.")
	case !math.IsInf(s.Exhaustion, 0):
		fmt.Fprintf(&b, " At this rate the error budget is gone in %s.", round(time.Duration(s.Exhaustion*float64(time.Second))))
	}
	return b.String()
}

// phrase says what was seen of a suspect, so that a person can check it.
func phrase(s Suspect) string {
	if s.Seen != (Deviation{}) {
		return s.Seen.String() + ", since " + s.Since.UTC().Format("15:04:05") + strain(&s.Strain)
	}
	if s.Operation == "" {
		return fmt.Sprintf("the bad calls end at it, and say no more, since %s", s.Since.UTC().Format("15:04:05"))
	}
	return fmt.Sprintf("%s of the bad events %s, since %s", percent(s.Share), seen(s), s.Since.UTC().Format("15:04:05"))
}

func seen(s Suspect) string {
	switch {
	case s.Layer == layer.Platform && s.Reason == blame.Latency:
		return "lost most of their time on the way to it, between the two ends of " + s.Operation
	case s.Peer && s.Reason == blame.Latency:
		return "lost most of their time waiting for it, in " + s.Operation
	case s.Peer && s.Reason == blame.Timeout:
		return "waited for it in vain, in " + s.Operation
	case s.Peer:
		return "began with calls to it that failed, in " + s.Operation
	case s.Reason == blame.Latency:
		return "lost most of their time in " + s.Operation
	case s.Reason == blame.Timeout:
		return "waited in vain for " + s.Operation
	default:
		return "began with errors in " + s.Operation
	}
}

func putSuspects(a pcommon.Map, suspects []Suspect) {
	if len(suspects) == 0 {
		return
	}
	name, in := a.PutEmptySlice("suspects.service.name"), a.PutEmptySlice("suspects.layer")
	score, reason := a.PutEmptySlice("suspects.score"), a.PutEmptySlice("suspects.reason")
	for _, s := range suspects {
		name.AppendEmpty().SetStr(s.Name)
		in.AppendEmpty().SetStr(s.Layer.String())
		score.AppendEmpty().SetDouble(s.Score)
		reason.AppendEmpty().SetStr(phrase(s))
	}
}

// putLearning says that suspects are named by what went wrong alone, since nobody knows yet what is usual.
func putLearning(a pcommon.Map, learning bool) {
	if learning {
		a.PutBool("suspects.learning", true)
	}
}

func putTargets(a pcommon.Map, targets []Target) {
	if len(targets) == 0 {
		return
	}
	name, kind := a.PutEmptySlice("slo.notification_targets.name"), a.PutEmptySlice("slo.notification_targets.kind")
	for _, t := range targets {
		name.AppendEmpty().SetStr(t.Name)
		kind.AppendEmpty().SetStr(t.Kind)
	}
}

func putTraces(a pcommon.Map, key string, traces []pcommon.TraceID) {
	if len(traces) == 0 {
		return
	}
	ids := a.PutEmptySlice(key)
	for _, id := range traces {
		ids.AppendEmpty().SetStr(id.String())
	}
}

func putObjective(a pcommon.Map, o Objective) {
	a.PutStr("slo.name", o.Name)
	a.PutStr("slo.service", o.Service)
	for _, g := range o.Group {
		a.PutStr(g.Key, g.Value)
	}
}

// edgeKeys are the attributes of a dependency.
var edgeKeys = []string{
	"caller.service.name", "caller.service.namespace", "caller.deployment.environment.name", "caller.layer",
	"callee.service.name", "callee.service.namespace", "callee.deployment.environment.name", "callee.layer", "dependency.type",
}

// The prefixes of what the two sides of a dependency are called by.
const (
	callerPrefix = "caller."
	calleePrefix = "callee."
)

// MayBeDimension says whether an attribute, told of either side of a dependency, would not be one that the dependency has anyway.
func MayBeDimension(name string) bool {
	return !IsOfEdge(callerPrefix+name) && !IsOfEdge(calleePrefix+name)
}

// furtherKeys is how many attributes are told of an edge beside its own, for the most part.
const furtherKeys = 3

// EdgeKeys are the attributes that a dependency may have.
func EdgeKeys() []string { return slices.Clone(edgeKeys) }

// IsOfEdge says whether a dependency may have that attribute.
func IsOfEdge(key string) bool { return slices.Contains(edgeKeys, key) }

// EdgeAttributes are those that a dependency has in all that is told of it. Each is a text.
func EdgeAttributes(edge dependency.Edge, table *names.Table) pcommon.Map {
	a := pcommon.NewMap()
	putEdge(a, edge, table)
	return a
}

// putEdge names both sides. A service without a caller stands for itself.
func putEdge(a pcommon.Map, edge dependency.Edge, table *names.Table) {
	a.EnsureCapacity(len(edgeKeys) + furtherKeys)
	caller, callee := table.EntityOf(edge.Caller), table.EntityOf(edge.Callee)
	putUnlessEmpty(a, "caller.service.name", caller.Name)
	putUnlessEmpty(a, "caller.service.namespace", caller.Namespace)
	putUnlessEmpty(a, "caller.deployment.environment.name", caller.Environment)
	a.PutStr("callee.service.name", callee.Name)
	putUnlessEmpty(a, "callee.service.namespace", callee.Namespace)
	putUnlessEmpty(a, "callee.deployment.environment.name", callee.Environment)
	putUnlessEmpty(a, "caller.layer", caller.Layer.String())
	putUnlessEmpty(a, "callee.layer", calleeLayer(edge, callee).String())
	if edge.Caller != names.None {
		a.PutStr("dependency.type", edge.Type.String())
	}
}

// calleeLayer is the callee's; of callees beyond the bound, that which the type of the dependency says.
func calleeLayer(edge dependency.Edge, callee names.Entity) layer.Layer {
	if edge.Callee != names.Other {
		return callee.Layer
	}
	return map[dependency.Type]layer.Layer{
		dependency.RPC: layer.Application, dependency.Messaging: layer.Application, dependency.Database: layer.Data, dependency.External: layer.External,
	}[edge.Type]
}

func putUnlessEmpty(a pcommon.Map, key, value string) {
	if value != "" {
		a.PutStr(key, value)
	}
}

// Window writes a window as people do: 5m, 1h, 3d.
func Window(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return d.String()
	}
}

// budget says how much of an error budget is left.
func budget(remaining float64) string {
	if remaining < 0 {
		return "its error budget is overspent by " + percent(-remaining)
	}
	return percent(remaining) + " of its error budget is left"
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func percent(share float64) string { return figure(100*share) + " %" }

// figure writes a number with about three digits.
func figure(v float64) string {
	switch {
	case math.Abs(v) >= 99.95 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 1:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	default:
		return fmt.Sprintf("%.2g", v)
	}
}

func round(d time.Duration) time.Duration {
	switch {
	case d > 48*time.Hour:
		return d.Round(time.Hour)
	case d > time.Hour:
		return d.Round(time.Minute)
	default:
		return d.Round(time.Second)
	}
}
