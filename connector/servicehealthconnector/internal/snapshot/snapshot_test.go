package snapshot

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/storagetest"
)

func TestWhatWasAppendedIsRead(t *testing.T) {
	b := Uint(nil, math.MaxUint64)
	b = Int(b, math.MinInt64)
	b = Float(b, -0.1)
	b = Text(b, "text")
	b = Bool(Bool(b, true), false)
	b = Uint(b, 2)
	b = append(b, 7, 8)
	r := NewReader(b)
	assert.Equal(t, uint64(math.MaxUint64), r.Uint())
	assert.Equal(t, int64(math.MinInt64), r.Int())
	assert.Equal(t, math.Float64bits(-0.1), math.Float64bits(r.Float()))
	assert.Equal(t, "text", r.Text())
	assert.True(t, r.Bool())
	assert.False(t, r.Bool())
	assert.Equal(t, 2, r.Len())
	assert.Equal(t, byte(7), r.Byte())
	assert.Equal(t, byte(8), r.Byte())
	require.NoError(t, r.Err())
	assert.Zero(t, r.Byte())
	assert.ErrorIs(t, r.Err(), ErrShort)
	assert.Zero(t, r.Uint())
	assert.ErrorIs(t, r.Err(), ErrShort)
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	for name, read := range map[string]func(*Reader){
		"a time after all time":    func(r *Reader) { r.Time() },
		"a length beyond the rest": func(r *Reader) { r.Len() },
		"a text beyond the rest":   func(r *Reader) { _ = r.Text() },
		"no truth value":           func(r *Reader) { r.Bool() },
	} {
		r := NewReader(Uint(nil, math.MaxUint64))
		read(r)
		assert.Error(t, r.Err(), name)
	}
	r := NewReader(Float(nil, math.NaN()))
	r.Float()
	assert.ErrorIs(t, r.Err(), ErrNumber)
}

func TestSlots(t *testing.T) {
	v := storagetest.Client{}
	ctx := t.Context()
	s, read, asides, err := Open(ctx, v, 1)
	require.NoError(t, err)
	assert.Empty(t, read)
	assert.Empty(t, asides)
	seal := func(text string) []byte { return Seal([]byte(text), 0) }
	require.NoError(t, s.Write(ctx, []Change{{0, seal("a")}, {1000, seal("b")}}))
	require.NoError(t, s.Write(ctx, []Change{{0, nil}, {3, seal("c")}}))
	require.Error(t, s.Write(ctx, []Change{{maxSlots, seal("d")}}), "it is bounded")
	_, read, asides, err = Open(ctx, v, 2)
	require.NoError(t, err)
	assert.Empty(t, asides)
	require.Len(t, read, 1001)
	assert.Nil(t, read[0])
	assert.Equal(t, []byte("c"), read[3])
	assert.Equal(t, []byte("b"), read[1000])
	require.NoError(t, s.Close(ctx))
}

func FuzzOpen(f *testing.F) {
	v := storagetest.Client{}
	s, _, _, _ := Open(context.Background(), v, 1)
	_ = s.Write(context.Background(), []Change{{0, Seal([]byte("a"), 0)}})
	f.Add(v["slo"], v["slo/1/0"])
	f.Add([]byte(magic+"\x02"), []byte{})
	f.Fuzz(func(t *testing.T, head, value []byte) {
		v := storagetest.Client{"slo": head, "slo/1/0": value}
		s, read, _, err := Open(t.Context(), v, 2)
		if err != nil {
			assert.Equal(t, head, v["slo"], "it is left alone")
			return
		}
		if len(read) > 10 {
			return
		}
		require.NoError(t, s.Write(t.Context(), []Change{{Slot: 0, Value: Seal([]byte("new"), 0)}}))
		_, read, asides, err := Open(t.Context(), v, 3)
		require.NoError(t, err)
		assert.Empty(t, asides)
		assert.Equal(t, []byte("new"), read[0])
	})
}
