//! The older language: what it accepts, and the JSON that its users' scripts read.

use std::path::Path;

use execpolicy::legacy::{Call, ExitCode, LegacyPolicy, default_policy};

fn call(line: &str) -> Call {
    let mut words = line.split(' ').map(str::to_owned);
    Call { program: words.next().unwrap_or_default(), args: words.collect() }
}

fn json(policy: &LegacyPolicy, line: &str) -> serde_json::Value {
    serde_json::to_value(policy.check(&call(line))).unwrap_or_default()
}

#[test]
fn results_have_the_shape_that_scripts_read() {
    let policy = default_policy().unwrap();
    assert_eq!(
        json(&policy, "ls -l foo"),
        serde_json::json!({"result": "safe", "match": {"program": "ls", "flags": [{"name": "-l"}], "opts": [],
            "args": [{"index": 1, "type": "ReadableFile", "value": "foo"}], "system_path": ["/bin/ls", "/usr/bin/ls"]}})
    );
    assert_eq!(
        json(&policy, "head -n 5 x"),
        serde_json::json!({"result": "safe", "match": {"program": "head", "flags": [],
            "opts": [{"name": "-n", "value": "5", "type": "PositiveInteger"}],
            "args": [{"index": 2, "type": "ReadableFile", "value": "x"}], "system_path": ["/bin/head", "/usr/bin/head"]}})
    );
    assert_eq!(json(&policy, "cp a b")["result"], "match");
    assert_eq!(
        json(&policy, "rm x"),
        serde_json::json!({"result": "unverified", "error": {"type": "NoSpecForProgram", "program": "rm"}})
    );
}

#[test]
fn every_reason_for_not_verifying_is_named() {
    let policy = default_policy().unwrap();
    let own = LegacyPolicy::from_text(
        Path::new("x.policy"),
        "define_program(program = \"two\", args = [ARG_RFILES, ARG_RFILES_OR_CWD])\n\
         define_program(program = \"lit\", args = [\"a\", ARG_RFILES, \"z\"])\n\
         define_program(program = \"wild\", args = [ARG_UNVERIFIED_VARARGS])\n\
         define_program(program = \"req\", options = [opt(\"-x\", ARG_RFILE, required = True)])\n",
    )
    .unwrap();
    for (policy, line, kind) in [
        (&policy, "head x -n", "OptionMissingValue"),
        (&policy, "head -n -c x", "OptionFollowedByOptionInsteadOfValue"),
        (&policy, "ls -z", "UnknownOption"),
        (&policy, "pwd x", "UnexpectedArguments"),
        (&policy, "ls -- x", "DoubleDashNotSupportedYet"),
        (&own, "two a b", "MultipleVarargPatterns"),
        (&policy, "cp", "NotEnoughArgs"),
        (&policy, "cp x", "VarargMatcherDidNotMatchAnything"),
        (&own, "lit a", "PrefixOverlapsSuffix"),
        (&own, "lit a z", "VarargMatcherDidNotMatchAnything"),
        (&own, "lit b c z", "LiteralValueDidNotMatch"),
        (&policy, "cat ", "EmptyFileName"),
        (&policy, "head -n 0 x", "InvalidPositiveInteger"),
        (&own, "req", "MissingRequiredOptions"),
        (&policy, "sed -n -e s/a/b/ x", "SedCommandNotProvablySafe"),
    ] {
        assert_eq!(json(policy, line)["error"]["type"], kind, "{line}: {}", json(policy, line));
    }
    assert_eq!(json(&own, "lit a x z")["result"], "safe");
    assert_eq!(json(&own, "wild x")["result"], "match");
}

#[test]
fn forbidden_calls_name_their_cause_and_come_first() {
    let policy = LegacyPolicy::from_text(
        Path::new("x.policy"),
        "forbid_program_regex(\"^rm\", \"no\")\nforbid_substrings([\"$(\"])\n\
         define_program(program = \"rm\", args = [ARG_RFILES])\n\
         define_program(program = \"deploy\", args = [\"now\"], forbidden = \"not now\")\n\
         define_program(program = \"deploy\", args = [ARG_OPAQUE_VALUE])\n",
    )
    .unwrap();
    assert_eq!(
        json(&policy, "rm x"),
        serde_json::json!({"result": "forbidden", "reason": "no",
            "cause": {"Program": {"program": "rm", "exec_call": {"program": "rm", "args": ["x"]}}}})
    );
    assert_eq!(json(&policy, "ls a$(b")["reason"], "arg `a$(b` contains forbidden substring");
    assert_eq!(json(&policy, "deploy now")["reason"], "not now");
    assert_eq!(json(&policy, "deploy now")["cause"]["Exec"]["exec"]["program"], "deploy");
    assert_eq!(json(&policy, "deploy later")["result"], "safe");
}

#[test]
fn exit_codes_are_those_of_require_safe() {
    let policy = default_policy().unwrap();
    let code = |line: &str| policy.check(&call(line)).exit_code();
    assert_eq!(code("ls"), ExitCode::Safe);
    assert_eq!(code("cp a b"), ExitCode::Match);
    assert_eq!(code("rm a"), ExitCode::Unverified);
    assert_eq!([ExitCode::Match as u8, ExitCode::Unverified as u8, ExitCode::Forbidden as u8], [12, 13, 14]);
}

#[test]
fn wrong_descriptions_are_refused_with_their_line() {
    for (text, expected) in [
        (
            "\ndefine_program(program = \"a\", options = [flag(\"-x\"), flag(\"-x\")])",
            "duplicate option `-x`",
        ),
        ("\ndefine_program(program = \"a\", should_match = [[\"x\"]])", "expected example to match"),
        ("\ndefine_program(program = \"a\", should_not_match = [[]])", "expected example to not match"),
        ("\ndefine_program(program = \"a\", args = [1])", "ARG_"),
        ("\ndefine_program(program = \"a\", options = [opt(\"-x\", ARG_RFILES)])", "exactly one word"),
        ("\nforbid_program_regex(\"(\", \"x\")", "regex"),
    ] {
        let error = LegacyPolicy::from_text(Path::new("/x.policy"), text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.contains("/x.policy:2:1"), "{text}: {error}");
    }
}
