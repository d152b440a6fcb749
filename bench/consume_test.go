package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkServiceHealth feeds service_health without a pause, for profiles and quick comparisons: what is held and decided
// meanwhile is in the processor time. The report, beside the peers, says more.
func BenchmarkServiceHealth(b *testing.B) {
	for _, source := range []struct {
		name, path string
		spans      int
	}{{"shop", shopFile, plenty}, {"recorded", filepath.Join(os.Getenv("THROUGHLINE_DATA"), recordedFile), recordedSpans}} {
		b.Run(source.name, func(b *testing.B) {
			w, err := load(source.name, source.path, source.spans)
			if err != nil {
				b.Skip(err)
			}
			f := newFeed(w)
			r, err := makeHolding(w, time.Second/2)
			require.NoError(b, err)
			var m meter
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				batches := f.next()
				b.StartTimer()
				m.resume()
				for _, td := range batches {
					require.NoError(b, r.consume(td))
				}
				m.pause(w.spans)
			}
			b.ReportMetric(float64(m.cpu.Nanoseconds())/float64(m.items), "cpu-ns/span")
			b.ReportMetric(float64(m.wall.Nanoseconds())/float64(m.items), "wall-ns/span")
			require.NoError(b, r.stop())
		})
	}
}
