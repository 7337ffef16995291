#!/usr/bin/env bash
# For a person with a Mac: builds the programs, tries them, and writes a page that can be sent back (an issue is a good
# place). The project has no Mac: whatever this prints is news.
#
#   tests/machines/macos.sh        needs Rust, Node.js, and Apple's command line tools (xcode-select --install)
#
# The page is target/machines/macos.txt: the system's version, what `exec-server doctor` says, and what each try did. Names
# of the user, of the machine and of folders are taken out of it. Nothing is sent anywhere, and nothing is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ "$(uname -s)" = Darwin ] || { echo 'This is for macOS.' >&2; exit 64; }
page=target/machines/macos.txt
mkdir -p "$(dirname "$page")"

build() {
  make build > target/machines/macos-build.log 2>&1 && return
  echo 'The programs do not build:'
  grep -E -A 12 '^error|: error:' target/machines/macos-build.log | head -n 200 || tail -n 60 target/machines/macos-build.log
  return 1
}

report() {
  echo "macOS $(sw_vers -productVersion) ($(sw_vers -buildVersion)), $(uname -m), $(rustc --version), $(git rev-parse --short HEAD)"
  build || return 1
  python3 tests/machines/macos.py dist/bin
}

# Nobody's business: the home folder, the user's name, the machine's name.
without_names() {
  sed -e "s|$PWD|CHECKOUT|g" -e "s|$HOME|HOME|g" -e "s|$(id -un)|USER|g" -e "s|$(hostname -s)|MACHINE|g"
}

status=0
report 2>&1 | without_names | tee "$page" || status=$?
printf '\nThe page: %s\nPlease look through it, then send it back.\n' "$page"
exit "$status"
