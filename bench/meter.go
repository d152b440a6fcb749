package main

import (
	"cmp"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// cost is what some work took.
type cost struct {
	cpu, wall     time.Duration
	bytes, allocs uint64
	items         int
}

// meter adds up a cost in stretches, so that preparations in between are left out.
type meter struct {
	cost
	from struct {
		cpu    time.Duration
		wall   time.Time
		memory runtime.MemStats
	}
}

func (m *meter) resume() {
	runtime.ReadMemStats(&m.from.memory)
	m.from.wall = time.Now()
	m.from.cpu = processTime()
}

// pause ends a stretch in which items were worked on.
func (m *meter) pause(items int) {
	m.cpu += processTime() - m.from.cpu
	m.wall += time.Since(m.from.wall)
	m.items += items
	m.pauseMemory()
}

// pauseIdle ends a stretch of waiting: what went on meanwhile costs processor time and memory, but nobody waited for it.
func (m *meter) pauseIdle() {
	m.cpu += processTime() - m.from.cpu
	m.pauseMemory()
}

func (m *meter) pauseMemory() {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	m.bytes += now.TotalAlloc - m.from.memory.TotalAlloc
	m.allocs += now.Mallocs - m.from.memory.Mallocs
}

// processTime is the processor time that the process has used, garbage collection and timers included. Unlike the wall
// clock it does not see what else runs on the machine.
func processTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // impossible with RUSAGE_SELF
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// figures are costs per item.
type figures struct{ cpu, wall, bytes, allocs float64 }

func (c cost) perItem() figures {
	n := float64(c.items)
	return figures{float64(c.cpu) / n, float64(c.wall) / n, float64(c.bytes) / n, float64(c.allocs) / n}
}

// medianOf takes the median of each figure by itself.
func medianOf(rounds []figures) figures {
	pick := func(of func(figures) float64) float64 {
		values := make([]float64, len(rounds))
		for i, r := range rounds {
			values[i] = of(r)
		}
		return median(values)
	}
	return figures{
		pick(func(f figures) float64 { return f.cpu }), pick(func(f figures) float64 { return f.wall }),
		pick(func(f figures) float64 { return f.bytes }), pick(func(f figures) float64 { return f.allocs }),
	}
}

func median(values []float64) float64 {
	in := sorted(values)
	return (in[(len(in)-1)/2] + in[len(in)/2]) / 2
}

func sorted[T cmp.Ordered](values []T) []T {
	return slices.Sorted(slices.Values(values))
}
