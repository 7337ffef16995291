#!/usr/bin/env bash
# Builds the three programs for arm64 Linux into dist/platforms/linux-arm64/, from where the packages are made: static, in the
# profile of a release, by the compilers of cross.sh.
#
#   programs-arm64.sh                 the first time takes long, and 0.9 GB; each change costs a link-time optimisation
#   programs-arm64.sh --if-possible   the same, but where those compilers cannot be had it says so and leaves none
label=programs-arm64
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cross=$repository/tests/machines/cross.sh
platform=$repository/dist/platforms/linux-arm64
target=aarch64-unknown-linux-gnu
built=target/machines/programs-arm64

build_rust() {
  (cd "$repository" && "${CARGO:-cargo}" fetch --locked --target "$target")
  "$cross" env CARGO_TARGET_DIR="$built" CARGO_TERM_COLOR=never \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
    cargo build --offline --locked --target "$target" "$@"
}

build_bash() {
  [[ -d $repository/target/bash/source ]] || fail "the source of Bash is not here" "make build-bash"
  "$cross" env BASH_CC=aarch64-linux-musl-gcc bash-patches/build.sh --output "$platform/bash"
}

if [[ ${1:-} == --if-possible ]] && ! "$cross" --possible; then
  say 'so none are made for arm64 Linux'
  rm -rf "$platform"
  exit 0
fi
"$cross" true
mkdir -p "$platform"
timed 'exec-server for arm64' "$repository/$built" \
  build_rust --release -p exec-server --config "target.$target.rustflags=['-Ctarget-feature=+crt-static']"
timed 'execve-wrapper for arm64' "$repository/$built" build_rust --profile wrapper -p execve-wrapper --features freestanding
timed 'Bash for arm64' "$platform/bash" build_bash
cp "$repository/$built/$target"/{release/exec-server,wrapper/execve-wrapper} "$platform/"
"$repository/tests/machines/static.sh" "$platform"
