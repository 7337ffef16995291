//! Real programs at their usual work, inside the sandbox: what a wall must not break.
//!
//! A program that is not installed here is skipped with a word.

use crate::support::{Form, Place, Shell, User, can_sandbox};
use sandbox::{ExitStatus, Mode};
use std::path::Path;

/// Name, programs needed, script (run in the workspace, which is a Git repository without commits), forms in which it
/// works.
type Work = (&'static str, &'static [&'static str], &'static str, &'static [Form]);

const EVERYWHERE: &[Form] = &[Form::Everything, Form::Landlock, Form::Namespaces];
/// Needs a private loopback, `/dev/shm` or terminals: with Landlock alone they would be the host's.
const WITH_NAMESPACES: &[Form] = &[Form::Everything, Form::Namespaces];

#[rustfmt::skip]
const WORK: &[Work] = &[
    ("git clone and commit", &["git"],
     "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; git init -q src && cd src && echo 1 > f && git add f && git commit -qm one && cd .. && git clone -q src dst && cd dst && echo 2 >> f && git commit -qam two && git log --oneline | wc -l | grep -qx 2", EVERYWHERE),
    ("git commit in the workspace itself", &["git"],
     "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; git add -A && git commit -qm one && git checkout -qb topic && git rm -q --cached file && git commit -qm two && git gc -q && git log --oneline | wc -l | grep -qx 2 && ! git ls-files | grep -E '^\\.(mcp|codex|idea)'", EVERYWHERE),
    ("gcc and make -j4", &["gcc", "make"],
     "for i in 1 2 3 4; do echo \"int f$i(void){return $i;}\" > f$i.c; done; printf 'int main(void){return 0;}' > m.c; printf 'prog: f1.o f2.o f3.o f4.o m.o\\n\\tgcc -o $@ $^\\n' > Makefile; make -s -j4 && ./prog", EVERYWHERE),
    ("sqlite3", &["sqlite3"],
     "sqlite3 d.db 'pragma journal_mode=wal; create table t(a); insert into t values(42);' >/dev/null && sqlite3 d.db 'select a from t' | grep -qx 42", EVERYWHERE),
    ("ssh-keygen", &["ssh-keygen"],
     "ssh-keygen -q -t ed25519 -N '' -f key && test -s key.pub", EVERYWHERE),
    ("ssh-agent listing is refused, not a crash", &["ssh-add"],
     "SSH_AUTH_SOCK=$AGENT ssh-add -l; test $? -eq 2", EVERYWHERE),
    ("python: virtual environment", &["python3"],
     "python3 -m venv --without-pip v && ./v/bin/python -c 'import json,ssl,sqlite3'", EVERYWHERE),
    ("python: asyncio, subprocess, threads", &["python3"],
     "python3 -c \"import asyncio,sys\nasync def m():\n p=await asyncio.create_subprocess_exec('echo','hi',stdout=asyncio.subprocess.PIPE)\n o,_=await p.communicate(); assert o==b'hi\\n'\n await asyncio.to_thread(print,'t')\nasyncio.run(m())\"", EVERYWHERE),
    ("python: multiprocessing pool and queue", &["python3"],
     "cat > mp.py <<'E'\nimport multiprocessing as m\ndef f(x): return x*x\nif __name__=='__main__':\n  with m.Pool(3) as p: assert p.map(f,[1,2,3])==[1,4,9]\nE\npython3 mp.py", WITH_NAMESPACES),
    ("python: HTTP server and client on loopback", &["python3"],
     "cat > s.py <<'E'\nimport http.server,threading,urllib.request\ns=http.server.ThreadingHTTPServer(('127.0.0.1',0),http.server.SimpleHTTPRequestHandler)\nthreading.Thread(target=s.serve_forever,daemon=True).start()\nassert urllib.request.urlopen('http://localhost:%d/file'%s.server_port).read()==b'inside'\nE\npython3 s.py 2>/dev/null", WITH_NAMESPACES),
    ("node: child processes, workers, file watching", &["node"],
     "cat > n.js <<'E'\nconst {execSync}=require('child_process');const {Worker}=require('worker_threads');const fs=require('fs');\nif(execSync('echo hi').toString()!=='hi\\n')process.exit(3);\nfs.watch('.').close();\nnew Worker('require(\"worker_threads\").parentPort.postMessage(1)',{eval:true}).on('message',()=>process.exit(0));\nE\nnode n.js", EVERYWHERE),
    ("node: pipes from stdin", &["node"],
     "echo data | node -e \"process.stdin.on('data',d=>process.exit(String(d)==='data\\n'?0:4))\"", EVERYWHERE),
    ("node: HTTP server and client on loopback", &["node"],
     "node -e \"const h=require('http');const s=h.createServer((q,r)=>r.end('x')).listen(0,()=>h.get({port:s.address().port},r=>{process.exit(r.statusCode===200?0:5)}))\"", WITH_NAMESPACES),
    ("npm run", &["npm"],
     "echo '{\"scripts\":{\"hello\":\"echo from-npm\"}}' > package.json; export HOME=$PWD npm_config_update_notifier=false; npm run -s hello | grep -qx from-npm", EVERYWHERE),
    ("cargo build, offline", &["cargo"],
     "mkdir -p c/src && cd c && printf '[package]\\nname=\"c\"\\nversion=\"0.1.0\"\\nedition=\"2021\"\\n' > Cargo.toml && echo 'fn main(){}' > src/main.rs && CARGO_HOME=$PWD/home cargo build -q --offline && ./target/debug/c", EVERYWHERE),
    ("shell: here-documents, process substitution, job control", &["bash"],
     "bash -c 'cat <<E >/dev/null\n$(head -c 100000 /dev/zero | tr \"\\\\0\" x)\nE\ndiff <(echo a) <(echo a) && sleep 0.01 & wait $! && echo x > /dev/stderr && mktemp >/dev/null' 2>/dev/null", EVERYWHERE),
    ("perl, awk, sed, find, tar, xargs", &["perl", "tar"],
     "perl -e 'print 1' | grep -q 1 && tar cf t.tar file && tar xf t.tar && find . -name file | xargs -n1 sed -n p | awk '{exit $1!=\"inside\"}'", EVERYWHERE),
    ("terminals of its own", &["script"],
     "script -qec 'test -t 1' /dev/null < /dev/null", WITH_NAMESPACES),
    ("shared memory and semaphores", &["python3"],
     "python3 -c \"from multiprocessing import shared_memory as s;m=s.SharedMemory(create=True,size=9);m.close();m.unlink()\"", WITH_NAMESPACES),
];

/// Looks along the path; what lies in root's home folder is of no use to others.
fn is_installed(program: &str, user: User) -> bool {
    let path = std::env::var("PATH").unwrap();
    let mut found =
        path.split(':').map(|folder| Path::new(folder).join(program)).filter(|path| path.exists());
    found.any(|path| user == User::Root || !path.starts_with("/root"))
}

fn check(user: User, form: Form) {
    if !can_sandbox(user, form) {
        return;
    }
    let mut failures = Vec::new();
    for (name, needed, script, forms) in WORK {
        if let Some(missing) = needed.iter().find(|program| !is_installed(program, user)) {
            tell!("skipped: {name}: no {missing}");
            continue;
        }
        if !forms.contains(&form) {
            continue;
        }
        let place = Place::new(user);
        let mut shell = Shell::for_user(user, &place.plan(Mode::WorkspaceWrite, form));
        shell.directory.clone_from(&place.workspace);
        let own_path = std::env::var("PATH").unwrap();
        let mut environment = vec![
            format!("PATH={own_path}"),
            format!("HOME={}", place.home.display()),
            format!("AGENT={}", place.socket.display()),
        ];
        // Toolchains that rustup manages are found through the real home folder.
        if let Some(home) = std::env::var_os("RUSTUP_HOME").or(std::env::var_os("HOME").map(|mut h| {
            h.push("/.rustup");
            h
        })) {
            environment.push(format!("RUSTUP_HOME={}", home.display()));
        }
        let done = shell.run_with(script, &environment);
        if done.status == ExitStatus::Exited(0) {
            tell!("{user:?} {form:?}: {name}: works");
        } else {
            failures.push(format!("{name}: {:?}\n{}", done.status, done.output));
        }
    }
    assert!(failures.is_empty(), "{user:?} {form:?}:\n{}", failures.join("\n"));
}

#[test]
fn root_with_everything() {
    check(User::Root, Form::Everything);
}

#[test]
fn root_with_landlock_alone() {
    check(User::Root, Form::Landlock);
}

#[test]
fn nobody_with_everything() {
    check(User::Nobody, Form::Everything);
}

#[test]
fn nobody_with_landlock_alone() {
    check(User::Nobody, Form::Landlock);
}
