# shellcheck shell=bash
# What every kind of test machine needs: packages by name, Debian's mirror, package folders of their own, root file systems.
#
# Sourced, not run. Writes below target/machines only, except that packages which the system lacks are installed.
#
# Environment:
#   DEBIAN_MIRROR  where Debian's archive is, instead of where the system's own apt configuration says
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
machines=$repository/target/machines
logs=$machines/logs
mkdir -p "$logs"

say() { printf '%s: %s\n' "${label:-machines}" "$*" >&2; }
fail() {
  printf '%s: error: %s\n' "${label:-machines}" "$1" >&2
  shift
  (($# == 0)) || printf '  %s\n' "$@" >&2
  exit 1
}

# timed WHAT MADE COMMAND...: runs the command with its output in a log, then says how long it took and how large MADE is.
timed() {
  local what=$1 made=$2 log start=$SECONDS status
  log=$logs/$(tr -cs 'A-Za-z0-9.\n' - <<< "$what").log
  shift 2
  # Not `|| status=$?`, which would switch errexit off inside of the function that is called.
  set +e
  (set -e; "$@") > "$log" 2>&1
  status=$?
  set -e
  if ((status != 0)); then
    tail -n 25 "$log" >&2
    fail "$what failed" "the whole log: $log"
  fi
  say "$what: $((SECONDS - start)) s, $(du -sh "$made" 2> /dev/null | cut -f1) on disk"
}

# need_packages PACKAGE=TEST...: installs the packages whose test fails, by name.
need_packages() {
  local pair missing=()
  for pair in "$@"; do
    eval "${pair#*=}" > /dev/null 2>&1 || missing+=("${pair%%=*}")
  done
  ((${#missing[@]} > 0)) || return 0
  command -v apt-get > /dev/null ||
    fail "this system has no apt-get" "install what these Debian packages hold, then run again: ${missing[*]}"
  ((EUID == 0)) || fail "these packages are missing: ${missing[*]}" "as root: apt-get install ${missing[*]}"
  timed "installing ${missing[*]}" /var/cache/apt install_packages "${missing[@]}"
}
install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "$@"
}

# Prints the address of Debian's archive, as apt itself understands the system's configuration.
debian_mirror() {
  local mirror=${DEBIAN_MIRROR:-}
  [[ -n $mirror ]] || mirror=$(archive_of_label Debian)
  if [[ -z $mirror ]] && ((EUID == 0)); then
    # Before the first update, apt does not know whose archive a source is.
    apt-get update -qq > "$logs/apt-update.log" 2>&1 || true
    mirror=$(archive_of_label Debian)
  fi
  [[ -n $mirror ]] || fail "the system's apt configuration names no archive of Debian" "set DEBIAN_MIRROR to one"
  echo "${mirror%/}"
}
archive_of_label() {
  apt-get indextargets 'Created-By: Packages' 'Origin: Debian' "Label: $1" --format '$(REPO_URI)' 2> /dev/null |
    sort -u | head -n 1
}

# sources SUITE ARCHITECTURE: Debian's suite, and its security updates where it has some, as lines for apt.
sources() {
  local suite=$1 arch=$2 options mirror security
  options="arch=$arch signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
  mirror=$(debian_mirror)
  echo "deb [$options] $mirror $suite main"
  security=$(archive_of_label Debian-Security)
  case $suite in
    bullseye | bookworm | trixie)
      [[ -z $security ]] || echo "deb [$options] ${security%/} $suite-security main"
      ;;
  esac
}

# apt_folder FOLDER SUITE ARCHITECTURE: a place for apt_in, with the suite's package lists fetched. They are kept for a day.
apt_folder() {
  local folder=$1 suite=$2 arch=$3
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,download}
  sources "$suite" "$arch" > "$folder/sources.list.new"
  if cmp -s "$folder/sources.list.new" "$folder/sources.list" && [[ -n $(find "$folder/updated" -mtime -1 2> /dev/null) ]]; then
    return
  fi
  mv "$folder/sources.list.new" "$folder/sources.list"
  echo "$arch" > "$folder/architecture"
  apt_in "$folder" apt-get update
  # `apt-get update` forgives what it could not fetch.
  [[ -n $(find "$folder/lists" -name "*_Packages*" -print -quit) ]] || return 1
  touch "$folder/updated"
}

# apt_in FOLDER PROGRAM ARGUMENTS...: apt-get or apt-cache with that folder's sources, lists and cache; the system's stay.
apt_in() {
  local folder=$1 program=$2 arch
  shift 2
  arch=$(cat "$folder/architecture")
  "$program" -q -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder/cache" -o Dir::State::status=/dev/null \
    -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User=root \
    -o Acquire::Languages=none -o Acquire::Retries=3 -o Acquire::http::Timeout=60 "$@"
}

# unpack_packages FOLDER INTO PACKAGE...: downloads them, without what they depend on, and unpacks them.
unpack_packages() {
  local folder into file
  folder=$(realpath "$1") into=$2
  shift 2
  (cd "$folder/download" && rm -f ./*.deb && apt_in "$folder" apt-get download "$@")
  mkdir -p "$into"
  for file in "$folder"/download/*.deb; do dpkg-deb -x "$file" "$into"; done
  rm -f "$folder"/download/*.deb
}

# make_root FOLDER SUITE ARCHITECTURE PACKAGE...: a Debian root file system in FOLDER; kept while the request is the same.
make_root() {
  local folder=$1 suite=$2 arch=$3 request packages
  shift 3
  request="$suite $arch $*"
  [[ $(cat "$folder.made" 2> /dev/null) != "$request" ]] || return 0
  ((EUID == 0)) || fail "a root file system can be made by root only"
  need_packages mmdebstrap='command -v mmdebstrap' 'debian-archive-keyring=test -e /usr/share/keyrings/debian-archive-keyring.gpg'
  packages=$(IFS=,; echo "$*")
  rm -rf "$folder" "$folder.made"
  mkdir -p "$(dirname "$folder")"
  sources "$suite" "$arch" > "$folder.list"
  timed "root file system $(basename "$folder") ($suite, $arch)" "$folder" \
    mmdebstrap --mode=root --variant=minbase --architectures="$arch" ${packages:+--include="$packages"} \
    --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$folder" "$folder.list"
  echo "$request" > "$folder.made"
}

# disk_image FOLDER IMAGE SIZE: an ext4 file system with what is in the folder. Sparse.
disk_image() {
  local folder=$1 image=$2 size=$3
  rm -f "$image"
  truncate -s "$size" "$image.new"
  # Without features that the oldest kernels cannot read.
  mke2fs -q -t ext4 -O '^metadata_csum_seed,^orphan_file' -d "$folder" "$image.new" 2> /dev/null ||
    mke2fs -q -t ext4 -d "$folder" "$image.new"
  mv "$image.new" "$image"
}

# unpack_kernel FOLDER SUITE ARCHITECTURE PACKAGE: what the package, or the newest one that a metapackage leads to, boots
# with: FOLDER/vmlinuz, FOLDER/root/lib/modules and FOLDER/release. Looks for a newer one once a day.
unpack_kernel() {
  local folder=$1 suite=$2 arch=$3 package=$4 parts image modules
  if [[ -n $(find "$folder/looked" -mtime -1 2> /dev/null) && $(cat "$folder/looked") == "$suite $package" ]]; then return; fi
  apt_folder "$folder/apt" "$suite" "$arch"
  # Newer Debian splits an image into the binary and its modules.
  mapfile -t parts < <(apt_in "$folder/apt" apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
    --no-breaks --no-replaces --no-enhances "$package" | grep -E '^linux-(image|binary|modules)-[0-9]' | sort -u)
  ((${#parts[@]} > 0)) || return 1
  echo "$suite $package" > "$folder/looked.new"
  if [[ $(cat "$folder/made" 2> /dev/null) == "${parts[*]}" ]]; then
    mv "$folder/looked.new" "$folder/looked"
    return
  fi
  rm -rf "$folder/root" "$folder/made"
  unpack_packages "$folder/apt" "$folder/root" "${parts[@]}"
  [[ -e $folder/root/lib/modules ]] || { mkdir -p "$folder/root/lib"; ln -s ../usr/lib/modules "$folder/root/lib/modules"; }
  modules=$(ls -d "$folder"/root/lib/modules/*/)
  image=$(find "$folder/root" -name 'vmlinu[xz]*' | head -n 1)
  mv "$image" "$folder/vmlinuz"
  basename "$modules" > "$folder/release"
  depmod -b "$folder/root" "$(cat "$folder/release")"
  echo "${parts[*]}" > "$folder/made"
  mv "$folder/looked.new" "$folder/looked"
}

# make_initrd FOLDER BUSYBOX: FOLDER/initrd for the kernel that unpack_kernel put there. It mounts the first disk as the root,
# the second one at /machine, and goes on with /machine/guest/init.
make_initrd() {
  local folder=$1 busybox=$2 release modules work name file index=0 files=()
  release=$(cat "$folder/release")
  modules=$folder/root/lib/modules/$release
  work=$(mktemp -d "$folder/initrd.XXXXXX")
  mkdir -p "$work"/{bin,proc,sys,dev,new,modules}
  cp "$busybox" "$work/bin/busybox"
  # Dependencies first: modules.dep lists the nearest one first.
  for name in virtio_pci virtio_mmio virtio_blk virtio_console virtio_rng ext4 overlay af_packet; do
    for file in $(grep -E "(^|/)$name\.ko[.a-z]*:" "$modules/modules.dep" | tr -d : | tr ' ' '\n' | tac); do
      [[ " ${files[*]} " == *" $file "* ]] || files+=("$file")
    done
  done
  for file in "${files[@]}"; do
    index=$((index + 1))
    name=$work/modules/$(printf '%02d' $index)-$(basename "$file")
    case $file in
      *.xz) xz -dc "$modules/$file" > "${name%.xz}" ;;
      *.zst) zstd -qdc "$modules/$file" > "${name%.zst}" ;;
      *) cp "$modules/$file" "$name" ;;
    esac
  done
  cat > "$work/init" << 'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do $b insmod $module 2> /dev/null; done
i=0
while [ ! -b /dev/vdb ] && [ $i -lt 300 ]; do $b sleep 0.1; i=$((i + 1)); done
$b mount -t ext4 /dev/vda /new && $b mount -t ext4 -o ro /dev/vdb /new/machine || { echo 'no disks'; $b poweroff -f; }
$b mount --move /dev /new/dev
$b umount /sys
$b umount /proc
exec $b switch_root /new /machine/guest/init
INIT
  chmod +x "$work/init"
  (cd "$work" && find . | cpio -o -H newc --quiet | gzip -1) > "$folder/initrd"
  rm -rf "$work"
}
