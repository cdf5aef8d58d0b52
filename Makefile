# "make" alone lists the targets. Everything here also runs on a bare Debian machine; see .ci/run.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO_BUILD := CGO_ENABLED=0 go build -trimpath
LDFLAGS := -s -w -X main.version=$(VERSION)
TEST_TIMEOUT ?= 15m
FUZZ_TIME ?= 30s
PKG ?= ./...

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z\/-]*:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build the server as bin/zmsg, static
	$(GO_BUILD) -ldflags '$(LDFLAGS)' -o bin/zmsg ./cmd/server

.PHONY: run
run: deps build ## run the server with a PostgreSQL and a Redis of its own; data in .dev
	$(GO_BUILD) -o bin/dev ./cmd/dev
	@exec bin/dev -bin bin/zmsg

.PHONY: demo
demo: deps ## watch the promises being kept under load and faults (DEMO='-kill=3 -increments=100000' for others)
	go run ./bench/demo -kill -add -redis-stop=10s $(DEMO)

.PHONY: test
test: deps bin/valkey-server ## run all tests under the race detector (PKG=./cache/... for some)
	go test -race -shuffle=on -timeout=$(TEST_TIMEOUT) $(PKG)

.PHONY: test/fast
test/fast: deps bin/valkey-server ## run all tests without the race detector
	go test -shuffle=on -timeout=$(TEST_TIMEOUT) $(PKG)

.PHONY: test/kv
test/kv: deps bin/valkey-server build ## run all tests with zmsg kv in Redis's place, where it can be
	ZMSG_TEST_KV=$(CURDIR)/bin/zmsg go test -shuffle=on -timeout=$(TEST_TIMEOUT) $(PKG)

.PHONY: test/diff
test/diff: deps ## replay KV_DIFF_COMMANDS (200000) random commands of each type to kv and to a redis-server
	KV_DIFF_COMMANDS=$${KV_DIFF_COMMANDS:-200000} go test -count=1 -timeout=0 ./kv/internal/difftest

.PHONY: bench
bench: deps ## run the benchmarks (PKG=./cache/... for some)
	go test -run='^$$' -bench=. -benchmem -timeout=0 $(PKG)

.PHONY: bench/kv
bench/kv: deps build ## measure kv beside redis-server (KV_BENCH='-rounds=9 -only=throughput' for others; 15 minutes)
	go run ./bench/kv -bin=$(CURDIR)/bin/zmsg $(KV_BENCH)

.PHONY: fuzz
fuzz: ## run every fuzz test for FUZZ_TIME (30s)
	FUZZ_TIME=$(FUZZ_TIME) scripts/fuzz.sh

.PHONY: lint
lint: bin/golangci-lint lint/openapi ## run all linters
	bin/golangci-lint run

.PHONY: lint/openapi
lint/openapi: ## lint the HTTP contract (needs Node.js 20.19 or later; says so where it is missing)
	@scripts/openapi-lint.sh

.PHONY: fmt
fmt: bin/golangci-lint ## format all Go files
	bin/golangci-lint fmt

.PHONY: generate
generate: ## generate code from openapi.yaml
	go generate ./...

.PHONY: verify
verify: ## fail when generated code or go.mod is stale
	scripts/verify-generated.sh
	go mod tidy -diff

.PHONY: verify/readme
verify/readme: ## run the README's commands against a running server (API=localhost:8080 ADMIN=localhost:9090)
	scripts/readme-tour.sh

.PHONY: docs
docs: ## write docs/configuration.md from the settings
	go test ./docs -run TestConfigurationIsCurrent -update

.PHONY: docker
docker: ## build the image zmsg:VERSION
	docker build --build-arg VERSION=$(VERSION) -t zmsg:$(VERSION) .

.PHONY: docker/lint
docker/lint: ## check Dockerfile and docker-compose.yml
	docker build --check .
	docker compose config --quiet

.PHONY: deps
deps: ## install PostgreSQL, Redis and a C compiler where they are missing
	@scripts/install-deps.sh

.PHONY: clean
clean: ## remove what was built; the data in .dev stays
	rm -rf bin

# The linter takes minutes to build, so it is kept.
bin/golangci-lint: tools/go.mod tools/go.sum
	cd tools && CGO_ENABLED=0 go build -trimpath -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

# A Redis that knows WAITAOF, for the tests of durability.
bin/valkey-server: scripts/install-valkey.sh | deps
	scripts/install-valkey.sh
