package hold

import (
	"errors"
	"slices"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// signal is what batches of logs and of traces have in common.
type signal[T any] struct {
	count      func(T) int
	measure    func(T) (items int, bytes int64)
	ref, unref func(T)
	encode     func(T) []byte
	decode     func([]byte) (T, error)
	// failed is what an error says of which items have failed.
	failed func(error) (T, bool)
}

// NewLogs makes a queue of log records.
func NewLogs(settings Settings[plog.Logs]) *Queue[plog.Logs] {
	return newQueue(settings, signal[plog.Logs]{
		count:   plog.Logs.LogRecordCount,
		measure: measureLogs,
		ref:     pref.RefLogs,
		unref:   pref.UnrefLogs,
		encode: func(batch plog.Logs) []byte {
			// This marshaler returns no error ever.
			encoded, _ := (&plog.ProtoMarshaler{}).MarshalLogs(batch)
			return encoded
		},
		decode: (&plog.ProtoUnmarshaler{}).UnmarshalLogs,
		failed: func(err error) (plog.Logs, bool) {
			var said consumererror.Logs
			if !errors.As(err, &said) {
				return plog.Logs{}, false
			}
			return said.Data(), true
		},
	})
}

// NewTraces makes a queue of spans.
func NewTraces(settings Settings[ptrace.Traces]) *Queue[ptrace.Traces] {
	return newQueue(settings, signal[ptrace.Traces]{
		count:   ptrace.Traces.SpanCount,
		measure: measureTraces,
		ref:     pref.RefTraces,
		unref:   pref.UnrefTraces,
		encode: func(batch ptrace.Traces) []byte {
			encoded, _ := (&ptrace.ProtoMarshaler{}).MarshalTraces(batch)
			return encoded
		},
		decode: (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces,
		failed: func(err error) (ptrace.Traces, bool) {
			var said consumererror.Traces
			if !errors.As(err, &said) {
				return ptrace.Traces{}, false
			}
			return said.Data(), true
		},
	})
}

// judge says whether to send again after an error, and whether only what has failed. A batch that went to several
// consumers has an error for each that failed: as long as one of them may still take it, it is sent again; and as a
// whole, unless exactly one can take it and says what it lacks.
func judge[T any](err error, data func(error) (T, bool)) (failed T, partial, retry bool) {
	open := split(err)
	open = slices.DeleteFunc(open, consumererror.IsPermanent)
	if len(open) == 1 {
		failed, partial = data(open[0])
	}
	return failed, partial, len(open) > 0
}

func split(err error) []error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.Clone(several.Unwrap())
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
