#!/usr/bin/env bash
# Checks that the three programs for Linux need nothing of the system that they will meet: no dynamic linker, no library;
# and, where they are for this processor, that each starts in a directory with nothing else in it. As root.
#
#   static.sh FOLDER
label=static
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
(($# == 1)) || fail 'usage: static.sh FOLDER'
folder=$1
programs=(exec-server execve-wrapper bash)

for program in "${programs[@]}"; do
  headers=$(LC_ALL=C readelf --wide --file-header --program-headers --dynamic "$folder/$program")
  if grep -E 'INTERP|\(NEEDED\)' <<< "$headers"; then fail "$folder/$program is linked to the system's libraries"; fi
  # In the look-ups of a static glibc alone, which load the system's plug-ins.
  if grep -aqE 'nsswitch\.conf|libnss_' "$folder/$program"; then fail "$folder/$program would load plug-ins"; fi
  # The kernel's word for it: readelf calls it "Advanced Micro Devices X86-64" and "AArch64".
  case $(uname -m)$headers in
    x86_64*X86-64* | aarch64*AArch64*) ;;
    *) say "$folder/$program: static; not run, because it is for another processor" && other=yes ;;
  esac
done
[[ -z ${other:-} ]] || exit 0

empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
for program in "${programs[@]}"; do cp "$folder/$program" "$empty/"; done
chroot "$empty" /exec-server --version
chroot "$empty" /bash -c 'echo "bash $BASH_VERSION"'
# By hand it says how it is used.
status=0
chroot "$empty" /execve-wrapper 2> "$empty/words" || status=$?
((status == 2)) && grep -q '^usage: execve-wrapper' "$empty/words" || fail "the wrapper ended with $status: $(cat "$empty/words")"
say "$folder: static, and all three start in an empty directory"
