//! The escalation socket in hostile hands: everybody inside the sandbox can speak on it.

use std::path::PathBuf;
use std::time::Duration;

use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::machine::{FLOOD_FILES, Resource, is_allowed, most_memory};
use end_to_end_tests::{World, word};

/// Kilobytes that the server may have needed at most: its own (unoptimised, too) and what requests of one call may
/// hold.
const MOST_MEMORY_KIB: u64 = 400 << 10;

/// The server of a world, by its environment; not its sandbox's processes.
fn server(world: &World) -> u32 {
    let home = world.codex_home().display().to_string();
    let is_it = |process: &PathBuf| {
        let read = |name: &str| std::fs::read(process.join(name)).unwrap_or_default();
        let environment = String::from_utf8_lossy(&read("environ")).into_owned();
        let command = String::from_utf8_lossy(&read("cmdline")).into_owned();
        environment.contains(&home) && command.contains("exec-server\0--sandbox\0")
    };
    let processes = std::fs::read_dir("/proc").expect("proc").flatten().map(|entry| entry.path());
    let found = processes.into_iter().find(is_it).expect("the server runs");
    found.file_name().and_then(|pid| pid.to_str()?.parse().ok()).expect("a number")
}

/// What the kernel reports needs no socket in the shell.
const WRAPPERS_DOOR: &[&str] = &["--sandbox", "danger-full-access", "--door", "wrapper"];

#[tokio::test]
async fn a_thousand_forged_connections_run_nothing_and_cost_little() {
    // What is on its way in sockets counts for all processes of a user, also those of other tests (unix(7)).
    if !is_allowed(Resource::Nofile, FLOOD_FILES) {
        return;
    }
    let world = World::with_rules("");
    let marker = world.workdir().join("marker");
    let rules = format!("prefix_rule([\"touch\", \"{}\"])\n", marker.display());
    std::fs::write(world.rules_file(), rules).expect("rules");
    let client = Client::start_with(&world, &Person::absent(), WRAPPERS_DOOR).await;
    let forge = env!("CARGO_BIN_EXE_forge-connections");
    let command = format!("{forge} 1000 $(type -P touch) {} 0<&240", word(&marker));
    let outcome = client.run_within(&command, Duration::from_secs(120)).await;
    let (code, output) = outcome.ran();
    assert!(code == 0 && output.ends_with(" answered\n"), "{outcome:?}");
    assert_ne!(output, "0 answered\n", "none of them was understood, so nothing was tried");
    assert!(!marker.exists(), "a forged connection ran its program");
    let memory = most_memory(server(&world));
    assert!(memory < MOST_MEMORY_KIB, "the server needed {memory} KiB");
    // The twin: the same request, as it should be asked; and the server lives.
    let outcome = client.run(&format!("touch {}", word(&marker))).await;
    assert_eq!(outcome.ran(), (0, ""), "{outcome:?}");
    assert!(marker.exists());
}

#[tokio::test]
async fn a_call_with_a_flooded_socket_does_not_hold_up_another() {
    // What is on its way in sockets counts for all processes of a user, also those of other tests (unix(7)).
    if !is_allowed(Resource::Nofile, FLOOD_FILES) {
        return;
    }
    let world = World::with_rules("");
    let client = Client::start_with(&world, &Person::absent(), WRAPPERS_DOOR).await;
    let forge = env!("CARGO_BIN_EXE_forge-connections");
    let flood = format!("{forge} 300 $(type -P touch) x 0<&240");
    let (flooded, other) = tokio::join!(
        client.run_within(&flood, Duration::from_secs(120)),
        client.run_within("for i in 1 2 3 4 5; do /bin/echo $i; done", Duration::from_secs(120))
    );
    assert_eq!(other.ran(), (0, "1\n2\n3\n4\n5\n"));
    assert_eq!(flooded.ran().0, 0, "{flooded:?}");
}
