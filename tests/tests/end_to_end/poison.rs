//! What built-ins do, which execute nothing and are not asked about: they change the environment of later commands, and
//! write files. The sandbox and the care for the environment hold these (BYPASSES 40, 41).

use end_to_end_tests::World;
use end_to_end_tests::asking::{Asking, ERAS, choose};
use serde_json::json;

/// What sets `$NAME` to `evil` without an exec.
const BUILT_INS: &[&str] = &[
    "export NAME=evil",
    "declare -x NAME=evil",
    "typeset -x NAME; NAME=evil",
    "set -a; NAME=evil",
    "printf -v NAME evil; export NAME",
    "read -r NAME <<< evil; export NAME",
    "mapfile -t lines <<< evil; export NAME=$lines",
    "declare -n other=NAME; other=evil; export NAME",
    "f() { local -x NAME=evil; COMMAND; }; f; exit",
    ": ${NAME:=evil}; export NAME",
    "getopts e: NAME -e evil; NAME=evil; export NAME",
];

#[test]
fn what_built_ins_put_into_the_environment_does_not_leave_the_sandbox() {
    for (era, decision) in ERAS.into_iter().flat_map(|era| [(era, "allow"), (era, "prompt")]) {
        let world = World::with_rules(&format!("prefix_rule([\"printenv\"], {decision:?})\n")).configured("");
        let mut asking = Asking::start_with(&world, era, &[]);
        for (built_in, variable) in BUILT_INS
            .iter()
            .zip(["GIT_SSH_COMMAND", "LD_PRELOAD_", "PYTHONPATH", "GIT_CONFIG_COUNT"].into_iter().cycle())
        {
            let command = |inner: &str| match built_in.contains("COMMAND;") {
                true => built_in.replace("COMMAND", inner).replace("NAME", variable),
                false => format!("{}; {inner}", built_in.replace("NAME", variable)),
            };
            // The twin: inside, the variable is what the built-in has set.
            let inside = asking.run(&command(&format!("sh -c 'echo \"<${variable}>\"'")), &choose("once"));
            assert_eq!((inside.output(), inside.questions.len()), ("<evil>\n", 0), "{built_in}");
            let outside = asking.run(&command(&format!("printenv {variable}")), &choose("once"));
            assert!(!outside.output().contains("evil"), "{era:?}: {built_in}: {outside:?}");
            let decision_of = &outside.result["decisions"][0];
            assert!(
                decision_of["decision"].as_str().is_some_and(|word| word.ends_with("escalated")),
                "{outside:?}"
            );
            assert_eq!(decision_of["dropped_variables"], json!([variable]), "{built_in}: {outside:?}");
            if decision == "prompt" {
                let question = outside.messages()[0].to_owned();
                assert!(
                    question.contains(&format!("Changed variables that it will not get: {variable}")),
                    "{question}"
                );
            }
        }
    }
}

#[test]
fn what_writes_without_an_exec_is_held_by_the_sandbox() {
    let world = World::with_rules("").configured("");
    let mut asking = Asking::start_with(&world, ERAS[0], &[]);
    let outside = world.home().join("outside");
    for write in [
        "echo x > TARGET",
        "printf x >> TARGET",
        ": >| TARGET",
        "exec 3<> TARGET; echo x >&3",
        "{ echo x; } &> TARGET",
        "set -o history; history -s x; history -w TARGET",
        "mapfile -C 'echo x > TARGET #' -c 1 <<< x",
        "trap 'echo x > TARGET' EXIT; exit 0",
        "coproc { echo x > TARGET; }; wait",
        "PS4='$(echo x > TARGET)'; set -x; :",
        "x='$(echo x > TARGET)'; echo \"${x@P}\"",
    ] {
        let inside = world.workdir().join("target");
        let _ = asking.run(&write.replace("TARGET", "target"), &json!({}));
        assert!(inside.exists(), "the twin: {write}");
        std::fs::remove_file(inside).expect("it was made");
        let answered = asking.run(&write.replace("TARGET", outside.to_str().expect("UTF-8")), &json!({}));
        assert!(!outside.exists(), "{write}: {answered:?}");
        assert!(answered.questions.is_empty());
    }
}
