package recovery

// kind says what stands under a name.
type kind uint8

const (
	other kind = iota
	traceID
	spanID
	traceparent
	b3
	xray
	datadogTrace
	datadogSpan
)

// kindOf knows the names in use, however they are spelled.
func kindOf(name string) kind {
	// Hardly a name ends like these, so that one byte rules most of them out.
	if len(name) < len("b3") || len(name) > len("http.request.header.x-amzn-trace-id") {
		return other
	}
	switch name[len(name)-1] {
	case 'd', 'D', 't', 'T', '3':
	default:
		return other
	}
	var buffer [len("http.request.header.x-amzn-trace-id")]byte
	return kindOfPlain(plain(buffer[:0], name))
}

func kindOfPlain(name []byte) kind {
	switch string(name) {
	case "traceid", "oteltraceid", "mdctraceid", "contexttraceid", "contextmaptraceid", "ctxtraceid", "spancontexttraceid",
		"xb3traceid", "b3traceid", "httprequestheaderxb3traceid":
		return traceID
	case "spanid", "otelspanid", "mdcspanid", "contextspanid", "contextmapspanid", "ctxspanid", "spancontextspanid",
		"xb3spanid", "b3spanid", "httprequestheaderxb3spanid":
		return spanID
	case "traceparent", "httprequestheadertraceparent":
		return traceparent
	case "b3", "httprequestheaderb3":
		return b3
	case "xraytraceid", "awsxraytraceid", "amzntraceid", "xamzntraceid", "httprequestheaderxamzntraceid":
		return xray
	case "ddtraceid":
		return datadogTrace
	case "ddspanid":
		return datadogSpan
	default:
		return other
	}
}

// kindWithin is the kind of a name in a map that stands itself under a name: {"dd": {"trace_id": …}}.
func kindWithin(parent, name string) kind {
	switch parent {
	case "dd", "trace", "span":
		if len(name) > len("trace_id") {
			break
		}
		var buffer [len("trace" + "trace_id")]byte
		if within := kindOfPlain(plain(append(buffer[:0], parent...), name)); within != other {
			return within
		}
	}
	return kindOf(name)
}

// plain appends a name without what separates its words, in lower case.
func plain(to []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			to = append(to, c+'a'-'A')
		case c == '_', c == '-', c == '.', c == ' ':
		default:
			to = append(to, c)
		}
	}
	return to
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
