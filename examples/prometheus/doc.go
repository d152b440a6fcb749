// Package prometheus has no code: its tests run the queries of the connector's README in Prometheus' own scraper, storage and
// engine, against the built programs.
package prometheus
