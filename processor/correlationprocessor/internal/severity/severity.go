// Package severity reads the names that OpenTelemetry's log data model gives to severities.
package severity

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
)

// ranges are the short names of the data model; each is four numbers wide.
var ranges = [...]string{"trace", "debug", "info", "warn", "error", "fatal"}

const width = 4

// Parse reads a name such as info, WARN or error2. The empty name is SeverityNumberUnspecified, which is below all others.
func Parse(name string) (plog.SeverityNumber, error) {
	if name == "" {
		return plog.SeverityNumberUnspecified, nil
	}
	plain, step := strings.ToLower(name), 0
	if last := plain[len(plain)-1]; '2' <= last && last <= '0'+width {
		plain, step = plain[:len(plain)-1], int(last-'1')
	}
	for i, known := range ranges {
		if plain == known {
			return plog.SeverityNumber(1 + i*width + step), nil
		}
	}
	return 0, fmt.Errorf("must be one of %s, got %q", strings.Join(ranges[:], ", "), name)
}
