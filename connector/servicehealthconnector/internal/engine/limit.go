package engine

import (
	"path"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/dependency"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/health"
	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

// Limit is what somebody set for the dependencies that match its patterns. Patterns are those of path.Match; an empty one matches
// all.
type Limit struct {
	health.Limit
	Caller, Callee, Type string
}

func (l *Limit) applies(edge dependency.Edge, table *names.Table) bool {
	if edge.Caller == names.None {
		return false
	}
	return matches(l.Caller, table.EntityOf(edge.Caller).String()) && matches(l.Callee, table.EntityOf(edge.Callee).String()) &&
		matches(l.Type, edge.Type.String())
}

// matches takes a pattern that was validated.
func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
