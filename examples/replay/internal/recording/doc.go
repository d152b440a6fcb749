// Package recording reads recorded telemetry: files of JSON lines, each line one OTLP/JSON export request of any of the
// three signals, plain or compressed.
//
// [Reader] finds the lines, [Parse] decodes one of them into an [Export], and [Export.Requests] encodes it for the wire.
package recording
