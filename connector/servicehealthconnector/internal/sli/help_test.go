package sli

import (
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

func stamp(at time.Time) pcommon.Timestamp { return pcommon.NewTimestampFromTime(at) }

func nan() float64 { return math.NaN() }
