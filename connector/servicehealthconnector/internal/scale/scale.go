// Package scale sorts durations into steps, four of equal length to an octave: within 25 %, which is less than
// what makes a call slow.
package scale

import "math/bits"

const (
	// StepsPerOctave is how many steps lead to twice the duration.
	StepsPerOctave = 4
	// octaves from 1 µs on reach 71 min: what is longer is as slow as that.
	octaves = 32
	// Steps is the number of steps.
	Steps = octaves * StepsPerOctave
)

// Step is the place of a duration in nanoseconds, from 0 to Steps-1.
func Step(ns int64) int {
	us := uint64(max(0, ns)) / 1000
	if us == 0 {
		return 0
	}
	octave := bits.Len64(us) - 1
	quarter := int(us << 2 >> octave & 3) // The two bits below the leading one.
	return min(octave*StepsPerOctave+quarter, Steps-1)
}

// Upper is the upper end of a step in nanoseconds.
func Upper(step int) int64 {
	octave, quarter := step/StepsPerOctave, step%StepsPerOctave
	return int64(float64(uint64(1)<<octave) * (1 + float64(quarter+1)/StepsPerOctave) * 1000)
}
