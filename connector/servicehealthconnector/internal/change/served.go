package change

import "github.com/throughline-otel/throughline/connector/servicehealthconnector/internal/names"

// Release is what of a service is deployed: its version, or where that stays the same or is missing, the revision of its source.
type Release struct{ Version, Revision string }

func (r Release) clean() Release { return Release{names.Clean(r.Version), names.Clean(r.Revision)} }

// Served is what serves.
type Served struct {
	Release
	// Template is what its pod was made from, Instance which of several it is.
	Template, Instance string
}

// Clean is what may be kept of it, bounded and without the telemetry that it was read from.
func (s Served) Clean() Served {
	return Served{s.clean(), names.Clean(s.Template), names.Clean(s.Instance)}
}
