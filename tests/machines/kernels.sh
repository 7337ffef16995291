#!/usr/bin/env bash
# Provides what kernels.py boots, below target/machines/kernels: a kernel with its initrd, and root file systems.
#
#   kernels.sh packages                     installs what this machine lacks
#   kernels.sh root NAME PACKAGE...         NAME.ext4: Debian with these packages
#   kernels.sh kernel NAME SUITE PACKAGE    NAME/{vmlinuz,initrd,release}
label=test-kernels
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

here=$machines/kernels
suite=trixie
mkdir -p "$here"

packages() {
  need_packages qemu-system-x86='command -v qemu-system-x86_64' mmdebstrap='command -v mmdebstrap' \
    e2fsprogs='command -v mke2fs' kmod='test -x /sbin/depmod || test -x /usr/sbin/depmod' cpio='command -v cpio' \
    xz-utils='command -v xz' zstd='command -v zstd'
}

root() {
  local name=$1
  shift
  make_root "$here/$name" "$suite" amd64 busybox-static "$@"
  if [[ $here/$name.ext4 -nt $here/$name.made ]]; then return; fi
  add_people "$here/$name"
  timed "disk with $name" "$here/$name.ext4" disk_image "$here/$name" "$here/$name.ext4" 3G
}

# An ordinary user, and what the tests look for in a machine.
add_people() {
  local folder=$1
  printf '127.0.0.1 localhost machine\n::1 localhost\n' > "$folder/etc/hosts"
  mkdir -p "$folder/machine" "$folder/home/user"
  grep -q ^user: "$folder/etc/passwd" || echo 'user:x:1000:1000::/home/user:/bin/bash' >> "$folder/etc/passwd"
  grep -q ^user: "$folder/etc/group" || echo 'user:x:1000:' >> "$folder/etc/group"
  chown 1000:1000 "$folder/home/user"
}

kernel() {
  local name=$1 suite=$2 package=$3
  timed "kernel $name ($package of $suite)" "$here/$name" fetch_kernel "$@"
}
fetch_kernel() {
  local name=$1 suite=$2 package=$3
  unpack_kernel "$here/$name" "$suite" amd64 "$package"
  if [[ $here/$name/initrd -nt $here/$name/made ]]; then return; fi
  make_initrd "$here/$name" "$here/base/bin/busybox"
}

"$@"
