package main

import (
	"path/filepath"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func BenchmarkServiceHealth(b *testing.B) {
	for _, source := range []struct {
		name, path string
		most       int
	}{{"shop", shopFile, plenty}, {"recorded", filepath.Join(os.Getenv("THROUGHLINE_DATA"), recordedFile), recordedSpans}} {
		b.Run(source.name, func(b *testing.B) {
			w, err := load(source.name, source.path, source.most)
			if err != nil {
				b.Skip(err)
			}
			f := newFeed(w)
			r, err := makeHolding(w, 500*time.Millisecond)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				batches := f.next()
				b.StartTimer()
				for _, td := range batches {
					if err := r.consume(td); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*w.spans), "ns/span")
			b.StopTimer()
			require.NoError(b, r.stop())
		})
	}
}
