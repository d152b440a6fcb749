package load

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestMix(t *testing.T) {
	draw := func(seed uint64) (mix map[string]int, first []request) {
		mix = make(map[string]int)
		random := rand.New(rand.NewPCG(seed, seed))
		for i := range 1000 {
			r := next(random)
			if i < 10 {
				first = append(first, r)
			}
			if r.tenant == "" {
				t.Fatal("a request without a tenant")
			}
			switch {
			case r.path == "/checkout" && r.method == "POST" && r.body != "":
				mix["checkout"]++
			case r.path == "/" && r.method == "GET":
				mix["home"]++
			case r.method == "GET":
				mix["product"]++
			}
		}
		return mix, first
	}
	mix, first := draw(1)
	for name, want := range map[string]int{"checkout": 300, "product": 500, "home": 200} {
		if got := mix[name]; got < want-60 || got > want+60 {
			t.Errorf("%s: %d of 1000, want about %d", name, got, want)
		}
	}
	if _, again := draw(1); !reflect.DeepEqual(first, again) {
		t.Error("one seed gives two sequences")
	}
	if _, other := draw(2); reflect.DeepEqual(first, other) {
		t.Error("two seeds give one sequence")
	}
}
