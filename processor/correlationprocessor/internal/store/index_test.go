package store

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAnIndexGrowsAndShrinks fills and empties an index, and holds it against a map on the way.
func TestAnIndexGrowsAndShrinks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	x := newIndex()
	links := map[uint32]uint32{} // hashes by link
	var all []uint32
	hold := func() {
		found := 0
		for link, hash := range links {
			search, times := x.search(hash), 0
			for s := search.next(); s != nil; s = search.next() {
				require.Equal(t, hash, s.hash)
				if s.link == link {
					times++
				}
			}
			require.Equal(t, 1, times)
			found += times
		}
		distinct, used := map[*segment]bool{}, 0
		for _, s := range x.directory {
			if !distinct[s] {
				distinct[s] = true
				used += int(s.used)
			}
		}
		require.Equal(t, found, used)
		require.Equal(t, int64(len(distinct))*segmentBytes+int64(len(x.directory))*8, x.bytes)
	}
	add := func() {
		link := uint32(len(all) + 1)
		hash := random.Uint32()
		if random.Uint32()%4 == 0 && len(all) > 0 {
			hash = links[all[random.IntN(len(all))]]
		}
		all = append(all, link)
		if x.add(hash, link) {
			links[link] = hash
		}
	}
	remove := func() {
		for link, hash := range links {
			x.remove(hash, link)
			delete(links, link)
			return
		}
	}
	for range 4 {
		for range 20_000 {
			add()
		}
		hold()
		for range 12_000 {
			remove()
		}
		hold()
	}
	large := x.bytes
	require.Greater(t, large, 10*segmentBytes)
	for len(links) > 0 {
		remove()
	}
	hold()
	assert.Less(t, x.bytes, large/4)
	assert.Equal(t, uint32(0), x.directory[0].depth)
}

func TestOnlySoManyOfOneHash(t *testing.T) {
	x := newIndex()
	for link := uint32(1); link < 1000; link++ {
		require.Equal(t, link <= maxEqual, x.add(7, link))
	}
	require.True(t, x.add(8, 1000))
}
