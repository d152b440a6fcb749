package sli

import (
	"context"
	"fmt"
	"testing"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

// BenchmarkJudge asks twenty objectives of one service about one span.
func BenchmarkJudge(b *testing.B) {
	var objectives []openslo.Objective
	for i := range 20 {
		total := expression(fmt.Sprintf(`kind == SPAN_KIND_SERVER and (attributes["http.route"] == "/checkout" or attributes["n"] == %d)`, i))
		indicator := openslo.Indicator{Total: total, Good: expression(`attributes["http.response.status_code"] < 500`)}
		if i%2 == 0 {
			indicator = openslo.Indicator{Total: total, Value: expression(`end_time - start_time`), Op: openslo.LessOrEqual, Threshold: 0.3}
		}
		objectives = append(objectives, objective(fmt.Sprint("o", i), indicator, "http.route"))
	}
	binder := compiled(b, objectives...)
	tctx := spanOf(b, nil)
	ask := func(b *testing.B, ctx context.Context) {
		b.ReportAllocs()
		for b.Loop() {
			for _, s := range binder.Spans(front) {
				verdict, err := s.Judge(ctx, tctx)
				if err != nil || !verdict.Good || s.Group(tctx) < firstGroup {
					b.Fatal(verdict, err)
				}
			}
		}
	}
	b.Run("plain", func(b *testing.B) { ask(b, b.Context()) })
	for _, s := range binder.Spans(front) {
		s.total.plain = nil
		if s.good != nil {
			s.good.plain = nil
		} else {
			s.value.plain = nil
		}
	}
	b.Run("ottl", func(b *testing.B) { ask(b, b.Context()) })
}
