#!/usr/bin/env bash
# Provides what arm64.py boots, below target/machines/arm64. No program for arm64 runs here for that: packages are unpacked.
#
#   arm64.sh packages               installs what this machine lacks
#   arm64.sh root                   root.ext4: Debian 12 with Node.js and what the calls use
#   arm64.sh kernel NAME SUITE      NAME/{vmlinuz,initrd,release}
#   arm64.sh install FOLDER         the tarballs in dist/npm as a user on arm64 has them
label=test-arm64
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

here=$machines/arm64
mkdir -p "$here"

packages() {
  need_packages qemu-system-arm='command -v qemu-system-aarch64' mmdebstrap='command -v mmdebstrap' \
    e2fsprogs='command -v mke2fs' kmod='test -x /sbin/depmod || test -x /usr/sbin/depmod' cpio='command -v cpio' \
    xz-utils='command -v xz' zstd='command -v zstd' \
    'debian-archive-keyring=test -e /usr/share/keyrings/debian-archive-keyring.gpg'
}

root() {
  local names=(base-files base-passwd bash busybox-static coreutils findutils git grep hostname iproute2 kmod libc-bin libpython3-stdlib
    mount nodejs passwd procps python3-minimal sed util-linux)
  if [[ $(cat "$here/root.made" 2> /dev/null) == "${names[*]}" && -e $here/root.ext4 ]]; then return; fi
  rm -rf "$here/root"
  sources bookworm arm64 > "$here/root.list"
  timed 'root file system for arm64' "$here/root" \
    mmdebstrap --variant=extract --architectures=arm64 --include="$(IFS=,; echo "${names[*]}")" \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$here/root" "$here/root.list"
  finish_root
  timed 'disk for arm64' "$here/root.ext4" disk_image "$here/root" "$here/root.ext4" 2G
  echo "${names[*]}" > "$here/root.made"
}

# What the packages' own scripts would have made, as far as the tests look at it.
finish_root() {
  local root=$here/root
  mkdir -p "$root"/{machine,home/user,proc,sys,dev,run,tmp}
  ln -sfn bash "$root/bin/sh"
  printf 'root:x:0:0::/root:/bin/bash\nuser:x:1000:1000::/home/user:/bin/bash\nnobody:x:65534:65534::/:/bin/sh\n' > "$root/etc/passwd"
  printf 'root:x:0:\ntty:x:5:\nshadow:x:42:\nuser:x:1000:\nnogroup:x:65534:\n' > "$root/etc/group"
  printf 'root:*:19000:0:99999:7:::\n' > "$root/etc/shadow"
  chmod 640 "$root/etc/shadow"
  printf '127.0.0.1 localhost machine\n::1 localhost\n' > "$root/etc/hosts"
  chown 1000:1000 "$root/home/user"
  chmod 1777 "$root/tmp"
}

kernel() {
  local name=$1 suite=$2
  timed "kernel for arm64 of $suite" "$here/$name" fetch_kernel "$name" "$suite"
}
fetch_kernel() {
  local name=$1 suite=$2
  unpack_kernel "$here/$name" "$suite" arm64 linux-image-cloud-arm64
  if [[ $here/$name/initrd -nt $here/$name/made ]]; then return; fi
  make_initrd "$here/$name" "$here/root/bin/busybox"
}

install() {
  local folder=$1 launcher programs
  launcher=$(ls "$repository"/dist/npm/shell-tool-mcp-[0-9]*.tgz)
  programs=$(ls "$repository"/dist/npm/shell-tool-mcp-linux-arm64-*.tgz)
  rm -rf "$folder"
  mkdir -p "$folder"
  # As in a release: the launcher, and programs for a platform that npm chooses.
  cat > "$folder/package.json" << END
{
  "private": true,
  "dependencies": { "shell-tool-mcp": "file:$launcher" },
  "optionalDependencies": { "shell-tool-mcp-linux-arm64": "file:$programs" }
}
END
  (cd "$folder" && npm install --os=linux --cpu=arm64 --offline --no-audit --no-fund --no-save --loglevel=error)
  [[ -x $folder/node_modules/shell-tool-mcp-linux-arm64/bin/exec-server ]] || fail "npm did not install the programs for arm64"
}

"$@"
