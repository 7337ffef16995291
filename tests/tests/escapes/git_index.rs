//! What commands leave in a Git directory for the user's own Git to read: it writes nothing outside the work tree for them, and obeys
//! nothing of theirs.

use end_to_end_tests::word;

use crate::names::{output, outside, places};

/// Writes an index that names one file, whose content lies in the repository: `index.py FILE PATH`.
const INDEX: &str = r##"import struct, subprocess, sys
blob = subprocess.run(["git", "hash-object", "-w", "--stdin"], input=b"#!/bin/sh\n: > evil_ran\n", stdout=subprocess.PIPE).stdout
path = sys.argv[2].encode()
entry = struct.pack(">10I", 0, 0, 0, 0, 0, 0, 0o100755, 0, 0, 0) + bytes.fromhex(blob.decode().strip())
entry += struct.pack(">H", len(path)) + path
entry += bytes(8 - len(entry) % 8)
open(sys.argv[1], "wb").write(b"DIRC" + struct.pack(">II", 2, 1) + entry + bytes(20))
"##;

/// What the user's own Git did before each attack.
const BEGIN: &str = "git init -q -b main; git config user.email a@b; git config user.name a; echo one > file; git add file; git commit -qm one";

#[test]
fn no_index_has_the_users_git_write_elsewhere() {
    const HOOK: &str = ".git/hooks/post-checkout";
    let ways = [
        ("replaced as Git does", "cp evil .git/index.lock; mv .git/index.lock .git/index"),
        ("written in its place", "cp evil .git/index; cat evil > .git/index; cat evil >> .git/index"),
        ("removed and made anew", "rm .git/index; cp evil .git/index; ln evil .git/index; ln -s ../evil .git/index; ln -s $PWD/evil .git/index"),
        ("moved from elsewhere", "cp evil .git/objects/e; mv .git/objects/e .git/index; cp evil e; mv e .git/index; mkdir -p d; cp evil d/e; mv d/e .git/index"),
        ("written after it was looked at", "cp .git/index good; exec 3<> .git/index.lock; cat good >&3; mv .git/index.lock .git/index
          python3 -c 'import os; os.lseek(3, 0, 0); os.write(3, open(\"evil\", \"rb\").read())' 2>&1"),
        ("written where it stands for a moment", "cp .git/index good; (while :; do cp evil .git/index.unfinished; cat evil > .git/index.unfinished; done) 2> /dev/null &
          for i in $(seq 30); do cp good .git/index.lock; mv .git/index.lock .git/index; done; kill $!"),
        ("written by another name", "ln .git/index other; ln .git/index .git/objects/other; cat evil > other; cat evil > .git/objects/other; rm -f other
          mv .git/index moved; cat evil > moved; mv moved .git/index"),
        ("by a file without a name", "python3 - <<'.'
import os
file = os.open('.git', os.O_TMPFILE | os.O_RDWR, 0o644)
os.write(file, open('evil', 'rb').read())
os.path.exists('.git/index') and os.remove('.git/index')
os.link('/proc/self/fd/%d' % file, '.git/index', follow_symlinks=True)
."),
        ("exchanged", "cp evil .git/e; python3 - <<'.'
import ctypes
libc = ctypes.CDLL(None)
for names in [(b'.git/e', b'.git/index'), (b'.git/index', b'.git/e'), (b'evil', b'.git/index')]:
    libc.renameat2(-100, names[0], -100, names[1], 2)
    libc.renameat2(-100, names[0], -100, names[1], 1)
."),
        ("by a name in other letters", "cp evil .git/INDEX; mv .git/INDEX .git/index"),
    ];
    for (user, place, mut attacked) in places() {
        let folder = word(&place.world.workdir());
        std::fs::write(place.world.workdir().join("index.py"), INDEX).expect("a file");
        outside(&place, &format!("cd {folder}; {BEGIN}"));
        for path in [HOOK, "../escaped", "src/../../escaped", ".GIT/hooks/post-checkout"] {
            for (what, way) in ways.iter().take(if path == HOOK { ways.len() } else { 1 }) {
                output(&mut attacked, &format!("exec 2> /dev/null; python3 index.py evil {path}; {way}"));
                // What the user does next.
                outside(
                    &place,
                    &format!(
                        "cd {folder}; (git checkout .; git stash; git checkout-index -af) > said 2>&1 || true"
                    ),
                );
                let there = |name: &str| place.world.workdir().join(name).exists();
                let is_out = there(HOOK) || there("../escaped") || there("evil_ran") || there(".GIT");
                assert!(!is_out, "{user:?}: {what}: {path}");
                outside(
                    &place,
                    &format!(
                        "cd {folder}; rm -f .git/index .git/index.lock; git reset -q --hard; git stash clear"
                    ),
                );
            }
        }
        // The twin: what Git itself leaves there is obeyed.
        let added =
            output(&mut attacked, "echo two > two; git add two && git commit -qm two && git ls-files");
        assert!(added.contains("two"), "{user:?}: {added}");
        let evil =
            attacked.run(&format!("python3 index.py .git/index.lock {HOOK}; mv .git/index.lock .git/index"));
        let evil = evil.expect("a result");
        assert!(evil["notes"].to_string().contains(".git/index"), "{user:?}: {evil}");
    }
}

#[test]
fn no_reference_leads_the_users_git_to_other_settings() {
    for (user, place, mut attacked) in places() {
        let folder = word(&place.world.workdir());
        outside(&place, &format!("cd {folder}; {BEGIN}; echo two > file; git commit -qam two"));
        // What `git reset` makes of it is the name of a folder in which Git then looks for its settings.
        output(
            &mut attacked,
            "exec 2> /dev/null; name=$(git rev-parse HEAD); echo 'ref: commondir' > .git/ORIG_HEAD
             mkdir made; cp -r .git/objects .git/refs made; printf '[core]\\n\\tfsmonitor = touch ran;:\\n' > made/config
             mkdir .git/$name; cp -r made/* .git/$name; mv made .git/$name; ln -s ../made .git/$name; mv -T made .git/$name",
        );
        outside(
            &place,
            &format!("cd {folder}; git reset -q --hard HEAD~1 || true; git status > said 2>&1 || true"),
        );
        assert!(!place.world.workdir().join("ran").exists(), "{user:?}");
        outside(&place, &format!("cd {folder}; rm -f .git/commondir .git/ORIG_HEAD"));
        // The twin: what is called otherwise is made.
        let made =
            output(&mut attacked, "mkdir .git/0123 && : > .git/ORIG_HEAD && rmdir .git/0123 && echo made");
        assert_eq!(made, "made\n", "{user:?}");
    }
}
