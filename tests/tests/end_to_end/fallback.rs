//! Without the patched Bash commands run in the system's shell, behind the kernel's door, or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use end_to_end_tests::lines::Lines;
use end_to_end_tests::{World, binaries};
use serde_json::{Value, json};

/// The server and its wrapper in a folder of their own, beside whatever else is put there.
fn alone(world: &World) -> PathBuf {
    let folder = world.home().join("programs");
    fs::create_dir(&folder).expect("made");
    for name in ["exec-server", "execve-wrapper"] {
        fs::copy(binaries().join(name), folder.join(name)).expect("copied");
    }
    folder
}

fn start(world: &World, arguments: &[&str]) -> Lines {
    let mut command = std::process::Command::new(world.home().join("programs/exec-server"));
    world.surround(&mut command);
    let mut server = Lines::start_command({
        command.args(arguments);
        command
    });
    server.initialize();
    server
}

fn run(world: &World, server: &mut Lines, command: &str) -> Value {
    let arguments =
        json!({"command": command, "workdir": world.workdir(), "login": false, "timeout_ms": 100_000});
    let answer = server.request("tools/call", json!({"name": "shell", "arguments": arguments}));
    answer["result"].clone()
}

#[cfg(target_os = "linux")]
#[test]
fn the_systems_bash_runs_behind_the_kernels_door_and_results_say_so() {
    for sandbox in [&[][..], &["--sandbox", "danger-full-access"]] {
        let world = World::with_rules("prefix_rule([\"rev\"], \"forbidden\")\n").configured("");
        alone(&world);
        let mut server = start(&world, sandbox);
        let first =
            &run(&world, &mut server, "echo $BASH_VERSION; x=$(echo abc); echo ${x^^}")["structuredContent"];
        assert_eq!(first["exit_code"], 0, "{first}");
        assert!(first["output"].as_str().expect("a text").ends_with("ABC\n"), "{first}");
        assert!(first["sandbox"].as_str().expect("a text").ends_with("+door+system-bash"), "{first}");
        assert!(first["notes"].to_string().contains("there is no patched Bash"), "{first}");
        assert_eq!(first["session"]["shell"]["kind"], "system-bash", "{first}");
        // Judged, by the shell and by what it starts; long commands, too.
        for command in [
            "echo abc | rev",
            "sh -c 'echo abc | rev'",
            &format!(": {}; echo abc | rev", "x".repeat(200_000)),
        ] {
            let judged = &run(&world, &mut server, command)["structuredContent"];
            let output = judged["output"].as_str().expect("a text");
            assert!(output.contains("forbidden by policy") && !output.contains("cba"), "{judged}");
            assert!(judged["sandbox"].as_str().expect("a text").contains("+system-bash"), "{judged}");
        }
        let patched =
            run(&world, &mut server, "apply_patch '*** Begin Patch\n*** Add File: n\n+x\n*** End Patch'");
        assert_eq!(patched["structuredContent"]["exit_code"], 0, "{patched}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn one_that_cannot_run_here_is_as_good_as_none() {
    let world = World::with_rules("").configured("");
    let bash = alone(&world).join("bash");
    // For another processor; and not executable.
    let mut bytes = fs::read(binaries().join("bash")).expect("a program");
    bytes[18] ^= 0xff;
    fs::write(&bash, bytes).expect("written");
    for (mode, words) in [(0o755, "another kind of machine"), (0o644, "not executable")] {
        fs::set_permissions(&bash, fs::Permissions::from_mode(mode)).expect("set");
        let mut server = start(&world, &[]);
        let result = run(&world, &mut server, "echo ran");
        let result = &result["structuredContent"];
        assert_eq!(result["output"], "ran\n", "{result}");
        assert!(result["notes"].to_string().contains(words), "{result}");
    }
}

#[test]
fn where_nothing_would_judge_nothing_runs() {
    let world = World::with_rules("").configured("");
    alone(&world);
    let mut server = start(&world, &["--door", "wrapper"]);
    let refused = run(&world, &mut server, "echo ran");
    let words = refused.to_string();
    assert!(refused["isError"] == true && words.contains("--door wrapper"), "{refused}");
    // Another program in its place is a mistake, not a reason to do without.
    fs::write(world.home().join("programs/bash"), "#!/bin/sh\nexit 0\n").expect("written");
    fs::set_permissions(world.home().join("programs/bash"), fs::Permissions::from_mode(0o755)).expect("set");
    let mut server = start(&world, &[]);
    let refused = run(&world, &mut server, "echo ran");
    assert!(
        refused["isError"] == true && refused.to_string().contains("is not the patched Bash"),
        "{refused}"
    );
}

/// Where there is no Bash at all. That is tried in a mount namespace of the test's own.
#[cfg(target_os = "linux")]
#[test]
fn where_there_is_no_bash_commands_run_in_sh_behind_the_kernels_door() {
    const WITHOUT_BASH: &str = "for bash in /bin/bash /usr/bin/bash /usr/local/bin/bash; do \
        [ ! -e $bash ] || mount --bind /dev/null $bash || exit 99; done; exec \"$@\"";
    let world = World::with_rules("prefix_rule([\"rev\"], \"forbidden\")\n").configured("");
    alone(&world);
    let mut command = std::process::Command::new("unshare");
    world.surround(&mut command);
    command.args(["-Um", "--map-root-user", "sh", "-c", WITHOUT_BASH, "sh"]);
    let can = std::process::Command::new("unshare")
        .args(["-Um", "--map-root-user", "sh", "-c", WITHOUT_BASH, "sh", "true"])
        .status();
    if !can.is_ok_and(|status| status.success()) {
        assert_ne!(std::env::var("TESTS_MUST_SANDBOX").as_deref(), Ok("1"), "no namespace to try it in");
        return;
    }
    command.arg(world.home().join("programs/exec-server"));
    let mut server = Lines::start_command(command);
    server.initialize();
    let first = run(&world, &mut server, "echo ran in $0 ${BASH_VERSION-no Bash}; echo abc | rev");
    let first = &first["structuredContent"];
    let output = first["output"].as_str().expect("a text");
    assert!(output.starts_with("ran in sh no Bash\n"), "{first}");
    assert!(output.contains("forbidden by policy") && !output.contains("cba"), "{first}");
    assert!(first["sandbox"].as_str().expect("a text").ends_with("+door+system-sh"), "{first}");
    assert!(first["notes"].to_string().contains("is no Bash"), "{first}");
    let kept = json!({"command": "true", "workdir": world.workdir(), "login": false, "keep": true});
    let kept = server.request("tools/call", json!({"name": "shell", "arguments": kept}))["result"].clone();
    assert!(kept["isError"] == true && kept.to_string().contains("where the patched Bash runs"), "{kept}");
}
