package bucket_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/bucket"
)

const second = 1e9

func TestExplicit(t *testing.T) {
	point := pmetric.NewHistogramDataPoint()
	point.ExplicitBounds().FromRaw([]float64{1, 2, 5})
	point.BucketCounts().FromRaw([]uint64{1, 1, 0, 1})
	of := bucket.Explicit(point, second)
	assert.Equal(t, 0, of(0))
	assert.Equal(t, 0, of(second), "bounds are inclusive")
	assert.Equal(t, 1, of(second+1))
	assert.Equal(t, bucket.None, of(3*second), "nothing was counted there")
	assert.Equal(t, 3, of(9*second))

	assert.Equal(t, 0, bucket.Explicit(pmetric.NewHistogramDataPoint(), second)(7), "a point without buckets has one")
}

func TestExponential(t *testing.T) {
	point := pmetric.NewExponentialHistogramDataPoint()
	point.Positive().SetOffset(-1)
	point.Positive().BucketCounts().FromRaw([]uint64{1, 0, 1})
	of := bucket.Exponential(point, second)
	assert.Equal(t, bucket.None, of(second/2), "the lower bound is exclusive")
	assert.Equal(t, -1, of(second/2+1))
	assert.Equal(t, -1, of(second))
	assert.Equal(t, bucket.None, of(2*second), "nothing was counted there")
	assert.Equal(t, 1, of(4*second))
	assert.Equal(t, bucket.None, of(4*second+1000))
	assert.Equal(t, bucket.None, of(0))

	point.SetZeroCount(1)
	point.SetZeroThreshold(0.6)
	of = bucket.Exponential(point, second)
	assert.Equal(t, of(0), of(second/2), "both are as good as zero")
	assert.NotEqual(t, bucket.None, of(0))
}

func TestPowersOfTwoAreUpperBoundsAtEveryScale(t *testing.T) {
	for scale := int32(-3); scale <= 20; scale++ {
		for exponent := -8; exponent <= 8; exponent++ {
			upper := int(math.Ceil(math.Ldexp(float64(exponent), int(scale)))) - 1
			point := pmetric.NewExponentialHistogramDataPoint()
			point.SetScale(scale)
			point.Positive().SetOffset(int32(upper))
			point.Positive().BucketCounts().FromRaw([]uint64{1})
			duration := int64(math.Ldexp(1, exponent+20))
			assert.Equal(t, upper, bucket.Exponential(point, 1<<20)(duration), "%d %d", scale, exponent)
		}
	}
}
