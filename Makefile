# The project's commands; `make help` lists them. They are for Debian and Ubuntu, may be run again at any
# time, and then do only what is missing. A Docker Engine that is there already is used as it is.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.DELETE_ON_ERROR:

# Where deploy/dev/node.sh puts a Node of its own, if it has to.
export PATH := $(CURDIR)/target/tools/node/bin:$(PATH)

# The server and the tests talk to the engine that the docker command talks to; with `make test ENGINE=newest` the
# end-to-end tests talk to another one.
ON_ENGINE := DOCKER_HOST="$$(deploy/dev/docker-up.sh host)"
ENGINE :=
# The end-to-end tests mostly wait for servers to start and to stop.
export RUST_TEST_THREADS ?= 3
TEST_LABEL := dev.project-services.test

.PHONY: help run test test-official bench build web fmt lint doc deny advisories schema check engine images first-images all-images compiler node clients clean-test

help: ## Lists these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The debug profile: its first build takes half as long as a release build.
run: build engine first-images ## Starts the development server on 127.0.0.1:8080, after installing what it needs.
	$(ON_ENGINE) PUBLISH_ADDRESS=127.0.0.1 cargo run --locked --quiet -- serve --dev

test: engine all-images compiler web clients ## Runs all tests, also those on a real engine; ARGS go to cargo test. With ENGINE=newest only those, on the newest engine.
	deploy/dev/need.sh ps:procps ip:iproute2 unshare:util-linux docker-registry:docker-registry chromium:chromium curl:curl mkfs.xfs:xfsprogs # which the tests call
	case '$(ENGINE)' in
	'') ;;
	newest)
	  cargo test --locked --no-run --test e2e
	  # It has no network to fetch anything.
	  exec deploy/dev/newest-engine.sh .ci/with-postgres cargo test --locked --offline --test e2e $(ARGS)
	  ;;
	*) echo "ENGINE is 'newest' or nothing" >&2 && exit 2 ;;
	esac
	npm --prefix web test --silent
	trap 'make --no-print-directory clean-test' EXIT
	$(ON_ENGINE) .ci/with-s3 .ci/with-postgres cargo test --locked $(ARGS)

test-official: engine compiler web ## Runs the walk of every kind and version on the official images, which are pulled in the place of stand-ins.
	deploy/dev/need.sh curl:curl
	for image in $$(deploy/dev/service-images.sh list official); do docker pull --quiet "$$image"; done
	trap 'make --no-print-directory clean-test' EXIT
	$(ON_ENGINE) .ci/with-s3 .ci/with-postgres cargo test --locked --test e2e -- --include-ignored walk:: kinds::

bench: engine first-images compiler web node ## Measures the server beside its peers, for docs/performance.md.
	deploy/dev/need.sh strace:strace zstd:zstd mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs
	npm --prefix benches/peers ci --no-audit --no-fund --loglevel=error
	$(ON_ENGINE) .ci/with-postgres cargo bench --locked $(patsubst benches/%.rs,--bench %,$(wildcard benches/*.rs))

build: compiler web ## Builds the server.
	cargo build --locked

# What the server is built with. Nothing is done when nothing changed.
web: web/dist/graphiql.html ## Checks and builds the pages.

web/dist/graphiql.html: web/node_modules/.package-lock.json schema.graphql $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*')
	cd web && npm run --silent build

web/node_modules/.package-lock.json: web/package.json web/package-lock.json web/.npmrc | node
	cd web && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json

fmt: ## Formats the source.
	cargo fmt

lint: compiler web ## Checks the formatting, the types of the pages, and clippy's rules.
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings

# There are no examples. Asking for them makes cargo resolve features as for clippy's --all-targets, so that the
# dependencies that were checked for clippy serve here too.
doc: compiler web ## Builds the API documentation; a broken link is an error.
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --no-deps --lib --examples

deny: ## Checks the dependencies' licences, sources and duplicates.
	.ci/cargo-deny --locked check --hide-inclusion-graph licenses bans sources

advisories: ## Checks the dependencies against the advisory database, which is fetched.
	.ci/cargo-deny --locked check advisories

schema: compiler ## Writes schema.graphql anew.
	sdl=$$(cargo run --locked --quiet -- schema)
	printf '%s\n' "$$sdl" >schema.graphql

check: ## Runs everything that CI runs.
	.ci/run

engine: ## Installs and starts a Docker Engine, if none answers.
	@deploy/dev/docker-up.sh up

images: engine ## Pulls, or else builds, the service images that are missing: those of KINDS=mysql,mailpit, or else those of `run`.
	@deploy/dev/service-images.sh "$(KINDS)"

# The server too has a setting that is called KINDS.
first-images: engine
	@deploy/dev/service-images.sh

all-images: engine
	@deploy/dev/service-images.sh all

# Rust needs a linker, and the bundled SQLite a C compiler.
compiler:
	@deploy/dev/need.sh cc:gcc,libc6-dev

node:
	@deploy/dev/node.sh

clients: | node ## Installs the GraphQL clients that the tests use, and builds ours.
	cd tests/clients
	[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --prefer-offline --no-audit --no-fund
	cd ../../clients/typescript
	[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --prefer-offline --no-audit --no-fund
	npm run --silent build

clean-test: ## Removes the containers, volumes and networks that tests left behind.
	@docker ps --all --quiet --filter label=$(TEST_LABEL) | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
	@docker volume ls --quiet --filter label=$(TEST_LABEL) | xargs --no-run-if-empty docker volume rm >/dev/null
	@docker network ls --quiet --filter label=$(TEST_LABEL) | xargs --no-run-if-empty docker network rm >/dev/null
