package sli

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

var inf = math.Inf(1)

func explicit(bounds []float64, counts ...uint64) pmetric.HistogramDataPoint {
	h := pmetric.NewHistogramDataPoint()
	h.ExplicitBounds().FromRaw(bounds)
	h.BucketCounts().FromRaw(counts)
	h.SetCount(sum(counts))
	return h
}

func sum(counts []uint64) (all uint64) {
	for _, n := range counts {
		all += n
	}
	return all
}

func TestHalveExplicit(t *testing.T) {
	h := explicit([]float64{-1, 0, 0.5, 2}, 1, 10, 100, 1000, 10000)
	for _, c := range []struct {
		threshold float64
		isUpper   bool
		want      halves
	}{
		{0.5, true, halves{111, 0.5, 0.5, 0.5}},
		{0.5, false, halves{11000, 0.5, 0.5, 0.5}},
		{0.6, true, halves{111, 0.5, 0.5, 2}},
		{0.6, false, halves{10000, 2, 0.5, 2}},
		{2, true, halves{1111, 2, 2, 2}},
		{2, false, halves{10000, 2, 2, 2}},
		{3, true, halves{1111, 2, 2, inf}},
		{3, false, halves{0, inf, 2, inf}},
		{-1, true, halves{1, -1, -1, -1}},
		{-2, true, halves{0, -inf, -inf, -1}},
		{-2, false, halves{11110, -1, -inf, -1}},
	} {
		got, err := halveExplicit(h, c.threshold, c.isUpper)
		require.NoError(t, err)
		assert.Equal(t, c.want, got, "%v %v", c.threshold, c.isUpper)
	}
}

func TestWrongHistograms(t *testing.T) {
	few := explicit([]float64{1}, 1, 1)
	few.SetCount(3)
	for name, h := range map[string]pmetric.HistogramDataPoint{
		"count": few, "bounds": explicit([]float64{1, 1}, 1, 1, 1), "order": explicit([]float64{2, 1}, 1, 1, 1), "lengths": explicit([]float64{1, 2}, 1, 1),
		"NaN": explicit([]float64{nan()}, 1, 1), "overflow": explicit([]float64{1}, math.MaxUint64, 2), "half": explicit([]float64{1}, math.MaxInt64, 1),
	} {
		_, err := halveExplicit(h, 1, true)
		assert.Equal(t, ErrMalformed, err, name)
	}
	for _, h := range []pmetric.HistogramDataPoint{explicit(nil), explicit(nil, 5)} {
		_, err := halveExplicit(h, 1, true)
		assert.Equal(t, ErrNoBuckets, err)
	}
	exponential := func(change func(pmetric.ExponentialHistogramDataPoint)) error {
		h := pmetric.NewExponentialHistogramDataPoint()
		h.Positive().BucketCounts().FromRaw([]uint64{1})
		h.SetCount(1)
		change(h)
		_, err := halveExponential(h, 1, true)
		return err
	}
	assert.NoError(t, exponential(func(pmetric.ExponentialHistogramDataPoint) {}))
	for name, change := range map[string]func(pmetric.ExponentialHistogramDataPoint){
		"count":  func(h pmetric.ExponentialHistogramDataPoint) { h.SetCount(2) },
		"coarse": func(h pmetric.ExponentialHistogramDataPoint) { h.SetScale(leastScale - 1) },
		"fine":   func(h pmetric.ExponentialHistogramDataPoint) { h.SetScale(math.MaxInt32) },
		"below":  func(h pmetric.ExponentialHistogramDataPoint) { h.SetZeroThreshold(-1) },
		"NaN":    func(h pmetric.ExponentialHistogramDataPoint) { h.SetZeroThreshold(nan()) },
		"zeroes": func(h pmetric.ExponentialHistogramDataPoint) { h.SetZeroCount(math.MaxUint64) },
		"overflow": func(h pmetric.ExponentialHistogramDataPoint) {
			h.Negative().BucketCounts().FromRaw([]uint64{math.MaxInt64})
		},
		"all around": func(h pmetric.ExponentialHistogramDataPoint) {
			h.Negative().BucketCounts().FromRaw([]uint64{math.MaxInt64})
			h.Positive().BucketCounts().FromRaw([]uint64{math.MaxInt64})
			h.SetZeroCount(math.MaxInt64)
			h.SetCount(math.MaxInt64 - 2) // what they add up to in 64 bits
		},
	} {
		assert.Equal(t, ErrMalformed, exponential(change), name)
	}
}

// observed makes an exponential histogram of values, by the definition of its buckets alone: the smallest whose upper edge is
// not below.
func observed(values []float64, scale int, zero float64) pmetric.ExponentialHistogramDataPoint {
	h := pmetric.NewExponentialHistogramDataPoint()
	h.SetScale(int32(scale))
	h.SetZeroThreshold(zero)
	h.SetCount(uint64(len(values)))
	place := func(of pmetric.ExponentialHistogramDataPointBuckets, value float64) {
		const offset = -200
		of.SetOffset(offset)
		if of.BucketCounts().Len() == 0 {
			of.BucketCounts().FromRaw(make([]uint64, 400))
		}
		i := offset
		for edge(i+1, scale) < value {
			i++
		}
		of.BucketCounts().SetAt(i-offset, of.BucketCounts().At(i-offset)+1)
	}
	for _, v := range values {
		switch {
		case math.Abs(v) <= zero:
			h.SetZeroCount(h.ZeroCount() + 1)
		case v > 0:
			place(h.Positive(), v)
		default:
			place(h.Negative(), -v)
		}
	}
	return h
}

// Each value that counts as good is good; those that do not are bad, or in the bucket in which the threshold lies.
func TestHalveExponential(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	edges := 0
	for range 2000 {
		scale, zero := r.IntN(9)-4, []float64{0, 0, 0.25, 1}[r.IntN(4)]
		values := make([]float64, 50)
		for i := range values {
			values[i] = math.Exp2(r.Float64()*8-4) * float64(1-2*r.IntN(2))
		}
		threshold := values[0]
		switch r.IntN(3) {
		case 0:
			threshold = edge(r.IntN(9)-4, min(scale, 0)) * float64(1-2*r.IntN(2)) // a power of 2
		case 1:
			threshold = []float64{0, zero, -zero, zero / 2}[r.IntN(4)]
		}
		h := observed(values, scale, zero)
		for _, isUpper := range []bool{true, false} {
			got, err := halveExponential(h, threshold, isUpper)
			require.NoError(t, err)
			least, most := uint64(0), uint64(0)
			for _, v := range values {
				within := got.lower <= v && v <= got.upper
				if isUpper && v <= threshold || !isUpper && v >= threshold {
					most++
					if !within {
						least++
					}
				}
			}
			if got.isEdge() {
				edges++
				assert.Equal(t, threshold, got.lower)
				assert.Equal(t, threshold, got.cut)
			} else {
				assert.LessOrEqual(t, got.lower, threshold)
				assert.LessOrEqual(t, threshold, got.upper)
			}
			require.GreaterOrEqual(t, got.good, least, "%v %v scale %d zero %v, seed %d", threshold, isUpper, scale, zero, seed)
			require.LessOrEqual(t, got.good, most, "%v %v scale %d zero %v, seed %d", threshold, isUpper, scale, zero, seed)
		}
	}
	assert.Greater(t, edges, 200)
}

func TestBucketOf(t *testing.T) {
	for scale := leastScale; scale <= mostScale; scale++ {
		for _, value := range []float64{1e-300, 0.001, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 1000, 1024, 1e300, math.SmallestNonzeroFloat64, math.MaxFloat64} {
			at, isEdge := bucketOf(value, scale)
			// The edges are rounded, too.
			assert.LessOrEqual(t, edge(at, scale), value*(1+1e-12), "%v at scale %d", value, scale)
			assert.GreaterOrEqual(t, edge(at+1, scale), value*(1-1e-12), "%v at scale %d", value, scale)
			assert.Equal(t, isEdge, edge(at+1, scale) == value && math.Exp2(math.Round(math.Log2(value))) == value, "%v at scale %d", value, scale)
		}
	}
}

// Whatever a sender says, what is good is a part of what was counted.
func FuzzHalve(f *testing.F) {
	h := pmetric.NewMetrics()
	metrics := h.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	explicit([]float64{1, 2}, 1, 2, 3).CopyTo(metrics.AppendEmpty().SetEmptyHistogram().DataPoints().AppendEmpty())
	observed([]float64{-1, 0, 0.3, 5}, 2, 0.1).CopyTo(metrics.AppendEmpty().SetEmptyExponentialHistogram().DataPoints().AppendEmpty())
	text, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(h)
	require.NoError(f, err)
	f.Add(text, 0.5, true)
	f.Add(text, -0.5, false)
	f.Fuzz(func(t *testing.T, text []byte, threshold float64, isUpper bool) {
		md, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(text)
		if err != nil || math.IsNaN(threshold) || math.IsInf(threshold, 0) {
			return
		}
		check := func(got halves, err error, count uint64) {
			if err == nil {
				require.LessOrEqual(t, got.good, count)
				require.False(t, math.IsNaN(got.cut))
				require.LessOrEqual(t, got.lower, got.upper)
			}
		}
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					switch m.Type() {
					case pmetric.MetricTypeHistogram:
						for _, p := range m.Histogram().DataPoints().All() {
							got, err := halveExplicit(p, threshold, isUpper)
							check(got, err, p.Count())
						}
					case pmetric.MetricTypeExponentialHistogram:
						for _, p := range m.ExponentialHistogram().DataPoints().All() {
							got, err := halveExponential(p, threshold, isUpper)
							check(got, err, p.Count())
						}
					}
				}
			}
		}
	})
}
