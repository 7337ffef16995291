//! What a command tries on a program that rightly leaves the sandbox: to be found by it on the search path, to be its
//! editor, its pager or its keyboard, to tell it something by a variable.
//!
//! OUT is a folder that only a program outside can write; EVIL writes there.

use std::path::Path;

use end_to_end_tests::word;
use serde_json::Value;

use crate::place::{Attacked, EVERY, Form, Place, User};

/// What is looked at here holds also for what nothing else holds.
const RULES: &str =
    "prefix_rule([\"env\"], run=\"unconfined\")\nprefix_rule([\"git\"], run=\"unconfined\")\n";

/// A place whose user has programs of his own in `tools`, which is on the search path behind `before`.
fn place(user: User, form: Form, before: &str, tools: &[(&str, &str)]) -> Option<(Place, Attacked)> {
    let place = Place::of(user, form, RULES)?;
    let folder = place.world.home().join("tools");
    std::fs::create_dir(&folder).expect("a folder");
    for (name, script) in tools {
        let from = place.world.program(name, script);
        assert!(std::process::Command::new("mv").arg(from).arg(&folder).status().expect("mv").success());
    }
    if let Some(owner) = place.owner() {
        let owned =
            std::process::Command::new("chown").arg("-R").arg(owner.to_string()).arg(&folder).status();
        assert!(owned.expect("chown").success());
    }
    let before = before.replace("WORK", &place.world.workdir().display().to_string());
    let path = format!("{before}:{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display());
    let mut command = place.command(&place.server_program());
    command.env("PATH", path);
    let mut attacked = place.start_command(command);
    attacked.is_possible().then_some((place, attacked))
}

/// Runs a command that may use OUT, and EVIL, a script of the agent's; returns the result, and whether OUT was written.
fn run(place: &Place, attacked: &mut Attacked, command: &str) -> (Value, bool) {
    let (out, folder) = (word(&place.outside), word(&place.world.workdir()));
    let made = format!("printf '#!/bin/sh\\n: > {out}/marker\\n' > {folder}/evil; chmod +x {folder}/evil\n");
    let command = command.replace("OUT/", &format!("{out}/")).replace("EVIL", &format!("{folder}/evil"));
    let result = attacked.run(&format!("{made}{command}")).expect("a result");
    (result, std::fs::remove_file(place.outside.join("marker")).is_ok())
}

fn escalated(result: &Value) -> bool {
    result["decisions"].as_array().into_iter().flatten().any(|made| made["decision"] == "escalated")
}

#[test]
fn nothing_that_commands_can_write_is_on_the_search_path_outside() {
    let before = "bin:WORK/venv/bin:WORK/link:./node_modules/.bin";
    for (user, form) in EVERY {
        let tools = [("mine", ": > \"$1/marker\"")];
        let Some((place, mut attacked)) = place(user, form, before, &tools) else { continue };
        let (twin, written) = run(&place, &mut attacked, "env mine OUT/.");
        assert!(written && escalated(&twin), "{user:?}, {form:?}: the twin: {twin}");
        for plant in ["bin", "venv/bin", "real", "node_modules/.bin"] {
            let attack = format!(
                "mkdir -p {plant} real; [ -e link ] || ln -s real link; cp EVIL {plant}/planted; env planted; code=$?
                 command rm {plant}/planted; exit $code"
            );
            let (result, written) = run(&place, &mut attacked, &attack);
            assert!(!written, "{user:?}, {form:?}: {plant}: it ran outside: {result}");
            assert!(escalated(&result) && result["exit_code"] == 127, "{plant}: {result}");
        }
    }
}

#[test]
fn nothing_outside_opens_files_by_their_handles() {
    /// `CAP_DAC_READ_SEARCH` (capabilities(7)), without which open_by_handle_at(2) sees no file past a mount.
    const BY_HANDLE: u32 = 2;
    let rules = "prefix_rule([\"grep\"], run=\"outside\")\nprefix_rule([\"sed\"], run=\"unconfined\")\n";
    for (user, form) in EVERY.into_iter().filter(|(_, form)| *form == Form::Namespaces) {
        let Some(place) = Place::of(user, form, rules) else { continue };
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            continue;
        }
        let mut has = |command: &str| {
            let result = attacked.run(command).expect("a result");
            assert!(escalated(&result), "{user:?}: {result}");
            let set = result["output"]
                .as_str()
                .and_then(|text| text.trim().rsplit('\t').next())
                .unwrap_or_default();
            u64::from_str_radix(set, 16).unwrap_or_else(|_| panic!("{result}")) & (1 << BY_HANDLE) != 0
        };
        assert!(!has("grep CapBnd /proc/self/status") && !has("grep CapEff /proc/self/status"), "{user:?}");
        let is_there = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
            let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:\t"));
            bounding
                .and_then(|set| u64::from_str_radix(set, 16).ok())
                .is_some_and(|set| set & (1 << BY_HANDLE) != 0)
        });
        // The twin: what a person has let do everything.
        assert_eq!(has("sed -n /CapBnd/p /proc/self/status"), is_there, "{user:?}");
    }
}

#[test]
fn the_approval_command_finds_nothing_that_commands_can_write() {
    for (user, form) in EVERY {
        let Some(place) = Place::of(user, form, "prefix_rule([\"mkdir\"], decision=\"prompt\")\n") else {
            continue;
        };
        if !place.start(&[]).is_possible() {
            continue;
        }
        let program = place.world.program("decide", "planted 2> /dev/null; echo '{\"decision\": \"once\"}'");
        let mut command = place.command(&place.server_program());
        command.arg("--approval-command").arg(program);
        command.env("PATH", format!("{}/bin:.:/usr/bin:/bin", place.world.workdir().display()));
        let mut attacked = place.start_command(command);
        let (twin, _) = run(&place, &mut attacked, "mkdir OUT/made");
        assert!(std::fs::remove_dir(place.outside.join("made")).is_ok(), "the twin: {twin}");
        let (result, written) =
            run(&place, &mut attacked, "mkdir -p bin; cp EVIL bin/planted; mkdir OUT/made");
        assert!(!written, "{user:?}, {form:?}: it ran beside the approval command: {result}");
    }
}

#[test]
fn no_editor_and_no_pager_obeys_a_command_outside() {
    for (user, form) in EVERY {
        // With Landlock alone the settings of the repository can be written, so no Git leaves.
        if form == Form::Landlock || !Path::new("/usr/bin/git").exists() {
            continue;
        }
        // As `vi` and `ed` do, it does what it reads.
        let Some((place, mut attacked)) = place(user, form, "/bin", &[("editor", "exec sh")]) else {
            continue;
        };
        let editor = place.world.home().join("tools/editor");
        let settings = format!(
            "[core]\neditor = \"'{0}'\"\npager = \"'{0}'\"\n[user]\nname = n\nemail = e@example.org\n",
            editor.display()
        );
        let file = place.world.home().join(".gitconfig");
        std::fs::write(&file, settings).expect("a file");
        std::os::unix::fs::chown(&file, place.owner(), None).expect("its owner changes");
        let commit = "git commit --allow-empty";
        let (twin, _) = run(&place, &mut attacked, &format!("{commit} -q -m x"));
        assert!(escalated(&twin) && twin["exit_code"] == 0, "{user:?}, {form:?}: the twin: {twin}");
        let (result, written) = run(&place, &mut attacked, &format!("echo ': > OUT/marker' | {commit}"));
        assert!(!written && result["exit_code"] != 0, "{user:?}, {form:?}: the editor obeyed: {result}");
        let (result, _) = run(
            &place,
            &mut attacked,
            "env | grep -E '^(TERM|PAGER|GIT_PAGER|LESSSECURE|.*EDITOR|VISUAL)=' | sort",
        );
        let said = result["output"].as_str().unwrap_or_default();
        let expected = "EDITOR=false\nGIT_EDITOR=false\nGIT_PAGER=cat\nGIT_SEQUENCE_EDITOR=false\nLESSSECURE=1\nPAGER=cat\nTERM=dumb\nVISUAL=false\n";
        assert_eq!(said, expected, "{result}");
    }
}

#[test]
fn a_terminal_of_the_commands_is_no_keyboard_outside() {
    // As `less` does, it reads keys from its standard error when there is nothing better.
    let keys = "for from in 0 1 2; do if [ -t $from ]; then echo terminal $from >&2; read -r line <&$from && sh -c \"$line\"; fi; done
        echo done >&2";
    for user in [User::Root, User::Ordinary] {
        let Some((place, mut attacked)) = place(user, Form::Namespaces, "/bin", &[("keys", keys)]) else {
            continue;
        };
        if attacked.run("type -P python3").is_ok_and(|result| result["exit_code"] != 0) {
            continue;
        }
        let (twin, _) = run(&place, &mut attacked, "env keys < /dev/null");
        assert_eq!((escalated(&twin), &twin["output"]), (true, &"done\n".into()), "the twin: {twin}");
        let typed = "import os, pty
master, slave = pty.openpty()
for _ in range(3): os.write(master, b': > OUT/marker\\n')
print(os.ttyname(slave), flush=True)
said = b''
while b'done' not in said: said += os.read(master, 4096)
os.write(1, said)";
        let attack = format!(
            "cat > type.py <<'END'\n{typed}\nEND\ncoproc python3 type.py; exec 5<&\"${{COPROC[0]}}\"; read -r terminal <&5
             env keys < $terminal > $terminal 2> $terminal; cat <&5"
        );
        let (result, written) = run(&place, &mut attacked, &attack);
        assert!(!written, "{user:?}: it was typed into: {result}");
        // What it prints still arrives.
        let said = result["output"].as_str().unwrap_or_default();
        assert!(escalated(&result) && said.contains("terminal 2") && said.contains("done"), "{result}");
    }
}

#[test]
fn only_variables_that_are_known_to_be_harmless_are_passed() {
    for (user, form) in EVERY {
        let Some((place, mut attacked)) = place(user, form, "/bin", &[]) else { continue };
        let (twin, _) = run(&place, &mut attacked, "CI=1 LC_ALL=C env | grep -cE '^(CI=1|LC_ALL=C)$'");
        assert_eq!(
            (escalated(&twin), &twin["output"]),
            (true, &"2\n".into()),
            "{user:?}, {form:?}: the twin: {twin}"
        );
        for name in ["PYENV_VERSION", "DEPENDENCIES_OUTPUT", "TMUX", "NMAPDIR", "NODE_ENV", "WHATEVER"] {
            let (result, _) = run(&place, &mut attacked, &format!("{name}=EVIL env | grep -c '^{name}='"));
            assert_eq!(
                (escalated(&result), &result["output"]),
                (true, &"0\n".into()),
                "{user:?}, {form:?}: {name}: {result}"
            );
            assert_eq!(result["decisions"][0]["dropped_variables"], serde_json::json!([name]), "{result}");
        }
        // Nor does a command take the user's own safeguards away.
        let (result, _) = run(
            &place,
            &mut attacked,
            "env -u CODEX_HOME true; unset CODEX_HOME; env | grep -c '^CODEX_HOME='",
        );
        assert_eq!(result["output"], "1\n", "{user:?}, {form:?}: {result}");
    }
}
