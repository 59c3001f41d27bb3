# Every target has one line of help behind ##; `make` prints them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)
EXAMPLES := .cache/r4/package
CLIENTS := .cache/clients/node_modules
FUZZTIME ?= 20s
FUZZJOBS ?= 4
TOOL := go tool -modfile=tools.mod
CODE := cmd docs fhir criteria channel subscription
# Tests of the whole server wait more than they compute.
GOTEST := go test -timeout 20m -parallel 4

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

.PHONY: build
build: ## bin/fhirhook
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/fhirhook ./cmd/fhirhook

.PHONY: sbom
sbom: build ## bin/fhirhook.cdx.json: what is linked into bin/fhirhook (CycloneDX)
	./bin/fhirhook version --sbom > bin/fhirhook.cdx.json

.PHONY: run
run: build ## start the server with a receiver beside it, and print the curl commands to try
	./bin/fhirhook demo

.PHONY: test
test: ## all tests that need only Go
	$(GOTEST) ./...

.PHONY: race
race: ## the same under the race detector
	$(GOTEST) -race ./...

.PHONY: all-test
all-test: test ## everything: the tests, those that need more than Go, and each fuzz target for FUZZTIME
	$(MAKE) --no-print-directory -j 2 more-test fuzz

.PHONY: more-test
more-test: $(EXAMPLES) $(CLIENTS) ## the tests behind the tag all: Python, Node, HL7's examples and FHIR clients (fetched into .cache)
	files=$$(grep -rl '^//go:build all$$' --include='*_test.go' $(CODE)); \
	$(GOTEST) -tags all -run "^($$(grep -hoE '^func Test[A-Za-z0-9_]+' $$files | cut -c6- | paste -sd '|'))$$" $$(dirname $$files | sort -u | sed 's|^|./|')

$(EXAMPLES):
	go run ./cmd/internal/generate --fetch --package $(EXAMPLES)

$(CLIENTS): testdata/clients/package.json
	mkdir -p .cache/clients
	cp testdata/clients/package.json .cache/clients/
	cd .cache/clients && npm install --silent --no-audit --no-fund --ignore-scripts
	touch $(CLIENTS)

.PHONY: lint
lint: ## formatting, vet and golangci-lint
	@out=$$($(TOOL) gofumpt -l $(CODE)); if [ -n "$$out" ]; then echo "run make fmt: $$out"; exit 1; fi
	go vet ./... && go vet -tags all ./...
	$(TOOL) golangci-lint run --build-tags all ./...

.PHONY: fmt
fmt: ## format everything
	$(TOOL) gofumpt -w $(CODE)

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (20s), FUZZJOBS (4) at a time
	FUZZTIME=$(FUZZTIME) FUZZJOBS=$(FUZZJOBS) .ci/fuzz $(CODE)

.PHONY: bench
bench: build ## the figures of docs/performance.md, as ratios in one run (20 minutes on 2 cores)
	./bin/fhirhook bench --standard
	./bin/fhirhook bench --deliveries --pairs 9
	go test -run '^$$' -bench 'Store|Writes|Healthy|Idle|Backlog' -benchtime 1x -timeout 30m ./cmd/internal/bench

.PHONY: profile
profile: build ## CPU, heap, block and mutex profiles of the standard runs, server and floor, in ./bench
	./bin/fhirhook bench --standard --profile bench
	@echo; echo "profiles are in ./bench; as in: go tool pprof -top -cum bench/notify-server-cpu.pprof"

.PHONY: microbench
microbench: ## the benchmarks of every package, one by one
	go test -run '^$$' -bench . -benchmem $$(go list ./... | grep -v /cmd/internal/bench)

.PHONY: baseline
baseline: ## what the hot paths allocate, which the tests compare with: write cmd/internal/app/testdata/allocations.txt anew
	FHIRHOOK_BASELINE=write go test -count=1 -run TestAllocations ./cmd/internal/app

.PHONY: generate
generate: $(EXAMPLES) ## make the committed tables again from HL7's definitions
	go generate ./...

.PHONY: ci
ci: lint test race all-test ## what CI runs
