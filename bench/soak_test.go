package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestASoakLooksAndDraws(t *testing.T) {
	shop, err := load("shop", shopFile, plenty)
	require.NoError(t, err)
	var out bytes.Buffer
	moments, err := soak(t.Context(), &out, shop, 2*time.Second)
	require.NoError(t, err)
	require.NotEmpty(t, moments)
	for _, m := range moments {
		assert.Positive(t, m.perSecond)
		assert.LessOrEqual(t, m.held, float64(soakSpans))
	}
	path := filepath.Join(t.TempDir(), "soak.svg")
	require.NoError(t, drawSoak(path, moments))
	drawn, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(drawn), "</svg>")
}

func TestEachGenerationHasOtherNames(t *testing.T) {
	shop, err := load("shop", shopFile, plenty)
	require.NoError(t, err)
	before := shop.services()
	f := newFeed(shop)
	f.rename(1)
	f.rename(2)
	after := shop.services()
	assert.Greater(t, len(after), len(before), "half of the telemetry keeps its services")
	assert.Contains(t, after, before[0]+"-g2")
	assert.NotContains(t, after, before[0]+"-g1")
}
