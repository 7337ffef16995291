//! Kept shells: `cd`, variables and functions stay, and each command has its own output and exit code.

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use serde_json::{Value, json};

use super::sessions::{exec, problem};

/// A kept shell.
struct Kept {
    client: Client,
    session: Value,
}

impl Kept {
    async fn start(world: &World) -> Kept {
        let client = Client::start_with(world, &Person::absent(), &[]).await;
        let first =
            json!({"command": "echo first", "workdir": world.workdir(), "login": false, "keep": true});
        let first = client.structured("shell", first).await;
        assert_eq!((&first["output"], &first["exit_code"]), (&json!("first\n"), &json!(0)), "{first}");
        Kept { session: first["session_id"].clone(), client }
    }

    async fn result(&self, command: &str, more: Value) -> Value {
        let mut arguments = json!({"command": command, "session_id": self.session});
        arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.client.structured("shell", arguments).await
    }

    /// The exit code and the output of one command.
    async fn run(&self, command: &str) -> (i64, String) {
        let result = self.result(command, json!({"timeout_ms": 60_000})).await;
        let code = result["exit_code"].as_i64().unwrap_or_else(|| panic!("it goes on: {result}"));
        (code, result["output"].as_str().expect("text").to_owned())
    }
}

fn is(code: i64, output: &str) -> (i64, String) {
    (code, output.to_owned())
}

#[tokio::test]
async fn what_a_command_sets_is_there_for_the_next_one() {
    let world = World::with_rules("").configured("");
    let kept = Kept::start(&world).await;
    assert_eq!(
        kept.run("mkdir -p in && cd in; export A=1; b=2; f() { echo f $A $b; }; false").await,
        is(1, "")
    );
    assert_eq!(kept.run("echo $?; f; basename $PWD").await, is(0, "1\nf 1 2\nin\n"));
    assert_eq!(kept.run("(exit 7)").await, is(7, ""));
    // What does not end a shell that a person types into does not end this one.
    for (command, code, words) in [
        ("echo \"unfinished", 2, "unexpected EOF"),
        ("if true; then", 2, "unexpected end of file"),
        ("cat <<X\nbody", 0, "body\n"),
        ("echo ${nope?}; echo no", 127, "nope"),
        ("set -e; false; echo no", 1, ""),
        ("set +e; break; return 3; echo on", 0, "on\n"),
        ("kill -INT $$; echo no", 130, ""),
    ] {
        let (ended, output) = kept.run(command).await;
        assert_eq!(ended, code, "{command}: {output}");
        assert!(output.contains(words) && !output.contains("no\n"), "{command}: {output}");
    }
    assert_eq!(kept.run("f; basename $PWD").await, is(0, "f 1 2\nin\n"));
    // A background process's later output is not the next command's end.
    assert_eq!(kept.run("(sleep 0.2; echo late) & echo now").await, is(0, "now\n"));
    assert_eq!(kept.run("wait; echo waited").await.0, 0);
    let bytes = kept.run("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end").await;
    assert!(
        bytes.0 == 0 && bytes.1.ends_with("end\n") && bytes.1.contains("bytes omitted"),
        "{}",
        bytes.1.len()
    );
    let nul = json!({"command": "echo \u{0}", "session_id": kept.session});
    assert!(problem(&kept.client, "shell", nul).await.contains("NUL"));
}

#[tokio::test]
async fn a_command_of_a_kept_shell_times_out_goes_on_or_ends_the_shell() {
    let world = World::with_rules("").configured("");
    let kept = Kept::start(&world).await;
    let late = kept.result("v=set; sleep 1000; echo no", json!({"timeout_ms": 300})).await;
    assert_eq!((&late["status"], &late["exit_code"]), (&json!("timed_out"), &json!(124)), "{late}");
    assert_eq!(kept.run("echo $v").await, is(0, "set\n"));
    let going = kept
        .result("until [ -e go ]; do sleep 0.02; done; echo went; (exit 3)", json!({"yield_time_ms": 250}))
        .await;
    assert_eq!((&going["status"], &going["exit_code"]), (&json!("running"), &Value::Null), "{going}");
    let busy = json!({"command": "echo x", "session_id": kept.session});
    assert!(problem(&kept.client, "shell", busy).await.contains("has not ended"));
    assert_eq!(kept.client.run("touch go").await.ran(), (0, ""));
    let poll = json!({"session_id": kept.session, "yield_time_ms": 60_000});
    let ended = kept.client.structured("write_stdin", poll).await;
    assert_eq!((&ended["exit_code"], &ended["output"]), (&json!(3), &json!("went\n")), "{ended}");
    assert_eq!(ended["session_id"], kept.session, "its shell goes on: {ended}");
    let last = kept.result("trap 'echo bye' EXIT; exit 9", json!({"timeout_ms": 60_000})).await;
    assert_eq!((&last["exit_code"], &last["output"]), (&json!(9), &json!("bye\n")), "{last}");
    let gone = json!({"command": "echo x", "session_id": kept.session});
    assert!(problem(&kept.client, "shell", gone).await.contains("has ended"));
}

/// As a model starts one that knows `exec_command` only.
#[tokio::test]
async fn bash_alone_is_a_kept_shell_that_is_written_to() {
    let world = World::with_rules("").configured("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let shell = exec(&client, &world, "bash", json!({})).await;
    let session = &shell["session_id"];
    let write = async |chars: &str| {
        let arguments = json!({"session_id": session, "chars": chars, "yield_time_ms": 30_000});
        client.structured("write_stdin", arguments).await
    };
    let first = write("cd /; x=1\n").await;
    assert_eq!((&first["exit_code"], &first["output"]), (&json!(0), &json!("")), "{first}");
    let next = write("pwd; echo $x; false\n").await;
    assert_eq!((&next["exit_code"], &next["output"]), (&json!(1), &json!("/\n1\n")), "{next}");
    let replaced = write("exec echo replaced\n").await;
    assert_eq!(
        (&replaced["exit_code"], &replaced["output"]),
        (&json!(0), &json!("replaced\n")),
        "{replaced}"
    );
    assert!(replaced.get("session_id").is_none(), "{replaced}");
}
