package sli

import (
	"math"
	"sort"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// halves are how a threshold parts what a histogram has observed. What is in the bucket in which the threshold lies is not good,
// since nobody knows on which side of it: too few good ones are a false alarm at worst, too many hide an outage. A threshold at
// an edge between two buckets is exact, but for values that are equal to it: these count to the bucket that has them.
type halves struct {
	good uint64
	// cut is the edge up to, or from, which values are good: infinite if none are.
	cut float64
	// lower and upper are the edges of the bucket in which the threshold lies; they are equal if it is at an edge.
	lower, upper float64
}

func (h halves) isEdge() bool { return h.lower == h.upper }

// halveExplicit parts a histogram with the buckets (…, b0], (b0, b1], …, (bn, …). isUpper says that values up to the threshold
// are good.
func halveExplicit(h pmetric.HistogramDataPoint, threshold float64, isUpper bool) (halves, error) {
	bounds, counts := h.ExplicitBounds(), h.BucketCounts()
	n := bounds.Len()
	if n == 0 {
		return halves{}, ErrNoBuckets
	}
	if counts.Len() != n+1 || !rises(bounds) {
		return halves{}, ErrMalformed
	}
	// The threshold lies in bucket k, or at its upper edge.
	k := sort.Search(n, func(i int) bool { return bounds.At(i) >= threshold })
	s := halves{lower: math.Inf(-1), upper: math.Inf(1)}
	if k > 0 {
		s.lower = bounds.At(k - 1)
	}
	if k < n {
		s.upper = bounds.At(k)
	}
	if s.upper == threshold {
		s.lower = threshold
	}
	below, within, above, ok := around(counts, k)
	if !ok || below+within+above != h.Count() {
		return halves{}, ErrMalformed
	}
	switch {
	case !isUpper:
		s.good, s.cut = above, s.upper
	case s.isEdge():
		s.good, s.cut = below+within, s.upper
	default:
		s.good, s.cut = below, s.lower
	}
	return s, nil
}

func rises(bounds pcommon.Float64Slice) bool {
	last := math.Inf(-1)
	for i := range bounds.Len() {
		if !(bounds.At(i) > last) { // NaN is not
			return false
		}
		last = bounds.At(i)
	}
	return true
}

// around sums up the counts before, at and after an index that may be outside. It is false if they are more than a count can be.
func around(counts pcommon.UInt64Slice, k int) (before, at, after uint64, ok bool) {
	var all uint64
	for i := range counts.Len() {
		n := counts.At(i)
		if n > math.MaxInt64 || all+n > math.MaxInt64 {
			return 0, 0, 0, false
		}
		all += n
		switch {
		case i < k:
			before += n
		case i == k:
			at += n
		default:
			after += n
		}
	}
	return before, at, after, true
}

// The scales of an exponential histogram that senders make.
const (
	leastScale = -10
	mostScale  = 20
)

// side is the positive or the negative half of an exponential histogram: its bucket i has the absolute values in (base^i,
// base^(i+1)], where base is 2^(2^−scale). See https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
type side struct {
	pmetric.ExponentialHistogramDataPointBuckets
	scale int
}

// halveExponential parts an exponential histogram.
func halveExponential(h pmetric.ExponentialHistogramDataPoint, threshold float64, isUpper bool) (halves, error) {
	scale, zero := int(h.Scale()), h.ZeroThreshold()
	if scale < leastScale || scale > mostScale || !(zero >= 0) || h.ZeroCount() > math.MaxInt64 {
		return halves{}, ErrMalformed
	}
	low, high := side{h.Negative(), scale}, side{h.Positive(), scale}
	if !isUpper {
		// What is above a threshold is below its negative in the mirror.
		low, high, threshold = high, low, -threshold
	}
	s, total, ok := halve(low, high, h.ZeroCount(), zero, threshold)
	if !ok || total != h.Count() {
		return halves{}, ErrMalformed
	}
	if !isUpper {
		s.cut, s.lower, s.upper = -s.cut, -s.upper, -s.lower
	}
	return s, nil
}

// halve finds the values that are surely not above the threshold. The negative side is low, the positive one high. total is the
// number of all values; false says that it is more than a count can be.
func halve(low, high side, zeroes uint64, zero, threshold float64) (s halves, total uint64, ok bool) {
	k, isEdge := 0, false
	switch {
	case threshold > zero:
		k, isEdge = bucketOf(threshold, high.scale)
		s.lower, s.upper = edge(k, high.scale), edge(k+1, high.scale)
	case threshold < -zero:
		k, isEdge = bucketOf(-threshold, low.scale)
		s.lower, s.upper = -edge(k+1, low.scale), -edge(k, low.scale)
	default:
		s.lower, s.upper, isEdge = -zero, zero, math.Abs(threshold) == zero
	}
	// Neither side may have the bucket.
	lowBefore, lowAt, lowAfter, okLow := around(low.BucketCounts(), k-int(low.Offset()))
	highBefore, highAt, highAfter, okHigh := around(high.BucketCounts(), k-int(high.Offset()))
	lows, highs := lowBefore+lowAt+lowAfter, highBefore+highAt+highAfter
	total = lows + zeroes + highs
	// Two of them do not overflow, but three may.
	if !okLow || !okHigh || lows+zeroes > math.MaxInt64 || total > math.MaxInt64 {
		return halves{}, 0, false
	}
	switch {
	case threshold > zero && isEdge:
		s.good, s.cut = lows+zeroes+highBefore+highAt, threshold
	case threshold > zero:
		s.good, s.cut = lows+zeroes+highBefore, s.lower
	case threshold < -zero:
		s.good, s.cut = lowAfter, s.lower
	case threshold == zero:
		s.good, s.cut = lows+zeroes, zero
	default:
		s.good, s.cut = lows, -zero
	}
	if isEdge {
		s.lower, s.upper = threshold, threshold
	}
	return s, total, true
}

// bucketOf is the bucket of a value above 0, and whether the value is the bucket's upper edge.
func bucketOf(value float64, scale int) (int, bool) {
	fraction, exponent := math.Frexp(value)
	isPower := fraction == 0.5
	if isPower {
		exponent-- // The value is 2^exponent, and at the upper edge of a bucket unless buckets are wider than that.
	}
	if scale <= 0 {
		at := (exponent - 1) >> -scale
		return at, isPower && (at+1)<<-scale == exponent
	}
	if isPower {
		return exponent<<scale - 1, true
	}
	at := int(math.Ceil(math.Log2(value)*float64(int(1)<<scale))) - 1
	// Rounding must not leave the two powers of 2 between which the value lies.
	return min(max(at, (exponent-1)<<scale), exponent<<scale-1), false
}

// edge is the lower edge of a bucket.
func edge(index, scale int) float64 { return math.Exp2(math.Ldexp(float64(index), -scale)) }
