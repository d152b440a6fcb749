package rollout

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const second = int64(1e9)

// told lets versions serve, one every so many seconds, and returns what was told of them.
func told(pause int64, versions ...string) (all []string) {
	var r Rollout[string]
	for i, version := range versions {
		if previous, changed := r.See(version, 100*second+int64(i)*pause*second, strings.Clone); changed {
			all = append(all, previous+" to "+version)
		}
	}
	return all
}

func TestTheFirstIsNoChange(t *testing.T) {
	assert.Empty(t, told(1, "1", "1", "1"))
}

func TestWhileARolloutGoesOnItIsOneChange(t *testing.T) {
	assert.Equal(t, []string{"1 to 2"}, told(1, "1", "2", "1", "2", "1", "2", "2"))
}

func TestWhatWasTakenBackIsNotWhatServedBefore(t *testing.T) {
	var versions []string
	for at := range 720 {
		switch at {
		case 20, 21, 600: // At first, and again most of an hour later.
			versions = append(versions, "2")
		case 40:
			versions = append(versions, "3")
		default:
			versions = append(versions, "1")
		}
	}
	assert.Equal(t, []string{"1 to 2", "1 to 3", "1 to 2"}, told(5, versions...))
}

func TestWhatServes(t *testing.T) {
	var r Rollout[string]
	r.See("1", 100*second, strings.Clone)
	r.See("2", 110*second, strings.Clone)
	assert.True(t, r.Serves("1", 100*second+Gone))
	assert.False(t, r.Serves("1", 100*second+Gone+1))
	assert.False(t, r.Serves("3", 100*second))
	assert.Equal(t, "2", r.Current())
}

func TestValuesAreBounded(t *testing.T) {
	var r Rollout[string]
	changes := 0
	for i := range int64(1000) {
		if _, changed := r.See(strconv.FormatInt(i, 10), 100*second+i, strings.Clone); changed {
			changes++
		}
	}
	assert.Len(t, r.seen, most)
	assert.Equal(t, most-1, changes)
	_, changed := r.See("later", 100*second+2*Forgotten, strings.Clone)
	assert.True(t, changed, "those that no longer serve make room")
	assert.Equal(t, "later", r.Current())
}
