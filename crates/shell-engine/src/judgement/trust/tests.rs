//! Tests of which program a file is: real files, no program is run.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use execpolicy::{Command, Options, Policy};
use sandbox::{Mode, Plan};

use super::location::Location;
use super::*;
use crate::judgement::exec::Exec;
use crate::programs::{FileState, Programs, look, look_at};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn trust_with(path: &str, mode: Mode, writable: &[&Path]) -> Trust {
    let mut plan = Plan::unenforced(mode, false.into());
    if mode.is_enforced() {
        plan.writable = writable.iter().map(|path| path.to_path_buf()).collect();
    }
    Trust::new(Arc::new(Programs::new(OsStr::new(path))), Arc::new(plan))
}

fn exec(file: &Path, argv: &[&str]) -> Exec {
    let opened: Option<OwnedFd> = look(file);
    Exec {
        file: file.to_owned(),
        argv: argv.iter().map(OsString::from).collect(),
        env: Vec::new(),
        directory: None,
        workdir: "/".into(),
        seen: opened.as_ref().and_then(FileState::of),
        opened,
        first_line: None,
        starter: crate::judgement::Starter::Shell,
        below: None,
        kept_inside: None,
        runs_as: None,
        lineage: crate::judgement::Lineage::default(),
        is_far: false,
        reads_input: false,
    }
}

fn vouched(trust: &Trust, rules: &str, file: &Path) -> Result<Program, String> {
    let policy = Policy::from_text(Path::new("x.rules"), rules).unwrap();
    let exec = exec(file, &["x"]);
    let evaluation = policy.evaluate(&Command::new::<_, &str>(file, &[]), &Options::default());
    assert!(!evaluation.matches().is_empty(), "the rule must speak about {}", file.display());
    trust.vouch(&exec, evaluation.matches().iter(), policy.host_executables()).map_err(|why| why.to_string())
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder without blanks in its path, which a script's first line could not name (execve(2)).
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let path = folder.path().canonicalize().unwrap();
    (folder, path)
}

/// A program that is in its place on every machine.
fn sh() -> PathBuf {
    Programs::new(OsStr::new(PATH)).find(OsStr::new("sh")).expect("sh").0
}

#[test]
fn the_users_own_program_is_vouched_for_and_one_that_was_planted_is_not() {
    let (_keep, ws) = folder();
    script(&ws.join("sh"), "#!/bin/sh\n");
    let trust = trust_with(PATH, Mode::WorkspaceWrite, &[&ws]);
    let program = vouched(&trust, "prefix_rule([\"sh\"])", &sh()).expect("the real one");
    assert_eq!(program.canonical, sh().canonicalize().unwrap());
    assert!(program.is_unchanged());
    let why = vouched(&trust, "prefix_rule([\"sh\"])", &ws.join("sh")).unwrap_err();
    assert!(why.contains("`sh` means") && why.contains(&*ws.to_string_lossy()), "{why}");
    // A link of that name leads to the program that is meant; the file that runs is the program, not the link.
    std::fs::remove_file(ws.join("sh")).unwrap();
    symlink(sh(), ws.join("sh")).unwrap();
    let program = vouched(&trust, "prefix_rule([\"sh\"])", &ws.join("sh")).expect("the same file");
    assert_eq!(program.path, sh().canonicalize().unwrap());
}

#[test]
fn a_folder_that_is_writable_from_inside_vouches_for_nothing() {
    let parent = sh().canonicalize().unwrap().parent().unwrap().to_owned();
    let why = vouched(&trust_with(PATH, Mode::WorkspaceWrite, &[&parent]), "prefix_rule([\"sh\"])", &sh());
    assert!(why.unwrap_err().contains("can be written from inside the sandbox"));
    // Without a sandbox everything is writable from inside, which says nothing.
    assert!(vouched(&trust_with(PATH, Mode::DangerFullAccess, &[]), "prefix_rule([\"sh\"])", &sh()).is_ok());
}

#[test]
fn without_a_sandbox_ownership_still_counts() {
    let (_keep, ws) = folder();
    script(&ws.join("tool"), "#!/bin/sh\n");
    // The temporary folder is open to all, as every one is.
    let open = trust_with(ws.to_str().unwrap(), Mode::DangerFullAccess, &[]);
    let why = vouched(&open, "prefix_rule([\"tool\"])", &ws.join("tool")).unwrap_err();
    assert!(why.contains("can be changed by other users"), "{why}");
    let place = Location { plan: &open.plan };
    assert!(place.check(&sh().canonicalize().unwrap()).is_ok());
}

#[test]
fn a_full_path_needs_no_search_path_but_a_safe_place() {
    let (_keep, ws) = folder();
    let trust = trust_with("", Mode::WorkspaceWrite, &[&ws]);
    let sh = sh();
    let by_name = vouched(&trust, "prefix_rule([\"sh\"])", &sh).unwrap_err();
    assert!(by_name.contains("not found on the server's search path"), "{by_name}");
    for rules in [
        format!("prefix_rule([\"{}\"])", sh.display()),
        format!("prefix_rule([\"sh\"], program_paths = [\"{}\"])", sh.display()),
        format!("host_executable(\"sh\", [\"{}\"])\nprefix_rule([\"sh\"])", sh.display()),
    ] {
        assert!(vouched(&trust, &rules, &sh).is_ok(), "{rules}");
    }
    script(&ws.join("tool"), "#!/bin/sh\n");
    let tool = ws.join("tool");
    let named = format!("prefix_rule([\"{}\"])", tool.display());
    assert!(vouched(&trust, &named, &tool).is_err(), "naming a path does not make it safe");
}

#[test]
fn what_the_wrapper_saw_must_be_what_is_there() {
    let trust = trust_with(PATH, Mode::WorkspaceWrite, &[]);
    let policy = Policy::from_text(Path::new("x.rules"), "prefix_rule([\"sh\"])").unwrap();
    let mut exec = exec(&sh(), &["sh"]);
    let evaluation = policy.evaluate(&Command::new::<_, &str>(&exec.file, &[]), &Options::default());
    let vouch = |exec: &Exec| trust.vouch(exec, evaluation.matches().iter(), policy.host_executables());
    assert!(vouch(&exec).is_ok());
    let (_keep, ws) = folder();
    script(&ws.join("other"), "");
    exec.seen = look_at(&ws.join("other"));
    assert!(matches!(vouch(&exec), Err(Untrusted::AnotherFile(_))));
    exec.seen = None;
    assert!(matches!(vouch(&exec), Err(Untrusted::AnotherFile(_))));
}

#[test]
fn a_script_is_as_good_as_its_interpreters() {
    let (_keep, ws) = folder();
    let trust = trust_with(PATH, Mode::WorkspaceWrite, &[&ws]);
    let check = |first_line: &str| {
        let path = ws.join("script");
        script(&path, &format!("{first_line}\n"));
        script::check(&trust, &path, None, 0).map_err(|why| why.to_string())
    };
    assert_eq!(check("#!/bin/sh"), Ok(()));
    assert_eq!(check("#!/usr/bin/env sh"), Ok(()));
    assert_eq!(check("no script"), Ok(()));
    script(&ws.join("evil"), "#!/bin/sh\n");
    let why = check(&format!("#!{}/evil", ws.display())).unwrap_err();
    assert!(why.contains("its interpreter") && why.contains("evil"), "{why}");
    for unclear in
        ["#!evil", "#!/usr/bin/env -i sh", "#!/usr/bin/env no-such-program-anywhere", "#!/usr/bin/env ./sh"]
    {
        assert!(check(unclear).unwrap_err().contains("no interpreter that can be checked"), "{unclear}");
    }
}

fn names(trust: &Trust, file: &Path, argv: &[&str]) -> Vec<String> {
    let names = trust.other_names(&exec(file, argv)).unwrap();
    names.iter().map(|name| name.shown().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_file_has_all_its_names() {
    let (_keep, ws) = folder();
    let bin = ws.join("bin");
    std::fs::create_dir(&bin).unwrap();
    script(&bin.join("id"), "a program of its own");
    let trust = trust_with(bin.to_str().unwrap(), Mode::WorkspaceWrite, &[&ws]);
    let id = bin.join("id").to_string_lossy().into_owned();

    assert!(names(&trust, &bin.join("id"), &["id"]).is_empty());
    symlink(bin.join("id"), ws.join("linked")).unwrap();
    assert!(names(&trust, &ws.join("linked"), &["linked"]).contains(&id));
    std::fs::hard_link(bin.join("id"), ws.join("hard")).unwrap();
    assert!(names(&trust, &ws.join("hard"), &["hard"]).contains(&id));
    script(&ws.join("copy"), "a program of its own");
    assert!(names(&trust, &ws.join("copy"), &["copy"]).contains(&id));
    script(&ws.join("other"), "a program of my ow!");
    assert!(names(&trust, &ws.join("other"), &["other"]).is_empty());
    assert_eq!(names(&trust, &bin.join("id"), &["/x/-rm"]), ["rm"]);
    let through_proc = Path::new("/proc/self/root").join(bin.join("id").strip_prefix("/").unwrap());
    assert!(names(&trust, &through_proc, &["id"]).contains(&id));

    script(&ws.join("run"), &format!("#!{} -x\n", ws.join("linked").display()));
    let run = ws.join("run").to_string_lossy().into_owned();
    assert!(names(&trust, &ws.join("run"), &["run"]).contains(&format!("{id} -x {run}")));
}
