//! Protected names with the kernel's door: none can be made from inside, nothing stands in the project for them, and everything else
//! that programs do in a work tree works.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::{World, word};

const DOOR: &[&str] = &["--door", "kernel"];

/// With namespaces, and with Landlock alone.
const WITH_NAMESPACES: &str = "";
const WITHOUT: &str = "[shell_tool]\nnamespaces = \"off\"\n";

/// Makes every call that makes, replaces, changes or removes a name, by each way to say a path, and prints those that succeed.
/// `sys.argv`: the project, and names of which each is a file, a folder, or nothing.
const ATTEMPTS: &str = r#"
import ctypes, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
project, names = sys.argv[1], sys.argv[2:]
os.chdir(project)
os.makedirs("own", exist_ok=True)
def sources():
    for name in ("own/file", "rootfile"):
        os.path.lexists(name) or open(name, "w").write("hostile")
sources()
os.path.islink("own/up") or os.symlink("..", "own/up")
os.path.islink("own/whole") or os.symlink(project, "own/whole")
here = os.open(".", os.O_RDONLY)
AT, EMPTY, FOLLOW = -100, 0x1000, 0x400
FD = {"openat": 257, "openat2": 437, "mkdirat": 258, "mknodat": 259, "symlinkat": 266, "linkat": 265, "unlinkat": 263,
      "renameat": 264, "renameat2": 316, "fchmodat": 268, "fchmodat2": 452, "fchownat": 260, "utimensat": 280,
      "open": 2, "creat": 85, "mkdir": 83, "mknod": 133, "symlink": 88, "link": 86, "unlink": 87, "rmdir": 84,
      "rename": 82, "chmod": 90, "chown": 92, "lchown": 94, "truncate": 76, "utimes": 235, "utime": 132,
      "setxattr": 188, "lsetxattr": 189, "removexattr": 197}
def call(what, *arguments):
    number = FD[what]
    made = [ctypes.c_char_p(a.encode()) if isinstance(a, str) else ctypes.c_long(a or 0) for a in arguments]
    return libc.syscall(ctypes.c_long(number), *made) >= 0
def ways(name):
    yield "plain", name
    yield "dot", "./own/../" + name
    yield "absolute", project + "/" + name
    yield "double", project + "//" + name
    yield "cwd", "/proc/self/cwd/" + name
    yield "root", "/proc/self/root" + project + "/" + name
    yield "descriptor", "/proc/self/fd/%d/%s" % (here, name)
    yield "dev", "/dev/fd/%d/%s" % (here, name)
    yield "link", "own/up/" + name
    yield "absolute link", "own/whole/" + name
# The folder of protected names is the user's as all others are, but for its name.
ATTRIBUTES = {"chmod", "fchmodat", "fchmod", "chown", "lchown", "fchownat", "fchownat empty", "utimes", "utime", "utimensat",
              "setxattr", "removexattr"}
def attempts(path):
    sources()
    fresh = "own/fresh"
    W, C, T, TMP = os.O_WRONLY, os.O_CREAT, os.O_TRUNC, os.O_TMPFILE
    yield "open", call("open", path, W | C, 0o644)
    yield "open trunc", call("open", path, W | T, 0)
    yield "open rdwr", call("open", path, os.O_RDWR, 0)
    yield "creat", call("creat", path, 0o644)
    yield "openat", call("openat", AT, path, W | C | os.O_EXCL, 0o644)
    yield "openat rdonly", not os.path.lexists(path) and call("openat", AT, path, C, 0o644)
    how = (ctypes.c_uint64 * 3)(W | C, 0o644, 0)
    yield "openat2", libc.syscall(437, AT, path.encode(), how, 24) >= 0
    yield "mkdir", call("mkdir", path, 0o755)
    yield "mkdirat", call("mkdirat", AT, path, 0o755)
    yield "mknod", call("mknod", path, 0o100644, 0)
    yield "mknodat", call("mknodat", AT, path, 0o10644, 0)
    yield "symlink", call("symlink", "own/file", path)
    yield "symlinkat", call("symlinkat", "own/file", AT, path)
    for source in ("own/file", "rootfile"):
        yield "link " + source, call("link", source, path)
        yield "linkat " + source, call("linkat", AT, source, AT, path, FOLLOW)
        yield "rename " + source, call("rename", source, path)
        yield "renameat " + source, call("renameat", AT, source, AT, path)
        yield "exchange " + source, call("renameat2", AT, source, AT, path, 2)
        yield "exchange back " + source, call("renameat2", AT, path, AT, source, 2)
        yield "noreplace " + source, call("renameat2", AT, source, AT, path, 1)
    sources()
    import socket
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(path)
        yield "bind", True
    except OSError:
        pass
    held = os.open("own/file", os.O_RDWR)
    yield "linkat proc", call("linkat", AT, "/proc/self/fd/%d" % held, AT, path, FOLLOW)
    yield "linkat empty", call("linkat", held, "", AT, path, EMPTY)
    os.close(held)
    unnamed = libc.openat(AT, b".", TMP | W, 0o644)
    yield "tmpfile", call("linkat", AT, "/proc/self/fd/%d" % unnamed, AT, path, FOLLOW)
    os.close(unnamed)
    yield "away", call("rename", path, fresh)
    yield "away in root", call("rename", path, "fresh")
    yield "link away", call("link", path, fresh)
    yield "unlink", call("unlink", path)
    yield "unlinkat", call("unlinkat", AT, path, 0)
    yield "rmdir", call("rmdir", path)
    yield "unlinkat dir", call("unlinkat", AT, path, 0x200)
    yield "truncate", call("truncate", path, 0)
    yield "chmod", call("chmod", path, 0o777)
    yield "fchmodat", call("fchmodat", AT, path, 0o777)
    yield "chown", call("chown", path, os.getuid(), os.getgid())
    yield "lchown", call("lchown", path, os.getuid(), os.getgid())
    yield "fchownat", call("fchownat", AT, path, os.getuid(), os.getgid(), 0)
    yield "utimes", call("utimes", path, 0)
    yield "utime", call("utime", path, 0)
    yield "utimensat", call("utimensat", AT, path, 0, 0)
    yield "setxattr", call("setxattr", path, "user.x", "x", 1, 0)
    yield "removexattr", call("removexattr", path, "user.x")
    opened = libc.openat(AT, path.encode(), os.O_RDONLY)
    if opened >= 0:
        yield "fchmod", libc.fchmod(opened, 0o777) == 0
        yield "fchownat empty", call("fchownat", opened, "", os.getuid(), os.getgid(), EMPTY)
        yield "reopened", call("open", "/proc/self/fd/%d" % opened, os.O_RDWR, 0)
        os.path.islink("own/alias") and os.remove("own/alias")
        os.symlink("/dev/fd/%d" % opened, "own/alias")
        yield "reopened by a link", call("open", "own/alias", os.O_RDWR, 0)
        yield "truncated by a link", call("truncate", "own/alias", 0)
        os.path.lexists("own/stolen") and os.remove("own/stolen")
        yield "linked by descriptor", call("linkat", AT, "/proc/self/fd/%d" % opened, AT, "own/stolen", FOLLOW)
        os.close(opened)
def prepare(name, path):
    """For the twins that nothing protects: whatever was done, the one is absent and the other a file."""
    for made in (path, "fresh", "own/fresh") if name in ("absent", "present") else ():
        os.path.isdir(made) and not os.path.islink(made) and os.rmdir(made)
        os.path.lexists(made) and os.remove(made)
    if name == "present":
        open(path, "w").close()
    sources()
def everything(tag=""):
    for name in names:
        for way, path in ways(name):
            prepare(name, path)
            for what, succeeded in attempts(path):
                prepare(name, path)
                if succeeded and not (name == ".git" and what in ATTRIBUTES):
                    print("made:", tag, name, way, what, flush=True)
everything()
thread = threading.Thread(target=everything, args=("thread",))
thread.start(); thread.join()
print("tried")
"#;

/// A project with a repository of one commit, made outside.
pub(super) fn project(world: &World) {
    git(
        &world.workdir(),
        "init -q -b main && git config user.email a@b && git config user.name a && echo one > file && mkdir src && echo a > src/a && git add . && git commit -qm one",
    );
}

/// Runs Git outside, as the user would.
pub(super) fn git(folder: &Path, script: &str) {
    let status = Command::new("sh").current_dir(folder).args(["-ec", &format!("git {script}")]).status();
    assert!(status.expect("Git is installed").success(), "{script}");
}

pub(super) fn entries(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

pub(super) async fn behind_the_door(world: &World) -> Client {
    let client = Client::start_with(world, &Person::absent(), DOOR).await;
    let level = client.run("true").await.json()["sandbox"].as_str().map(str::to_owned);
    assert!(level.is_some_and(|level| level.ends_with("+door")), "there is a kernel's door here");
    client
}

#[tokio::test]
async fn no_call_makes_changes_or_removes_a_protected_name() {
    try_protected_names(WITH_NAMESPACES).await;
}

#[tokio::test]
async fn no_call_makes_changes_or_removes_a_protected_name_without_namespaces() {
    try_protected_names(WITHOUT).await;
}

async fn try_protected_names(sandbox: &str) {
    let world = World::with_rules("").configured(sandbox);
    project(&world);
    std::fs::create_dir(world.workdir().join(".vscode")).expect("a folder");
    let before = entries(&world.workdir());
    let before_git = entries(&world.workdir().join(".git"));
    let config = std::fs::read(world.workdir().join(".git/config")).expect("a file");
    std::fs::write(world.workdir().join("attempts.py"), ATTEMPTS).expect("a script");
    let client = behind_the_door(&world).await;
    let folder = word(&world.workdir());
    // The twin: a name that nothing protects takes every call that can succeed.
    let attempts = format!("python3 attempts.py {folder} absent present | cut -d' ' -f 3- | sort -u");
    let tried = client.run_within(&attempts, std::time::Duration::from_secs(60)).await;
    for what in [
        "absent plain open",
        "absent dot openat",
        "absent absolute mkdir",
        "absent double mkdirat",
        "absent cwd mknod",
        "absent root mknodat",
        "absent descriptor symlink",
        "absent dev symlinkat",
        "absent link link own/file",
        "absent absolute link linkat rootfile",
        "absent plain rename own/file",
        "absent link renameat rootfile",
        "absent plain noreplace rootfile",
        "absent plain tmpfile",
        "absent plain creat",
        "absent link bind",
        "absent plain bind",
        "absent plain openat rdonly",
        "present plain open trunc",
        "present descriptor open rdwr",
        "present plain exchange rootfile",
        "present plain away",
        "present link away in root",
        "present plain link away",
        "present plain unlink",
        "present dev unlinkat",
        "present plain truncate",
        "present link chmod",
        "present plain fchmodat",
        "present cwd chown",
        "present plain lchown",
        "present plain fchownat",
        "present plain utimes",
        "present plain utime",
        "present absolute utimensat",
        "present plain fchmod",
    ] {
        assert!(tried.ran().1.lines().any(|line| line == what), "{what} is refused: {tried:?}");
    }
    let names = ".mcp.json .vscode .vscode/new .git .git/config .git/hooks .git/hooks/new .git/commondir .git/config.worktree .codex .GIT .git/HOOKS/x";
    let attempts = format!("python3 attempts.py {folder} {names}");
    let refused = client.run_within(&attempts, std::time::Duration::from_secs(60)).await;
    assert_eq!(refused.ran().1, "tried\n", "{refused:?}");
    client.run("rm -r own rootfile; rm -r absent present fresh").await;
    std::fs::remove_file(world.workdir().join("attempts.py")).expect("ours");
    assert_eq!(entries(&world.workdir()), before, "nothing was put there");
    assert_eq!(entries(&world.workdir().join(".git")), before_git);
    assert_eq!(std::fs::read(world.workdir().join(".git/config")).expect("a file"), config);
}

#[tokio::test]
async fn all_that_git_does_in_a_work_tree_works() {
    do_what_git_does(WITH_NAMESPACES).await;
}

#[tokio::test]
async fn all_that_git_does_in_a_work_tree_works_without_namespaces() {
    do_what_git_does(WITHOUT).await;
}

async fn do_what_git_does(sandbox: &str) {
    let world = World::with_rules("").configured(sandbox);
    project(&world);
    let client = behind_the_door(&world).await;
    for (what, script) in [
        ("status", "git status --short"),
        ("commit", "echo two >> file; git add .; git commit -qm two; git commit -q --amend -m second"),
        (
            "branches",
            "git checkout -qb b; echo b > b; mkdir deep; echo x > deep/x; git add .; git commit -qm b; git checkout -q main; test ! -e deep; git checkout -q b; test -e deep/x",
        ),
        (
            "merge",
            "git checkout -q main; echo m > m; git add .; git commit -qm m; git merge -q b -m merged; test -e m -a -e b",
        ),
        (
            "rebase",
            "git checkout -qb r HEAD~1; echo r > r; git add .; git commit -qm r; git rebase -q main; test -e m -a -e r",
        ),
        (
            "conflict",
            "git checkout -q main; echo x > file; git commit -qam x; git checkout -qb c HEAD~1; echo y > file; git commit -qam y; ! git rebase main 2> /dev/null; git rebase --abort; git merge main || { echo z > file; git add file; git commit -qm z; }",
        ),
        (
            "stash",
            "echo s >> file; git stash -q; git diff --quiet; git stash pop -q; ! git diff --quiet; git checkout -q -- file",
        ),
        ("cherry-pick", "git checkout -q main; git cherry-pick r; git reset -q --hard HEAD~1"),
        (
            "mv",
            "git mv src lib; test -e lib/a -a ! -e src; git mv lib src; git mv file src/file; git reset -q --hard",
        ),
        ("rm", "git rm -rq src; test ! -e src; git reset -q --hard; test -e src/a; git clean -fdxq"),
        ("tag", "git tag one; git tag -a -m two two; git tag -d one"),
        ("gc", "git gc -q --prune=now; git fsck; git repack -adq; git pack-refs --all"),
        (
            "worktree",
            "git worktree add -q ../work/wt -b w; cd wt; echo w > w; git add .; git commit -qm w; cd ..; git worktree remove wt",
        ),
        (
            "init",
            "git init -q sub; cd sub; git config user.email a@b; git config user.name a; echo 1 > 1; git add .; git commit -qm 1; cd ..; git clone -q sub clone; cd clone; git log --oneline | grep 1; cd ..; chmod -R u+w sub clone; rm -r sub clone",
        ),
        (
            "apply",
            "echo p >> file; git diff > patch; git checkout -q file; git apply patch; git apply -R patch; rm patch",
        ),
        ("bisect", "git bisect start; git bisect bad; git bisect good HEAD~1; git bisect reset"),
    ] {
        let outcome = client.run(&format!("set -e; {script}")).await;
        assert_eq!(outcome.ran().0, 0, "{what}: {outcome:?}");
    }
    let refused = client.run("git config core.fsmonitor ./evil; git remote add x y; cat .git/config").await;
    assert!(!refused.ran().1.contains("evil") && !refused.ran().1.contains("remote \"x"), "{refused:?}");
    assert_eq!(client.run("git status --short").await.ran(), (0, ""));
    git(&world.workdir(), "fsck && git status --short && test -z \"$(git status --short)\"");
}

#[tokio::test]
async fn other_work_in_the_root_works() {
    do_other_work(WITH_NAMESPACES).await;
}

#[tokio::test]
async fn other_work_in_the_root_works_without_namespaces() {
    do_other_work(WITHOUT).await;
}

async fn do_other_work(sandbox: &str) {
    let world = World::with_rules("").configured(sandbox);
    project(&world);
    let client = behind_the_door(&world).await;
    for (what, script) in [
        (
            "files",
            "echo a > new; echo b >> new; cat new; cp new copy; mv copy moved; ln moved hard; ln -s moved soft; echo c > soft; test $(wc -l < hard) = 1; rm new moved hard soft",
        ),
        ("dangling link", "ln -s src/later soft; echo x > soft; test -f src/later; rm soft src/later"),
        (
            "link upwards",
            "ln -s ../later src/up; echo x > src/up; test -f later; echo y >> src/up; rm later src/up",
        ),
        (
            "folders",
            "mkdir -p a/b/c; echo x > a/b/c/x; mv a z; echo y > z/y; mkdir z/q; rm -r z/q; rm -r z; test ! -e z",
        ),
        (
            "a folder from within",
            "mkdir n; cd n; echo x > x; mkdir y; cd y; echo z > ../z; cd ../..; rm -r n",
        ),
        (
            "across",
            "echo x > x; mv x src/x; mv src/x y; rm y; mkdir d; mv d src/d; echo 1 > src/d/1; mv src/d d; echo 2 > d/2; mv d src/d; mv src/d src/e; rm -r src/e; mkdir f; mv f src/f; rmdir src/f",
        ),
        (
            "umask",
            "umask 077; echo x > private; mkdir secret; test $(stat -c %a private) = 600 -a $(stat -c %a secret) = 700; umask 0; : > open; test $(stat -c %a open) = 666; rm -r private secret open",
        ),
        (
            "modes",
            "echo x > x; chmod 640 x; test $(stat -c %a x) = 640; touch -d 2001-01-01 x; test $(stat -c %Y x) -lt 1000000000; truncate -s 10 x; test $(stat -c %s x) = 10; rm x; chmod 755 .; touch .",
        ),
        (
            "a pipe",
            "mkfifo p; (echo through > p &); cat p; chmod 600 p; test $(stat -c %a p) = 600 -a -w p; rm p",
        ),
        (
            "a server's socket",
            "python3 -c 'import socket, os; s = socket.socket(socket.AF_UNIX); s.bind(\"s\"); s.listen(); os.chmod(\"s\", 0o777); \
             socket.socket(socket.AF_UNIX).connect(\"s\")'; test $(stat -c %a s) = 777 -a -w s; rm s",
        ),
        (
            "what was just written, executed",
            "for i in $(seq 60); do cp /bin/true new$i && ./new$i || exit 1; rm new$i; done",
        ),
        (
            "errors",
            "! mkdir src 2> e; grep -q 'File exists' e; ! rmdir src 2> e; grep -q 'not empty' e; ! rm nothing 2> e; grep -q 'No such' e; ! cat < nothing 2> e; (set -C; ! echo > file) 2> e; grep -q 'cannot overwrite' e; rm e",
        ),
        (
            "temporary files",
            "python3 -c 'import tempfile,os; f=tempfile.NamedTemporaryFile(dir=\".\"); f.write(b\"x\"); t=tempfile.TemporaryFile(dir=\".\"); t.write(b\"y\"); d=tempfile.mkdtemp(dir=\".\"); open(d+\"/x\",\"w\"); os.replace(d+\"/x\",\"x\"); os.rmdir(d); os.remove(\"x\")'",
        ),
        (
            "an archive",
            "mkdir t; echo 1 > t/1; echo 2 > 2; tar cf x.tar t 2; rm -r t 2; tar xpf x.tar; test -f t/1 -a -f 2; rm -r t 2 x.tar",
        ),
        (
            "a build",
            "printf 'all: out/x y\\nout/x:\\n\\tmkdir -p out; touch out/x\\ny:\\n\\ttouch y\\n' > Makefile; make -s -j2; rm -r out y Makefile",
        ),
        (
            "packages",
            "mkdir -p node_modules/.tmp; for i in 1 2 3; do mkdir node_modules/.tmp/$i; echo x > node_modules/.tmp/$i/index.js; mv node_modules/.tmp/$i node_modules/$i; done; echo {} > package.json.tmp; mv package.json.tmp package.json; rm -r node_modules package.json",
        ),
        (
            "at once",
            "for i in $(seq 20); do (mkdir m$i; echo x > m$i/x; echo y > f$i; mv f$i m$i/f; rm -r m$i) & done; wait; test \"$(ls)\" = \"$(printf 'file\\nsrc')\"",
        ),
    ] {
        // With Landlock alone no Unix socket but a pair can be had.
        if what == "a server's socket" && sandbox == WITHOUT {
            continue;
        }
        let outcome = client.run(&format!("set -e; {script}")).await;
        assert_eq!(outcome.ran().0, 0, "{what}: {outcome:?}");
    }
    git(&world.workdir(), "status --short && test -z \"$(git status --short)\"");
}

#[tokio::test]
async fn what_is_replaced_or_made_outside_is_protected() {
    let world = World::with_rules("").configured("");
    project(&world);
    let client = behind_the_door(&world).await;
    let config = world.workdir().join(".git/config");
    let looping = client.run_within(
        "echo '[core]' > src/evil; echo 'fsmonitor = evil' >> src/evil; end=$((SECONDS+3)); while [ $SECONDS -lt $end ]; do cp src/evil e2; mv e2 .git/config; mv src/evil .git/config; : > .mcp.json; mkdir .idea; done 2> /dev/null; echo over",
        std::time::Duration::from_secs(20),
    );
    let outside = async {
        for round in 0..200 {
            let fresh = config.with_extension(format!("fresh{round}"));
            std::fs::copy(&config, &fresh).expect("a copy");
            std::fs::rename(&fresh, &config).expect("a replacement");
            assert!(!std::fs::read_to_string(&config).expect("a file").contains("evil"), "round {round}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let (looped, ()) = tokio::join!(looping, outside);
    assert_eq!(looped.ran().1, "over\n");
    assert!(!std::fs::read_to_string(&config).expect("a file").contains("evil"));
    assert!(!world.workdir().join(".mcp.json").exists() && !world.workdir().join(".idea").exists());
    // A name that comes into being outside, and `.git` itself.
    std::fs::create_dir(world.workdir().join(".vscode")).expect("a folder");
    let refused =
        client.run("echo x > .vscode/tasks.json; rmdir .vscode; mv .vscode x; ls -A .vscode | wc -l").await;
    assert!(refused.ran().1.ends_with("0\n"), "{refused:?}");
    std::fs::rename(world.workdir().join(".git"), world.workdir().join("old")).expect("moved");
    git(&world.workdir(), "init -q");
    let refused =
        client.run("echo evil > .git/config; echo x > .git/hooks/x; mv .git y; mv src .git; true").await;
    assert!(
        !world.workdir().join(".git/hooks/x").exists() && !world.workdir().join("y").exists(),
        "{refused:?}"
    );
    assert!(!std::fs::read_to_string(&config).expect("a file").contains("evil"));
}
