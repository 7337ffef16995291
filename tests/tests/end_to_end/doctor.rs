//! `exec-server doctor`: says whether commands can run, and what stands in the way, on a page that can be pasted
//! anywhere.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::{World, word};
use serde_json::Value;

fn doctor(world: &World, arguments: &[&str]) -> Output {
    world.server(&[&["doctor"], arguments].concat()).output().expect("the doctor comes")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_machine_where_commands_can_run_is_usable_and_the_level_is_told() {
    let world = World::with_rules("prefix_rule([\"a\"])\n").configured("");
    let output = doctor(&world, &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["usable"]), (Some(0), &Value::Bool(true)), "{report}");
    assert!(report["sandbox"].as_str().expect("a level").contains("seccomp"), "{report}");
    let names: Vec<&str> = report["checks"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|check| check["name"].as_str())
        .collect();
    for name in ["server", "bash", "wrapper", "rules", "sandbox", "trial", "door"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(text(&doctor(&world, &[])).contains("1 rules in 1 files"));
}

#[test]
fn what_is_missing_is_named_and_makes_the_exit_code_1() {
    let world = World::with_rules("prefix_rule([\"a\"], \"alow\")\n").configured("");
    let output = doctor(&world, &["--bash", "/bin/sh"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("FAIL bash") && text(&output).contains("is not the patched Bash"),
        "{}",
        text(&output)
    );
    let output = doctor(&world, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("FAIL rules") && text(&output).contains("default.rules:1:1"),
        "{}",
        text(&output)
    );
    assert!(!text(&output).contains("alow"), "no text of rules: {}", text(&output));
}

/// The longest report that people read through.
const PAGE: usize = 30;
const NOBODY: u32 = 65534;

/// The examination, by root and by an ordinary user where the tests are root's.
fn by_every_user(world: &World, program: &str, arguments: &[&str]) -> Vec<Output> {
    let command = || {
        let mut command = Command::new(program);
        world.surround(&mut command);
        command.args(arguments);
        command
    };
    let mut outputs = vec![command().output().expect("the doctor comes")];
    if nix::unistd::geteuid().is_root() {
        let given = Command::new("chown").args(["-hR", "nobody"]).arg(world.home()).status();
        assert!(given.expect("chown starts").success());
        std::fs::set_permissions(world.home(), PermissionsExt::from_mode(0o755)).expect("opened");
        outputs.push(command().uid(NOBODY).gid(NOBODY).output().expect("the doctor comes"));
    }
    outputs
}

/// The programs where every user can execute them.
fn copied(world: &World, name: &str, program: &std::path::Path) -> String {
    let to = world.home().join(name);
    let copied = Command::new("cp").arg(program).arg(&to).status().expect("cp starts");
    assert!(copied.success());
    to.to_str().expect("UTF-8").to_owned()
}

fn copied_server(world: &World) -> String {
    for name in ["bash", "execve-wrapper"] {
        copied(world, name, &end_to_end_tests::binaries().join(name));
    }
    copied(world, "exec-server", &end_to_end_tests::binaries().join("exec-server"))
}

#[test]
fn the_report_is_one_page_for_root_and_for_others() {
    let world = World::with_rules("prefix_rule([\"a\"])\n").configured("");
    let server = copied_server(&world);
    for output in by_every_user(&world, &server, &["doctor"]) {
        let text = text(&output);
        assert!(text.lines().count() <= PAGE, "{text}");
        for name in
            ["system", "Landlock ABI", "cgroup v", "hidepid", "static", "unshare", "Commands can run here"]
        {
            assert!(text.contains(name), "{name} is missing in\n{text}");
        }
        assert_eq!(output.status.code(), Some(0), "{text}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_nothing_can_run_each_cause_and_each_remedy_is_told_once() {
    let world = World::with_rules("").configured("");
    let server = copied_server(&world);
    let without = copied(&world, "without", std::path::Path::new(env!("CARGO_BIN_EXE_without")));
    let arguments = ["landlock", "namespaces", "--", &server, "doctor"];
    let json = by_every_user(&world, &without, &[&arguments[..], &["--json"]].concat());
    for (output, json) in by_every_user(&world, &without, &arguments).iter().zip(json) {
        let text = text(output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.lines().count() <= PAGE, "{text}");
        let report: Value = serde_json::from_slice(&json.stdout).expect("JSON");
        let to_do = report["to_do"].as_array().expect("a list");
        let causes = report["checks"].as_array().expect("a list").iter().filter(|check| check["ok"] == false);
        let said = to_do.iter().chain(causes.map(|check| &check["found"]));
        for words in said.filter_map(Value::as_str) {
            assert_eq!(text.matches(words).count(), 1, "{words:?} in\n{text}");
        }
        for once in ["Linux 6.2", "--sandbox external-sandbox", "Operation not permitted"] {
            assert!(text.contains(once), "{once} is missing in\n{text}");
        }
        assert_eq!(report["machine"]["landlock_abi"], Value::Null, "{report}");
    }
}

#[test]
fn nothing_in_the_report_is_private() {
    let root = tempfile::tempdir().expect("a folder");
    let home = root.path().join("secretname");
    let codex = home.join("codex");
    let work = home.join("work");
    std::fs::create_dir_all(codex.join("rules")).expect("folders");
    std::fs::create_dir(&work).expect("a folder");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim_end();
    let examine = |rules: &str, config: &str, arguments: &[&str]| {
        std::fs::write(codex.join("rules/default.rules"), rules).expect("written");
        std::fs::write(codex.join("config.toml"), config).expect("written");
        let mut doctor = Command::new(end_to_end_tests::binaries().join("exec-server"));
        doctor.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &home).env("CODEX_HOME", &codex);
        doctor.env("USER", "secretname").env("HOSTNAME", "secrethost").env("API_TOKEN", "secretvalue");
        let output =
            doctor.current_dir(&work).arg("doctor").args(arguments).output().expect("the doctor comes");
        text(&output)
    };
    let rules = "prefix_rule([\"secretprogram\"])\n";
    let config = "[shell_tool]\ndeny_read = [\"/srv/secretname/secretplace\"]\n";
    let elsewhere = ["--bash", "/srv/secretname/bash"];
    for (rules, config, arguments, seen) in [
        (rules, config, &[][..], "writable: ~/work"),
        (rules, "[shell_environment_policy]\nset = { A = \"secretvalue }\n", &[], "is not understood"),
        ("prefix_rule([\"secretprogram\"], \"secretword\")\n", config, &[], "default.rules:1:1"),
        (rules, config, &elsewhere[..], "/srv/USER/bash"),
    ] {
        for more in [&[][..], &["--json"][..]] {
            let text = examine(rules, config, &[arguments, more].concat());
            assert!(text.contains(seen), "{seen} is missing in\n{text}");
            assert!(!text.contains("secret"), "{text}");
            assert!(host.len() < 3 || host == "localhost" || !text.contains(host), "{host} in\n{text}");
        }
    }
}

#[test]
fn a_home_that_cannot_be_written_is_said_in_words_and_nothing_is_put_on_record() {
    let world = World::with_rules("prefix_rule([\"sh\"])\n").configured("");
    let output = doctor(&world, &[]);
    assert!(text(&output).contains("ok   record"), "{}", text(&output));
    let (_, shown, _) = end_to_end_tests::lines::run_subcommand(&world, &["audit", "show"]);
    assert_eq!(shown, "", "the trial is nobody's decision");
    let state = world.codex_home().join("shell-tool-mcp");
    std::fs::remove_dir_all(&state).expect("removed");
    std::fs::write(&state, "in the way").expect("written");
    let output = doctor(&world, &[]);
    assert_eq!(output.status.code(), Some(1));
    for words in
        ["FAIL record", "~/codex-home cannot be written: ", "nothing runs outside the sandbox", "CODEX_HOME"]
    {
        assert!(text(&output).contains(words), "{words} in {}", text(&output));
    }
}

/// Inside a sandbox no namespaces can be made: what a container does to a server.
#[tokio::test]
async fn where_what_was_asked_for_cannot_be_enforced_nothing_runs_and_the_reason_is_told() {
    let world = World::with_rules("").configured("");
    let inner = World::with_rules("").configured("[shell_tool]\nnamespaces = \"require\"\n");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let program = end_to_end_tests::binaries().join("exec-server");
    let command = format!("CODEX_HOME={} {} doctor", word(&inner.codex_home()), word(&program));
    let outcome = client.run(&command).await;
    let (code, output) = outcome.ran();
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("FAIL sandbox") && output.contains("--sandbox external-sandbox"), "{output}");
    assert!(!output.contains("trial"), "{output}");
}
