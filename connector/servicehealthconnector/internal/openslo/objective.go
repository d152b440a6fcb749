package openslo

import (
	"strconv"
	"time"
)

// Objective is one promise about one service: over Window, at least Target of the events that Indicator finds are good.
type Objective struct {
	// Name is unique among all that were loaded together.
	Name string
	// Service is whose promise it is.
	Service Service
	// DisplayName and Description are for people; both may be empty.
	DisplayName string
	Description string
	// Target is the share of good events, from 0 up to but not including 1, with at most nine decimals.
	Target float64
	// Window is the time over which the error budget counts.
	Window time.Duration
	// Calendar aligns the windows; nil if they roll. Window then is how long one typically is.
	Calendar *Calendar
	// Slices judges stretches of time in place of events, unless its length is 0.
	Slices Slices
	// Exclude is an OTTL condition of items that are not to count at all, neither as good nor as bad.
	Exclude Expression
	// Maintenance are times that do not count, neither as good nor as bad nor as unmeasured, in their order.
	Maintenance []Interval
	// LeastEvents is how many events the long window of an alert must have before it can start; 0 is no such guard.
	LeastEvents uint64
	// Indicator says which events count and which of them are good.
	Indicator Indicator
	// GroupBy are the attributes by whose values the objective is kept apart; at most MaxGroupBy, usually none.
	GroupBy []string
	// Conditions say when the budget burns too fast. There is at least one.
	Conditions []Alert
	// Runbook is an http(s) link, or empty.
	Runbook string
	// Source is where the objective is written.
	Source Source
}

// MaxGroupBy is how many attributes may keep an objective's groups apart. Each group costs memory for every window, so
// that more than a few attributes multiply to a number that nobody watches.
const MaxGroupBy = 4

// Slices are stretches of time, one after the other from the epoch on.
type Slices struct {
	// Length of each, a whole number of seconds; 0 if the objective counts events.
	Length time.Duration
	// Target is the share of good events that makes a slice good (Timeslices).
	Target float64
	// Ratio says that each slice counts with its share of good events, so that all with traffic weigh the same (RatioTimeslices).
	Ratio bool
}

// Service names whose telemetry is meant.
type Service struct {
	// Namespace is service.namespace; empty means any.
	Namespace string
	// Name is service.name.
	Name string
}

// String is namespace/name, or the name alone.
func (s Service) String() string {
	if s.Namespace == "" {
		return s.Name
	}
	return s.Namespace + "/" + s.Name
}

// Signal is a kind of telemetry.
type Signal string

// The signals that an indicator can look at.
const (
	Traces  Signal = "traces"
	Metrics Signal = "metrics"
	Logs    Signal = "logs"
)

// Operator compares a measured value (left) with the one of the document (right).
type Operator string

// The operators of the OpenSLO specification.
const (
	LessThan       Operator = "lt"
	LessOrEqual    Operator = "lte"
	GreaterThan    Operator = "gt"
	GreaterOrEqual Operator = "gte"
)

// Indicator says which items of telemetry are events of an objective, and which of them are good: either by a Good or
// a Bad expression that is asked of the items in Total, or by comparing Value with Threshold.
type Indicator struct {
	// Name of the SLI, for messages.
	Name string
	// Signal is what an item is: a span, a data point or a log record.
	Signal Signal
	// Service is whose telemetry is looked at; usually, but not always, the objective's own service.
	Service Service
	// Total is the OTTL condition of the items that count; without text every item does.
	Total Expression
	// Good or Bad is an OTTL condition; exactly one has a text, unless there is an Op, or Raw has one.
	Good, Bad Expression
	// Raw is an OTTL value expression of a share, from 0 to 1, that was computed elsewhere: of what is good or, if RawIsBad, of
	// what is bad.
	Raw      Expression
	RawIsBad bool
	// Value is an OTTL value expression; the item is good if Value Op Threshold. It is without text where a point's own value,
	// or what a histogram has observed, is to be compared.
	Value Expression
	// Op and Threshold say which values are good; without Op it is Good, Bad or Raw that says so. The threshold of a value that is
	// a duration is in seconds.
	Op        Operator
	Threshold float64
}

// Expression is OTTL text and where it is written. It is absent if Text is empty.
type Expression struct {
	Text   string
	Source Source
}

// Alert says that the budget burns too fast: at BurnRate or above over Long and over Short, for After.
type Alert struct {
	// Name is the condition's name; it is empty for the default pairs.
	Name string
	// Severity is the condition's own word, such as page or ticket.
	Severity string
	// Long and Short are the two windows; they are equal if the condition has one window only.
	Long, Short time.Duration
	// BurnRate is a multiple of the rate that would use up the budget in exactly the objective's window. It has at most
	// six decimals, and an outage of everything can reach it.
	BurnRate float64
	// Above is true if the rate must be above BurnRate (op gt), false if BurnRate itself is enough (gte).
	Above bool
	// After is how long both windows must burn before the alert fires.
	After time.Duration
	// LeastEvents takes the place of the objective's, unless it is 0.
	LeastEvents uint64
	// AnnounceResolved is false if the policy asks for silence at the end (alertWhenResolved: false).
	AnnounceResolved bool
	// AnnounceNoData is true if the policy asks to be told when nothing is measured any more (alertWhenNoData: true).
	AnnounceNoData bool
	// Runbook is an http(s) link, or empty.
	Runbook string
	// Targets are whom the policy wants to be told.
	Targets []Target
	// Source is where the condition is written, or the SLO for the default pairs.
	Source Source
}

// Target is an alert notification target. Delivery is the business of who receives the events; they carry it along.
type Target struct {
	// Name of the document.
	Name string
	// Kind is the word that the document has for the way to tell: email, slack, …
	Kind string
	// Description is for people.
	Description string
}

// Source is a place in a document.
type Source struct {
	// File is a path, or slo.documents[n] for the n-th inline document.
	File string
	// Line counts from 1; 0 means that the line is not known, as for inline documents that are not text.
	Line int
	// Key is the path of keys inside the document, such as spec.objectives[0].target.
	Key string
}

// String is file:line, as compilers write it.
func (s Source) String() string {
	if s.Line == 0 {
		return s.File
	}
	return s.File + ":" + strconv.Itoa(s.Line)
}
