package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkConsume feeds service_health or its peers without a pause, for profiles and quick comparisons: what is held, decided and
// flushed meanwhile is in the processor time. The report says more, and is fairer to who pauses.
func BenchmarkConsume(b *testing.B) {
	recorded := filepath.Join(os.Getenv("THROUGHLINE_DATA"), recordedFile)
	for _, source := range []struct {
		name, path string
		spans      int
	}{{"shop", shopFile, plenty}, {"recorded", recorded, recordedSpans}} {
		for _, s := range []subject{ours, roomy} {
			b.Run(source.name+"/"+s.name, func(b *testing.B) {
				w, err := load(source.name, source.path, source.spans)
				if err != nil {
					b.Skip(err)
				}
				f := newFeed(w)
				r, err := s.make(w)
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
}
