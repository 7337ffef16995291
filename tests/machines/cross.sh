#!/usr/bin/env bash
# Runs a command among the compilers for other platforms: a Debian in a directory, with Rust for arm64 Linux, the source of
# Rust's standard library (for macOS, which has no compiled one there), and gcc and musl for arm64. The checkout is mounted
# in it at its own path, and so is what cargo has downloaded. Nothing of the system is changed.
#
#   cross.sh COMMAND [ARGUMENT]...
#   cross.sh --possible               tells whether this machine can have them
#
# The directory is target/machines/cross. It is made when it is missing: some minutes, 2.6 GB.
label=cross
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
debian=$machines/cross

# rustc-web is the compiler that Debian keeps new enough for browsers; its security archive has it.
packages=(
  rustc-web cargo-web libstd-rust-web-dev:amd64 libstd-rust-web-dev:arm64 rust-web-src
  mount gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross musl-dev:arm64 make patch qemu-user-static
)

make_directory() {
  need_packages mmdebstrap='command -v mmdebstrap' 'debian-archive-keyring=test -e /usr/share/keyrings/debian-archive-keyring.gpg'
  sources bookworm amd64,arm64 > "$debian.list"
  rm -rf "$debian.new"
  timed 'compilers for other platforms' "$debian.new" \
    mmdebstrap --variant=apt --architectures=amd64,arm64 --include="$(IFS=,; echo "${packages[*]}")" \
    --aptopt='APT::Install-Recommends "false"' bookworm "$debian.new" "$debian.list"
  # Debian's musl-gcc is for its own processor; its specs are for any gcc.
  printf '#!/bin/sh\nexec aarch64-linux-gnu-gcc "$@" -specs /usr/lib/aarch64-linux-musl/musl-gcc.specs\n' \
    > "$debian.new/usr/local/bin/aarch64-linux-musl-gcc"
  chmod +x "$debian.new/usr/local/bin/aarch64-linux-musl-gcc"
  mv "$debian.new" "$debian"
}

(($# > 0)) || fail 'usage: cross.sh COMMAND [ARGUMENT]...'
[[ $(dpkg --print-architecture 2> /dev/null) == amd64 ]] || fail 'the compilers for other platforms need Debian for amd64'
((EUID == 0)) || fail 'the compilers for other platforms need root'
debian_mirror > /dev/null
[[ $1 != --possible ]] || exit 0
[[ -d $debian ]] || make_directory
registry=${CARGO_HOME:-$HOME/.cargo}/registry
mkdir -p "$registry"

# The directory becomes the root in earnest: in a chroot, no user namespace could be made.
# shellcheck disable=SC2016
exec unshare --mount --propagation private bash -euc '
  debian=$1 repository=$2 registry=$3
  shift 3
  mount --bind "$debian" "$debian"
  mkdir -p "$debian$repository" "$debian/root/.cargo/registry"
  mount --bind "$repository" "$debian$repository"
  mount --bind "$registry" "$debian/root/.cargo/registry"
  mount -t proc proc "$debian/proc"
  mount --rbind /dev "$debian/dev"
  cd "$debian"
  pivot_root . .
  umount -l .
  exec /usr/bin/env --ignore-environment --chdir="$repository" \
    PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LANG=C.UTF-8 "$@"
' cross "$debian" "$repository" "$registry" "$@"
