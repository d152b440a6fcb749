// Package sli asks telemetry what an objective's indicator wants to know: whether an item is an event of the objective,
// whether it is a good one, and to which of the objective's groups it belongs.
//
// Indicators are OTTL. Their paths may be written with or without their context: attributes["k"] is the span's own
// attribute, and so is span.attributes["k"]; what is said about the whole process is resource.attributes["k"]. The
// functions are OTTL's standard converters. An indicator can only look: the functions that change telemetry are not there.
//
// OTTL puts most values that it reads onto the heap. A collector asks each span all objectives of its service, so what
// nearly all indicators consist of, comparisons of a span's fields and attributes with constants, is evaluated here without
// that. Whatever these comparisons do not know is left to OTTL, so that the answer is always OTTL's.
package sli
