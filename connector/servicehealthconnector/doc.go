// What mdatagen generates for emitted metrics is left out but for their documentation: its builder knows neither
// exponential histograms nor attributes that a document names. A test holds what is emitted against metadata.yaml.

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml
//go:generate rm -rf internal/metadata/generated_metrics.go internal/metadata/generated_metrics_test.go internal/metadata/generated_config.go internal/metadata/generated_config_test.go internal/metadata/testdata

// Package servicehealthconnector says which services depend on which, how objectives burn their error budgets,
// and in whom each burn began.
package servicehealthconnector
