package recency_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/recency"
)

type thing struct {
	recency.Links[thing]
	number int
}

// TestAgainstASlice pushes, touches and removes at random.
func TestAgainstASlice(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var list recency.List[thing, *thing]
	var want []*thing // from the oldest to the newest
	for n := range 5000 {
		switch at := random.IntN(len(want) + 3); {
		case at >= len(want):
			pushed := &thing{number: n}
			list.Push(pushed)
			want = append(want, pushed)
		case random.IntN(2) == 0:
			list.Touch(want[at])
			want = append(slices.Delete(slices.Clone(want), at, at+1), want[at])
		default:
			list.Remove(want[at])
			want = slices.Delete(want, at, at+1)
		}
		var got []*thing
		for at := list.Newest(); at != nil; at = list.Older(at) {
			got = append(got, at)
		}
		slices.Reverse(got)
		require.True(t, slices.Equal(want, got))
		if len(want) == 0 {
			require.Nil(t, list.Oldest())
		} else {
			require.Same(t, want[0], list.Oldest())
		}
	}
}

func TestWhatWasRemovedCanBePushedAgain(t *testing.T) {
	var list recency.List[thing, *thing]
	a, b := &thing{number: 1}, &thing{number: 2}
	list.Push(a)
	list.Push(b)
	list.Remove(a)
	list.Push(a)
	require.Same(t, a, list.Newest())
	require.Same(t, b, list.Oldest())
}
