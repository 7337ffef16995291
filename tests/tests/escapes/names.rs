//! Protected names behind the kernel's door, as root and as an ordinary user.

use std::time::Duration;

use end_to_end_tests::word;

use crate::place::{Attacked, EVERY, Form, Place, User};

const DOOR: &[&str] = &["--door", "kernel"];

/// Every world with mounts in which the kernel's door can be had.
pub(crate) fn places() -> impl Iterator<Item = (User, Place, Attacked)> {
    let with_mounts = EVERY.into_iter().filter(|(_, form)| *form == Form::Namespaces);
    with_mounts.filter_map(|(user, form)| {
        let place = Place::of(user, form, "")?;
        let mut attacked = place.start(DOOR);
        attacked.is_possible().then_some((user, place, attacked))
    })
}

/// Runs a program outside, as the user.
pub(crate) fn outside(place: &Place, script: &str) {
    let mut shell = place.command("sh".as_ref());
    assert!(shell.args(["-ec", script]).status().expect("sh starts").success(), "{script}");
}

/// A command in the sandbox, and what it printed.
pub(crate) fn output(attacked: &mut Attacked, script: &str) -> String {
    attacked.run(script).expect("a result")["output"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_git_config_replaces_outside_stays_the_users() {
    const ROUNDS: u32 = 60;
    for (user, place, mut attacked) in places() {
        let folder = word(&place.world.workdir());
        // Git outside, in the background: the command is at work all the time.
        let mut shell = place.command("sh".as_ref());
        let rounds = format!(
            "cd {folder}; until test -e .git/begun; do sleep 0.01; done
             for i in $(seq {ROUNDS}); do
                 git config user.name n$i; git config branch.b$i.remote o; test -z \"$(git config core.fsmonitor)\" || echo won
                 mv .git/config .git/c; cp .git/c .git/config; rm .git/c; sleep 0.01
             done; : > .git/over"
        );
        let git =
            shell.args(["-c", &rounds]).stdout(std::process::Stdio::piped()).spawn().expect("sh starts");
        let tried = output(
            &mut attacked,
            "printf '[core]\\n\\tfsmonitor = evil\\n' > evil; : > .git/begun; n=0
             while test ! -e .git/over; do
                 cp evil e; mv e .git/config; mv evil .git/config; ln -f evil .git/config; cp evil .git/config; n=$((n + 1))
             done 2> /dev/null; echo $n",
        );
        let won = git.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&won.stdout), "", "{user:?}");
        assert!(tried.trim().parse::<u32>().is_ok_and(|tried| tried > 10), "{user:?}: {tried}");
        let config = std::fs::read_to_string(place.world.workdir().join(".git/config")).expect("a file");
        assert!(config.contains(&format!("n{ROUNDS}")) && !config.contains("evil"), "{user:?}: {config}");
    }
}

#[test]
fn a_secret_whose_folder_is_replaced_outside_is_hidden_again() {
    for (user, place, mut attacked) in places() {
        let key = word(&place.world.home().join(".ssh/id_ed25519"));
        let home = word(place.world.home());
        let look = format!("cat {key}");
        assert!(!output(&mut attacked, &look).contains("secret"), "{user:?}");
        for replace in [
            "mv .ssh old; cp -a old .ssh; rm -r old",
            "rm -r .ssh; mkdir -m 700 .ssh; echo secret > .ssh/id_ed25519",
        ] {
            outside(&place, &format!("cd {home}; {replace}"));
            // The guard notices it within milliseconds; a machine under load takes its time.
            let mut seen = String::new();
            for _ in 0..50 {
                seen = output(&mut attacked, &look);
                if !seen.contains("secret") {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            assert!(!seen.contains("secret"), "{user:?}: {replace}");
        }
    }
}

#[test]
fn a_folder_that_gets_a_protected_name_outside_is_not_written_any_more() {
    for (user, place, mut attacked) in places() {
        let folder = word(&place.world.workdir());
        outside(&place, &format!("cd {folder}; mkdir -p project/below"));
        let rename = format!(
            "cd {folder}; until test -e project/ready; do sleep 0.02; done; mv project .idea; : > moved"
        );
        let mut shell = place.command("sh".as_ref());
        let mut renamed = shell.args(["-ec", &rename]).spawn().expect("sh starts");
        // The guard notices it within milliseconds; a machine under load takes its time.
        let tried = output(
            &mut attacked,
            "exec 2> /dev/null; cd project; : > ready; until test -e ../moved; do sleep 0.02; done; n=0
             while test $n -lt 600 && (: >> ready); do sleep 0.05; n=$((n + 1)); done
             : > tasks; : > below/x; cd ..; : > .idea/x; mkdir .idea/y; mv .idea/ready .idea/z; find .idea | sort | tr '\n' ' '",
        );
        assert!(renamed.wait().expect("it ends").success());
        assert_eq!(tried, ".idea .idea/below .idea/ready ", "{user:?}");
        // The twin: a folder with another name.
        let script = format!("cd {folder}; mkdir other; mv other renamed");
        outside(&place, &script);
        let mut written = String::new();
        for _ in 0..50 {
            written = output(&mut attacked, "(: > renamed/x) 2> /dev/null && ls renamed");
            if !written.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(written, "x\n", "{user:?}");
    }
}

#[test]
fn a_command_cannot_use_up_what_notices_replacements() {
    for (user, place, mut attacked) in places() {
        let use_up = "import ctypes, time; libc = ctypes.CDLL(None)
while libc.inotify_init() >= 0: pass
print(\"used up\", flush=True); time.sleep(60)";
        let said = output(
            &mut attacked,
            &format!(
                "python3 -c '{use_up}' & for i in $(seq 100); do sleep 0.1; jobs -r > /dev/null; test $i -lt 20 || break; done"
            ),
        );
        assert!(said.contains("used up"), "{user:?}: {said}");
        // Another server of the same user starts, and notices.
        let mut other = place.start(DOOR);
        assert!(other.is_possible(), "{user:?}");
        let key = word(&place.world.home().join(".ssh/id_ed25519"));
        assert!(!output(&mut other, &format!("cat {key}")).contains("secret"), "{user:?}");
    }
}

#[test]
fn no_link_leads_what_git_writes_elsewhere() {
    for (user, place, mut attacked) in places() {
        let target = place.world.home().join("notes");
        let links = format!(
            "mkdir -p .git/logs .git/refs/heads; ln -s {0} .git/refs/heads/testing
             for name in logs/HEAD refs/heads/x FETCH_HEAD ORIG_HEAD index packed-refs COMMIT_EDITMSG HEAD; do
                 rm -f .git/$name; ln -sf {0} .git/$name; ln -s {0} link; mv -f link .git/$name; ln -f link .git/$name
                 python3 -c 'import os, sys; d = os.open(\".git\", os.O_RDONLY); os.symlink(\"{0}\", sys.argv[1], dir_fd=d)' $name
             done
             mkdir d; ln -s {0} d/HEAD; mv d .git/logs/d; rm -r .git/logs; mv -T d .git/logs; ln -s ../d .git/logs",
            word(&target)
        );
        let tried =
            output(&mut attacked, &format!("({links}) > /dev/null 2>&1; find .git -type l; echo tried"));
        assert_eq!(tried, "tried\n", "{user:?}");
        // The twin: elsewhere links are what they are.
        assert_eq!(output(&mut attacked, "ln -sf x own; readlink own"), "x\n", "{user:?}");
    }
}

#[test]
fn a_top_folder_does_not_become_a_bare_repository() {
    for (user, place, mut attacked) in places() {
        for script in [
            "mkdir -p objects refs; echo ref: refs/heads/x > HEAD",
            "mkdir -p refs; echo ref: refs/heads/x > HEAD; mkdir objects",
            "mkdir made; cd made; mkdir objects refs; echo ref: refs/heads/x > HEAD; mv objects refs HEAD ..",
            "mkdir -p objects refs; ln -s refs/heads/x HEAD; ln file HEAD; cp file HEAD; mkfifo HEAD",
            "(while :; do mkdir objects; rmdir objects; done) & (while :; do echo x > HEAD; rm HEAD; done) & (mkdir refs; sleep 1); kill %1 %2",
        ] {
            output(&mut attacked, &format!("rm HEAD; rmdir objects refs; ({script}) 2> /dev/null"));
            let there = |name: &str| place.world.workdir().join(name).symlink_metadata().is_ok();
            assert!(!(there("HEAD") && there("objects") && there("refs")), "{user:?}: {script}");
        }
        // The twin: two of them are ordinary names.
        assert!(
            output(&mut attacked, "rm HEAD; rmdir objects refs; mkdir objects refs && ls -d objects refs")
                .contains("refs"),
            "{user:?}"
        );
    }
}

#[test]
fn a_storm_of_names_harms_no_other_call() {
    for (user, place, mut attacked) in places() {
        let storm = "for i in $(seq 12); do (for j in $(seq 40); do : > s$i; mkdir d$i; mv s$i d$i/s; rm -f .mcp.json; : > .mcp.json; rm d$i/s; rmdir d$i; done) 2> /dev/null & done; wait; ls -A";
        let mut other = place.start(DOOR);
        let stormed = std::thread::spawn(move || output(&mut attacked, storm));
        let mut calls = 0;
        while !stormed.is_finished() {
            let said = other.run("echo x > mine; cat mine; rm mine").expect("a result");
            assert_eq!(said["output"], "x\n", "{user:?}: {said}");
            calls += 1;
        }
        let left = stormed.join().expect("it ends");
        assert!(
            calls > 0
                && !left.contains(".mcp.json")
                && !left.lines().any(|name| name.starts_with(['s', 'd'])),
            "{user:?}: {left}"
        );
    }
}
