//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package correlationprocessor joins what the traces, metrics and logs of one request say, while they pass by.
package correlationprocessor
