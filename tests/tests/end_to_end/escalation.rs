//! Which program leaves the sandbox, under which name, and with which environment.
//!
//! These run without a sandbox, as far as what is tested holds there too. (A temporary folder can be changed by
//! everybody, so nothing in it is trusted.)

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::Answer::Accept;
use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::machine::{FLOOD_FILES, Resource, is_allowed};
use serde_json::Value;

mod git;
mod wire;

/// What was decided about programs, as the result says it.
pub(super) fn decisions(outcome: &Outcome) -> Vec<Value> {
    outcome.json()["decisions"].as_array().cloned().unwrap_or_default()
}

/// A shell line that makes a program which says who it is.
fn planted(name: &str) -> String {
    format!("printf '#!/bin/sh\\necho planted $PPID\\n' > {name}; chmod +x {name}")
}

const ALLOW_SH: &str = "prefix_rule(pattern=[\"sh\"], decision=\"allow\")\n";

/// Tells where a program runs: an escalated one is a child of the server's, any other one of the shell.
const PARENT: &str = "ps -o comm= -p $PPID";

#[tokio::test]
async fn the_program_that_a_name_means_leaves_and_a_planted_one_stays() {
    let world = World::with_rules(ALLOW_SH);
    let client = Client::start(&world, &Person::absent()).await;
    let real = client.run(&format!("sh -c '{PARENT}'; :")).await;
    assert_eq!(real.ran(), (0, "sandbox-call\n"));
    let made = &decisions(&real)[0];
    assert_eq!((&made["decision"], &made["argv"][0]), (&"escalated".into(), &"sh".into()), "{made}");
    assert_eq!(made["rule"].as_str(), Some(&*format!("{}:1", world.rules_file().display())));

    let fake = format!("mkdir bin; printf '#!/bin/dash\\n{PARENT}\\n' > bin/sh; chmod +x bin/sh");
    for call in
        ["bin/sh; :", "\"$PWD/bin/sh\"; :", "PATH=$PWD/bin:$PATH; sh; :", "hash -p \"$PWD/bin/sh\" sh; sh; :"]
    {
        let outcome = client.run(&format!("{fake}; {call}")).await;
        assert_eq!(outcome.ran(), (0, "bash\n"), "{call}");
        let made = &decisions(&outcome)[0];
        assert_eq!(made["decision"], "ran_inside", "{made}");
        let why = made["why_not_escalated"].as_str().unwrap_or_default();
        assert!(why.contains("`sh` means") && why.contains("bin/sh"), "{why}");
        client.run("rm -r bin").await;
    }
}

#[tokio::test]
async fn a_link_to_the_program_is_the_program() {
    let world = World::with_rules(ALLOW_SH);
    let client = Client::start(&world, &Person::absent()).await;
    let outcome = client.run(&format!("ln -s $(command -v sh) sh; ./sh -c '{PARENT}'; :")).await;
    assert_eq!(outcome.ran(), (0, "sandbox-call\n"));
    // By a name of the agent's own the rule does not speak about it.
    let outcome = client.run(&format!("ln -s $(command -v sh) mine; ./mine -c '{PARENT}'; :")).await;
    assert_eq!(outcome.ran(), (0, "bash\n"));
}

#[tokio::test]
async fn a_program_in_a_place_of_others_stays_even_if_a_rule_names_its_path() {
    let world = World::with_rules("");
    let tool = world.workdir().join("tool");
    let rules = format!("prefix_rule(pattern=[\"{}\"], decision=\"allow\")\n", tool.display());
    std::fs::write(world.rules_file(), rules).expect("rules");
    let client = Client::start(&world, &Person::absent()).await;
    let outcome = client.run(&format!("{}; \"$PWD/tool\"", planted("tool"))).await;
    assert!(outcome.ran().1.starts_with("planted "), "{outcome:?}");
    let made = &decisions(&outcome)[0];
    assert_eq!(made["decision"], "ran_inside");
    assert!(
        made["why_not_escalated"].as_str().is_some_and(|why| why.contains("can be changed by other users")),
        "{made}"
    );
}

#[tokio::test]
async fn a_question_about_another_program_says_so_and_a_yes_keeps_it_inside() {
    let world = World::with_rules("prefix_rule(pattern=[\"sh\"], decision=\"prompt\")\n");
    let person = Person::answering([Accept, Accept]);
    let client = Client::start(&world, &person).await;
    assert_eq!(client.run(&format!("sh -c '{PARENT}'; :")).await.ran(), (0, "sandbox-call\n"));
    let fake = format!("printf '#!/bin/dash\\n{PARENT}\\n' > sh; chmod +x sh");
    let outcome = client.run(&format!("{fake}; ./sh; :")).await;
    assert_eq!(outcome.ran(), (0, "bash\n"));
    assert_eq!(decisions(&outcome)[0]["decision"], "approved_ran");
    let asked = person.asked();
    assert!(!asked[0].contains("Careful"), "{asked:?}");
    assert!(asked[1].contains("not the program that the rule means"), "{asked:?}");
}

#[tokio::test]
async fn a_forbidden_program_is_refused_under_every_name() {
    let world = World::with_rules(
        "prefix_rule(pattern=[\"id\"], decision=\"forbidden\", justification=\"no names\")\n",
    );
    let client = Client::start(&world, &Person::absent()).await;
    let id = "$(command -v id)";
    for (make, call) in [
        ("", "id"),
        ("", "/proc/self/root/usr/bin/id"),
        ("ln -s ID a", "./a"),
        ("cp ID b", "./b"),
        ("cp ID c; ln c d", "./d"),
        ("", "exec 9< ID; /proc/self/fd/9"),
        ("", "exec -a harmless ID"),
        ("printf '#!%s\\n' ID > e; chmod +x e", "./e"),
        (
            "",
            "$(echo /lib64/ld-linux-*.so.2 /lib/ld-linux-*.so.1 | grep -o '[^ *]*ld-linux[^ *]*' | head -1) ID",
        ),
        (
            "cp ID f",
            "$(echo /lib64/ld-linux-*.so.2 /lib/ld-linux-*.so.1 | grep -o '[^ *]*ld-linux[^ *]*' | head -1) ./f",
        ),
        ("cp ID g", "timeout 5 ./g"),
    ] {
        let line = format!("{make}\n{call} > out; code=$?; rm -f [a-g]; exit $code").replace("ID", id);
        let line = line.replace("rm -f", "command rm");
        let outcome = client.run(&format!("exec 3>&1; ({line})")).await;
        let (code, output) = outcome.ran();
        assert!(code == 1 && output.contains("no names"), "{make}; {call}: {output}");
        let made = decisions(&outcome);
        assert!(made.iter().any(|made| made["decision"] == "refused"), "{made:?}");
    }
    // The twin: another program by the same ways.
    let outcome = client.run("cp $(type -P true) a; ./a && ln a b && ./b && exec -a x ./b").await;
    assert_eq!(outcome.ran(), (0, ""));
    assert!(decisions(&outcome).is_empty(), "what simply runs is not on record");
}

#[tokio::test]
async fn argv0_is_a_name_because_one_file_may_be_many_programs() {
    let world = World::with_rules("prefix_rule(pattern=[\"reboot\"], decision=\"forbidden\")\n");
    let client = Client::start(&world, &Person::absent()).await;
    assert_eq!(client.run("exec -a restart true").await.ran(), (0, ""));
    assert_eq!(client.run("exec -a /sbin/reboot true").await.ran().0, 1);
}

#[tokio::test]
async fn what_leaves_is_called_as_it_was_judged() {
    let world = World::with_rules("prefix_rule(pattern=[\"sh\"], decision=\"prompt\")\n");
    let person = Person::answering([Accept, Accept]);
    let client = Client::start(&world, &person).await;
    for (command, is_said) in [("sh -c 'echo $0'", false), ("exec -a 'o\u{202e}r' sh -c 'echo $0'", true)] {
        let outcome = client.run(command).await;
        assert_eq!(outcome.ran(), (0, "sh\n"), "{outcome:?}");
        let asked = person.asked().pop().expect("a question");
        assert_eq!(asked.contains("calls it `o\\u{202e}r`; outside it is called `sh`"), is_said, "{asked}");
    }
}

#[tokio::test]
async fn an_escalated_program_gets_the_servers_environment_and_harmless_changes() {
    let world = World::with_rules("prefix_rule(pattern=[\"env\"], decision=\"allow\")\n");
    let client = Client::start(&world, &Person::absent()).await;
    let outcome = client
        .run(
            "export GREETING=hello CI=1 LD_PRELOAD= GIT_SSH_COMMAND=evil BASH_ENV=evil PAGER=evil LC_ALL=C
             PATH=$PWD:$PATH HOME=$PWD
             f() { :; }; export -f f
             unset LANG
             env",
        )
        .await;
    let (code, output) = outcome.ran();
    assert_eq!(code, 0);
    let lines: Vec<&str> = output.lines().collect();
    for present in
        ["CI=1", "LC_ALL=C", "PAGER=cat", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    {
        assert!(lines.contains(&present), "{present} should be in {output}");
    }
    for absent in ["LD_PRELOAD", "GIT_SSH_COMMAND", "BASH_ENV", "GREETING", "BASH_FUNC", "LANG="] {
        assert!(!lines.iter().any(|line| line.starts_with(absent)), "{absent} should not be in {output}");
    }
    assert!(!output.contains("evil"), "{output}");
    assert!(lines.iter().any(|line| line.starts_with("HOME=") && !line.ends_with("/work")), "{output}");
    let made = &decisions(&outcome)[0];
    let dropped: Vec<&str> =
        made["dropped_variables"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(
        dropped,
        ["BASH_ENV", "BASH_FUNC_f%%", "GIT_SSH_COMMAND", "GREETING", "HOME", "LD_PRELOAD", "PAGER", "PATH"]
    );
}

#[tokio::test]
async fn a_variable_that_a_rule_demands_is_passed_and_shown() {
    let world =
        World::with_rules("prefix_rule(pattern=[\"env\"], decision=\"prompt\", env={\"PAGER\": \"cat\"})\n");
    let person = Person::answering([Accept]);
    let client = Client::start(&world, &person).await;
    let outcome = client.run("PAGER=cat EDITOR=evil env").await;
    let (_, output) = outcome.ran();
    assert!(output.contains("PAGER=cat\n") && output.contains("\nEDITOR=false\n"), "{output}");
    let asked = person.asked();
    assert!(asked[0].contains("will not get: EDITOR"), "{asked:?}");
}

#[tokio::test]
async fn an_escalated_program_inherits_what_the_shell_has_set() {
    let world = World::with_rules(ALLOW_SH);
    let client = Client::start(&world, &Person::absent()).await;
    let own = std::process::Command::new("sh").args(["-c", "umask; nice"]).output().expect("sh");
    let own = String::from_utf8(own.stdout).expect("UTF-8");
    let (umask, nice) = own.trim().split_once('\n').expect("two lines");
    // Half the way to the nicest: nothing outside may be less nice than the server.
    let nicer = i32::midpoint(nice.parse().expect("a number"), 20);
    let set = format!(
        "umask 027; trap '' USR1 HUP; ulimit -n 200; ulimit -S -s 500; renice -n {nicer} $$ > /dev/null;"
    );
    let show = "umask; ulimit -n; ulimit -S -s; nice; grep -E \"^Sig(Ign|Blk)\" /proc/self/status";
    let inside = client.run(&format!("{set} dash -c '{show}'; :")).await;
    let outside = client.run(&format!("{set} sh -c '{show}'; :")).await;
    assert!(decisions(&inside).is_empty() && !decisions(&outside).is_empty(), "{outside:?}");
    assert_eq!(inside.ran(), outside.ran());
    assert!(outside.ran().1.starts_with(&format!("0027\n200\n500\n{nicer}\n")), "{outside:?}");
    // Another shell's settings are its own.
    assert!(client.run(&format!("sh -c '{show}'; :")).await.ran().1.starts_with(umask));
}

#[tokio::test]
async fn an_escalated_program_ends_for_the_shell_as_it_ended() {
    let world = World::with_rules(ALLOW_SH);
    let client = Client::start(&world, &Person::absent()).await;
    let codes = "for code in 0 1 2 77 126 127 128 200 255; do sh -c \"exit $code\"; echo -n \"$? \"; done";
    assert_eq!(client.run(codes).await.ran(), (0, "0 1 2 77 126 127 128 200 255 "));
    let signals = "for s in HUP INT QUIT KILL TERM USR1 USR2; do sh -c \"kill -$s \\$\\$\"; echo \"$? \"; done 2> /dev/null";
    assert_eq!(client.run(signals).await.ran(), (0, "129 \n130 \n131 \n137 \n143 \n138 \n140 \n"));
    let relayed = "for s in INT TERM HUP QUIT USR1 USR2 TSTP CONT WINCH; do
        (trap - INT QUIT; exec sh -c \"trap 'echo $s; exit 7' $s; echo > ready; while :; do sleep 0.05; done\") &
        while [ ! -e ready ]; do sleep 0.02; done; rm ready; kill -$s $!; wait $!; echo $?; done";
    let outcome = client.run_within(relayed, Duration::from_secs(60)).await;
    let (_, output) = outcome.ran();
    for signal in ["TERM", "HUP", "USR1", "USR2", "TSTP", "CONT", "WINCH"] {
        assert!(output.contains(&format!("{signal}\n7\n")), "{signal}: {output}");
    }
}

#[tokio::test]
async fn descriptors_arrive_at_their_numbers_and_nothing_else_is_open() {
    let world = World::with_rules("prefix_rule([\"ls\"])\nprefix_rule([\"diff\"])\nprefix_rule([\"cat\"])\n");
    let client = Client::start(&world, &Person::absent()).await;
    let outcome =
        client.run("exec 5< /dev/null 200<&5 239<&5 7<&5; ls /proc/self/fd | sort -n | tr '\\n' ' '").await;
    // `ls` opens the folder itself, with the lowest free number.
    assert_eq!(outcome.ran(), (0, "0 1 2 3 5 7 200 239 "));
    assert_eq!(client.run("diff <(echo a) <(echo b)").await.ran().0, 1);
    assert_eq!(client.run("echo here | cat 5<&0 <&5").await.ran(), (0, "here\n"));
    if !is_allowed(Resource::Nofile, FLOOD_FILES) {
        return;
    }
    let many = "for n in {10..239}; do eval \"exec $n< /dev/null\"; done; ls /proc/self/fd | wc -l";
    let outcome = client.run(many).await;
    assert_eq!(outcome.ran(), (0, "234\n"), "{outcome:?}");
}

#[tokio::test]
async fn what_an_escalated_program_leaves_running_lives_as_long_as_its_call() {
    let world = World::with_rules("prefix_rule(pattern=[\"setsid\"], decision=\"allow\")\n");
    let client = Client::start(&world, &Person::absent()).await;
    let command = "setsid sh -c '(while [ ! -e go ]; do sleep 0.05; done; echo later > late) & echo now'; echo > go; \
        while [ ! -s late ]; do sleep 0.05; done; cat late";
    assert_eq!(client.run(command).await.ran(), (0, "now\nlater\n"));

    let command = "setsid sh -c 'exec sleep 4321 & echo now'; exec sleep 4321";
    let outcome = client.run_within(command, Duration::from_millis(1500)).await;
    assert_eq!(outcome.ran().0, 124, "{outcome:?}");
    assert_eq!(client.run("ps -eo args | grep -c '^[s]leep 4321'").await.ran(), (1, "0\n"));
}

#[tokio::test]
async fn a_folder_that_is_gone_is_named_and_nothing_runs_outside() {
    let world = World::with_rules("prefix_rule(pattern=[\"touch\"], decision=\"allow\")\n").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = client.run("mkdir d; cd d; touch there; rm there; rmdir ../d; touch gone").await;
    let (code, output) = outcome.ran();
    assert_eq!(code, 1, "{outcome:?}");
    assert!(output.contains("its working directory cannot be entered outside the sandbox"), "{output}");
}
