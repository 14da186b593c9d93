# The front door of Pictograph. `make` alone lists what it opens; the work is done by tools/, meson and tests/run.
#
#   make demo                          draws its own data set, trains on it and shows what came out
#   make demo DATA=folder              the same on your images; labels of any of the seven formats beside them
#   make demo DATA=folder EPOCHS=3     likewise MODEL_SIZE=tiny, MAX_SECONDS=180, SEED=2

.PHONY: help setup build demo test asan sanitize bench schemathesis soak fuzz docs clean
.DEFAULT_GOAL := help
export DATA EPOCHS MODEL_SIZE MAX_SECONDS SEED PORT
FUZZ_SECONDS ?= 60

help:
	@sed -n 's/^## //p' Makefile

## make build    installs what is needed (Debian packages, build/deps) and builds the programs into build/bin
setup:
	@tools/setup build train models
build: setup
	@test -f build/meson/build.ninja || meson setup build/meson
	@ninja -C build/meson
	@tools/link_programs build/meson build/bin

## make demo     the whole chain: images in, ONNX model out, measured; DATA=folder takes your own
demo: build
	@tools/demo

## make test     every test; the last line is the tally
test: build asan
	@tools/setup test
	@tests/run

## make asan     the programs and unit tests under AddressSanitizer and UBSan, in build/asan
asan: setup
	@test -f build/asan/build.ninja || meson setup build/asan -Db_sanitize=address,undefined -Db_lundef=false -Dtrain=false
	@ninja -C build/asan

## make sanitize the API's and the clients' tests under AddressSanitizer and UBSan; SANITIZER=thread: ThreadSanitizer
SANITIZER ?= address
SANITIZED = build/sanitize/$(SANITIZER)
sanitize: build
	@tools/setup test
	@test -f $(SANITIZED)/build.ninja || meson setup $(SANITIZED) -Db_sanitize=$(SANITIZER:address=address,undefined) -Db_lundef=false -Dtrain=false -Dunit_tests=false
	@ninja -C $(SANITIZED) $(if $(filter thread,$(SANITIZER)),src/server/pictographd src/cli/pictograph)
	@for build in build/meson $(SANITIZED); do tools/link_programs $$build $(SANITIZED)/bin; done
	@PICTOGRAPH_BIN=$(CURDIR)/$(SANITIZED)/bin PICTOGRAPH_CLI=$(CURDIR)/$(SANITIZED)/bin/pictograph tests/run api client

## make bench    figures beside a peer or a bare limit
bench: build
	@tools/setup bench
	@ninja -C build/meson bench/bare_http
	@bench/run

## make schemathesis   the served contract under schemathesis, EXAMPLES (200) an operation
EXAMPLES ?= 200
schemathesis: build
	@tools/setup test
	@build/deps/venv/bin/python tests/schemathesis/run.py -n $(EXAMPLES) --workers 1

## make soak     the clients' suites ROUNDS (20) times on one server, then FAULT_ROUNDS (6) with a failing disk and killed workers
ROUNDS ?= 20
FAULT_ROUNDS ?= 6
soak: build
	@tools/setup test
	@build/deps/venv/bin/python tests/soak/run.py $(ROUNDS) $(FAULT_ROUNDS)

## make fuzz     each fuzz target for FUZZ_SECONDS (60)
fuzz: setup
	@tools/setup test
	@test -f build/fuzz/build.ninja || CC=clang CXX=clang++ meson setup build/fuzz -Dfuzz=true -Dtrain=false -Db_lundef=false
	@ninja -C build/fuzz
	@tools/fuzz build/fuzz $(FUZZ_SECONDS)

## make docs     docs/cli.md from the command line's own help
docs: build
	@tools/cli_docs build/bin/pictograph >docs/cli.md

## make clean    removes what was built, not what was downloaded (build/deps)
clean:
	@rm -rf build/meson build/asan build/sanitize build/fuzz build/bin
