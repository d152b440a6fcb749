package sli

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/openslo"
)

func grouped(t *testing.T, by ...string) (*Binder, *Span) {
	b := compiled(t, objective("o", openslo.Indicator{Good: expression("true")}, by...))
	return b, b.Spans(front)[0]
}

func TestGroup(t *testing.T) {
	b, s := grouped(t, "tenant", "service.name")
	group := func(change func(resource, span pcommon.Map)) []string {
		tctx := spanOf(t, func(rs ptrace.ResourceSpans, span ptrace.Span) {
			change(rs.Resource().Attributes(), span.Attributes())
		})
		number := s.Group(tctx)
		assert.Equal(t, number, s.Group(tctx), "the number stays")
		return b.GroupValues(0, number)
	}
	assert.Equal(t, []string{"", "front"}, group(func(_, _ pcommon.Map) {}), "a missing attribute is an empty value")
	assert.Equal(t, []string{"blue", "front"}, group(func(_, span pcommon.Map) { span.PutStr("tenant", "blue") }))
	assert.Equal(t, []string{"red", "front"}, group(func(resource, _ pcommon.Map) { resource.PutStr("tenant", "red") }))
	assert.Equal(t, []string{"blue", "own"}, group(func(resource, span pcommon.Map) {
		resource.PutStr("tenant", "red")
		span.PutStr("tenant", "blue")
		span.PutStr("service.name", "own")
	}), "the span goes before its resource")
	assert.Equal(t, []string{"7", "front"}, group(func(_, span pcommon.Map) { span.PutInt("tenant", 7) }))
	assert.Equal(t, []string{"true", "front"}, group(func(_, span pcommon.Map) { span.PutBool("tenant", true) }))
	assert.Equal(t, []string{"1.5", "front"}, group(func(_, span pcommon.Map) { span.PutDouble("tenant", 1.5) }))
	assert.Equal(t, []string{"", "front"}, group(func(_, span pcommon.Map) { span.PutEmptySlice("tenant") }))
	assert.Equal(t, []string{"other", "other"}, group(func(resource, span pcommon.Map) {
		resource.PutStr("service.name", "other")
		span.PutStr("tenant", "other")
	}), "nobody can be the overflow and somebody else")
}

func TestWithoutGroups(t *testing.T) {
	b, s := grouped(t)
	assert.Zero(t, s.Group(spanOf(t, nil)))
	assert.Nil(t, b.GroupValues(0, 0))
	assert.Nil(t, b.GroupValues(0, OverflowGroup))
	assert.Nil(t, b.GroupValues(1, 0), "there is no such objective")
}

func TestGroupsOfNumbersAndTheirTexts(t *testing.T) {
	_, s := grouped(t, "status")
	text := spanOf(t, func(_ ptrace.ResourceSpans, span ptrace.Span) { span.Attributes().PutStr("status", "404") })
	whole := spanOf(t, func(_ ptrace.ResourceSpans, span ptrace.Span) { span.Attributes().PutInt("status", 404) })
	assert.Equal(t, s.Group(text), s.Group(whole))
	assert.Equal(t, s.Group(whole), s.Group(text))
}

func TestHostileValues(t *testing.T) {
	b, s := grouped(t, "tenant")
	for _, c := range []struct{ name, value, want string }{
		{"invalid UTF-8", "a\xffb", "a_b"},
		{"control characters", "a\nb\x1b[31m\x00", "a_b_[31m_"},
		{"direction", "a\u202eb", "a_b"},
		{"long", strings.Repeat("x", 10_000), strings.Repeat("x", 256)},
		{"as long as it may be", strings.Repeat("x", 256), strings.Repeat("x", 256)},
		{"cut inside of a character", strings.Repeat("x", 255) + "ü", strings.Repeat("x", 255)},
		{"long and wide", strings.Repeat("😀", 1000), strings.Repeat("😀", 64)},
		{"other languages", "Zürich 東京", "Zürich 東京"},
	} {
		t.Run(c.name, func(t *testing.T) {
			number := s.Group(spanOf(t, func(_ ptrace.ResourceSpans, span ptrace.Span) { span.Attributes().PutStr("tenant", c.value) }))
			got := b.GroupValues(0, number)[0]
			assert.Equal(t, c.want, got)
			assert.True(t, utf8.ValidString(got))
			assert.LessOrEqual(t, len(got), MaxGroupValue)
		})
	}
}

// TestManyGroups has more groups than are kept apart come in from all sides at once.
func TestManyGroups(t *testing.T) {
	for _, whole := range []bool{false, true} {
		t.Run(fmt.Sprint("whole numbers ", whole), func(t *testing.T) {
			b, s := grouped(t, "tenant", "region")
			numbers := make([][2 * MaxGroups]uint32, 4)
			var all sync.WaitGroup
			for w := range numbers {
				all.Go(func() {
					for i := range numbers[w] {
						span, resource := pcommon.NewMap(), pcommon.NewMap()
						if whole {
							span.PutInt("tenant", int64(i))
						} else {
							span.PutStr("tenant", fmt.Sprint(i))
						}
						resource.PutStr("region", "east")
						numbers[w][i] = s.groups.of(span, resource)
					}
				})
			}
			all.Wait()
			seen := map[string]bool{}
			over := 0
			for i, number := range numbers[0] {
				for w := range numbers {
					assert.Equal(t, number, numbers[w][i])
				}
				values := b.GroupValues(0, number)
				if number == OverflowGroup {
					over++
					assert.Equal(t, []string{"other", "other"}, values)
					continue
				}
				assert.Equal(t, []string{fmt.Sprint(i), "east"}, values)
				seen[values[0]] = true
			}
			assert.Len(t, seen, MaxGroups)
			assert.Equal(t, MaxGroups, over)
			assert.Nil(t, b.GroupValues(0, MaxGroups+firstGroup))
			assert.LessOrEqual(t, len(s.groups.known), 2*MaxGroups+1)
		})
	}
}
