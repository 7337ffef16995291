# The commands that people run here. Everything is built below target/ and dist/; nothing is installed outside this folder.
#
# Written for GNU make 3.81 and newer, because macOS has no newer one.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# The steps are in order, and cargo and make-built Bash use all processors by themselves.
.NOTPARALLEL:
.SUFFIXES:

OS := $(shell uname -s)
CARGO ?= cargo

# What the programs are built for, such as x86_64-unknown-linux-musl for a release: make build TARGET=x86_64-unknown-linux-musl
ifndef TARGET
TARGET := $(shell rustc -vV 2> /dev/null | sed -n 's/^host: //p')
endif
SERVER_BUILD := target/$(TARGET)/release
WRAPPER_BUILD := target/$(TARGET)/wrapper

# Programs for Linux need no file of the system's, whichever C library they hold: one build runs on every distribution. The target is
# named in each call of cargo, because only then are build scripts and procedural macros, which cannot be static, built without this.
LINK_STATICALLY := $(if $(findstring linux,$(TARGET)),--config 'target.$(TARGET).rustflags=["-Ctarget-feature=+crt-static"]')
# Flags in the environment would be taken instead of these, and the programs would be dynamic.
CARGO_STATIC := env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS $(CARGO)

comma := ,
# Relocations in their packed form: 0.8 MB less of the file to read at each start, and to hold in memory from then on. The C library must
# know it (glibc 2.36, musl 1.2.4); a program that does not start with it is linked once more without.
PACK_RELOCATIONS := $(if $(findstring x86_64-unknown-linux,$(TARGET)),-- -Clink-arg=-Wl$(comma)-z$(comma)pack-relative-relocs)
BUILD_SERVER = $(CARGO_STATIC) rustc --release --locked -p exec-server --bin exec-server --target $(TARGET) $(LINK_STATICALLY)

# Without a runtime of any kind on Linux; macOS has no stable system calls, so there it is linked with the system's library.
WRAPPER_FEATURES := $(if $(filter Linux,$(OS)),--features freestanding)

BIN_DIR := $(CURDIR)/dist/bin
INSTALLED := $(CURDIR)/target/installed
LAUNCHER := $(INSTALLED)/node_modules/.bin/shell-tool-mcp

PYTHON ?= python3
PYTHON_CLIENTS := $(CURDIR)/target/python-clients
PYTHON_FRAMEWORKS := $(CURDIR)/target/python-frameworks
PYTHON_KUBERNETES := $(CURDIR)/target/python-kubernetes

# The registry's packages are never asked about when our own tarballs are installed: the packages of other platforms may not exist.
INSTALL_TARBALLS := npm install --offline --no-audit --no-fund --no-save --loglevel=error

# A comma in the text makes it two arguments.
define step
@printf '\n\033[1m==> %s\033[0m\n' $(1)$(if $(2),$(comma)$(2))
endef

.PHONY: help
help: ## Show this list.
	@echo 'Usage: make COMMAND'
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done

.PHONY: build
build: build-programs build-bash ## Build the programs into dist/bin/ (exec-server, execve-wrapper, bash).
	@ls -l $(BIN_DIR) | awk 'NR > 1 { printf "  dist/bin/%-16s %8.0f kB\n", $$NF, $$5 / 1000 }'

.PHONY: build-programs
build-programs: need-rust need-cc
	$(call step,'Building exec-server (the first time takes minutes)')
	$(BUILD_SERVER) $(PACK_RELOCATIONS)
	@$(if $(PACK_RELOCATIONS),$(SERVER_BUILD)/exec-server --version > /dev/null 2>&1 || $(BUILD_SERVER))
	$(call step,'Building execve-wrapper')
	$(CARGO_STATIC) build --profile wrapper --locked -p execve-wrapper $(WRAPPER_FEATURES) --target $(TARGET)
	@mkdir -p $(BIN_DIR)
	@for program in $(SERVER_BUILD)/exec-server $(WRAPPER_BUILD)/execve-wrapper; do \
	  target=$(BIN_DIR)/$$(basename $$program); \
	  cmp -s $$program $$target || { cp $$program $$target.new && mv $$target.new $$target; }; \
	done

.PHONY: build-bash
build-bash: need-cc
	$(call step,'Building the patched Bash (about a minute the first time)')
	@mkdir -p $(BIN_DIR)
	bash-patches/build.sh --output $(BIN_DIR)/bash

.PHONY: package
package: need-node build package-arm64 pack ## Build, then pack the npm tarballs of linux-x64 and linux-arm64 into dist/npm/.

# Programs for arm64 Linux from an x86-64 Debian; elsewhere that is said, and this machine's packages are made without.
.PHONY: package-arm64
package-arm64:
	$(call step,'Building the programs for arm64 Linux (the first time takes long)')
	@tests/machines/programs-arm64.sh --if-possible

# Packs what has been built already; a release brings the programs of every platform in dist/platforms/.
.PHONY: pack
pack: launcher
	$(call step,'Packing')
	@node npm/build/packaging/pack.js

.PHONY: launcher
launcher: npm/node_modules/.package-lock.json
	$(call step,'Compiling the launcher')
	@rm -rf npm/build
	cd npm && npm run --silent build

# The tarballs as a user of this machine gets them, in a folder of their own; nothing is built for other platforms.
.PHONY: installed
installed: need-node build launcher
	$(call step,'Packing for this machine')
	@node npm/build/packaging/pack.js --here
	$(call step,'Installing the tarballs into target/installed')
	@rm -rf $(INSTALLED) && mkdir -p $(INSTALLED)
	@echo '{ "private": true }' > $(INSTALLED)/package.json
	@cd $(INSTALLED) && $(INSTALL_TARBALLS) $(CURDIR)/dist/npm/*.tgz
	@du -sk $(INSTALLED)/node_modules | awk '{ printf "  installed: %d kB on disk\n", $$1 }'
	@$(LAUNCHER) --version

.PHONY: test
test: installed tools tests/clients/node_modules/.package-lock.json ## Build everything and run every test.
	$(call step,'Rust tests')
	SHELL_TOOL_MCP_BIN_DIR=$(BIN_DIR) $(CARGO) test --workspace --locked
	$(call step,'Tests of the launcher and the packaging')
	cd npm && npm run --silent test
	$(call step,'Tests with MCP clients through the installed launcher')
	cd tests/clients && npm run --silent build && SHELL_TOOL_MCP_LAUNCHER=$(LAUNCHER) npm run --silent test

	@$(MAKE) --no-print-directory test-python-clients

.PHONY: test-workflows
test-workflows: build ## Compare developers' workflows with plain Bash, also those that need the registries; prints a table.
	$(call step,'Workflows in plain Bash and in the sandbox')
	SHELL_TOOL_MCP_WORKFLOWS=all SHELL_TOOL_MCP_BIN_DIR=$(BIN_DIR) $(CARGO) test --workspace --locked --test workflows -- --nocapture

# 330 MB of Django and JupyterLab, kept; Next.js and vite (350 MB) are fetched into the test's own folder.
SERVERS := $(CURDIR)/target/servers

.PHONY: test-browser
test-browser: need-node need-python build $(SERVERS)/.installed ## Open servers of commands in Chromium: vite, Next.js, Django, Jupyter.
	$(call step,'Opening published ports in a browser')
	@command -v chromium > /dev/null || { echo 'Missing: chromium (Debian: apt-get install chromium)' >&2; exit 1; }
	SHELL_TOOL_MCP_BIN_DIR=$(BIN_DIR) $(CARGO) test --workspace --locked --test end_to_end -- --include-ignored browser

$(SERVERS)/.installed: tests/network/servers.txt
	@rm -rf $(SERVERS)
	$(PYTHON) -m venv $(SERVERS)
	$(SERVERS)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Libraries with resolvers and protocols of their own: 40 MB to download. Other programs come from Debian; one that is missing is
# an error: curl wget git openssh-client npm cargo golang-go openjdk-17-jdk-headless postgresql-client redis-tools musl-tools
# busybox-static gcc libc-ares-dev openssl python3-pip.
NETWORK := $(CURDIR)/target/network

.PHONY: test-network-programs
test-network-programs: need-node need-python build tools $(NETWORK)/.installed ## Reach hosts by name with every program and library.
	$(call step,'Reaching hosts by name')
	SHELL_TOOL_MCP_BIN_DIR=$(BIN_DIR) $(CARGO) test --workspace --locked --test end_to_end -- --include-ignored hosts_programs::

$(NETWORK)/.installed: tests/network/package.json tests/network/package-lock.json tests/network/.npmrc tests/network/requirements.txt
	@rm -rf $(NETWORK) && mkdir -p $(NETWORK) && cp $(filter-out %.txt,$^) $(NETWORK)
	cd $(NETWORK) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	$(PYTHON) -m venv $(NETWORK)/python
	$(NETWORK)/python/bin/pip install --quiet --disable-pip-version-check -r tests/network/requirements.txt
	@touch $@

# Half an hour. RACES= is how often each is tried.
RACES ?= 10000

.PHONY: test-races
test-races: build ## Race the kernel's door, and storm it, for long (RACES=10000).
	$(call step,'Racing the door of the kernel')
	SHELL_TOOL_MCP_BIN_DIR=$(BIN_DIR) SHELL_TOOL_MCP_RACES=$(RACES) SHELL_TOOL_MCP_EXECS=100000 \
	  $(CARGO) test --workspace --locked --test end_to_end -- --test-threads 1 --nocapture kernel_door_races thousands_of_execs

# Other kernels, emulated. KERNELS="6.1 6.12" chooses; QUICK=1 tries few settings; SUITES=1 runs the escape
# suite and the sandbox's there as well; RECORD=1 writes docs/platforms.md.
KERNELS ?=

.PHONY: test-kernels
test-kernels: need-python build ## Try the sandbox on other kernels (KERNELS=, QUICK=1, SUITES=1, RECORD=1).
	$(call step,'Booting other kernels, emulated')
	@$(PYTHON) tests/machines/kernels.py --kernels '$(KERNELS)' $(if $(QUICK),--quick) $(if $(SUITES),--suites) $(if $(RECORD),--record)

# Minutes; what is downloaded stays below target/machines. CONTAINERS="podman docker" and RUNTIMES="crun" choose.
CONTAINERS ?=
RUNTIMES ?=

.PHONY: test-containers
test-containers: need-python build ## Try the sandbox in containers of many kinds (CONTAINERS=, RUNTIMES=).
	$(call step,'Starting containers')
	@$(PYTHON) tests/machines/containers.py --containers '$(CONTAINERS)' --runtimes '$(RUNTIMES)'

# Without a registry: the base is made from Debian's archive.
.PHONY: test-image
test-image: need-python build ## Build the container images, and run them as a pod of the restricted standard would.
	$(call step,'Building images and running them')
	@$(PYTHON) tests/machines/images.py

# In folders of their own below target/. Without a Python that can, the other clients have to do.
.PHONY: test-python-clients
test-python-clients:
	$(call step,'Tests with MCP clients written in Python')
	@if $(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then \
	  $(MAKE) --no-print-directory $(PYTHON_CLIENTS)/.installed $(PYTHON_FRAMEWORKS)/.installed $(PYTHON_KUBERNETES)/.installed && \
	  cd tests/clients/python && \
	  export PYTHONDONTWRITEBYTECODE=1 SHELL_TOOL_MCP_LAUNCHER=$(LAUNCHER) && \
	  $(PYTHON_CLIENTS)/bin/python -m unittest test_clients && $(PYTHON_FRAMEWORKS)/bin/python -m unittest test_frameworks && \
	  $(PYTHON_KUBERNETES)/bin/python -m unittest test_runtime test_manifests; \
	else echo 'Not tested: Python 3.11 or newer with venv is needed (Debian: apt-get install python3-venv).'; fi

# Package managers that few machines have all of: 23 MB to download. A test says which one it has not found.
TOOLS := $(CURDIR)/target/tools

.PHONY: tools
tools: $(TOOLS)/.installed ## Install package managers for the tests into target/tools.

$(TOOLS)/.installed: tests/tools/package.json tests/tools/package-lock.json tests/tools/.npmrc tests/tools/requirements.txt | need-node
	$(call step,'Installing package managers to test with')
	@rm -rf $(TOOLS) && mkdir -p $(TOOLS)/bin && cp $(filter-out %.txt,$^) $(TOOLS)
	cd $(TOOLS) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@ln -s ../node_modules/.bin/pnpm ../node_modules/.bin/yarn $(TOOLS)/bin/
	@if $(PYTHON) -c 'import venv, ensurepip' 2> /dev/null && $(PYTHON) -m venv $(TOOLS)/python && \
	  $(TOOLS)/python/bin/pip install --quiet --disable-pip-version-check -r tests/tools/requirements.txt; \
	then ln -s ../python/bin/uv $(TOOLS)/bin/; else echo 'Not tested: uv, which needs Python with venv.'; fi
	@touch $@

$(PYTHON_CLIENTS)/.installed: tests/clients/python/requirements.txt
	@rm -rf $(PYTHON_CLIENTS)
	$(PYTHON) -m venv $(PYTHON_CLIENTS)
	$(PYTHON_CLIENTS)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Their own list of packages is complete, but for what they do not need here.
$(PYTHON_FRAMEWORKS)/.installed: tests/clients/python/frameworks.txt
	@rm -rf $(PYTHON_FRAMEWORKS)
	$(PYTHON) -m venv $(PYTHON_FRAMEWORKS)
	$(PYTHON_FRAMEWORKS)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

# 300 MB, a third of it the schemas of all versions of Kubernetes.
$(PYTHON_KUBERNETES)/.installed: tests/clients/python/kubernetes.txt
	@rm -rf $(PYTHON_KUBERNETES)
	$(PYTHON) -m venv $(PYTHON_KUBERNETES)
	$(PYTHON_KUBERNETES)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

# The coding agents themselves, over a gigabyte of them, with a Node.js that is new enough; in a folder of their own below target/.
AGENTS := $(CURDIR)/target/agents

.PHONY: test-clients
test-clients: installed $(AGENTS)/.installed ## Test with Codex, Claude Code, gemini-cli and a scripted model (large; half a minute once installed).
	$(call step,'Tests with coding agents through the installed launcher')
	@cd tests/clients/agents && SHELL_TOOL_MCP_AGENTS=$(AGENTS) SHELL_TOOL_MCP_LAUNCHER=$(LAUNCHER) \
	  $(AGENTS)/node_modules/.bin/node --test --test-concurrency=1 --test-reporter=spec codex.test.mjs claude.test.mjs gemini.test.mjs

$(AGENTS)/.installed: tests/clients/agents/package.json tests/clients/agents/package-lock.json tests/clients/agents/.npmrc
	$(call step,'Installing the coding agents (1.1 GB)')
	@rm -rf $(AGENTS) && mkdir -p $(AGENTS) && cp $^ $(AGENTS)
	cd $(AGENTS) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# Chromium comes from Debian (apt-get install chromium: 290 MB with no more than it is itself); CHROMIUM= names another one.
BROWSER := $(CURDIR)/target/page
CHROMIUM ?= /usr/bin/chromium

.PHONY: test-page
test-page: need-node build-programs build-bash $(BROWSER)/.installed ## Test the page for questions in Chromium (seconds).
	$(call step,'Tests of /approve in Chromium')
	@[ -x $(CHROMIUM) ] || { echo 'Missing: $(CHROMIUM) (Debian: apt-get install chromium)' >&2; exit 1; }
	@cp tests/page/*.mjs $(BROWSER)/ && cd $(BROWSER) && SHELL_TOOL_MCP_BIN_DIR=$(BIN_DIR) CHROMIUM=$(CHROMIUM) node --test --test-reporter=spec approve.test.mjs

$(BROWSER)/.installed: tests/page/package.json tests/page/package-lock.json tests/page/.npmrc
	@rm -rf $(BROWSER) && mkdir -p $(BROWSER) && cp $^ $(BROWSER)
	cd $(BROWSER) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: check
check: need-rust npm/node_modules/.package-lock.json tests/clients/node_modules/.package-lock.json demo/node_modules/.package-lock.json ## Check format, lints, documentation, types and licences.
	$(call step,'Format')
	$(CARGO) fmt --all --check
	$(call step,'Lints')
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(call step,'Documentation')
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --document-private-items --locked
	$(call step,'Types of the TypeScript code')
	@for project in npm tests/clients demo; do echo "$$project"; (cd $$project && npm run --silent check); done
	$(call step,'What docs/platforms.md says')
	@if $(PYTHON) -c 'import tomllib' 2> /dev/null; then $(PYTHON) tests/machines/platforms.py --check; \
	else echo 'Not checked: Python 3.11 or newer is needed.'; fi
	$(call step,'Columns of the documentation')
	@if $(PYTHON) -c '' 2> /dev/null; then $(PYTHON) .ci/prose.py README.md CHANGELOG.md ARCHITECTURE.md SECURITY.md CONTRIBUTING.md docs/*.md */README.md */*/README.md; \
	else echo 'Not checked: Python is needed.'; fi
	$(call step,'Licences and origins of the Rust libraries')
	@if $(CARGO) deny --version > /dev/null 2>&1; then $(CARGO) deny check --hide-inclusion-graph bans licenses sources; \
	else echo 'Not checked: cargo-deny is not installed (cargo install --locked cargo-deny). GitHub checks it for every push.'; fi

# Together, because none of them is on a registry yet: each is built from what the others would be there.
LIBRARIES := escalation-protocol execpolicy home-folder shell-engine-sandbox shell-engine

.PHONY: package-libraries
package-libraries: need-rust ## Package the engine with the crates below it as a registry would get them, and build that (minutes).
	$(CARGO) package --locked $(LIBRARIES:%=-p %)

# The suite speaks HTTP only and needs a newer Node.js than we do; both come from npm, into a folder of their own.
CONFORMANCE := $(CURDIR)/target/conformance

.PHONY: conformance
conformance: need-node build-programs build-bash $(CONFORMANCE)/.installed ## Run the official MCP conformance suite and count its checks.
	$(call step,'Building the fixture: our server with the tools of the suite before it')
	$(CARGO) build --locked -p exec-server --example conformance-server
	$(call step,'MCP conformance of the fixture and of the shipped server, over HTTP and through a bridge')
	@$(CONFORMANCE)/node_modules/.bin/node tests/conformance/run.mjs \
	  $(CONFORMANCE)/node_modules/@modelcontextprotocol/conformance/dist/index.js target/debug/examples/conformance-server $(BIN_DIR)

$(CONFORMANCE)/.installed: tests/conformance/package.json tests/conformance/package-lock.json tests/conformance/.npmrc
	@rm -rf $(CONFORMANCE) && mkdir -p $(CONFORMANCE) && cp $^ $(CONFORMANCE)
	cd $(CONFORMANCE) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# Other machines are made below target/machines on an x86-64 Debian, as root; each script says how long and how much disk.
.PHONY: test-arm64
test-arm64: need-node need-python build-bash launcher ## Install the packages for arm64 Linux in emulated machines, and try them there.
	$(call step,'Building the programs for arm64 Linux (the first time takes long)')
	@tests/machines/programs-arm64.sh
	$(call step,'Packing')
	@node npm/build/packaging/pack.js
	$(call step,'Trying them in emulated machines')
	@$(PYTHON) tests/machines/arm64.py

.PHONY: check-macos
check-macos: need-rust ## Check the types of everything for macOS, without a Mac.
	$(call step,'Types for macOS (the first time takes long)')
	@tests/machines/check-types.sh aarch64-apple-darwin

.PHONY: check-freebsd
check-freebsd: need-rust ## Check the types of everything for FreeBSD, without one.
	$(call step,'Types for FreeBSD (the first time takes long)')
	@tests/machines/check-types.sh x86_64-unknown-freebsd

.PHONY: bench
bench: installed ## Measure speed, beside Codex's server where it can be installed.
	$(call step,'Measuring')
	SHELL_TOOL_MCP_BIN_DIR=$(BIN_DIR) SHELL_TOOL_MCP_LAUNCHER=$(LAUNCHER) $(CARGO) run --locked -p end-to-end-tests --bin bench -- $(PARTS)

.PHONY: bench-network
bench-network: installed ## Measure connections by name beside direct ones, in one run; needs namespaces, Python, openssl.
	$(call step,'Measuring connections by name')
	SHELL_TOOL_MCP_BIN_DIR=$(BIN_DIR) $(CARGO) run --locked -p end-to-end-tests --bin bench -- network
	$(CARGO) test --locked -p shell-engine-sandbox --test suite -- speed --ignored --nocapture

.PHONY: soak
soak: build ## Make 10,000 calls in a row and look for what is left behind.
	$(call step,'Calling 10000 times')
	SHELL_TOOL_MCP_BIN_DIR=$(BIN_DIR) SOAK_CALLS=10000 $(CARGO) test --locked -p end-to-end-tests soak -- --nocapture

# Seconds of the soak; parts of it all: idle at-once connection soak.
LOAD_SECONDS ?= 120

.PHONY: load
load: build ## Serve many over HTTP at once, and for long (LOAD_SECONDS=3600, PARTS='idle soak').
	$(call step,'Serving many')
	SHELL_TOOL_MCP_BIN_DIR=$(BIN_DIR) LOAD_SECONDS=$(LOAD_SECONDS) $(CARGO) run --locked -p end-to-end-tests --bin load -- $(PARTS)

# Seconds for each target. Sanitizers are a feature of nightly compilers that stable ones have, too, when they are told so.
FUZZ_SECONDS ?= 60

.PHONY: fuzz
fuzz: need-rust ## Fuzz what reads a stranger's bytes, a minute each.
	@$(CARGO) fuzz --version > /dev/null 2>&1 || { echo 'Missing: cargo-fuzz (cargo install --locked cargo-fuzz)' >&2; exit 1; }
	@for target in escalation-protocol/decode sandbox/event execpolicy/shell execpolicy/loader; do \
	  printf '\n\033[1m==> Fuzzing %s\033[0m\n' $$target; \
	  (cd crates/$$(dirname $$target) && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --target-dir $(CURDIR)/target/fuzz $$(basename $$target) -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=60 -rss_limit_mb=4000); \
	done

.PHONY: demo
demo: installed demo/node_modules/.package-lock.json ## Build, pack, install, and show a session with a real MCP client.
	@# Beside the repository, not in it: a launcher that commands could replace starts nothing.
	@place=$$(mktemp -d) && cp -R $(INSTALLED)/node_modules $$place/ && cd demo && npm run --silent build && \
	  { node build/demo.js $$place/node_modules/.bin/shell-tool-mcp; status=$$?; rm -rf $$place; exit $$status; }

.PHONY: demo-recording
demo-recording: installed demo/node_modules/.package-lock.json ## Record the picture of the README from the real program.
	@cd demo && npm run --silent build && node build/recording.js $(LAUNCHER) $(CURDIR)/docs
	@ls docs/session-*.svg

.PHONY: clean
clean: ## Remove everything that was built or installed here.
	rm -rf dist target npm/build demo/build tests/clients/build
	rm -rf npm/node_modules demo/node_modules tests/clients/node_modules

# Development tools of each TypeScript project, exactly as its lockfile says. npm writes the file last, so its age tells.
%/node_modules/.package-lock.json: %/package-lock.json | need-node
	$(call step,'Installing the development tools of $*')
	cd $* && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# What is missing, in words.

.PHONY: need-rust
need-rust:
	@command -v $(CARGO) > /dev/null || { echo 'Missing: cargo. Install Rust 1.88 or newer: https://rustup.rs' >&2; exit 1; }
	@version=$$($(CARGO) --version | cut -d' ' -f2); \
	[ "$$(printf '%s\n' 1.88.0 "$${version%%-*}" | sort -t. -k1,1n -k2,2n -k3,3n | head -n1)" = 1.88.0 ] \
	  || { echo "Too old: cargo $$version. Rust 1.88 or newer is needed: rustup update" >&2; exit 1; }

.PHONY: need-cc
need-cc:
	@command -v cc > /dev/null || command -v gcc > /dev/null || { echo 'Missing: a C compiler (to build Bash and to link).' >&2; \
	  echo 'Debian, Ubuntu: apt-get install gcc libc6-dev make   Fedora: dnf install gcc make   macOS: xcode-select --install' >&2; exit 1; }

.PHONY: need-python
need-python:
	@$(PYTHON) -c 'import tomllib' 2> /dev/null || { echo 'Missing: Python 3.11 or newer (PYTHON= names another one).' >&2; exit 1; }

.PHONY: need-node
need-node:
	@command -v node > /dev/null || { echo 'Missing: node. Install Node.js 18 or newer: https://nodejs.org' >&2; exit 1; }
	@command -v npm > /dev/null || { echo 'Missing: npm, which comes with Node.js or in a package of its own (Debian: apt-get install npm)' >&2; exit 1; }
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 18 ? 1 : 0)' \
	  || { echo "Too old: node $$(node --version). Node.js 18 or newer is needed." >&2; exit 1; }
