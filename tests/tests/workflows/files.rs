//! Files: the tools that everybody knows.

use crate::workflow::Workflow;

const fn files(name: &'static str, needs: &'static [&'static str], script: &'static str) -> Workflow {
    let setup = "mkdir d; printf 'one\\ntwo\\nthree\\n' > a; printf 'x 1\\ny 2\\n' > d/b; ln -s a l";
    Workflow { name, needs, setup, script, ..Workflow::PLAIN }
}

pub(crate) const WORKFLOWS: &[Workflow] = &[
    files(
        "cp, mv, ln, rm, mkdir -p, touch",
        &[],
        "cp -a d e && mv a z && ln z hard && ln -sf z l && rm d/b && rmdir d && mkdir -p p/q/r && touch -d 2020-01-01 p/t",
    ),
    files(
        "sed -i, awk, tr, sort, uniq, cut",
        &[],
        "sed -i s/two/2/ a && awk '{print $2}' d/b > n && tr a-z A-Z < a | sort | uniq > s && cut -d' ' -f1 d/b > c",
    ),
    files("perl -pi", &["perl"], "perl -pi -e 's/one/1/' a"),
    files(
        "find -exec, xargs, -delete",
        &[],
        "find . -name b -exec cp {} copy \\; && find . -type f | xargs wc -l > /dev/null && find . -name copy -delete",
    ),
    files(
        "grep -r, diff, patch",
        &["patch"],
        "grep -rn one . ; sed s/one/1/ a > a.new; diff -u --label a --label a a a.new > p; patch -s a p",
    ),
    files("tar, gzip", &["tar"], "tar czf x.tgz d && rm -r d && tar xzf x.tgz && rm x.tgz"),
    files("zip, unzip", &["zip", "unzip"], "zip -qr x.zip d && rm -r d && unzip -q x.zip && rm x.zip"),
    files(
        "chmod, install, umask",
        &[],
        "chmod 640 a && install -m 755 a tool && (umask 077; touch private) && ./tool; true",
    ),
    files(
        "heredoc, printf, tee, process substitution",
        &[],
        "cat > h <<'X'\n$HOME\nX\nprintf 'a\\0b' | tee t > u; diff <(sort a) <(sort d/b) > v; true",
    ),
    files("mktemp, a file in /tmp", &[], "f=$(mktemp -p .) && echo x > \"$f\" && mv \"$f\" made"),
    files("mkfifo", &[], "mkfifo f && (echo hi > f &) && cat f > got && rm f"),
    files(
        "dd, truncate, split, head, tail",
        &[],
        "dd if=/dev/zero of=z bs=1k count=4 2>/dev/null && truncate -s 1k z && split -b 512 z part && head -1 a > h && tail -1 a > t",
    ),
    files("jq", &["jq"], "echo '{\"a\":[1,2]}' | jq -c .a > j"),
    files(
        "sqlite3",
        &["sqlite3"],
        "sqlite3 x.db 'create table t(a); insert into t values(1)' && sqlite3 x.db 'select * from t' > out && rm x.db",
    ),
    files(
        "openssl, sha256sum, base64",
        &["openssl"],
        "openssl rand -hex 8 > /dev/null && sha256sum a > sum && base64 a > b64",
    ),
    files(
        "ssh-keygen in the project",
        &["ssh-keygen"],
        "ssh-keygen -q -t ed25519 -N '' -f key && rm key key.pub",
    ),
    files("flock", &["flock"], "flock lock -c 'echo x > x' && rm lock"),
    files("links that lead out are read", &[], "ln -s /etc/passwd p && head -1 p > first"),
    files(
        "names with blanks, newlines, other letters",
        &[],
        "touch 'a b' $'c\\nd' 'é' -- -e && rm -- -e && cat 'a b'",
    ),
    files(
        "asking whether something can be written",
        &["python3"],
        "test -w . && test -w a && test ! -w /etc/passwd -o \"$(id -u)\" = 0 && python3 -c 'import os, sys; sys.exit(not (os.access(\".\", 2) and os.access(\"a\", 6) and not os.access(\"a\", 1)))' && patch --version > /dev/null",
    ),
    files("rm -rf of a build's folder", &[], "mkdir -p build/x/y && touch build/x/y/z && rm -rf build"),
    files("an EXIT trap", &[], "trap 'rm -f lock' EXIT; touch lock; exit 3"),
    files("exit codes", &[], "false; test -d d && (exit 7)"),
    files(
        "a thousand files",
        &[],
        "mkdir m && cd m && seq 1000 | xargs touch && ls | wc -l > ../n && cd .. && rm -r m",
    ),
];
