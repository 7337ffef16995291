#!/usr/bin/env bash
# Checks the types of everything for macOS, tests included, without a Mac: the compilers of cross.sh know the platform, and
# compile its standard library from the source. Nothing is linked, so no Apple tool is needed, and nothing runs.
#
#   check-macos.sh          the first time takes long, and 1.4 GB; after a change, seconds
#   TARGET=x86_64-apple-darwin check-macos.sh
label=check-macos
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cross=$repository/tests/machines/cross.sh
target=${TARGET:-aarch64-apple-darwin}
built=target/machines/check-macos

check() {
  local messages=$logs/macos-messages.log library
  library=$(ls -d "$machines"/cross/usr/src/rustc-*/library/sysroot)
  (cd "$repository" && "${CARGO:-cargo}" fetch --locked --target "$target")
  # The standard library's own dependencies; a stable compiler looks at its source when it is told so.
  RUSTC_BOOTSTRAP=1 "${CARGO:-cargo}" fetch --locked --target "$target" --manifest-path "$library/Cargo.toml"
  # Crates that compile C get a compiler that always succeeds.
  "$cross" env CARGO_TARGET_DIR="$built" CARGO_TERM_COLOR=never RUSTC_BOOTSTRAP=1 \
    "CC_${target//-/_}=true" "AR_${target//-/_}=true" \
    cargo check --offline --locked -Zbuild-std --target "$target" --workspace --all-targets --keep-going 2>&1 | tee "$messages"
  # Cargo says so again when nothing is to be compiled.
  ! grep '^warning: ' "$messages"
}

"$cross" true
timed "types for $target" "$repository/$built" check
