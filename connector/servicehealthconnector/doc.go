// Of what mdatagen generates for emitted metrics only the documentation is kept: its builder knows neither exponential
// histograms nor attributes that an objective's document names. Of what it generates for the configuration only the schema is
// kept: its struct leaves no room for a check of our own. Tests hold both against the code.

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml
//go:generate rm -rf internal/metadata/generated_metrics.go internal/metadata/generated_metrics_test.go internal/metadata/generated_config.go internal/metadata/generated_config_test.go internal/metadata/testdata generated_config.go generated_config_test.go

// Package servicehealthconnector says which services depend on which, how objectives burn their error budgets,
// and in whom each burn began.
package servicehealthconnector
