// Package bucket says into which bucket of a histogram's point a duration falls.
package bucket

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// None is where a duration falls that the point cannot have counted.
const None = math.MinInt

const zero = math.MinInt + 1

// Explicit is about a point whose bounds are multiples of a unit, which is given in nanoseconds.
func Explicit(point pmetric.HistogramDataPoint, unit float64) func(duration int64) int {
	bounds, counts := point.ExplicitBounds(), point.BucketCounts()
	return func(duration int64) int {
		value := float64(duration) / unit
		low, high := 0, bounds.Len()
		for low < high {
			middle := int(uint(low+high) / 2)
			if value <= bounds.At(middle) {
				high = middle
			} else {
				low = middle + 1
			}
		}
		if counts.Len() > 0 && (low >= counts.Len() || counts.At(low) == 0) {
			return None
		}
		return low
	}
}

// Exponential is about a point of an exponential histogram, whose values are multiples of a unit.
func Exponential(point pmetric.ExponentialHistogramDataPoint, unit float64) func(duration int64) int {
	positive := point.Positive()
	counts, offset := positive.BucketCounts(), int(positive.Offset())
	scale, threshold := int(point.Scale()), point.ZeroThreshold()
	return func(duration int64) int {
		value := float64(duration) / unit
		if value <= threshold {
			if point.ZeroCount() == 0 {
				return None
			}
			return zero
		}
		index := indexOf(value, scale)
		if at := index - offset; at < 0 || at >= counts.Len() || counts.At(at) == 0 {
			return None
		}
		return index
	}
}

// indexOf is i for values above base^i up to base^(i+1), where base is 2^(2^-scale).
func indexOf(value float64, scale int) int {
	fraction, exponent := math.Frexp(value)
	if fraction == 0.5 {
		// An exact power of two is the upper bound of its bucket at every scale, where a logarithm may be off by a bit.
		return int(math.Ceil(math.Ldexp(float64(exponent-1), scale))) - 1
	}
	return int(math.Ceil(math.Ldexp(math.Log2(fraction)+float64(exponent), scale))) - 1
}
