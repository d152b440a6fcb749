package fleet

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/blame"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/report"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/sli"
	"github.com/throughline-otel/throughline/internal/layer"
	"github.com/throughline-otel/throughline/internal/service"
)

// Outcome is what became of the events that a series counts.
type Outcome uint8

// The outcomes. Blamed events are bad ones that are counted once more, by their culprit.
const (
	Good Outcome = iota
	Bad
	Blamed
)

// Series is what tells a sum from the others of a gateway.
type Series struct {
	Objective, Group uint32
	Outcome          Outcome
	// Culprit and Relation are those of blamed events.
	Culprit  blame.Culprit
	Relation report.Relation
}

// kind is which metric a series is of.
type kind uint8

const (
	events kind = iota
	blamed
)

func kindOf(metric string) (kind, bool) {
	switch metric {
	case report.EventsName:
		return events, true
	case report.BlamedName:
		return blamed, true
	default:
		return 0, false
	}
}

// resolver knows the series of our objectives by their attributes.
type resolver struct {
	objectives []openslo.Objective
	binder     *sli.Binder
	names      *names.Table
	// numbers are those of the objectives by their names, which are unique, and services the names of their services.
	numbers  map[string]uint32
	services []string
	// culprits spares looking again for who was found before.
	culprits map[culprit]uint32
}

type culprit struct {
	name  string
	layer layer.Layer
	// owner is one more than the number of the objective whose own service it is.
	owner uint32
}

// maxCulprits bounds what is spared.
const maxCulprits = 4096

func newResolver(s Settings) resolver {
	r := resolver{names: s.Names}
	r.adopt(s.Objectives, s.Binder)
	return r
}

// adopt makes objectives by their numbers the present ones. Those without a name are numbers that nothing has.
func (r *resolver) adopt(objectives []openslo.Objective, binder *sli.Binder) {
	r.objectives, r.binder = objectives, binder
	r.numbers, r.services, r.culprits = map[string]uint32{}, nil, map[culprit]uint32{}
	for i := range objectives {
		if objectives[i].Name != "" {
			r.numbers[objectives[i].Name] = uint32(i) // nobody has four billion objectives
		}
		r.services = append(r.services, objectives[i].Service.String())
	}
}

// resolve is false for what is no series of our objectives.
func (r *resolver) resolve(k kind, a pcommon.Map) (Series, bool) {
	objective, known := r.numbers[text(a, "slo.name")]
	if !known || text(a, "slo.service") != r.services[objective] {
		return Series{}, false
	}
	s := Series{Objective: objective, Group: r.binder.GroupOf(objective, a)}
	if k == blamed {
		return s, r.blame(&s, a)
	}
	switch text(a, "outcome") {
	case "good":
		s.Outcome = Good
	case "bad":
		s.Outcome = Bad
	default:
		return Series{}, false
	}
	return s, true
}

func (r *resolver) blame(s *Series, a pcommon.Map) bool {
	s.Outcome = Blamed
	reason, known := blame.ParseReason(text(a, "culprit.reason"))
	if !known {
		return false
	}
	if s.Relation, known = report.ParseRelation(text(a, "culprit.relation")); !known {
		return false
	}
	in, _ := layer.Parse(text(a, "culprit.layer"))
	s.Culprit = blame.Culprit{Entity: r.entity(s.Objective, text(a, "culprit.service.name"), in, s.Relation), Layer: in, Reason: reason}
	return true
}

// entity is a culprit by its name. The points do not say whether it is a peer; who sends no telemetry is somebody else's, or stores.
func (r *resolver) entity(objective uint32, name string, in layer.Layer, relation report.Relation) uint32 {
	c := culprit{name: name, layer: in}
	if relation == report.Own {
		c.owner = objective + 1
	}
	if number, known := r.culprits[c]; known {
		return number
	}
	e := names.Entity{
		Identity: service.Identity{Name: name}, Layer: in,
		Peer: in == layer.External || in == layer.Data || in == layer.Messaging,
	}
	if relation == report.Own {
		e.Namespace, e.Peer = r.objectives[objective].Service.Namespace, false
	}
	if len(r.culprits) >= maxCulprits {
		clear(r.culprits)
	}
	c.name = strings.Clone(name)
	r.culprits[c] = r.names.Entity(e)
	return r.culprits[c]
}
