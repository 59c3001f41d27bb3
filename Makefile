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
	go test -timeout 20m ./...

.PHONY: race
race: ## the same under the race detector
	go test -race -timeout 20m ./...

.PHONY: all-test
all-test: $(EXAMPLES) $(CLIENTS) ## everything: also Python, Node, HL7's examples and FHIR clients (fetched into .cache)
	go test -tags all -timeout 20m ./...

$(EXAMPLES):
	go run ./cmd/internal/generate --fetch --package $(EXAMPLES)

$(CLIENTS): testdata/clients/package.json
	mkdir -p .cache/clients
	cp testdata/clients/package.json .cache/clients/
	cd .cache/clients && npm install --silent --no-audit --no-fund --ignore-scripts
	touch $(CLIENTS)

.PHONY: lint
lint: ## formatting, vet and golangci-lint
	@out=$$($(TOOL) gofumpt -l cmd docs fhir criteria channel subscription); if [ -n "$$out" ]; then echo "run make fmt: $$out"; exit 1; fi
	go vet ./... && go vet -tags all ./...
	$(TOOL) golangci-lint run --build-tags all ./...

.PHONY: fmt
fmt: ## format everything
	$(TOOL) gofumpt -w cmd docs fhir criteria channel subscription

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (20s), FUZZJOBS (4) at a time
	@grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' cmd fhir criteria channel subscription | sort \
	  | sed -E 's|^(.*)/[^/]+:func (Fuzz.*)$$|\1 \2|' \
	  | xargs -P $(FUZZJOBS) -L 1 bash -c 'out=$$(go test ./$$0 -run "^$$" -fuzz "^$$1\$$" -fuzztime $(FUZZTIME) -parallel 1 2>&1) \
	    && echo "ok $$0 $$1: $$(grep -oE "execs: [0-9]+" <<<"$$out" | tail -1)" || { echo "FAILED $$0 $$1"; echo "$$out"; exit 1; }'

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

.PHONY: generate
generate: $(EXAMPLES) ## make the committed tables again from HL7's definitions
	go generate ./...

.PHONY: ci
ci: lint test race all-test ## what CI runs
