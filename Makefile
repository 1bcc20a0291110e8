# Short names for what CMake and the scripts of test/lib do. `make help` lists them.

PRESET       ?= release
SEEDS        ?= 1000
FIRST_SEED   ?= 1
FUZZ_SECONDS ?= 60
PREFIX       ?= /usr/local
BUILD        := build/$(PRESET)
C_FILES       = $(shell find include src test bench -name '*.[ch]' 2>/dev/null)

.PHONY: all build-all test check check-format check-warnings check-tidy check-cppcheck \
        check-layers check-asan check-tsan format coverage fuzz sim model bench soak faults churn install clean help

all: $(BUILD)/build.ninja
	@cmake --build $(BUILD) --target product
	@if [ -x $(BUILD)/src/cli/sealmq ]; then ln -sfn $(PRESET)/src/cli/sealmq build/sealmq; fi

$(BUILD)/build.ninja: CMakePresets.json
	cmake --preset $(PRESET)

# Configured anew each time, so that test dependencies installed since are found.
build-all:
	@cmake --preset $(PRESET) -DSEALMQ_REQUIRE_TESTS=ON >/dev/null
	@cmake --build $(BUILD)
	@if [ -x $(BUILD)/src/cli/sealmq ]; then ln -sfn $(PRESET)/src/cli/sealmq build/sealmq; fi

test: build-all
	@test/lib/run_tests --build $(BUILD)

check: check-format check-warnings check-tidy check-cppcheck check-layers check-asan check-tsan
	@echo "check: all held"

check-format:
	@clang-format --dry-run --Werror $(C_FILES)
	@echo "check-format: $(words $(C_FILES)) files"

format:
	@clang-format -i $(C_FILES)

check-warnings:
	@cmake --preset gcc >/dev/null && cmake --build build/gcc -- -k 0
	@cmake --preset clang >/dev/null && cmake --build build/clang -- -k 0

check-tidy:
	@cmake --preset clang >/dev/null
	@run-clang-tidy -quiet -p build/clang "$(CURDIR)/src/.*\.c$$"

check-cppcheck:
	@cmake --preset clang >/dev/null
	@mkdir -p build/cppcheck
	@cppcheck --project=build/clang/compile_commands.json --file-filter='src/*' \
	    --enable=warning,performance,portability --inline-suppr --error-exitcode=1 --quiet \
	    --library=test/lib/cppcheck-uthash.cfg \
	    --suppressions-list=test/lib/cppcheck-suppressions.txt --cppcheck-build-dir=build/cppcheck \
	    -j $$(nproc)
	@echo "check-cppcheck: clean"

check-layers:
	@$(MAKE) --no-print-directory all
	@for check in includes symbols selftest; do test/lib/check_layers $$check --build $(BUILD) || exit 1; done

check-asan:
	@$(MAKE) --no-print-directory test PRESET=asan

check-tsan:
	@$(MAKE) --no-print-directory test PRESET=tsan

coverage:
	@find build/coverage -name '*.gcda' -delete 2>/dev/null || true
	@status=0; $(MAKE) --no-print-directory test PRESET=coverage || status=$$?; \
	    test/lib/show_coverage build/coverage && exit $$status

fuzz:
	@cmake --preset fuzz >/dev/null
	@cmake --build build/fuzz
	@test/lib/run_fuzzers build/fuzz $(FUZZ_SECONDS)

sim: all
	@$(BUILD)/src/cli/sealmq sim --seeds $(SEEDS) --first-seed $(FIRST_SEED) --jobs $$(nproc)

model:
	@test/model/run

# ROWS=pattern,... chooses; QUICK=1 is one short round. Beside it: bench/run --idle N, --churn SECONDS.
bench: all
	@cmake --build $(BUILD) --target bench_programs
	@bench/run $(BUILD)/src/cli/sealmq $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	    $(if $(ROWS),--rows '$(ROWS)') \
	    --json $(BUILD)/bench.json

# Four nodes on loopback. PARTS=rates,lone,... chooses; QUICK=1 takes two minutes, otherwise ten.
.PHONY: bench-chain
bench-chain: all
	@cmake --build $(BUILD) --target bench_programs
	@bench/chain $(BUILD)/src/cli/sealmq $(if $(QUICK),--quick) $(if $(PARTS),--parts '$(PARTS)') \
	    --json $(BUILD)/bench-chain.json

# What is too long for every change: many seeds, long fuzzing, the tests over and over.
soak:
	@$(MAKE) --no-print-directory sim SEEDS=$${SOAK_SEEDS:-50000} FIRST_SEED=$$(date +%s)
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$${SOAK_FUZZ_SECONDS:-900}
	@$(MAKE) --no-print-directory churn
	@$(MAKE) --no-print-directory faults
	@for round in $$(seq $${SOAK_ROUNDS:-10}); do \
	    echo "soak: round $$round"; \
	    export SEALMQ_KILL_ROUNDS=$${SEALMQ_KILL_ROUNDS:-200} SEALMQ_CRASH_SEEDS=$${SEALMQ_CRASH_SEEDS:-150}; \
	    $(MAKE) --no-print-directory test PRESET=asan || exit 1; \
	    $(MAKE) --no-print-directory test PRESET=tsan || exit 1; done

# Real processes on hosts of their own, one of them lying, while everything else goes wrong in turn.
faults: build-all
	@SEALMQ_BIN=$(CURDIR)/$(BUILD)/src/cli/sealmq SEALMQ_FAULT_ROUNDS=$${SEALMQ_FAULT_ROUNDS:-20} \
	    /usr/bin/python3 -m pytest -q -s -p no:cacheprovider test/integration/test_node_hosts.py

# 10,000 clients come and go for ten minutes, then fewer under the thread sanitizer.
churn: build-all
	@test/soak/churn $(BUILD)/src/cli/sealmq --seconds $${CHURN_SECONDS:-600} --stay 10
	@$(MAKE) --no-print-directory build-all PRESET=tsan
	@SEALMQ_TEST_PATIENCE=4 TSAN_OPTIONS=suppressions=$(CURDIR)/test/lib/tsan.supp \
	    setarch --addr-no-randomize test/soak/churn build/tsan/src/cli/sealmq \
	    --seconds $${CHURN_SECONDS:-300} --connections 300

install: all
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	@rm -rf build

help:
	@echo "make             build/sealmq, optimized, with symbols"
	@echo "make test        unit, layer, fuzz corpus, simulator and integration tests (PRESET=$(PRESET))"
	@echo "make check       what a change must pass: format, gcc and clang without warnings, clang-tidy,"
	@echo "                 cppcheck, layers, the tests under address, undefined and thread sanitizers"
	@echo "make format      clang-format over the tree"
	@echo "make coverage    the tests, with the lines that they reach"
	@echo "make fuzz        each fuzzer for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make sim         SEEDS=$(SEEDS) simulated clusters from FIRST_SEED=$(FIRST_SEED)"
	@echo "make model       the rules of agreement in every state of a small model, and broken ones"
	@echo "make bench       measurements beside Mosquitto: ROWS='pairs-*,latency-*', QUICK=1"
	@echo "make bench-chain measurements of four nodes and their chain: PARTS='rates,lone', QUICK=1"
	@echo "make soak        hours: many seeds, long fuzzing, tests over and over"
	@echo "make faults      part of it: seven nodes with every fault in turn, 20 times, half an hour"
	@echo "make churn       part of it: clients come and go for 15 minutes, and nothing is left of them"
	@echo "make install     to PREFIX=$(PREFIX), below DESTDIR if that is set"
	@echo "make clean       removes build/"
	@echo "PRESET is one of dev, release, gcc, clang, asan, tsan, fuzz, coverage; all under build/."
