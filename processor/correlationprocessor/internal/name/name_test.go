package name_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/name"
)

func TestLongNamesAreCutBetweenCharacters(t *testing.T) {
	for given, want := range map[string]string{
		"":                               "",
		"GET /":                          "GET /",
		strings.Repeat("x", 256):         strings.Repeat("x", 256),
		strings.Repeat("x", 257):         strings.Repeat("x", 256),
		"a" + strings.Repeat("ü", 1<<20): "a" + strings.Repeat("ü", 127),
		strings.Repeat("\x80", 1000):     strings.Repeat("\x80", 252),
	} {
		assert.Equal(t, want, name.Cut(given))
	}
}
