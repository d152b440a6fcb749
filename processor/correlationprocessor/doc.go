// Of what mdatagen generates for the configuration only the schema is kept: its struct leaves no room for a check of our own.
// A test holds the two against each other.

//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml
//go:generate rm -f generated_config.go generated_config_test.go

// Package correlationprocessor joins what the traces, metrics and logs of one request say, while they pass by.
package correlationprocessor
