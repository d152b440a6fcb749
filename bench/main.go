package main

import (
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/open-telemetry/opentelemetry-collector-contrib/connector/servicegraphconnector"
	_ "github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	_ "github.com/stretchr/testify/require"
	_ "github.com/throughline-otel/throughline/connector/servicehealthconnector"
	_ "github.com/throughline-otel/throughline/processor/correlationprocessor"
	_ "go.opentelemetry.io/collector/connector/connectortest"
	_ "go.opentelemetry.io/collector/processor/processortest"
	_ "go.opentelemetry.io/collector/component/componenttest"
	_ "go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	_ "google.golang.org/grpc"
	_ "go.uber.org/goleak"
	_ "go.yaml.in/yaml/v3"
)

func main() {}
