package sender

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/throughline-otel/throughline/examples/replay/internal/recording"
)

const plainJSON = "application/json"

// answer reads the body of a success. An empty body is what full success looks like in protobuf.
func answer(request recording.Request, format string, body []byte) (Result, error) {
	var rejected int64
	var message string
	var err error
	switch request.Signal {
	case recording.Traces:
		response := ptraceotlp.NewExportResponse()
		err = unmarshal(response, format, body)
		rejected, message = response.PartialSuccess().RejectedSpans(), response.PartialSuccess().ErrorMessage()
	case recording.Metrics:
		response := pmetricotlp.NewExportResponse()
		err = unmarshal(response, format, body)
		rejected, message = response.PartialSuccess().RejectedDataPoints(), response.PartialSuccess().ErrorMessage()
	case recording.Logs:
		response := plogotlp.NewExportResponse()
		err = unmarshal(response, format, body)
		rejected, message = response.PartialSuccess().RejectedLogRecords(), response.PartialSuccess().ErrorMessage()
	default:
		err = fmt.Errorf("no such signal: %v", request.Signal)
	}
	if err != nil {
		return Result{}, err
	}
	// A server's count is not to be trusted beyond what it was sent.
	rejected = min(max(rejected, 0), int64(request.Items))
	return Result{Rejected: int(rejected), Message: recording.Printable(message)}, nil
}

func unmarshal(into interface {
	UnmarshalProto([]byte) error
	UnmarshalJSON([]byte) error
}, format string, body []byte,
) error {
	if len(body) == 0 {
		return nil
	}
	if format == plainJSON {
		return into.UnmarshalJSON(body)
	}
	return into.UnmarshalProto(body)
}

// statusMessage is the reason that a refusal gives: OTLP answers with a google.rpc.Status, others with text.
func statusMessage(format string, body []byte) string {
	var reason status.Status
	switch {
	case format == protobuf && proto.Unmarshal(body, &reason) == nil:
		return recording.Printable(reason.GetMessage())
	case format == plainJSON && (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, &reason) == nil:
		return recording.Printable(reason.GetMessage())
	}
	return recording.Printable(strings.ToValidUTF8(string(body), "�"))
}
