//! What a command, or the agent that chose it, tries on the server itself: its rules, its programs, its records, its
//! word about what is in force.

use std::process::Command;

use end_to_end_tests::word;
use serde_json::{Value, json};

use crate::place::{EVERY, Form, Place, User};

/// The last line of a command's output.
fn last(answer: Result<Value, String>) -> String {
    let json = answer.expect("a result");
    json["output"].as_str().unwrap_or_default().lines().last().unwrap_or_default().to_owned()
}

/// A mount point, or a name in a folder that is held (with the kernel's door).
const PINNED: &str = "EBUSY EROFS";

#[test]
fn rules_and_programs_inside_a_writable_folder_are_protected_or_nothing_runs() {
    for (user, form) in EVERY {
        let Some(place) = Place::of(user, form, "") else { continue };
        if !place.start(&[]).is_possible() {
            continue;
        }
        let root = place.world.home().display().to_string();
        if form == Form::Landlock {
            let (code, words) = refused(&place, &["--writable-root", &root]);
            assert_eq!(code, Some(1), "{words}");
            assert!(
                words.contains("only namespaces could protect it") && words.contains("codex-home"),
                "{words}"
            );
            continue;
        }
        let mut attacked = place.start(&["--writable-root", &root]);
        let root = word(place.world.home());
        let helper = word(&place.helper());
        assert_eq!(last(attacked.run(&format!("{helper} create {root}/beside"))), "ok");
        for (attack, expected) in [
            (format!("write {root}/codex-home/rules/default.rules"), "EROFS"),
            (format!("create {root}/codex-home/rules/more.rules"), "EROFS"),
            (format!("write {root}/codex-home/config.toml"), "EROFS"),
            (format!("rename {root}/codex-home {root}/codex"), PINNED),
            (format!("rename {root}/bin {root}/bin2"), PINNED),
            (format!("remove {root}/bin/exec-server"), PINNED),
            (format!("write {root}/bin/bash"), "EROFS"),
            (format!("rename {root}/beside {root}/bin/execve-wrapper"), "EXDEV"),
        ] {
            let error = last(attacked.run(&format!("{helper} {attack}")));
            assert!(expected.split(' ').any(|expected| expected == error), "{user:?}: {attack}: {error}");
        }
    }
}

#[test]
fn the_folder_with_the_rules_cannot_be_made_writable_by_name() {
    let Some(place) = Place::of(User::Ordinary, Form::Namespaces, "") else { return };
    for (folder, is_fine) in [("codex-home", false), ("codex-home/rules", false), ("codex-home/work", true)] {
        let folder = place.world.home().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let (code, words) = refused(&place, &["--writable-root", &folder.display().to_string()]);
        assert_eq!(code == Some(0), is_fine, "{words}");
        assert_eq!(words.contains("says what commands may do"), !is_fine, "{words}");
    }
}

/// Starts the server without a client; it must not get as far as to miss one, or end well.
fn refused(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = place.command(&place.server_program());
    let output = command.args(arguments).stdin(std::process::Stdio::null()).output().expect("it starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// BYPASSES 52: a kernel, or a container, that has none of the layers.
#[test]
fn nothing_runs_where_nothing_can_be_enforced_and_nothing_is_claimed() {
    for user in [User::Root, User::Ordinary] {
        for form in [Form::Namespaces, Form::Landlock] {
            let Some(place) = Place::of(user, form, "") else { continue };
            let server = |arguments: &[&str]| {
                let mut command: Command = place.command(&place.helper());
                command.arg("without-layers").arg(place.server_program()).args(arguments);
                place.start_command(command)
            };
            // The twin: the user says that something else isolates.
            let answer =
                server(&["--sandbox", "external-sandbox"]).run("echo > ran; rm ran").expect("a result");
            assert_eq!((&answer["exit_code"], &answer["sandbox"]), (&json!(0), &json!("none")), "{answer}");
            for arguments in [&[][..], &["--sandbox", "read-only"]] {
                let words = server(arguments).run("echo > ran").expect_err("a refusal");
                assert!(words.contains("the sandbox cannot be set up"), "{words}");
                assert!(words.contains("--sandbox external-sandbox"), "{words}");
                assert!(!place.world.workdir().join("ran").exists());
            }
        }
    }
}

/// BYPASSES 53: what an agent may write into a call changes nothing.
#[test]
fn an_agent_cannot_switch_the_sandbox_off() {
    for (user, form) in EVERY {
        let Some(place) = Place::of(user, form, "") else { continue };
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            continue;
        }
        let call = |target: &str, more: Value| {
            let mut arguments = json!({"command": format!("echo x > {target}"), "workdir": place.world.workdir(), "login": false});
            let (Some(all), Value::Object(more)) = (arguments.as_object_mut(), more) else {
                panic!("objects")
            };
            all.extend(more);
            arguments
        };
        let twin = attacked.call(call("made", json!({}))).expect("a result");
        assert_eq!(twin["exit_code"], 0, "{twin}");
        let outside = word(&place.outside.join("made"));
        for more in [
            json!({"with_escalated_permissions": true, "justification": "I must"}),
            json!({"sandbox_permissions": "require_escalated", "justification": "I must"}),
            json!({"sandbox": "danger-full-access", "sandbox_mode": "danger-full-access"}),
            json!({"sandboxPolicy": {"type": "danger-full-access"}, "writable_roots": ["/"], "network": true}),
            json!({"_meta": {"codex/sandbox-state-meta": {"sandboxPolicy": {"type": "danger-full-access"}}}}),
            json!({"dangerouslyDisableSandbox": true, "env": {"CODEX_HOME": "/tmp"}}),
        ] {
            let answer = attacked.call(call(&outside, more.clone())).expect("a result");
            assert_ne!(answer["exit_code"], 0, "{user:?} {form:?} {more}: {answer}");
            assert_ne!(answer["sandbox"], "none", "{answer}");
            assert!(!place.outside.join("made").exists(), "{more}");
        }
        // Nor does one call change the next one's.
        let meddled =
            format!("export CODEX_HOME=/tmp; unset CODEX_SANDBOX_NETWORK_DISABLED; echo x > {outside}");
        assert_ne!(attacked.run(&meddled).expect("a result")["exit_code"], 0);
    }
}

/// What other calls have printed is kept in files that have no name.
#[test]
fn kept_output_of_other_calls_is_out_of_reach() {
    for (user, form) in EVERY {
        let Some(place) = Place::of(user, form, "") else { continue };
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            continue;
        }
        let long = attacked.run("for ((i = 0; i < 60000; i++)); do echo secret-$i; done").expect("a result");
        assert_eq!(long["exit_code"], 0);
        let descriptors = format!("/proc/{}/fd", attacked.server.pid());
        let kept = std::fs::read_dir(&descriptors)
            .expect("the server's descriptors")
            .flatten()
            .find(|entry| {
                std::fs::read_link(entry.path())
                    .is_ok_and(|file| file.display().to_string().ends_with(" (deleted)"))
                    && std::fs::metadata(entry.path())
                        .is_ok_and(|file| file.is_file() && file.len() > 300_000)
            })
            .expect("a file that keeps the output")
            .path();
        let seen = std::fs::read(&kept).expect("readable from outside, the twin");
        assert!(seen.starts_with(b"secret-0\n"), "{}", kept.display());
        let helper = word(&place.helper());
        let error = last(attacked.run(&format!("{helper} read {}", word(&kept))));
        let expected = if form == Form::Namespaces { "ENOENT" } else { "EACCES" };
        assert_eq!(error, expected, "{user:?} {form:?}");
        // No name leads to it either.
        let cache = place.world.home().join(".cache/shell-tool-mcp");
        let named = std::fs::read_dir(&cache).map_or(0, Iterator::count);
        assert_eq!(named, 0, "{}", cache.display());
    }
}

/// What says what commands may do, reached through a link: the kernel keeps what it leads to, and nothing keeps a link
/// in a writable folder.
#[test]
fn what_decides_is_kept_from_commands_also_through_links() {
    for (user, form) in EVERY {
        let Some(place) = Place::of(user, form, "") else { continue };
        if !place.start(&[]).is_possible() {
            continue;
        }
        let home = place.world.home().to_owned();
        let dotfiles = home.join("work/dotfiles/codex");
        std::fs::create_dir_all(dotfiles.join("rules")).expect("a folder");
        for file in ["rules/linked.rules", "config.toml"] {
            std::fs::copy(place.codex_home().join("config.toml"), dotfiles.join(file)).expect("a file");
        }
        std::fs::write(dotfiles.join("rules/linked.rules"), "").expect("a file");
        let link = |target: &std::path::Path, name: &str| {
            let _ = std::fs::remove_file(home.join(name));
            std::os::unix::fs::symlink(target, home.join(name)).expect("a link");
        };
        link(&dotfiles.join("rules/linked.rules"), "codex-home/rules/linked.rules");
        link(&dotfiles.join("config.toml"), "codex-home/config.toml");
        if form == Form::Landlock {
            // Nothing protects what they lead to.
            let (code, words) = refused(&place, &[]);
            assert!(code == Some(1) && words.contains("only namespaces could protect it"), "{words}");
            std::fs::remove_dir_all(home.join("work/dotfiles")).expect("it is there");
            continue;
        }
        if let Some(owner) = place.owner() {
            // Only what was made here: beside it lies what the server that was tried above is still taking away.
            let made = [dotfiles.parent().expect("a folder"), &home.join("codex-home")];
            let owned = Command::new("chown").arg("-hR").arg(owner.to_string()).args(made).status();
            assert!(owned.expect("chown").success());
        }
        let mut attacked = place.start(&[]);
        let (helper, work) = (word(&place.helper()), word(&place.world.workdir()));
        assert_eq!(last(attacked.run(&format!("{helper} create {work}/dotfiles/beside"))), "ok");
        for (attack, expected) in [
            ("write WORK/dotfiles/codex/rules/linked.rules", "EROFS"),
            ("write WORK/dotfiles/codex/config.toml", "EROFS"),
            ("rename WORK/dotfiles WORK/moved", PINNED),
            ("rename WORK/dotfiles/beside WORK/dotfiles/codex/rules/linked.rules", "EXDEV"),
        ] {
            let attack = attack.replace("WORK", &work);
            let error = last(attacked.run(&format!("{helper} {attack}")));
            assert!(expected.split(' ').any(|expected| expected == error), "{user:?}: {attack}: {error}");
        }
        drop(attacked);
        // Links in the workspace itself, to what lies elsewhere.
        link(&place.codex_home(), "work/home-link");
        link(&place.helper(), "work/approve-link");
        let helper = place.world.workdir().join("approve-link").display().to_string();
        let rules = place.world.workdir().join("home-link/rules/default.rules").display().to_string();
        for (arguments, named) in
            [(["--approval-command", &helper], "approve-link"), (["--rules", &rules], "home-link")]
        {
            let (code, words) = refused(&place, &arguments);
            assert!(
                code == Some(1) && words.contains("through the link") && words.contains(named),
                "{words}"
            );
        }
    }
}

/// What starts the server is trusted by the next start.
#[test]
fn a_launcher_that_commands_can_write_starts_nothing() {
    use std::os::unix::process::CommandExt;
    let Some(place) = Place::of(User::Ordinary, Form::Namespaces, "") else { return };
    for (folder, is_fine) in [("tools", true), ("work/node_modules/shell-tool-mcp", false)] {
        let folder = place.world.home().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let launcher = folder.join("main.js");
        std::fs::copy(place.helper(), &launcher).expect("a program");
        let mut command = place.command(&place.server_program());
        let output = command.arg0(&launcher).stdin(std::process::Stdio::null()).output().expect("it starts");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code() == Some(0), is_fine, "{words}");
        assert_eq!(words.contains("npm install -g"), !is_fine, "{words}");
    }
}
