//! What rights cost: a confined program beside the same inside, the sandboxes that hold them, rules with grants that do not apply.

use std::process::Command;
use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;

use super::{call, compared_with, in_turn, median, milliseconds};

/// Sandboxes that a server keeps.
const SANDBOXES: u32 = 16;

/// Prints all of it.
pub(crate) fn measure() {
    println!("\n{:<58} {:>10} {:>10}  ratio (goal)", "median of each", "inside", "with rights");
    let (inside, confined) = (repository(""), repository("prefix_rule([\"git\"])\n"));
    let (mut plain, mut server) = (start(&inside), start(&confined));
    let (one, other, ratio) = in_turn(
        60,
        || call(&mut plain, &inside, "git status"),
        || call(&mut server, &confined, "git status"),
    );
    compared_with("git status, confined, its sandbox being there", one, other, ratio, 1.3);

    let first_and_next = || {
        let mut server = start(&confined);
        call(&mut server, &confined, "true");
        (call(&mut server, &confined, "git status"), call(&mut server, &confined, "git status"))
    };
    let times: Vec<(Duration, Duration)> = (0..15).map(|_| first_and_next()).collect();
    let added = times.iter().map(|(first, next)| first.saturating_sub(*next));
    println!(
        "{:<58} {:>10} {:>7.2} ms  (8 ms)",
        "setting that sandbox up, once",
        "",
        milliseconds(median(added))
    );

    let rules: String = (0..100)
        .map(|i| format!("prefix_rule([\"program{i}\"], grants={{\"write\": [\"~/g{i}\"]}})\n"))
        .collect();
    let (none, many) = (World::with_rules("").configured(""), World::with_rules(&rules).configured(""));
    let (mut without, mut with) = (start(&none), start(&many));
    let work = "for ((i = 0; i < 1000; i++)); do /bin/true; done";
    let (one, other, ratio) = in_turn(7, || call(&mut without, &none, work), || call(&mut with, &many, work));
    compared_with("1000 × /bin/true with 100 rules with grants, beside none", one, other, ratio, 1.0);
    memory();
}

fn start(world: &World) -> Lines {
    let mut server = Lines::start_with(world, &["--sandbox", "workspace-write"]);
    server.initialize();
    server
}

fn repository(rules: &str) -> World {
    let world = World::with_rules(rules).configured("");
    let script = "git init -q && for i in $(seq 100); do echo $i > f$i; done && git add . && git -c user.name=a -c user.email=a@b commit -qm x";
    let mut made = Command::new("sh");
    world.surround(&mut made);
    assert!(
        made.args(["-c", script]).status().is_ok_and(|status| status.success()),
        "git makes a repository"
    );
    world
}

/// What each sandbox takes that nobody shares, of as many as a server keeps.
fn memory() {
    let rules: String = (0..SANDBOXES)
        .map(|i| format!("prefix_rule([\"env\", \"-u\", \"V{i}\"], grants={{\"write\": [\"~/g{i}\"]}})\n"))
        .collect();
    let world = World::with_rules(&rules).configured("");
    let mut server = start(&world);
    let mut run = |i: u32| call(&mut server, &world, &format!("env -u V{i} true"));
    run(0);
    let before = private(server.pid());
    let mut run = |i: u32| call(&mut server, &world, &format!("env -u V{i} true"));
    for i in 1..SANDBOXES - 1 {
        run(i);
    }
    let each = private(server.pid()).saturating_sub(before) / u64::from(SANDBOXES - 2);
    println!("{:<58} {:>10} {:>7} KiB  (1024 KiB)", "private memory of each of 16 sandboxes", "", each);
}

/// Memory that a process and its descendants share with nobody, in KiB (proc(5), `smaps_rollup`).
fn private(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with("Private_"));
    let own: u64 = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum();
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let of = |list: String| {
        list.split_whitespace().filter_map(|child| child.parse().ok()).map(private).sum::<u64>()
    };
    own + children.map(of).sum::<u64>()
}
