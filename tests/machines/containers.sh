#!/usr/bin/env bash
# Provides what containers.py runs, below target/machines/containers, and runs a container.
#
#   containers.sh packages              installs what this machine lacks
#   containers.sh root PACKAGE...       root: Debian with these packages, for every container
#   containers.sh base                  base: Debian, as its image has it
#   containers.sh gvisor NAME SUITE     NAME/usr/bin/runsc
#   containers.sh podman ARGUMENT...    podman, with its storage there
label=test-containers
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

here=$machines/containers
suite=bookworm
mkdir -p "$here"

packages() {
  need_packages podman='command -v podman' crun='command -v crun' runc='command -v runc' mmdebstrap='command -v mmdebstrap'
}

root() { make_root "$here/root" "$suite" amd64 "$@"; }

base() { make_root "$here/base" "$suite" amd64; }

gvisor() {
  local name=$1 suite=$2
  if [[ ! -x $here/$name/usr/bin/runsc ]]; then timed "gVisor of $suite" "$here/$name" fetch_gvisor "$@"; fi
}
fetch_gvisor() {
  local name=$1 suite=$2
  apt_folder "$machines/apt-$suite" "$suite" amd64
  unpack_packages "$machines/apt-$suite" "$here/$name" runsc
}

# Runtimes want control groups where systemd would have mounted them. A mount namespace of its own, so that nobody else sees it.
podman() {
  exec unshare --mount --propagation private sh -c '
    umount -R /sys/fs/cgroup 2> /dev/null
    mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"
  ' sh podman --root "$here/storage" --runroot "$here/state" --cgroup-manager=cgroupfs --events-backend=none "$@"
}

"$@"
