package sli

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
	"github.com/throughline-otel/throughline/internal/service"
)

// Who is not asked about a span would have said that it is no event.
func TestWhoIsNotAskedHasNothingToSay(t *testing.T) {
	var objectives []openslo.Objective
	for _, text := range append(plainly, others...) {
		objectives = append(objectives, objective(text, openslo.Indicator{Total: expression(text), Good: expression("true")}))
	}
	b := compiled(t, objectives...)
	left := 0
	for _, tctx := range mixed(t) {
		for kind := range ptrace.SpanKind(8) {
			for status := range ptrace.StatusCode(4) {
				span := tctx.GetSpan()
				span.SetKind(kind)
				span.Status().SetCode(status)
				asked := map[*Span]bool{}
				for _, s := range b.Asked(front).Of(span) {
					asked[s] = true
				}
				for _, s := range b.Spans(front) {
					if asked[s] {
						continue
					}
					left++
					verdict, err := s.Judge(t.Context(), tctx)
					assert.NoError(t, err)
					assert.False(t, verdict.Relevant, objectives[s.objective].Name)
				}
			}
		}
	}
	assert.Positive(t, left)
	assert.Nil(t, b.Asked(service.Identity{Name: "nobody"}).Of(ptrace.NewSpan()))
}
