#!/usr/bin/env bash
# Checks the types of everything for another system, tests included, without that system: the compilers of cross.sh know it,
# and compile its standard library from the source. Nothing is linked, so no tool of the system is needed, and nothing runs.
#
#   check-types.sh aarch64-apple-darwin      the first time takes long, and 1.4 GB; after a change, seconds
#   check-types.sh x86_64-unknown-freebsd    likewise, and 0.9 GB
label=check-types
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cross=$repository/tests/machines/cross.sh
target=${1:?the name of a target}
built=target/machines/check-types

check() {
  local messages=$logs/$target-messages.log library
  library=$(ls -d "$machines"/cross/usr/src/rustc-*/library/sysroot)
  (cd "$repository" && "${CARGO:-cargo}" fetch --locked --target "$target")
  # The standard library's own dependencies; a stable compiler looks at its source when it is told so.
  # From a folder outside: the crates that .cargo/config.toml puts in the place of a registry's are none of its.
  (cd / && RUSTC_BOOTSTRAP=1 "${CARGO:-cargo}" fetch --locked --target "$target" --manifest-path "$library/Cargo.toml")
  # Crates that compile C get a compiler that always succeeds. What only Linux uses (the kernel's door) is no fault elsewhere.
  "$cross" env -C / CARGO_TARGET_DIR="$repository/$built" CARGO_TERM_COLOR=never RUSTC_BOOTSTRAP=1 RUSTFLAGS='-A dead_code -A unused_imports' \
    "CC_${target//-/_}=true" "AR_${target//-/_}=true" \
    cargo check --offline --locked -Zbuild-std --target "$target" --manifest-path "$repository/Cargo.toml" \
    --workspace --all-targets --keep-going 2>&1 | tee "$messages"
  # Cargo says so again when nothing is to be compiled.
  ! grep '^warning: ' "$messages"
}

"$cross" true
timed "types for $target" "$repository/$built/$target" check
