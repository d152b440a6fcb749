package name_test

import (
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/name"
)

func TestNamesAreCutBetweenCharactersAndUTF8(t *testing.T) {
	for given, want := range map[string]string{
		"":                               "",
		"GET /":                          "GET /",
		"GET /größe":                     "GET /größe",
		strings.Repeat("x", 256):         strings.Repeat("x", 256),
		strings.Repeat("x", 257):         strings.Repeat("x", 256),
		"a" + strings.Repeat("ü", 1<<20): "a" + strings.Repeat("ü", 127),
		"GET \xff\xfe/":                  "GET \uFFFD/",
		"cut within \xc3":                "cut within \uFFFD",
		"\xed\xa0\x80":                   "\uFFFD",
		strings.Repeat("\x80", 1000):     "\uFFFD",
		strings.Repeat("a\xff", 1000):    strings.Repeat("a\uFFFD", 64),
	} {
		assert.Equal(t, want, name.Cut(given))
		assert.Equal(t, want, name.Keep(given))
	}
}

func TestWhatIsKeptIsACopy(t *testing.T) {
	whole := strings.Repeat("x", 300)
	assert.Same(t, unsafe.StringData(whole), unsafe.StringData(name.Cut(whole)))
	assert.NotSame(t, unsafe.StringData(whole), unsafe.StringData(name.Keep(whole)))
}

func TestNothingIsAllocatedForAValidName(t *testing.T) {
	long := strings.Repeat("ü", 1000)
	assert.Zero(t, testing.AllocsPerRun(100, func() { name.Cut("GET /"); name.Cut(long) }))
}

func FuzzCut(f *testing.F) {
	for _, given := range []string{"", "GET /", "a\xff", strings.Repeat("\xc3\xbc\x80", 100)} {
		f.Add(given)
	}
	f.Fuzz(func(t *testing.T, given string) {
		cut := name.Cut(given)
		assert.True(t, utf8.ValidString(cut))
		assert.LessOrEqual(t, len(cut), name.Max)
		assert.Equal(t, cut, name.Cut(cut))
		if utf8.ValidString(given) {
			assert.True(t, strings.HasPrefix(given, cut))
			assert.Greater(t, len(cut)+utf8.UTFMax, min(len(given), name.Max))
		}
	})
}

func BenchmarkCut(b *testing.B) {
	for of, given := range map[string]string{"valid": "GET /products/{id}", "invalid": "GET /products/\xff"} {
		b.Run(of, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				name.Cut(given)
			}
		})
	}
}
