package recovery

import "bytes"

// kind says what stands under a name.
type kind uint8

const (
	other kind = iota
	traceID
	spanID
	// transactionID is the span by which a trace entered a service, as Elastic has it.
	transactionID
	traceparent
	b3
	xray
	jaeger
	// googleHeader is X-Cloud-Trace-Context; googleTrace has the name of a project's trace, googleField that or just the id.
	googleHeader
	googleTrace
	googleField
	datadogTrace
	datadogSpan
)

// maxName is the length of the longest name of an id.
const maxName = len("http.request.header.x-cloud-trace-context")

// kindOf knows the names in use, however they are spelled.
func kindOf(name string) kind {
	if !isPromising(name) || len(name) > maxName {
		return other
	}
	switch name {
	case "trace_id", "traceId", "@tr":
		return traceID
	case "span_id", "spanId", "@sp":
		return spanID
	case "trace":
		return googleTrace
	case "logging.googleapis.com/trace":
		return googleField
	case "transaction.id":
		// With other separators it is the number of somebody's payment.
		return transactionID
	}
	var buffer [maxName]byte
	return kindOfPlain(plain(buffer[:0], name))
}

// isPromising looks at the last two letters, which rule out nearly all names: far more are asked for than have an id.
func isPromising(name string) bool {
	if len(name) < len("b3") {
		return false
	}
	switch uint16(name[len(name)-2]|0x20)<<8 | uint16(name[len(name)-1]|0x20) {
	case 'i'<<8 | 'd', 'n'<<8 | 't', 'x'<<8 | 't', 'b'<<8 | '3', 'c'<<8 | 'e', 't'<<8 | 'r', 's'<<8 | 'p':
		return true
	default:
		return false
	}
}

// vendors are those whose name stands before the words "trace id" and "span id".
var vendors = [...]struct {
	name        []byte
	trace, span kind
}{
	{[]byte("xb3"), traceID, spanID},
	{[]byte("b3"), traceID, spanID},
	{[]byte("dd"), datadogTrace, datadogSpan},
	{[]byte("awsxray"), xray, other},
	{[]byte("xray"), xray, other},
	{[]byte("xamzn"), xray, other},
	{[]byte("amzn"), xray, other},
	{[]byte("uber"), jaeger, other},
}

func kindOfPlain(name []byte) kind {
	if holder, ok := bytes.CutSuffix(name, []byte("traceid")); ok {
		if isHolder(holder) {
			return traceID
		}
		for i := range vendors {
			if rest, ok := bytes.CutSuffix(holder, vendors[i].name); ok && isHolder(rest) {
				return vendors[i].trace
			}
		}
		return other
	}
	if holder, ok := bytes.CutSuffix(name, []byte("spanid")); ok {
		if isHolder(holder) || string(holder) == "logginggoogleapiscom/" {
			return spanID
		}
		for i := range vendors {
			if rest, ok := bytes.CutSuffix(holder, vendors[i].name); ok && isHolder(rest) {
				return vendors[i].span
			}
		}
		return other
	}
	for i := range headers {
		if holder, ok := bytes.CutSuffix(name, headers[i].name); ok && isHolder(holder) {
			return headers[i].kind
		}
	}
	return other
}

// headers are names of whole contexts.
var headers = [...]struct {
	name []byte
	kind kind
}{
	{[]byte("traceparent"), traceparent},
	{[]byte("b3"), b3},
	{[]byte("xcloudtracecontext"), googleHeader},
}

// isHolder knows what loggers and agents put before the names of what an application gave them.
func isHolder(name []byte) bool {
	switch string(name) {
	case "", "otel", "mdc", "ctx", "context", "contextmap", "spancontext", "labels", "fields", "attributes", "extra",
		"properties", "logbackmdc", "log4jcontextdata", "trace", "httprequestheader":
		return true
	default:
		return false
	}
}

// kindWithin is the kind of a name in a map that stands itself under a name: {"dd": {"trace_id": …}}.
func kindWithin(parent, name string) kind {
	if isID(name) {
		switch parent {
		case "trace":
			return traceID
		case "span":
			return spanID
		case "transaction":
			return transactionID
		default:
			return other
		}
	}
	of := kindOf(name)
	if parent == "dd" {
		switch of {
		case traceID:
			return datadogTrace
		case spanID:
			return datadogSpan
		}
	}
	return of
}

// isID says whether a name is nothing but "id", so that what stands around it says whose.
func isID(name string) bool {
	return len(name) == len("id") && name[0]|0x20 == 'i' && name[1]|0x20 == 'd'
}

// plain appends a name without what separates its words, in lower case.
func plain(to []byte, name string) []byte {
	for i := range len(name) {
		if c := letters[name[i]]; c != 0 {
			to = append(to, c)
		}
	}
	return to
}

// letters has for each byte what plain makes of it, 0 for what separates words.
var letters = func() (of [256]byte) {
	for i := range of {
		of[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			of[i] += 'a' - 'A'
		}
	}
	for _, c := range []byte("_-. @") {
		of[c] = 0
	}
	return of
}()

// isForeign knows words before a name, and names of maps, that say that the ids are those of another request or span.
func isForeign(word string) bool {
	if len(word) < len("link") || len(word) > len("upstream") {
		return false
	}
	var buffer [len("upstream")]byte
	switch string(plain(buffer[:0], word)) {
	case "parent", "link", "links", "linked", "caller", "upstream", "remote", "previous":
		return true
	default:
		return false
	}
}

// isMessage knows the names under which structured logs have the sentence that a person wrote.
func isMessage(name string) bool {
	switch name {
	case "msg", "message", "Message", "MESSAGE", "@message", "log", "body", "event", "@m":
		return true
	default:
		return false
	}
}
