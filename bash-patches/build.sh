#!/usr/bin/env bash
# Builds the patched Bash: source by its sha256, the patches beside this script, one static binary.
#
#   build.sh [--output FILE]...
#
# The result is target/bash/bash, and a copy in each FILE. Nothing is done when the lock, the patches, this script and
# the compiler are those of the last build. Nothing is installed; what is missing is named.
#
# Environment:
#   BASH_SOURCE_TARBALL  the source tarball, instead of looking for one
#   BASH_CC              the C compiler, instead of musl-gcc or cc; may be one for another processor. The result is
#                        target/bash/COMPILER/bash then
#   CC_FOR_BUILD         the C compiler for programs that run during the build, instead of cc
#
# Runs on Bash 3.2 (macOS) too.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lock_file=$here/upstream.lock
downloads=$(dirname "$here")/target/bash
build_cc=${CC_FOR_BUILD:-cc}
gnu_mirror=https://ftpmirror.gnu.org/bash
connect_timeout=5
scratch=

say() { printf 'bash: %s\n' "$*"; }
fail() {
    printf 'bash: error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 1
}

# A step whose output is of interest only if it fails.
quietly() {
    local what=$1
    shift
    if ! "$@" >>"$log" 2>&1; then
        tail -n 25 "$log" >&2
        fail "$what failed" "the whole log: $log"
    fi
}

sha256_of() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$1"
    else
        shasum -a 256 "$1"
    fi | cut -d ' ' -f 1
}

# The Nth word after KEY in the lock.
locked() { awk -v key="$1" -v n="$2" '$1 == key { print $(n + 1) }' "$lock_file"; }

require_tools() {
    local missing='' tool
    for tool in make patch tar gzip awk "$1" "$(tool_of "$1" strip)" "$(tool_of "$1" nm)"; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    [ -z "$missing" ] || fail "these programs are needed and missing:$missing" \
        "on Debian or Ubuntu:  apt-get install build-essential patch musl-tools" \
        "on macOS:             xcode-select --install"
}

choose_compiler() {
    if [ -n "${BASH_CC:-}" ]; then
        echo "$BASH_CC"
    elif [ "$(uname -s)" = Linux ] && command -v musl-gcc >/dev/null; then
        echo musl-gcc
    elif command -v cc >/dev/null; then
        echo cc
    else
        echo gcc
    fi
}

# The binary utility NAME that fits what CC makes.
tool_of() {
    local tool
    tool=$("$1" -print-prog-name="$2" 2>/dev/null) || tool=
    echo "${tool:-$2}"
}

# What CC makes programs for, as autoconf names it. GCC's wrappers for musl name the GCC that they wrap: only the
# processor and the system are right.
triple_of() { "$1" -dumpmachine 2>/dev/null; }
processor_of() { triple_of "$1" | cut -d - -f 1; }

# Whether what CC makes is for another processor than this machine's.
is_cross() {
    local own
    own=$(processor_of "$build_cc")
    [ -n "$own" ] && [ "$(processor_of "$1")" != "$own" ]
}

# ---- source ---------------------------------------------------------------------------------------------------------

# Succeeds if FILE is one of the tarballs in the lock; stops everything if it is anything else.
verify() {
    local sum
    sum=$(sha256_of "$1")
    [ "$sum" = "$(locked gnu 2)" ] || [ "$sum" = "$(locked debian 2)" ] ||
        fail "$1 is not the source that upstream.lock names" "its sha256 is $sum" \
            "expected  $(locked gnu 2)  ($(locked gnu 1))" "or        $(locked debian 2)  ($(locked debian 1))"
}

fetch_from_gnu() {
    local file=$1 url
    url=$gnu_mirror/$(locked gnu 1)
    say "looking on the GNU mirror"
    if command -v curl >/dev/null; then
        curl --fail --silent --location --connect-timeout "$connect_timeout" --max-time 300 --output "$file" "$url"
    elif command -v wget >/dev/null; then
        wget --quiet --tries=1 --connect-timeout="$connect_timeout" --read-timeout=60 --output-document="$file" "$url"
    else
        return 1
    fi >>"$log" 2>&1
}

# Prints the system's binary package sources as deb-src sources of SUITE, keeping their mirrors and keys.
one_line_sources() {
    awk -v suite="$1" '
        $1 == "deb" {
            options = ""; i = 2
            if ($i ~ /^\[/) { do { options = options " " $i } while ($(i++) !~ /\]$/) }
            if ($(i + 1) ~ /security/ || $(i + 1) ~ /\/$/) next
            print "deb-src" options, $i, suite, "main"
        }'
}
stanza_sources() {
    awk -v suite="$1" '
        BEGIN { RS = ""; FS = "\n" }
        tolower($0) ~ /(^|\n)enabled: *no/ { next }
        $0 ~ /(^|\n)Suites:[^\n]*security/ { next }
        {
            skipping = 0
            for (i = 1; i <= NF; i++) {
                if ($i ~ /^#/) continue
                if ($i !~ /^[ \t]/) skipping = ($i ~ /^(Types|Suites|Components|Architectures):/)
                if (!skipping) print $i
            }
            print "Types: deb-src\nSuites: " suite "\nComponents: main\n"
        }'
}

fetch_from_debian() {
    local file=$1 suite list parts part
    command -v apt-get >/dev/null || return 1
    say "looking for Debian's source package"
    suite=$(locked debian 3)
    list='' parts=''
    eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
    mkdir -p "$scratch/sources" "$scratch/lists/partial" "$scratch/cache" "$scratch/download"
    for part in "$list" "$parts"/*.list; do
        if [ -f "$part" ]; then one_line_sources "$suite" <"$part"; fi
    done | sort -u >"$scratch/sources/derived.list"
    for part in "$parts"/*.sources; do
        if [ -f "$part" ]; then stanza_sources "$suite" <"$part"; fi
    done >"$scratch/sources/derived.sources"

    # The system's own lists and settings stay as they are. Other repositories do not carry this suite, and say so:
    # what counts is whether the file arrives.
    set -- -q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$scratch/sources" \
        -o "Dir::State::lists=$scratch/lists" -o "Dir::Cache=$scratch/cache" -o APT::Sandbox::User=root \
        -o "Acquire::http::Timeout=20" -o "Acquire::https::Timeout=20" -o Acquire::Languages=none
    apt-get "$@" update >>"$log" 2>&1 || true
    (cd "$scratch/download" && apt-get "$@" source --download-only --only-source bash >>"$log" 2>&1) || return 1
    mv "$scratch/download/$(locked debian 1)" "$file" 2>>"$log"
}

# Prints the path of the verified tarball.
find_source() {
    local cache=$downloads/source file name
    if [ -n "${BASH_SOURCE_TARBALL:-}" ]; then
        [ -f "$BASH_SOURCE_TARBALL" ] || fail "BASH_SOURCE_TARBALL names no file: $BASH_SOURCE_TARBALL"
        verify "$BASH_SOURCE_TARBALL"
        echo "$BASH_SOURCE_TARBALL"
        return
    fi
    mkdir -p "$cache"
    for name in "$(locked gnu 1)" "$(locked debian 1)"; do
        file=$cache/$name
        if [ -f "$file" ]; then
            verify "$file"
            echo "$file"
            return
        fi
    done
    for name in gnu debian; do
        file=$cache/$(locked "$name" 1)
        if "fetch_from_$name" "$file.part" >&2; then
            verify "$file.part"
            mv "$file.part" "$file"
            echo "$file"
            return
        fi
        rm -f "$file.part"
    done
    fail "found no source of Bash $(locked version 1)" \
        "neither the GNU mirror nor Debian's source package could be reached; the log: $log" \
        "download $(locked gnu 1) elsewhere and set BASH_SOURCE_TARBALL to its path"
}

# ---- build ----------------------------------------------------------------------------------------------------------

unpack() {
    rm -rf "$work/src"
    mkdir -p "$work/src"
    tar -xzf "$1" -C "$work/src" --strip-components=1 --no-same-owner
}

apply_patches() {
    local one
    for one in "$here"/*.patch; do
        patch -d "$work/src" -p1 --forward --no-backup-if-mismatch <"$one"
    done
}

# Succeeds if what was linked can load nothing at run time. glibc's look-ups load plug-ins: the linker warns of them, and
# the loader is part of the program.
check_link() {
    local symbols found
    symbols=$("$(tool_of "$1" nm)" "$work/src/bash" 2>>"$log") || fail "nm failed" "the log: $log"
    found=$(
        grep 'statically linked applications requires' "$log" || true
        printf '%s\n' "$symbols" | grep -w dl_open_worker || true
    )
    [ -z "$found" ] || fail "the new Bash would load plug-ins of the system's C library" "$found"
}

# Native language support would search catalogues at each start. Bash's own malloc cannot be linked statically and
# gains nothing here. Plug-ins (enable -f) cannot be loaded into a static binary, so they are off everywhere. The
# default PATH is Debian's: upstream's ends with the current folder.
configure_bash() {
    local cc=$1 cflags=-O2 ldflags='' static='' cross=''
    local path='/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    cflags="$cflags -Wno-parentheses -Wno-format-security"
    if [ "$(uname -s)" = Linux ]; then
        # Without PIE there is nothing to relocate at start, and fork has fewer pages to copy.
        cflags="$cflags -fno-pie"
        ldflags='-static -no-pie'
        static=--enable-static-link
        # 5.2's configure mistakes its own failed test for a missing declaration on musl.
        case $cc in *musl*) export bash_cv_func_strtoimax=no ;; esac
        # Properties of Linux, not of the machine that happens to build.
        export bash_cv_dev_fd=standard bash_cv_dev_stdin=present bash_cv_sys_named_pipes=present
        # glibc's would load plug-ins (0002-name-service.patch).
        export am_cv_func_iconv=no ac_cv_func_getservent=no
    fi
    if is_cross "$cc"; then
        cross="--build=$(triple_of "$build_cc") --host=$(triple_of "$cc")"
        # What configure finds out by running programs: on Linux the same for every processor, with glibc and musl.
        export bash_cv_getcwd_malloc=yes bash_cv_printf_a_format=yes bash_cv_ulimit_maxfds=yes
        export bash_cv_unusable_rtsigs=no bash_cv_wexitstatus_offset=8
    fi
    cd "$work/src"
    # shellcheck disable=SC2086
    CC=$cc AR=$(tool_of "$cc" ar) RANLIB=$(tool_of "$cc" ranlib) \
        CC_FOR_BUILD=$build_cc CFLAGS=$cflags LDFLAGS=$ldflags \
        CPPFLAGS="-DDEFAULT_PATH_VALUE='\"$path\"'" ac_cv_func_dlopen=no \
        ./configure --without-bash-malloc --disable-nls $static $cross
}

processors() { getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1; }

# Prints what runs a program of CC here: nothing, or an emulator. Fails if nothing does.
emulator_for() {
    local name
    is_cross "$1" || return 0
    if "$2" --version >/dev/null 2>&1; then return 0; fi
    for name in "qemu-$(processor_of "$1")-static" "qemu-$(processor_of "$1")"; do
        if command -v "$name"; then return 0; fi
    done
    return 1
}

# A Bash without the hook must never be taken for one with it.
check_result() {
    local cc=$1 shell=$2 emulator status=0
    if ! emulator=$(emulator_for "$cc" "$shell"); then
        say "not run: this machine has no emulator for $(processor_of "$cc")"
        check_unrunnable_result "$cc" "$shell"
        return
    fi
    # shellcheck disable=SC2086
    [ "$($emulator "$shell" -c 'echo "$BASH_VERSION"')" = "$(locked version 1)(1)-release" ] ||
        fail "the new Bash does not run or is not $(locked version 1)"
    # shellcheck disable=SC2086
    BASH_EXEC_WRAPPER=/nonexistent/wrapper $emulator "$shell" -c /bin/ls >/dev/null 2>&1 || status=$?
    [ "$status" -eq 126 ] || fail "the new Bash ran a command without its wrapper"
}

check_unrunnable_result() {
    local text
    for text in "@(#)Bash version $(locked version 1)(1) release" BASH_EXEC_WRAPPER=; do
        LC_ALL=C grep -aqF "$text" "$2" || fail "the new Bash lacks the text \"$text\""
    done
    case $(LC_ALL=C "$(tool_of "$1" readelf)" -hl "$2" 2>>"$log") in
    *INTERP*) fail "the new Bash is not static" ;;
    *Machine:*) ;;
    *) fail "the new Bash is no program" "the log: $log" ;;
    esac
}

fingerprint() {
    {
        cat "$lock_file" "$here"/*.patch "$here/build.sh"
        uname -sm
        triple_of "$1" || true
        echo "$1"
        "$1" --version 2>&1 | head -n 1
    } >"$work/inputs"
    sha256_of "$work/inputs"
}

build() {
    local cc=$1 source
    : >"$log"
    source=$(find_source)
    say "building Bash $(locked version 1) with $cc (about a minute)"
    quietly "unpacking $source" unpack "$source"
    quietly "applying the patches" apply_patches
    (quietly "configure" configure_bash "$cc")
    # The linker's warnings in words that are known (see check_link).
    quietly "make" env LC_ALL=C make -C "$work/src" -j"$(processors)" bash
    check_link "$cc"
    cp "$work/src/bash" "$result.new"
    quietly "strip" "$(tool_of "$cc" strip)" "$result.new"
    check_result "$cc" "$result.new"
    mv "$result.new" "$result"
}

main() {
    local outputs='' output cc inputs
    while [ $# -gt 0 ]; do
        case $1 in
        --output)
            [ $# -ge 2 ] || fail "--output needs a file name"
            outputs="$outputs$2"$'\n'
            shift 2
            ;;
        *) fail "unknown argument: $1" "usage: build.sh [--output FILE]..." ;;
        esac
    done

    cc=$(choose_compiler)
    require_tools "$cc"
    work=$downloads
    if [ -n "${BASH_CC:-}" ]; then work=$downloads/$(basename "$BASH_CC"); fi
    log=$work/build.log
    result=$work/bash

    mkdir -p "$work"
    scratch=$(mktemp -d "$work/scratch.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    # Two builds at once would share the folder.
    if command -v flock >/dev/null; then
        exec 9>"$downloads/lock"
        flock 9
    fi

    inputs=$(fingerprint "$cc")
    if [ -x "$result" ] && [ "$(cat "$work/built-from" 2>/dev/null)" = "$inputs" ]; then
        say "up to date"
    else
        rm -f "$work/built-from"
        build "$cc"
        echo "$inputs" >"$work/built-from"
        say "built $result ($(($(wc -c <"$result") / 1024)) KiB)"
    fi

    printf '%s' "$outputs" | while IFS= read -r output; do
        if cmp -s "$result" "$output"; then continue; fi
        mkdir -p "$(dirname "$output")"
        # By rename: a Bash that is running there keeps running.
        cp "$result" "$output.new"
        mv "$output.new" "$output"
    done
}

main "$@"
