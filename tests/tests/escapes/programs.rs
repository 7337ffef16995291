//! Real programs at their usual work through the shipped server: what its walls must not break.
//!
//! Most of it is tested on the library (`crates/sandbox/tests/suite/programs.rs`); here every program of the work is
//! also shown to the server first, as in use. A program that is not installed is skipped with a word.

use std::path::{Path, PathBuf};

use end_to_end_tests::word;
use serde_json::json;

use crate::place::{EVERY, Form, Place, User};

/// Name, programs needed, whether it needs a loopback of its own, script (run in an empty folder of the workspace).
type Work = (&'static str, &'static [&'static str], bool, &'static str);

#[rustfmt::skip]
const WORK: &[Work] = &[
    ("git: clone a local repository, commit, log", &["git"], false,
     "git init -q a && cd a && echo 1 > f && git add f && git commit -qm one && cd .. && git clone -q a b && cd b && echo 2 >> f && git commit -qam two && git log --oneline | wc -l | grep -qx 2"),
    ("git: clone what lies outside the workspace", &["git"], false,
     "git clone -q \"$OUTSIDE/repository\" r && cd r && git log --oneline | grep -q outside"),
    ("gcc and make -j4", &["gcc", "make"], false,
     "for i in 1 2 3 4; do echo \"int f$i(void){return $i;}\" > f$i.c; done; echo 'int main(void){return 0;}' > m.c; printf 'prog: f1.o f2.o f3.o f4.o m.o\\n\\tgcc -o $@ $^\\n' > Makefile; make -s -j4 && ./prog"),
    ("cargo build of a crate with tests, offline", &["cargo"], false,
     "mkdir src && printf '[package]\\nname=\"c\"\\nversion=\"0.1.0\"\\nedition=\"2021\"\\n' > Cargo.toml && printf 'fn main(){}\\n#[test] fn t(){}\\n' > src/main.rs && export CARGO_HOME=$PWD/cargo-home && cargo build -q --offline && ./target/debug/c && cargo test -q --offline"),
    ("npm run of a script", &["npm"], false,
     "echo '{\"scripts\":{\"hello\":\"node -p 6*7\"}}' > package.json; HOME=$PWD npm_config_update_notifier=false npm run -s hello | grep -qx 42"),
    ("python: virtual environment without network", &["python3"], false,
     "python3 -m venv --without-pip v && . v/bin/activate && python -c 'import sys, sqlite3; assert sys.prefix != sys.base_prefix; sqlite3.connect(\"d.db\").execute(\"create table t(a)\")'"),
    ("sqlite3", &["sqlite3"], false,
     "sqlite3 d.db 'pragma journal_mode=wal; create table t(a); insert into t values(42);' > /dev/null && sqlite3 d.db 'select a from t' | grep -qx 42"),
    ("ssh-keygen", &["ssh-keygen"], false,
     "ssh-keygen -q -t ed25519 -N '' -f key && test -s key.pub"),
    ("tar, find, xargs, sort, awk, sed, diff", &["tar", "gzip"], false,
     "seq 1000 > n && tar czf n.tgz n && mkdir x && tar xzf n.tgz -C x && diff n x/n && find . -name n | xargs cat | sort -un | awk '{s += $1} END {print s}' | sed -n '/^500500$/p' | grep -q ."),
    ("python: HTTP server and client on loopback", &["python3"], true,
     "printf 'import http.server, threading, urllib.request\\ns = http.server.ThreadingHTTPServer((\"127.0.0.1\", 0), http.server.SimpleHTTPRequestHandler)\\nthreading.Thread(target=s.serve_forever, daemon=True).start()\\nassert b\"s.py\" in urllib.request.urlopen(f\"http://localhost:{s.server_port}/\").read()\\n' > s.py && python3 s.py 2> /dev/null"),
    ("node: HTTP server and client on loopback", &["node"], true,
     "node -e \"const h = require('http'); const s = h.createServer((q, r) => r.end('x')).listen(0, () => h.get({port: s.address().port}, r => process.exit(r.statusCode === 200 ? 0 : 5)))\""),
];

/// Where the program is that PATH would find; what lies in root's home folder is of no use to others.
fn found(program: &str, user: User) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(program));
    candidates.find(|path| path.exists() && (user == User::Root || !path.starts_with("/root")))
}

#[test]
fn real_programs_work() {
    for (user, form) in EVERY {
        let Some(place) = Place::of(user, form, "") else { continue };
        if !make_repository(&place) {
            tell!("skipped: no git");
            return;
        }
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            continue;
        }
        let mut failures = Vec::new();
        for (number, (name, needed, needs_loopback, script)) in WORK.iter().enumerate() {
            if *needs_loopback && form == Form::Landlock {
                continue;
            }
            let programs: Option<Vec<PathBuf>> = needed.iter().map(|program| found(program, user)).collect();
            let Some(programs) = programs else {
                tell!("skipped: {user:?}: {name}: needs {needed:?}");
                continue;
            };
            let folder = place.world.workdir().join(format!("work-{number}"));
            let command = format!(
                "{}\nmkdir {1} && cd {1} && export TMPDIR={1} || exit\n{script}",
                settings(&place, &programs),
                word(&folder)
            );
            let arguments = json!({"command": command, "workdir": place.world.workdir(), "login": false, "timeout_ms": 600_000});
            match attacked.call(arguments) {
                Ok(json) if json["exit_code"] == 0 => tell!("{user:?}, {form:?}: {name}: works"),
                Ok(json) => failures.push(format!("{name}: {json}")),
                Err(words) => failures.push(format!("{name}: {words}")),
            }
        }
        assert!(failures.is_empty(), "{user:?}, {form:?}:\n{}", failures.join("\n"));
    }
}

/// A repository outside the workspace, made before there is a sandbox.
fn make_repository(place: &Place) -> bool {
    let script = format!(
        "git init -q {0} && cd {0} && echo x > f && git add f && git commit -qm outside",
        word(&place.outside.join("repository"))
    );
    let mut command = place.command("/bin/sh".as_ref());
    command.args(["-c", &format!("{IDENTITY}\n{script}")]);
    found("git", User::Ordinary).is_some() && command.status().is_ok_and(|status| status.success())
}

const IDENTITY: &str =
    "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b";

/// The world's own PATH is short, and toolchains that rustup manages are found through the real home folder.
fn settings(place: &Place, programs: &[PathBuf]) -> String {
    let folders: Vec<String> = programs
        .iter()
        .filter_map(|program| program.parent())
        .map(|folder| folder.display().to_string())
        .collect();
    let home = std::env::var("HOME").unwrap_or_default();
    let rustup = std::env::var("RUSTUP_HOME").unwrap_or(format!("{home}/.rustup"));
    let rustup =
        if Path::new(&rustup).is_dir() { format!("export RUSTUP_HOME={rustup}") } else { ":".to_owned() };
    let outside = word(&place.outside);
    format!("{IDENTITY} OUTSIDE={outside} PATH=\"{}:$PATH\"; {rustup}", folders.join(":"))
}

/// A server that one call leaves behind is there for the next, and gone with the server.
#[test]
fn a_server_in_the_background_is_reached_by_the_next_call() {
    for user in [User::Root, User::Ordinary] {
        let Some(place) = Place::of(user, Form::Namespaces, "") else { continue };
        let Some(python) = found("python3", user) else {
            tell!("skipped: {user:?}: no python3");
            continue;
        };
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            continue;
        }
        let start = format!(
            "{} -u -m http.server --bind 127.0.0.1 0 > server.log 2>&1 &\nuntil grep -q 'port [0-9]' server.log; do sleep 0.05; done",
            python.display()
        );
        let left = attacked.run(&start).expect("a result");
        assert_eq!(left["background"].as_array().map(Vec::len), Some(1), "{left}");
        let fetch = "read -r _ _ _ _ _ port _ < server.log; exec 3<> /dev/tcp/127.0.0.1/$port; printf 'GET /file HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3";
        let fetched = attacked.run(fetch).expect("a result");
        assert_eq!(fetched["output"], "inside", "{fetched}");
    }
}
