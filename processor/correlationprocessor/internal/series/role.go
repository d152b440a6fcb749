package series

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Role is what the name of a metric says about the spans behind its points.
type Role struct {
	// family is of what the span has something to say, and empty for the metrics that no convention knows.
	family mask
	kinds  kinds
}

// kind is one of the kinds of spans that the protocol has.
type kind uint8

// kindOf reads what came off the wire, where any number can be. What the protocol does not have is as good as unspecified.
func kindOf(given ptrace.SpanKind) kind {
	if given < ptrace.SpanKindUnspecified || given > ptrace.SpanKindConsumer {
		return kind(ptrace.SpanKindUnspecified)
	}
	return kind(given)
}

// kinds is a set of span kinds.
type kinds uint8

func kindsOf(of ...ptrace.SpanKind) (set kinds) {
	for _, given := range of {
		set |= 1 << kindOf(given)
	}
	return set
}

var (
	anyKind   = kindsOf(ptrace.SpanKindInternal, ptrace.SpanKindServer, ptrace.SpanKindClient, ptrace.SpanKindProducer, ptrace.SpanKindConsumer)
	serving   = kindsOf(ptrace.SpanKindServer)
	calling   = kindsOf(ptrace.SpanKindClient)
	sending   = kindsOf(ptrace.SpanKindProducer, ptrace.SpanKindClient)
	receiving = kindsOf(ptrace.SpanKindConsumer, ptrace.SpanKindClient)
	consuming = kindsOf(ptrace.SpanKindConsumer)
)

// RoleOf reads the name of a metric, with the separators of OpenTelemetry or of Prometheus.
func RoleOf(metric string) Role {
	first, rest := cut(metric)
	role := Role{kinds: anyKind}
	switch first {
	case "http":
		role.family = httpSlots
	case "rpc":
		role.family = rpcSlots
	case "db":
		role.family = dbSlots
	case "messaging":
		role.family = messagingSlots
	default:
		return role
	}
	for rest != "" {
		first, rest = cut(rest)
		switch first {
		case "server":
			role.kinds &= serving
		case "client":
			if role.family == messagingSlots {
				role.kinds &= sending | receiving
			} else {
				role.kinds &= calling
			}
		case "publish", "published", "sent", "send":
			role.kinds &= sending
		case "receive", "received", "consumed":
			role.kinds &= receiving
		case "process", "processed":
			role.kinds &= consuming
		}
	}
	return role
}

// DurationUnit tells of how many nanoseconds the unit of a metric is that measures how long spans take.
func DurationUnit(name, unit string) (float64, bool) {
	duration, last := false, ""
	for rest := name; rest != ""; {
		last, rest = cut(rest)
		switch last {
		case "duration", "latency":
			duration = true
		case "connection", "connections", "lookup":
			// A connection outlives its requests, and a name is looked up before them.
			return 0, false
		}
	}
	if !duration {
		return 0, false
	}
	if unit == "" {
		unit = last
	}
	switch unit {
	case "s", "seconds":
		return 1e9, true
	case "ms", "milliseconds":
		return 1e6, true
	default:
		return 0, false
	}
}

// CountsItems tells whether a sum of this unit goes up by one with each thing that it counts.
func CountsItems(unit string) bool {
	return unit == "" || unit == "1" || strings.HasPrefix(unit, "{") && strings.HasSuffix(unit, "}")
}

func cut(name string) (first, rest string) {
	if i := strings.IndexAny(name, "._"); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}
