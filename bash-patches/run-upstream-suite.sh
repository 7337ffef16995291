#!/usr/bin/env bash
# Runs Bash's own test suite on the patched Bash: plain, and with each execution going through a wrapper.
#
#   run-upstream-suite.sh --wrapper FILE [TEST...]
#
# FILE must execute what it is given and judge nothing (the tests' record-exec does). A TEST is a name like `alias`;
# without any, all run, which takes some minutes for each of the two runs.
#
# Leaves target/bash/suite/{plain,hooked}/TEST, what a test printed beyond what it expects, and prints which tests
# printed anything. Ends with status 1 if the two runs differ. What a difference from the expectation means is told in
# README.md.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(dirname "$here")/target/bash
suite=$work/suite
# The longest test needs about a minute on an idle machine.
patience=300
wrapper=
selected=()

while [ $# -gt 0 ]; do
    case $1 in
    --wrapper)
        [ $# -ge 2 ] || { echo "--wrapper needs a file" >&2 && exit 2; }
        wrapper=$2
        shift 2
        ;;
    *)
        selected+=("$1")
        shift
        ;;
    esac
done
case $wrapper in
/*) [ -x "$wrapper" ] || { echo "no such wrapper: $wrapper" >&2 && exit 2; } ;;
*) echo "usage: run-upstream-suite.sh --wrapper /absolute/path [TEST...]" >&2 && exit 2 ;;
esac

"$here/build.sh"
mkdir -p "$suite"

# The programs that the tests run; upstream's makefile would rebuild Bash for them.
support=$suite/support
mkdir -p "$support"
for program in recho zecho printenv xcase; do
    cc -std=gnu89 -w -O1 -I"$work/src" -I"$work/src/include" -DHAVE_CONFIG_H \
        -o "$support/$program" "$work/src/support/$program.c"
done

if [ ${#selected[@]} -eq 0 ]; then
    for file in "$work"/src/tests/run-*; do
        case ${file##*/run-} in
        all | minimal | gprof | *.orig) ;;
        *) selected+=("${file##*/run-}") ;;
        esac
    done
fi

# Both runs use the same folders, because outputs contain them.
run_suite() {
    local mode=$1 name
    local scratch=$suite/scratch
    rm -rf "${suite:?}/$mode" && mkdir -p "$suite/$mode"
    for name in "${selected[@]}"; do
        rm -rf "$scratch" && mkdir -p "$scratch/tmp"
        cp -a "$work/src/tests" "$scratch/tests"
        cp "$support"/* "$scratch/tests/"
        (
            cd "$scratch/tests"
            # Tests name the first free descriptor: whatever this script was started with must not be there.
            for descriptor in /proc/self/fd/*; do
                descriptor=${descriptor##*/}
                if [ -e "/proc/$BASHPID/fd/$descriptor" ] && [ "$descriptor" -gt 2 ]; then eval "exec $descriptor>&-"; fi
            done
            unset BASH_ENV POSIXLY_CORRECT LC_ALL BASH_EXEC_WRAPPER
            if [ "$mode" = hooked ]; then
                export BASH_EXEC_WRAPPER=$wrapper
            fi
            export THIS_SH=$work/bash BUILD_DIR=$work/src TMPDIR=$scratch/tmp BASH_TSTOUT=$scratch/tmp/output
            export PATH=.:$PATH LANG=${LANG:-C.UTF-8} LC_TIME=C
            timeout --kill-after=5 "$patience" sh "./run-$name" 2>&1 </dev/null || echo "run-$name: status $?"
        ) | grep -av '^warning: ' >"$suite/$mode/$name" || true
    done
    rm -rf "$scratch"
}

summary() {
    local mode=$1 name failing=''
    for name in "${selected[@]}"; do
        [ ! -s "$suite/$mode/$name" ] || failing="$failing $name"
    done
    echo "$mode: ${#selected[@]} tests, differing from what upstream expects:${failing:- none}"
}

for mode in plain hooked; do
    run_suite "$mode"
    summary "$mode"
done
different=''
for name in "${selected[@]}"; do
    cmp -s "$suite/plain/$name" "$suite/hooked/$name" || different="$different $name"
done
echo "different between the two runs:${different:- none}"
[ -z "$different" ]
