package hold

import (
	"context"
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
)

// BenchmarkHold takes a batch in that is due at once, and hands it on: of the given numbers of records and attributes each.
func BenchmarkHold(b *testing.B) {
	for _, size := range []struct{ records, attributes int }{{1, 0}, {370, 0}, {370, 10}} {
		b.Run(fmt.Sprintf("%d records, %d attributes", size.records, size.attributes), func(b *testing.B) {
			batch := plog.NewLogs()
			records := batch.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
			for range size.records {
				record := records.AppendEmpty()
				record.Body().SetStr("some words about what has happened, as long as they usually are in logs of today")
				texts(size.attributes)(record.Attributes())
			}
			passed := make(chan struct{})
			q := NewLogs(Settings[plog.Logs]{
				Hold:     1,
				Budget:   NewBudget(1 << 30),
				Released: func(Reason, int64) {},
				Lost:     func(int, error) {},
				Send:     func(context.Context, plog.Logs) error { passed <- struct{}{}; return nil },
			})
			q.Start()
			b.ReportAllocs()
			for b.Loop() {
				if !q.Add(b.Context(), batch, until(nil)) {
					b.Fatal("full")
				}
				<-passed
			}
			if err := q.Shutdown(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
