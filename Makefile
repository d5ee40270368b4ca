# Everything a person or a machine does with this tree begins here. Each target is one script of
# tools/, which says what it does and, when a step fails, the command that reruns that step.
#
#   make run PORT=9046 DATA=/tmp/d      another port, another data directory
#   make test-fresh KEEP=1              keep the empty Debian root for another look

.DEFAULT_GOAL := help
PREFIX ?= /usr/local
# What an installation consists of.
SHIPPED := doozerd doozer doozer-inspect doozer_bundle
export PORT LISTEN DATA KEEP SECONDS_EACH

.PHONY: run
run: ## install what is missing, build, start a server on ./data, show a first set, get and watch
	@exec tools/run

.PHONY: cluster
cluster: ## the same with three servers on ./data/cluster, one cluster; Ctrl-C stops all
	@exec tools/cluster

.PHONY: test
test: ## install, build with g++ and with clang under ASan+UBSan, run all tests
	@exec tools/test

.PHONY: check
check: ## the quick part for every day: build, unit tests, format, include rules
	@exec tools/check

.PHONY: build
build: ## build with optimisation into build/release
	@tools/install-deps build && tools/build run $(SHIPPED)

.PHONY: lint
lint: ## clang-tidy over all files; FILES="base/bytes.cc ..." for some
	@exec tools/lint $(FILES)

.PHONY: tsan
tsan: ## the tests of the rooms that have threads, under ThreadSanitizer
	@exec tools/tsan

.PHONY: coverage
coverage: ## line coverage of the unit tests by room; core and storage must have 90 %
	@exec tools/coverage

.PHONY: fuzz
fuzz: ## every fuzz target for SECONDS_EACH=60 seconds
	@exec tools/fuzz $(TARGETS)

.PHONY: bench
bench: ## the benchmarks, from an optimised build
	@exec tools/bench

.PHONY: sim
sim: ## simulated clusters: the named plans and a fixed batch of seeds; SEEDS=A..B for others
	@exec tools/sim $(SEEDS)

.PHONY: soak
soak: ## simulated clusters with seeds never seen before, for HOURS=1
	@exec tools/soak $(HOURS)

.PHONY: chaos
chaos: ## real servers in network namespaces, every fault, all that clients saw judged; MINUTES=6
	@exec tools/chaos $(MINUTES)

.PHONY: canaries
canaries: ## bugs put into a copy of the tree, each of which the simulator must catch
	@exec tools/canaries

.PHONY: test-fresh
test-fresh: ## make run and make test in an empty Debian 12 root (as root)
	@exec tools/test-fresh

.PHONY: format
format: ## bring every source file into the house's format
	@tools/install-deps test && tools/check-format --fix

.PHONY: install
install: ## install what `make build` built under PREFIX=/usr/local (DESTDIR is honoured)
	@tools/install-deps build && tools/build run $(SHIPPED) && cmake --install build/release --prefix $(PREFIX)

.PHONY: clean
clean: ## remove everything built (./data stays)
	@echo "removing build/"; rm -rf build

.PHONY: help
help: ## this list
	@echo "Doozer: a consistent store for small, important data. What you can do here:"; echo; \
	sed -n 's/^\([a-z-]*\): ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 19; echo; \
	echo "Start with: make run"
