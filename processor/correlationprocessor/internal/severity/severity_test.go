package severity_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/throughline-otel/throughline/processor/correlationprocessor/internal/severity"
)

func TestNamesOfTheDataModel(t *testing.T) {
	for name, want := range map[string]plog.SeverityNumber{
		"": plog.SeverityNumberUnspecified, "trace": plog.SeverityNumberTrace, "TRACE4": plog.SeverityNumberTrace4,
		"debug": plog.SeverityNumberDebug, "Info": plog.SeverityNumberInfo, "warn2": plog.SeverityNumberWarn2,
		"ERROR": plog.SeverityNumberError, "error3": plog.SeverityNumberError3, "fatal4": plog.SeverityNumberFatal4,
	} {
		got, err := severity.Parse(name)
		require.NoError(t, err, name)
		assert.Equal(t, want, got, name)
	}
}

func TestOtherNamesAreRefused(t *testing.T) {
	for _, name := range []string{"warning", "error1", "error5", "error22", "2", " info", "off"} {
		_, err := severity.Parse(name)
		assert.EqualError(t, err, `must be one of trace, debug, info, warn, error, fatal, got "`+name+`"`)
	}
}
