// Package sli asks telemetry what an objective's indicator wants to know: whether an item is an event of the objective,
// whether it is a good one, and to which of the objective's groups it belongs.
//
// Indicators are OTTL, in its contexts for spans, data points and log records. Their paths may be written with or without
// their context: attributes["k"] is the span's own attribute, and so is span.attributes["k"]; what is said about the whole
// process is resource.attributes["k"]. The functions are OTTL's standard converters, without those that say something else
// each time. An indicator can only look: the functions that change telemetry are not there.
//
// A span or a record is one event. A data point may stand for many, and, if it is cumulative, counts only together with
// the one before it in its series, which is not known here: package series remembers it.
//
// OTTL puts most values that it reads onto the heap. A collector asks each item all objectives of its service, so what
// nearly all indicators consist of, comparisons of an item's fields and attributes with constants, is evaluated here without
// that. Whatever these comparisons do not know is left to OTTL, so that the answer is always OTTL's. In one case it is not: a
// value that is value_double or value_int alone is the point's number, of whichever type.
package sli
