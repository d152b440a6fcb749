package flag

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	second = int64(1e9)
	begin  = 100 * second
	shop   = uint32(7)
)

func TestRead(t *testing.T) {
	long := string(make([]byte, maxName+1))
	for name, c := range map[string]struct {
		attributes map[string]any
		want       string
	}{
		"current names": {
			map[string]any{
				"feature_flag.key": "logo", "feature_flag.set.id": "web", "feature_flag.result.variant": "red",
				"feature_flag.result.value": "#ff0000", "feature_flag.version": "3", "feature_flag.provider.name": "flags",
			},
			"web/logo red 3",
		},
		"former names": {
			map[string]any{"feature_flag.key": "logo", "feature_flag.provider_name": "flags", "feature_flag.variant": "red"},
			"/logo red ",
		},
		"both": {
			map[string]any{"feature_flag.key": "logo", "feature_flag.variant": "red", "feature_flag.result.variant": "blue"},
			"/logo blue ",
		},
		"a truth value":  {map[string]any{"feature_flag.key": "logo", "feature_flag.result.value": true}, "/logo true "},
		"a whole number": {map[string]any{"feature_flag.key": "logo", "feature_flag.result.value": 1234567}, "/logo 1234567 "},
		"a number":       {map[string]any{"feature_flag.key": "logo", "feature_flag.result.value": 0.25}, "/logo 0.25 "},
		"a text":         {map[string]any{"feature_flag.key": "logo", "feature_flag.result.value": "red"}, "/logo red "},
		"a document":     {map[string]any{"feature_flag.key": "logo", "feature_flag.result.value": long[:maxValue+1]}, ""},
		"a map":          {map[string]any{"feature_flag.key": "logo", "feature_flag.result.value": map[string]any{"a": 1}}, ""},
		"no key":         {map[string]any{"feature_flag.result.variant": "red"}, ""},
		"a long key":     {map[string]any{"feature_flag.key": long, "feature_flag.result.variant": "red"}, ""},
		"nothing":        {map[string]any{"feature_flag.key": "logo"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := pcommon.NewMap()
			require.NoError(t, a.FromRaw(c.attributes))
			e, ok := Read(a)
			got := ""
			if ok {
				got = fmt.Sprintf("%s/%s %s %s", e.Set, e.Key, e.Variant, e.Version)
			}
			assert.Equal(t, c.want, got)
		})
	}
	assert.True(t, IsEvaluation("feature_flag.evaluation"))
	assert.True(t, IsEvaluation("feature_flag"))
	assert.False(t, IsEvaluation("exception"))
}

// service evaluates flags ten times a second.
type service struct {
	book  *Book
	now   int64
	all   []*Change
	known bool
}

func newService() *service { return &service{book: NewBook(), now: begin} }

// run lets seconds pass. variants take turns.
func (s *service) run(seconds int, key, version string, variants ...string) {
	for i := range 10 * seconds {
		e := Evaluation{Key: key, Variant: Named(variants[i%len(variants)]), Version: version}
		s.all = s.book.Observe(shop, s.known, &e, s.now, s.all)
		s.now += second / 10
	}
}

func (s *service) told() (told []string) {
	for _, c := range s.all {
		text := fmt.Sprintf("%d s: %s ", (c.At-begin)/second, c.Key)
		switch c.Kind {
		case Served:
			text += fmt.Sprintf("%s to %s, %.1f (before %.1f)", c.Previous, c.Variant, c.Share, c.Before)
		case Rules:
			text += "version " + c.PreviousVersion + " to " + c.Version
		case New:
			text += "is new, " + c.Variant.String()
		}
		if !c.Holds() {
			text += ", taken back"
		}
		told = append(told, text)
	}
	return told
}

func TestAFlagIsTurnedOn(t *testing.T) {
	s := newService()
	s.run(100, "f", "1", "off")
	s.run(30, "f", "2", "on")
	assert.Equal(t, []string{"100 s: f version 1 to 2, taken back", "100 s: f off to on, 1.0 (before 0.0)"}, s.told(),
		"that it has other rules says less")
}

func TestTheFirstMinuteIsNoChange(t *testing.T) {
	s := newService()
	s.run(30, "f", "1", "off")
	s.run(60, "f", "2", "on")
	s.run(30, "f", "2", "on", "off")
	assert.Equal(t, []string{"90 s: f on to off, 0.5 (before 0.0)"}, s.told())
}

func TestWhatIsTakenBackIsNoChange(t *testing.T) {
	s := newService()
	s.run(100, "f", "", "off")
	s.run(30, "f", "", "on")
	s.run(100, "f", "", "off")
	assert.Equal(t, []string{"100 s: f off to on, 1.0 (before 0.0), taken back"}, s.told())
	s.run(30, "f", "", "on")
	assert.Equal(t, "230 s: f off to on, 1.0 (before 0.0)", s.told()[1], "and may come again")
}

// A slot begins before the change, but what is told of it is from then on.
func TestAChangeWithinASlot(t *testing.T) {
	s := newService()
	s.run(100, "f", "", "off")
	s.run(10, "f", "", "on")
	s.run(102, "f", "", "off")
	s.run(5, "f", "", "on")
	assert.Equal(t, "212 s: f off to on, 1.0 (before 0.0)", s.told()[1])
}

func TestToGoBackLaterIsAChange(t *testing.T) {
	s := newService()
	s.run(100, "f", "", "off")
	s.run(700, "f", "", "on")
	s.run(30, "f", "", "off")
	assert.Equal(t, []string{"100 s: f off to on, 1.0 (before 0.0), taken back", "800 s: f on to off, 1.0 (before 0.0)"}, s.told())
}

func TestARampIsToldInSteps(t *testing.T) {
	s := newService()
	s.run(100, "f", "", "off")
	s.run(100, "f", "", "off", "off", "off", "off", "off", "off", "off", "off", "off", "on")
	s.run(100, "f", "", "off", "on")
	s.run(100, "f", "", "on")
	told := s.told()
	require.Len(t, told, 3)
	assert.Equal(t, "100 s: f off to on, 0.1 (before 0.0)", told[0])
	assert.Equal(t, "200 s: f off to on, 0.5 (before 0.1)", told[1])
	assert.Equal(t, "300 s: f off to on, 1.0 (before 0.5)", told[2])
}

func TestChanceIsNoChange(t *testing.T) {
	s := newService()
	s.known = true
	random := uint64(1)
	for range 36_000 { // An hour.
		random = random*6364136223846793005 + 1442695040888963407
		variant := []string{"a", "b", "b", "c"}[random>>62]
		s.all = s.book.Observe(shop, false, &Evaluation{Key: "f", Variant: Named(variant)}, s.now, s.all)
		s.now += second / 10
	}
	assert.Empty(t, s.told())
}

func TestAFlagThatIsNew(t *testing.T) {
	s := newService()
	s.run(10, "f", "", "off")
	s.known = true
	s.run(1, "g", "", "on")
	s.run(1, "h", "", "on")
	assert.Equal(t, []string{"10 s: g is new, on"}, s.told(), "and those that come with it")
}

func TestOtherRulesOfASetAreOneChange(t *testing.T) {
	s := newService()
	for version, until := range []int{70, 90} {
		for s.now < begin+int64(until)*second {
			for i := range 50 {
				s.run(1, "f"+strconv.Itoa(i), strconv.Itoa(version), "on")
				s.now -= second
			}
			s.now += second
		}
	}
	assert.Equal(t, []string{"70 s: f0 version 0 to 1"}, s.told())
}

func TestWhoTakesValuesHasNoVariants(t *testing.T) {
	s := newService()
	for i := range 12 {
		s.run(10, "f", "", strconv.Itoa(i), strconv.Itoa(i+1))
	}
	s.run(60, "f", "", "0")
	before := len(s.all)
	for i := range 1000 {
		s.run(1, "f", "", "0", "0", "0", "0", "0", "0", "0", "0", "0", "value "+strconv.Itoa(i))
	}
	assert.Len(t, s.all, before)
	assert.Len(t, s.book.flags[id{shop, "", "f"}].variants, maxVariants)
}

func TestFlagsAreBounded(t *testing.T) {
	b := NewBook()
	for i := range 3 * maxFlags {
		service := uint32(i / (2 * maxOfService))
		b.Observe(service, false, &Evaluation{Key: strconv.Itoa(i), Variant: Named("on")}, begin, nil)
		assert.LessOrEqual(t, b.ofService[service], maxOfService)
	}
	assert.Len(t, b.flags, 3*maxFlags/2-maxFlags/2)
	late := Evaluation{Key: "late", Variant: Named("on")}
	b.Observe(shop, false, &late, begin+idle-1, nil)
	assert.Nil(t, b.flags[id{shop, "", "late"}])
	b.Observe(shop, false, &late, begin+idle+swept, nil)
	assert.Len(t, b.flags, 1, "those that are idle make room")
}

func FuzzObserve(f *testing.F) {
	f.Add("logo", "web", "red", "3", int64(1), uint8(1))
	f.Add("", "", "", "", int64(-1), uint8(0))
	f.Add("logo\xff", "", "\x00", "", int64(1)<<62, uint8(255))
	f.Fuzz(func(t *testing.T, key, set, variant, version string, step int64, many uint8) {
		a := pcommon.NewMap()
		a.PutStr("feature_flag.key", key)
		a.PutStr("feature_flag.set.id", set)
		a.PutStr("feature_flag.version", version)
		a.PutInt("feature_flag.result.value", step)
		if variant != "" {
			a.PutStr("feature_flag.result.variant", variant)
		}
		b := NewBook()
		var all []*Change
		now := begin
		for i := range int(many) {
			if i%3 == 1 {
				a.PutStr("feature_flag.result.variant", variant+strconv.Itoa(i%20))
			}
			if e, ok := Read(a); ok {
				all = b.Observe(uint32(i%2), i%5 == 0, &e, now, all)
			}
			now += step % (1 << 40)
		}
		for _, c := range all {
			c.Holds()
			if c.Share < 0 || c.Share > 1 || c.Before < 0 || c.Before > 1 {
				t.Fatal("a share is from 0 to 1", c.Share, c.Before)
			}
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	a := pcommon.NewMap()
	a.PutStr("feature_flag.key", "logo")
	a.PutStr("feature_flag.result.variant", "red")
	a.PutStr("feature_flag.version", "3")
	book := NewBook()
	now := begin
	var all []*Change
	b.ReportAllocs()
	for b.Loop() {
		e, _ := Read(a)
		all = book.Observe(shop, true, &e, now, all[:0])
		now += second / 1000
	}
}
