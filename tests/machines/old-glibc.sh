#!/usr/bin/env bash
# Runs our three programs in a root with the oldest glibc that Debian's archive carries, where nothing of a newer system is:
# no libgcc_s, no loader that would fit. A test does (tests/tests/end_to_end/static_programs.rs); `make test` imitates the root.
#
#   old-glibc.sh [SUITE]
#
# About 15 s and 40 MB, and what cargo takes to build the test. As root; dist/bin must be built.
label=old-glibc
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
suite=${1:-bullseye}
arch=$(dpkg --print-architecture)
folder=$machines/old-glibc/$suite

if [[ ! -e $folder/made ]]; then
  timed "package lists of $suite" "$folder" apt_folder "$folder/apt" "$suite" "$arch"
  # What `cat` and `ls` need.
  timed "a root with the glibc of $suite" "$folder/root" \
    unpack_packages "$folder/apt" "$folder/root" libc6 coreutils libselinux1 libpcre2-8-0
  touch "$folder/made"
fi
cd "$repository"
OLD_GLIBC_ROOT=$folder/root TESTS_MUST_SANDBOX=1 \
  cargo test --locked -p end-to-end-tests --test end_to_end in_an_old_root_with_glibc
say "$suite: $(basename "$(readlink -f "$folder"/root/lib/*/libc.so.6)")"
