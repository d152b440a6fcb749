package dimension

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"
)

func attributes(raw map[string]any) pcommon.Map {
	m := pcommon.NewMap()
	if err := m.FromRaw(raw); err != nil {
		panic(err)
	}
	return m
}

func values(t *Table, number uint16) map[string]string {
	all := map[string]string{}
	t.Each(number, func(name, value string) { all[name] = value })
	return all
}

func TestASpanGoesBeforeItsResource(t *testing.T) {
	table := New([]string{"a", "b", "c"})
	r := NewReader(table)
	resource := attributes(map[string]any{"a": "resource", "b": "resource"})
	for range 2 { // The second one is remembered.
		number := r.Of(attributes(map[string]any{"a": "span", "c": 7}), resource)
		assert.Equal(t, map[string]string{"a": "span", "b": "resource", "c": "7"}, values(table, number))
		assert.Equal(t, number, r.Of(attributes(map[string]any{"a": "span", "c": "7"}), resource), "a number is what people write")
	}
	assert.Equal(t, map[string]string{"a": "true"}, values(table, r.Of(attributes(map[string]any{"a": true}), pcommon.NewMap())))
	assert.Equal(t, None, r.Of(attributes(map[string]any{"a": []any{1}, "b": "", "c": 1.5}), pcommon.NewMap()))
	assert.Empty(t, values(table, None))
	assert.Equal(t, map[string]string{"a": "other", "b": "other", "c": "other"}, values(table, Other))
}

func TestValuesAndSetsAreBounded(t *testing.T) {
	table := New([]string{"a", "b", "c"})
	one, two := NewReader(table), NewReader(table)
	for i := range maxSets + 1000 {
		m := attributes(map[string]any{"a": fmt.Sprint(i % 100), "b": i / 100 % 100, "c": fmt.Sprint(i/10_000) + strings.Repeat("x", 300) + "\xff"})
		number := one.Of(m, pcommon.NewMap())
		if i%1000 == 0 {
			assert.Equal(t, number, two.Of(m, pcommon.NewMap()))
		}
	}
	assert.Len(t, table.sets, maxSets)
	assert.LessOrEqual(t, len(one.sets), maxSets)
	for i := range 10_000 {
		m := attributes(map[string]any{"a": fmt.Sprint(100 + i), "b": 100 + i})
		assert.Equal(t, Other, one.Of(m, pcommon.NewMap()), "there is no room for it")
	}
	for i := range table.Names() {
		assert.LessOrEqual(t, len(table.values[i]), MaxValues+int(first))
		assert.LessOrEqual(t, len(one.texts[i])+len(one.whole[i]), 4*MaxValues)
		for _, value := range table.values[i] {
			assert.LessOrEqual(t, len(value), 256)
			assert.True(t, utf8.ValidString(value))
		}
	}
}

func TestAValueBeyondTheBoundIsOther(t *testing.T) {
	table := New([]string{"a", "b"})
	r := NewReader(table)
	for i := range 2 * MaxValues {
		want := fmt.Sprint(i)
		if i >= MaxValues {
			want = names.Overflow
		}
		number := r.Of(attributes(map[string]any{"a": i, "b": "same"}), pcommon.NewMap())
		assert.Equal(t, map[string]string{"a": want, "b": "same"}, values(table, number))
	}
}

func FuzzOf(f *testing.F) {
	f.Add("/cart", "other")
	f.Add("\xff", strings.Repeat("x", 257))
	f.Fuzz(func(t *testing.T, a, b string) {
		table := New([]string{"a", "b"})
		r := NewReader(table)
		m := pcommon.NewMap()
		m.PutStr("a", a)
		m.PutStr("b", b)
		number := r.Of(m, pcommon.NewMap())
		assert.Equal(t, number, r.Of(m, pcommon.NewMap()))
		for name, value := range values(table, number) {
			v, _ := m.Get(name)
			assert.Equal(t, names.Clean(v.Str()), value)
		}
	})
}

func BenchmarkOf(b *testing.B) {
	for name, value := range map[string]string{"known": "/cart", "beyond the bound": "never seen"} {
		b.Run(name, func(b *testing.B) {
			table := New([]string{"http.route", "http.response.status_code", "cloud.region"})
			r := NewReader(table)
			resource := attributes(map[string]any{"service.name": "front", "cloud.region": "eu-west-1"})
			for i := range 2 * MaxValues {
				r.Of(attributes(map[string]any{"http.route": []string{"/cart", fmt.Sprint(i)}[i%2]}), resource)
			}
			span := attributes(map[string]any{"http.request.method": "GET", "http.route": value, "http.response.status_code": 200})
			b.ReportAllocs()
			for b.Loop() {
				r.Of(span, resource)
			}
		})
	}
}
