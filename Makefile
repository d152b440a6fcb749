# Every target says in one line what it does; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash -o pipefail

# The modules with code of our own. cmd/throughline is generated; it is tested as a binary, by the tests in config/.
MODULES := . examples/shop examples/replay examples/prometheus bench
TOOL := go tool -modfile=$(CURDIR)/internal/tools/go.mod
BINARY := bin/throughline
# Debug information is stripped by the linker anyway; leaving it out of the compiler's output saves a tenth of a cold build.
GCFLAGS := -gcflags=all=-dwarf=false
BUILD := go build -trimpath -ldflags='-s -w' $(GCFLAGS)
SOURCES := $(shell find processor connector internal -name '*.go' -not -name '*_test.go' 2>/dev/null) go.mod go.sum

# How long `make run` goes on, in seconds; 0 is until Ctrl-C.
RUN_SECONDS ?= 0
# Where `make bench`, `make diagnose` and some tests find recorded telemetry. What needs it is skipped where it is absent.
DATA ?=
FUZZ_TIME ?= 20s
ENV = THROUGHLINE_BIN=$(CURDIR)/bin THROUGHLINE_DATA=$(abspath $(DATA))

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: run
run: build bin/shop ## Build, then run the collector and a small system with faults, and show what is said about them
	@examples/shop/run.sh $(RUN_SECONDS)

.PHONY: build
build: $(BINARY) ## Build the distribution into bin/throughline

$(BINARY): $(SOURCES) $(wildcard cmd/throughline/*)
	@echo "building $@ (minutes when the module and build caches are empty)"
	@mkdir -p bin
	@cd cmd/throughline && $(BUILD) -o ../../$@ .

bin/shop: $(shell find examples/shop -name '*.go' -not -name '*_test.go' 2>/dev/null) examples/shop/go.mod examples/shop/go.sum
	@echo "building $@"
	@mkdir -p bin
	@cd examples/shop && $(BUILD) -o ../../$@ .

bin/replay: $(shell find examples/replay -name '*.go' -not -name '*_test.go' 2>/dev/null) examples/replay/go.mod examples/replay/go.sum
	@echo "building $@"
	@mkdir -p bin
	@cd examples/replay && $(BUILD) -o ../../$@ .

.PHONY: test
test: build bin/shop bin/replay ## Test all modules with the race detector, and the binaries end to end
	@for m in $(MODULES); do \
		echo "testing $$m"; \
		(cd $$m && $(ENV) go test -race -timeout 30m ./...) || exit 1; \
	done

.PHONY: bench
bench: ## Measure the components beside their peers, and print the ratios
	@cd bench && $(ENV) go run .

.PHONY: fuzz
fuzz: ## Fuzz everything that reads strangers' input, FUZZ_TIME each
	@for m in $(MODULES); do \
		(cd $$m && for p in $$(go list -f '{{.Dir}}' ./...); do \
			for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]*' $$p/*_test.go 2>/dev/null | cut -d' ' -f2); do \
				echo "fuzzing $$p $$f"; \
				go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 5x $$p || exit 1; \
			done; \
		done) || exit 1; \
	done

.PHONY: validate
validate: build ## Check every shipped configuration, and every YAML block of the docs, with the binary
	@cd config && $(ENV) go test -count=1 -run 'Validate|Docs|Components' -v . | grep -E '^(=== RUN|--- |\s+---|ok|FAIL|PASS)' | grep -v '=== RUN'

.PHONY: diagnose
diagnose: build bin/replay ## Replay every recording in DATA in its own time, and score what was said against its labels
	@examples/replay/diagnose.sh $(DATA)

.PHONY: lint
lint: ## Check formatting, vet and staticcheck in all modules
	@unformatted=$$($(TOOL) gofumpt -l . | grep -v -e generated_ -e ^cmd/throughline/ || true); \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofumpt:"; echo "$$unformatted"; exit 1; fi
	@for m in $(MODULES); do echo "linting $$m"; (cd $$m && go vet ./... && $(TOOL) staticcheck ./...) || exit 1; done

.PHONY: generate
generate: ## Regenerate cmd/throughline from builder-config.yaml and the components' metadata
	@echo "generating component metadata"
	@go generate ./...
	@echo "generating cmd/throughline"
# The builder downloads every module of the graph, also those of other operating systems. With `true` in place of go it only
# writes the sources; tidy then fetches what this platform and its tests need.
	@rm -f cmd/throughline/*.go cmd/throughline/go.mod cmd/throughline/go.sum
	@env dist.go=true $(TOOL) builder --config builder-config.yaml --skip-compilation --skip-strict-versioning 2>/dev/null
	@cd cmd/throughline && go mod tidy

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin
