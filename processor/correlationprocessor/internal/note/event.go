package note

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const (
	attributeErrorCount = "throughline.logs.error_count"
	attributeSeverity   = "throughline.log.severity"
	attributeBody       = "throughline.log.body"

	// An event of this name has at least one of these attributes, say the semantic conventions.
	exceptionEvent   = "exception"
	exceptionPrefix  = "exception."
	exceptionType    = "exception.type"
	exceptionMessage = "exception.message"

	logEvent = "log"
)

// The short names of severities as the logs data model has them.
var severities = [...]string{
	plog.SeverityNumberTrace: "TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4",
	"INFO", "INFO2", "INFO3", "INFO4", "WARN", "WARN2", "WARN3", "WARN4",
	"ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL", "FATAL2", "FATAL3", "FATAL4",
}

// How a value is packed: nothing, a text, or the eight bytes of a number.
const (
	packedEmpty = iota
	packedText
	packedInt
	packedDouble
	packedBool
)

// lengthBytes is what the length of a text takes in front of it.
const lengthBytes = 2

// About is what is noted about a span.
type About struct {
	// Errors is how many of its records were errors or worse.
	Errors int64
	// LeftOut is how many records were severe enough for a note, but there were more telling ones.
	LeftOut int64

	notes   []note
	carried []string
}

// AppendTo puts what is noted onto the span: the number of errors, if the span does not have it, and an event for each
// note, in the order of time after the events that it has. A span on which somebody closer to the sender has put events
// of this kind is given none. It tells how many events were put.
//
// A scalar attribute keeps its type. Anything else is carried as text, no longer than MaxText.
func (a *About) AppendTo(span ptrace.Span) (events int) {
	if a.Errors > 0 {
		if into, exists := span.Attributes().GetOrPutEmpty(attributeErrorCount); !exists {
			into.SetInt(a.Errors)
		}
	}
	if len(a.notes) == 0 || hasNotes(span.Events()) {
		return 0
	}
	slices.SortStableFunc(a.notes, func(a, b note) int { return cmp.Compare(a.at, b.at) })
	span.Events().EnsureCapacity(span.Events().Len() + len(a.notes))
	for i := range a.notes {
		a.notes[i].unpack(span.Events().AppendEmpty(), a.carried)
	}
	return len(a.notes)
}

func hasNotes(events ptrace.SpanEventSlice) bool {
	for _, event := range events.All() {
		if _, ok := event.Attributes().Get(attributeSeverity); ok {
			return true
		}
	}
	return false
}

// pack appends what a note keeps of a record: the name of its event, the body, and those attributes that are carried,
// each by its number.
func pack(buffer []byte, record plog.LogRecord, carried []string) []byte {
	start := len(buffer) + lengthBytes
	buffer = sealText(appendString(append(buffer, 0, 0), nameOf(record), maxName), start)
	buffer = packText(buffer, record.Body())
	for number, key := range carried {
		value, ok := record.Attributes().Get(key)
		if !ok {
			continue
		}
		buffer = binary.LittleEndian.AppendUint16(buffer, uint16(number))
		switch value.Type() {
		case pcommon.ValueTypeEmpty:
			buffer = append(buffer, packedEmpty)
		case pcommon.ValueTypeInt:
			buffer = packNumber(buffer, packedInt, uint64(value.Int()))
		case pcommon.ValueTypeDouble:
			buffer = packNumber(buffer, packedDouble, math.Float64bits(value.Double()))
		case pcommon.ValueTypeBool:
			var number uint64
			if value.Bool() {
				number = 1
			}
			buffer = packNumber(buffer, packedBool, number)
		default:
			buffer = packText(append(buffer, packedText), value)
		}
	}
	return buffer
}

// nameOf is what the event on the span is called.
func nameOf(record plog.LogRecord) string {
	if name := record.EventName(); name != "" {
		return name
	}
	for key := range record.Attributes().All() {
		if strings.HasPrefix(key, exceptionPrefix) {
			return exceptionEvent
		}
	}
	return logEvent
}

func packText(buffer []byte, value pcommon.Value) []byte {
	start := len(buffer) + lengthBytes
	return sealText(appendText(append(buffer, 0, 0), value, MaxText), start)
}

// sealText writes the length of a text in front of it.
func sealText(buffer []byte, start int) []byte {
	binary.LittleEndian.PutUint16(buffer[start-lengthBytes:], uint16(len(buffer)-start))
	return buffer
}

func packNumber(buffer []byte, kind byte, number uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(buffer, kind), number)
}

// unpack makes an event of a note.
func (n *note) unpack(event ptrace.SpanEvent, carried []string) {
	p := parcel{bytes: n.packed, text: string(n.packed)}
	event.SetTimestamp(n.at)
	event.SetName(p.nextText())
	attributes := event.Attributes()
	attributes.EnsureCapacity(2 + len(carried))
	attributes.PutStr(attributeSeverity, severities[n.severity])
	if body := p.nextText(); body != "" {
		attributes.PutStr(attributeBody, body)
	}
	for len(p.bytes) > 0 {
		number := binary.LittleEndian.Uint16(p.next(2))
		kind := p.next(1)[0]
		into, exists := attributes.GetOrPutEmpty(carried[number])
		switch kind {
		case packedText:
			if text := p.nextText(); !exists {
				into.SetStr(text)
			}
		case packedInt:
			if number := binary.LittleEndian.Uint64(p.next(8)); !exists {
				into.SetInt(int64(number))
			}
		case packedDouble:
			if number := binary.LittleEndian.Uint64(p.next(8)); !exists {
				into.SetDouble(math.Float64frombits(number))
			}
		case packedBool:
			if number := binary.LittleEndian.Uint64(p.next(8)); !exists {
				into.SetBool(number != 0)
			}
		}
	}
}

// parcel reads what was packed. Its texts are parts of one string.
type parcel struct {
	bytes []byte
	text  string
}

func (p *parcel) next(length int) []byte {
	taken := p.bytes[:length]
	p.bytes, p.text = p.bytes[length:], p.text[length:]
	return taken
}

func (p *parcel) nextText() string {
	length := int(binary.LittleEndian.Uint16(p.next(2)))
	text := p.text[:length]
	p.next(length)
	return text
}
