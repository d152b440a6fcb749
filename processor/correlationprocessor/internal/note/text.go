package note

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	// MaxText bounds a body, and the text of an attribute, in bytes.
	MaxText = 1 << 10
	// maxName bounds the name of an event.
	maxName = 256
)

// appendText appends a value as text of at most limit bytes, in time that depends on the limit only. It is cut between
// characters, and what is not UTF-8 becomes U+FFFD. Maps and slices are JSON, of which the end may be missing.
func appendText(buffer []byte, value pcommon.Value, limit int) []byte {
	w := writer{buffer, len(buffer) + limit}
	switch value.Type() {
	case pcommon.ValueTypeEmpty:
	case pcommon.ValueTypeStr:
		w.characters(value.Str(), false)
	case pcommon.ValueTypeBytes:
		w.base64(value.Bytes())
	default:
		w.json(value)
	}
	return w.buffer
}

// appendString is appendText for a plain string.
func appendString(buffer []byte, text string, limit int) []byte {
	w := writer{buffer, len(buffer) + limit}
	w.characters(text, false)
	return w.buffer
}

// writer appends until its end; the first thing that does not fit ends it.
type writer struct {
	buffer []byte
	end    int
}

func (w *writer) room() int {
	return w.end - len(w.buffer)
}

func (w *writer) write(text string) {
	if len(text) > w.room() {
		w.end = len(w.buffer)
		return
	}
	w.buffer = append(w.buffer, text...)
}

func (w *writer) characters(text string, escaped bool) {
	if head := text[:min(len(text), w.room())]; !escaped && utf8.ValidString(head) {
		w.write(head)
		w.write(text[len(head):])
		return
	}
	for len(text) > 0 && w.room() > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case escaped && (r == '"' || r == '\\'):
			w.write(`\` + text[:1])
		case escaped && r < ' ':
			const digits = "0123456789abcdef"
			w.write(`\u00` + string([]byte{digits[r>>4], digits[r&15]}))
		case r == utf8.RuneError:
			w.write("\uFFFD")
		default:
			w.write(text[:size])
		}
		text = text[size:]
	}
}

func (w *writer) base64(bytes pcommon.ByteSlice) {
	length := min(bytes.Len(), w.room()/4*3)
	head := make([]byte, length)
	for i := range head {
		head[i] = bytes.At(i)
	}
	w.buffer = base64.StdEncoding.AppendEncode(w.buffer, head)
	if length < bytes.Len() {
		w.end = len(w.buffer)
	}
}

// json goes no deeper than there is room, since every level takes a byte.
func (w *writer) json(value pcommon.Value) {
	if w.room() <= 0 {
		return
	}
	switch value.Type() {
	case pcommon.ValueTypeStr:
		w.write(`"`)
		w.characters(value.Str(), true)
		w.write(`"`)
	case pcommon.ValueTypeBytes:
		w.write(`"`)
		w.base64(value.Bytes())
		w.write(`"`)
	case pcommon.ValueTypeMap:
		separator := "{"
		for key, element := range value.Map().All() {
			w.write(separator)
			w.write(`"`)
			w.characters(key, true)
			w.write(`":`)
			w.json(element)
			if separator = ","; w.room() <= 0 {
				return
			}
		}
		if separator == "{" {
			w.write(separator)
		}
		w.write("}")
	case pcommon.ValueTypeSlice:
		separator := "["
		for _, element := range value.Slice().All() {
			w.write(separator)
			w.json(element)
			if separator = ","; w.room() <= 0 {
				return
			}
		}
		if separator == "[" {
			w.write(separator)
		}
		w.write("]")
	case pcommon.ValueTypeEmpty:
		w.write("null")
	default:
		w.write(scalar(value))
	}
}

func scalar(value pcommon.Value) string {
	switch value.Type() {
	case pcommon.ValueTypeInt:
		return strconv.FormatInt(value.Int(), 10)
	case pcommon.ValueTypeDouble:
		return strconv.FormatFloat(value.Double(), 'g', -1, 64)
	default:
		return strconv.FormatBool(value.Bool())
	}
}
