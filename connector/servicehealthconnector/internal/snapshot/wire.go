// Package snapshot is the form in which state survives: numbers and texts one after the other in a value of bytes, each value with
// a checksum, and the values in a storage extension's client, in which all that changed is written at once.
package snapshot

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// maxText bounds a text in bytes, far above any name that is ever written.
const maxText = 1 << 16

var (
	// ErrShort says that a value ends before all was read.
	ErrShort = errors.New("it ends too early")
	// ErrNumber says that a number is too large to be what it should be.
	ErrNumber = errors.New("a number in it is out of range")
	// ErrChecksum says that a value is not as it was written.
	ErrChecksum = errors.New("its checksum is wrong")
)

// Uint appends a number that is not negative.
func Uint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

// Int appends a number.
func Int(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

// Float appends a floating-point number, to the bit.
func Float(b []byte, v float64) []byte { return binary.BigEndian.AppendUint64(b, math.Float64bits(v)) }

// Text appends a text.
func Text(b []byte, s string) []byte { return append(Uint(b, uint64(len(s))), s...) }

// Bool appends a truth value.
func Bool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// Reader reads what was appended, in the same order. After the first error all that is read is zero.
type Reader struct {
	rest []byte
	err  error
}

// NewReader returns a reader of a value without its checksum.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Rest is what has not been read yet.
func (r *Reader) Rest() []byte { return r.rest }

// Refuse ends reading with an error.
func (r *Reader) Refuse(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// Uint reads a number.
func (r *Reader) Uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	return took(r, v, n)
}

// Int reads a number that may be negative.
func (r *Reader) Int() int64 {
	v, n := binary.Varint(r.rest)
	return took(r, v, n)
}

// Time reads nanoseconds since the epoch, or a number of such stretches; neither is ever negative.
func (r *Reader) Time() int64 {
	v := r.Uint()
	if v > math.MaxInt64 {
		r.Refuse(ErrNumber)
		return 0
	}
	return int64(v)
}

func took[T any](r *Reader, v T, n int) T {
	var none T
	switch {
	case r.err != nil:
		return none
	case n == 0:
		r.Refuse(ErrShort)
		return none
	case n < 0:
		r.Refuse(ErrNumber)
		return none
	}
	r.rest = r.rest[n:]
	return v
}

// Len reads how many things follow, of which each takes a byte at least.
func (r *Reader) Len() int {
	v := r.Uint()
	if v > uint64(len(r.rest)) {
		r.Refuse(ErrShort)
		return 0
	}
	return int(v)
}

// Float reads a floating-point number. One that is none, or infinite, was never written.
func (r *Reader) Float() float64 {
	const size = 8
	if len(r.rest) < size {
		r.Refuse(ErrShort)
		return 0
	}
	v := math.Float64frombits(binary.BigEndian.Uint64(r.rest))
	r.rest = r.rest[size:]
	if math.IsNaN(v) || math.IsInf(v, 0) {
		r.Refuse(ErrNumber)
		return 0
	}
	return v
}

// Text reads a text. It has memory of its own.
func (r *Reader) Text() string {
	n := r.Len()
	if n > maxText {
		r.Refuse(ErrNumber)
		return ""
	}
	if r.err != nil {
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// Byte reads a small number.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		r.Refuse(ErrShort)
		return 0
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

// Bool reads a truth value.
func (r *Reader) Bool() bool {
	v := r.Byte()
	if v > 1 {
		r.Refuse(ErrNumber)
	}
	return v == 1
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Seal completes a value that begins at from, by its checksum.
func Seal(b []byte, from int) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// open returns a value without its checksum.
func open(b []byte) ([]byte, error) {
	const size = 4
	if len(b) < size {
		return nil, ErrShort
	}
	value := b[:len(b)-size]
	if binary.BigEndian.Uint32(b[len(b)-size:]) != crc32.Checksum(value, castagnoli) {
		return nil, ErrChecksum
	}
	return value, nil
}
