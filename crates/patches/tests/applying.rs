//! Patches on real files.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use patches::program::apply;
use patches::{Failure, Report};
use proptest::prelude::*;

fn codex(sections: &str) -> String {
    format!("*** Begin Patch\n{sections}\n*** End Patch\n")
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

/// All files of a folder, with what is in them.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("within").display().to_string();
            let is_file = path.symlink_metadata().expect("it is there").is_file();
            let text = if is_file { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
            found.push((name, text));
        }
    }
    found.sort();
    found
}

fn done(folder: &tempfile::TempDir, patch: &str) -> Report {
    let report = apply(patch.as_bytes(), folder.path(), false);
    assert!(report.is_applied(), "{report}");
    report
}

/// Expects that a patch changes nothing, and returns why.
fn refused(folder: &tempfile::TempDir, patch: &str) -> Vec<Failure> {
    let before = files(folder.path());
    let report = apply(patch.as_bytes(), folder.path(), false);
    assert!(!report.is_applied() && report.changes.is_empty(), "{report}");
    assert_eq!(files(folder.path()), before, "{report}");
    report.failures
}

#[test]
fn every_kind_of_change_is_made_and_told() {
    let ws = folder(&[("a", "one\ntwo\n"), ("old", "x\n"), ("dir/m", "1\n2\n")]);
    fs::set_permissions(ws.path().join("a"), fs::Permissions::from_mode(0o751)).expect("set");
    let report = done(
        &ws,
        &codex(
            "*** Update File: a\n@@\n-two\n+2\n*** Add File: new/deep/n\n+hi\n*** Delete File: old\n\
             *** Update File: dir/m\n*** Move to: other/m2\n@@\n-1\n+one",
        ),
    );
    assert_eq!(
        report.to_string(),
        "Success. Updated the following files:\nM a\nA new/deep/n\nD old\nR dir/m -> other/m2\n"
    );
    let text = |name: &str| fs::read_to_string(ws.path().join(name)).expect(name);
    assert_eq!(
        (text("a"), text("new/deep/n"), text("other/m2")),
        ("one\n2\n".into(), "hi\n".into(), "one\n2\n".into())
    );
    assert_eq!(files(ws.path()).len(), 3, "nothing else is left: {:?}", files(ws.path()));
    assert_eq!(fs::metadata(ws.path().join("a")).expect("a").permissions().mode() & 0o7777, 0o751);
}

#[test]
fn one_misfit_keeps_all_files_as_they_are() {
    let ws = folder(&[("a", "one\n"), ("b", "alpha\nbeta\ngamma\n")]);
    let failures = refused(
        &ws,
        &codex(
            "*** Update File: a\n@@\n-one\n+1\n*** Update File: b\n@@\n-alpha\n+A\n@@\n-bata\n+B\n*** Delete File: c",
        ),
    );
    let [misfit, missing] = &failures[..] else { panic!("two: {failures:?}") };
    assert_eq!((misfit.path.as_str(), misfit.hunk, misfit.line), ("b", Some(2), 10));
    assert!(misfit.nearest.iter().any(|near| near.line == 2 && near.text == "beta"), "{misfit}");
    assert!(missing.path == "c" && missing.reason.contains("does not exist"), "{missing}");
}

#[test]
fn what_fails_while_writing_is_undone() {
    // Nobody can write into the second folder; root can, so that it is a name too long for what is put beside it.
    let ws = folder(&[("a", "one\n"), ("d/b", "two\n")]);
    let locked = ws.path().join("d");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).expect("set");
    let patch =
        codex("*** Update File: a\n@@\n-one\n+1\n*** Update File: d/b\n@@\n-two\n+2\n*** Add File: n/x\n+x");
    let before = files(ws.path());
    let report = apply(patch.as_bytes(), ws.path(), false);
    if rustix_is_root() {
        assert!(report.is_applied(), "{report}");
    } else {
        assert!(report.to_string().contains("permission denied"), "{report}");
        assert_eq!(files(ws.path()), before);
        assert!(!ws.path().join("n").exists());
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).expect("set");
}

fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[test]
fn one_file_may_be_met_twice_and_is_then_what_all_of_it_says() {
    let ws = folder(&[("a", "one\ntwo\n"), ("b", "b\n")]);
    done(&ws, &codex("*** Update File: a\n@@\n-one\n+1\n*** Update File: ./a\n@@\n-two\n+2"));
    done(&ws, &codex("*** Add File: n\n+x\n*** Update File: n\n@@\n-x\n+y"));
    done(&ws, &codex("*** Delete File: b\n*** Add File: b\n+new"));
    done(&ws, &codex("*** Update File: n\n*** Move to: m\n*** Update File: m\n@@\n-y\n+z"));
    let expected = [("a", "1\n2\n"), ("b", "new\n"), ("m", "z\n")];
    assert_eq!(files(ws.path()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let failures = refused(&ws, &codex("*** Delete File: a\n*** Delete File: a"));
    assert!(failures[0].reason.contains("does not exist"), "{failures:?}");
    let failures = refused(&ws, &codex("*** Add File: f\n+x\n*** Add File: f/g\n+y"));
    assert!(failures[0].reason.contains("cannot be a folder"), "{failures:?}");
    fs::hard_link(ws.path().join("a"), ws.path().join("also")).expect("linked");
    let failures = refused(&ws, &codex("*** Update File: a\n@@\n-1\n+x\n*** Update File: also\n@@\n-1\n+y"));
    assert!(failures[0].reason.contains("the same file"), "{failures:?}");
}

#[test]
fn nothing_is_overwritten_unseen() {
    let ws = folder(&[("a", "one\n"), ("b", "two\n")]);
    for patch in ["*** Add File: a\n+x", "*** Update File: a\n*** Move to: b\n@@\n-one\n+1"] {
        let failures = refused(&ws, &codex(patch));
        assert!(failures[0].reason.contains("exists already"), "{failures:?}");
    }
}

#[test]
fn links_are_not_followed_and_only_regular_text_files_are_changed() {
    let ws = folder(&[("ws/real", "one\n"), ("out/secret", "one\n"), ("ws/bin", "\0one\n")]);
    let root = ws.path().join("ws");
    symlink("real", root.join("link")).expect("linked");
    symlink("../out", root.join("away")).expect("linked");
    symlink("../out/new", root.join("dangling")).expect("linked");
    nix::unistd_mkfifo(&root.join("fifo"));
    let before = files(ws.path());
    for (path, words) in [
        ("link", "symbolic link to real"),
        ("away/secret", "leads out of"),
        ("bin", "binary"),
        ("fifo", "not a regular file"),
        ("real/x", "is not a folder"),
    ] {
        let report = apply(codex(&format!("*** Update File: {path}\n@@\n-one\n+1")).as_bytes(), &root, false);
        assert!(report.failures[0].reason.contains(words), "{path}: {report}");
    }
    for path in ["away/new", "dangling"] {
        let report = apply(codex(&format!("*** Add File: {path}\n+x")).as_bytes(), &root, false);
        assert!(report.failures[0].reason.contains("symbolic link"), "{path}: {report}");
    }
    assert_eq!(files(ws.path()), before);
    // A file with another name keeps it.
    fs::hard_link(root.join("real"), root.join("twin")).expect("linked");
    let report = apply(codex("*** Update File: real\n@@\n-one\n+1").as_bytes(), &root, false);
    assert!(report.is_applied(), "{report}");
    assert_eq!(fs::read_to_string(root.join("twin")).expect("read"), "1\n");
}

mod nix {
    use std::path::Path;

    pub(super) fn unistd_mkfifo(path: &Path) {
        let status = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo");
        assert!(status.success());
    }
}

#[test]
fn gits_patches_change_modes_and_names() {
    let ws = folder(&[("run.sh", "x\n"), ("o", "1\n2\n3\n")]);
    let patch = "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n\
                 diff --git a/o b/p\nsimilarity index 66%\nrename from o\nrename to p\n--- a/o\n+++ b/p\n@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n\
                 diff --git a/n b/n\nnew file mode 100755\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+n\n\\ No newline at end of file\n";
    let report = done(&ws, patch);
    assert_eq!(report.changes.len(), 3);
    let mode = |name: &str| fs::metadata(ws.path().join(name)).expect(name).permissions().mode() & 0o111;
    assert!(mode("run.sh") != 0 && mode("n") != 0 && mode("p") == 0);
    let expected = [("n", "n"), ("p", "1\ntwo\n3\n"), ("run.sh", "x\n")];
    assert_eq!(files(ws.path()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
}

#[test]
fn patches_at_once_lose_nothing() {
    const WRITERS: usize = 8;
    let lines: String = (0..WRITERS).map(|line| format!("old {line}\n")).collect();
    let ws = folder(&[("f", &lines), ("deep/g", "x\n")]);
    for round in 0..5 {
        fs::write(ws.path().join("f"), &lines).expect("written");
        std::thread::scope(|scope| {
            for line in 0..WRITERS {
                let ws = &ws;
                scope.spawn(move || {
                    // Some of them lock the folder above.
                    let other = if line % 2 == 0 {
                        format!("\n*** Add File: deep/{round}-{line}\n+x")
                    } else {
                        String::new()
                    };
                    let text = codex(&format!("*** Update File: f\n@@\n-old {line}\n+new {line}{other}"));
                    let report = apply(text.as_bytes(), ws.path(), false);
                    assert!(report.is_applied(), "{report}");
                });
            }
        });
        let text = fs::read_to_string(ws.path().join("f")).expect("read");
        assert_eq!(text, lines.replace("old", "new"));
    }
    assert_eq!(fs::read_dir(ws.path()).expect("a folder").count(), 2);
}

#[test]
fn a_file_that_was_changed_meanwhile_is_left_alone() {
    for sections in ["*** Update File: f\n@@\n-a\n+b", "*** Delete File: f"] {
        let ws = folder(&[("f", "a\n"), ("other", "theirs\n")]);
        let patch = patches::Patch::read(codex(sections).as_bytes()).expect("a patch");
        let checked = patch.check(ws.path()).expect("it fits");
        fs::rename(ws.path().join("other"), ws.path().join("f")).expect("replaced");
        let failure = checked.apply().expect_err("it was changed");
        assert!(failure.reason.contains("changed by somebody else"), "{failure}");
        assert_eq!(files(ws.path()), [("f".to_owned(), "theirs\n".to_owned())]);
    }
}

#[test]
fn plain_diffs_change_the_file_that_is_meant() {
    const OLD: &str = "2020-01-01 00:00:00 +0000";
    const NEW: &str = "2020-01-02 00:00:00 +0000";
    const NONE: &str = "1970-01-01 01:00:00.000000000 +0100";
    let diff = |old: &str, old_time: &str, new: &str, new_time: &str, hunk: &str| {
        format!("--- {old}\t{old_time}\n+++ {new}\t{new_time}\n{hunk}\n")
    };
    let update = "@@ -1 +1 @@\n-1\n+2";
    let (add, delete) = ("@@ -0,0 +1 @@\n+hi", "@@ -1 +0,0 @@\n-1");
    for (there, patch, expected) in [
        // One exists.
        (&["src/f"][..], diff("src/f", OLD, "src.new/f", NEW, update), "M src/f"),
        (&["g"], diff("g.orig", OLD, "g", NEW, update), "M g"),
        (&["f"], diff("a/f", OLD, "b/f", NEW, update), "M f"),
        // Both do: the fewest folders, the shortest last name, the fewest letters.
        (&["src/f", "src.new/f"], diff("src/f", OLD, "src.new/f", NEW, update), "M src/f"),
        (&["g", "g.orig"], diff("g.orig", OLD, "g", NEW, update), "M g"),
        (&["f", "d/f"], diff("d/f", OLD, "f", NEW, update), "M f"),
        (&[], diff("n", NONE, "n", NEW, add), "A n"),
        (&["src/x"], diff("src/n", NONE, "src.new/n", NEW, add), "A src/n"),
        (&["src/x", "src.new/n"], diff("src/n", NONE, "src.new/n", NEW, add), "A src/n"),
        (&["d"], diff("d", OLD, "d", NONE, delete), "D d"),
        (&["src/d"], diff("src/d", OLD, "src.new/d", NONE, delete), "D src/d"),
        // Without times.
        (&[], format!("--- n\n+++ n\n{add}\n"), "A n"),
    ] {
        let files: Vec<_> = there.iter().map(|name| (*name, "1\n")).collect();
        let ws = folder(&files);
        let report = done(&ws, &patch);
        assert_eq!(
            report.to_string(),
            format!("Success. Updated the following files:\n{expected}\n"),
            "{patch}"
        );
    }
    let ws = folder(&[("n", "1\n")]);
    refused(&ws, &diff("n", NONE, "n", NEW, add));
    refused(&ws, &diff("x", OLD, "y", NEW, update));
}

#[test]
fn a_patch_that_came_with_crlf_gives_files_their_own_ends() {
    let ws = folder(&[("lf", "a\nb\nc\n"), ("crlf", "a\r\nb\r\nc\r\n")]);
    let hunk = "@@\n a\n-b\n+B\n c";
    let sections =
        format!("*** Update File: lf\n{hunk}\n*** Update File: crlf\n{hunk}\n*** Add File: new\n+x");
    done(&ws, &codex(&sections).replace('\n', "\r\n"));
    let text = |name: &str| fs::read_to_string(ws.path().join(name)).expect(name);
    assert_eq!(
        (text("lf"), text("crlf"), text("new")),
        ("a\nB\nc\n".into(), "a\r\nB\r\nc\r\n".into(), "x\n".into())
    );
    done(&ws, &"--- a/lf\n+++ b/lf\n@@ -1,3 +1,3 @@\n a\n-B\n+b\n c\n".replace('\n', "\r\n"));
    assert_eq!(text("lf"), "a\nb\nc\n");
}

#[test]
fn thousands_of_files_are_one_patch() {
    let ws = folder(&[("a", "one\n")]);
    let mut sections = String::new();
    for place in 0..3000 {
        let _ = writeln!(sections, "*** Add File: d{}/f{place}\n+{place}", place % 40);
    }
    let report = done(&ws, &codex(sections.trim_end()));
    assert_eq!((report.changes.len(), files(ws.path()).len()), (3000, 3001));
    sections.push_str("*** Delete File: missing");
    let sections = sections.replace("*** Add File: d", "*** Add File: e");
    refused(&ws, &codex(&sections));
    assert!(!ws.path().join("e0").exists());
}

proptest! {
    #[test]
    fn any_change_arrives_whole(
        old in prop::collection::vec("[ab\\t é]{0,3}", 0..30),
        new in prop::collection::vec("[ab\\t é]{0,3}", 0..30),
        old_end in any::<bool>(),
        new_end in any::<bool>(),
    ) {
        let text = |lines: &[String], ended: bool| {
            let joined = lines.join("\n");
            if ended && !lines.is_empty() { joined + "\n" } else { joined }
        };
        let (old, new) = (text(&old, old_end), text(&new, new_end));
        prop_assume!(old != new);
        let ws = folder(&[("f", &old)]);
        let diff = similar::TextDiff::from_lines(&old, &new);
        let patch = diff.unified_diff().header("a/f", "b/f").to_string();
        let report = apply(patch.as_bytes(), ws.path(), false);
        prop_assert!(report.is_applied(), "{report}\n{patch}");
        prop_assert_eq!(fs::read_to_string(ws.path().join("f")).expect("read"), new);
    }

    #[test]
    fn nothing_that_is_no_patch_breaks_anything(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let ws = folder(&[]);
        let _ = apply(&text, ws.path(), true);
        let framed = [b"*** Begin Patch\n".as_slice(), &text, b"\n*** End Patch"].concat();
        let _ = apply(&framed, ws.path(), true);
        let framed = [b"--- a\n+++ b\n@@ -1,2 +1,2 @@\n".as_slice(), &text].concat();
        let _ = apply(&framed, ws.path(), true);
    }
}
