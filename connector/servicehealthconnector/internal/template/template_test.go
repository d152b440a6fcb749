package template

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOf(t *testing.T) {
	tests := map[string]struct {
		a, b string
		same bool
	}{
		"a number is filled in":            {"took 15 ms", "took 173 ms", true},
		"an identifier is filled in":       {"order 7f3a9c21 paid", "order 11b2c3d4 paid", true},
		"another line of the source":       {"Shop#115 order paid now", "Shop#120 cart is empty", false},
		"another line, little else":        {"shop.Cart#115 the cart of user alice is there", "shop.Cart#117 the cart of user alice is there", false},
		"another line of a file":           {"cart.go:115 the cart of user alice is there", "cart.go:117 the cart of user alice is there", false},
		"a time is no place":               {"at 16:42 the cart of user alice is there", "at 16:43 the cart of user alice is there", true},
		"an address is no line":            {"from host.name:1234x of user alice is there", "from host.name:1235x of user alice is there", true},
		"one word of many differs":         {"user alice has logged in", "user bob has logged in", true},
		"another number of tokens":         {"cart is empty", "cart is not empty", false},
		"what comes after the first words": {strings.Repeat("same ", 16) + "a b", strings.Repeat("same ", 16) + "c", true},
		"empty":                            {"", "", true},
		"no valid UTF-8":                   {"broken \xff\xfe text", "broken \xff\xfe text", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := New()
			assert.Equal(t, test.same, m.Of(7, 9, test.a) == m.Of(7, 9, test.b))
		})
	}
}

func TestSourcesShareNothing(t *testing.T) {
	m := New()
	assert.NotEqual(t, m.Of(7, 9, "cart is empty"), m.Of(8, 9, "cart is empty"))
}

func TestTextIsShortAndValid(t *testing.T) {
	m := New()
	text := m.Text(m.Of(7, 9, "caf\xc3 "+strings.Repeat("long ", 1000)))
	assert.LessOrEqual(t, len(text), maxText)
	assert.True(t, strings.HasPrefix(text, "caf long"))
}

func TestGroupsAreBounded(t *testing.T) {
	m := New()
	for i := range 3 * maxInGroup {
		m.Of(7, 9, fmt.Sprintf("word%c%c%c alone", 'a'+i%26, 'a'+i/26%26, 'a'+i/676))
	}
	assert.LessOrEqual(t, m.Len(), maxInGroup)
}

func FuzzOf(f *testing.F) {
	f.Add("user 15 has logged in", "user 16 has logged in")
	f.Fuzz(func(t *testing.T, a, b string) {
		m := New()
		first := m.Of(7, 9, a)
		m.Of(7, 9, b)
		assert.Equal(t, first, m.Of(7, 9, a))
	})
}

func BenchmarkOf(b *testing.B) {
	b.ReportAllocs()
	m := New()
	for b.Loop() {
		m.Of(7, 9, "16:42:09.486 INFO shop.Cart#115 trace 6f3cbf058c2765548a39ad724905d6a1 [query][the cart of user 15]")
	}
}
