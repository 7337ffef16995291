//! What clients are told about where commands run.

use std::fs;
use std::process::Command;

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;
use serde_json::{Value, json};

fn git(world: &World, script: &str) {
    let script = format!("git() {{ command git -c user.name=a -c user.email=a@b \"$@\"; }}; {script}");
    let done = Command::new("sh").current_dir(world.workdir()).args(["-ec", &script]).status().expect("sh");
    assert!(done.success(), "{script}");
}

fn call(world: &World) -> Value {
    json!({"name": "shell", "arguments": {"command": "true", "workdir": world.workdir(), "login": false}})
}

fn session(server: &mut Lines) -> Value {
    let read = server.request("resources/read", json!({"uri": "shell://session"}));
    let contents = &read["result"]["contents"][0];
    assert_eq!(contents["mimeType"], "application/json", "{read}");
    serde_json::from_str(contents["text"].as_str().expect("a text")).expect("JSON")
}

fn start(world: &World, arguments: &[&str]) -> Lines {
    let mut command = world.server(arguments);
    command.current_dir(world.workdir());
    let mut server = Lines::start_command(command);
    server.initialize();
    server
}

#[test]
fn the_resource_and_the_first_result_say_where_commands_run() {
    let world = World::with_rules("");
    git(&world, "git init -qb topic; echo 1 > f; git add f; git commit -qm x");
    let mut server = start(&world, &[]);
    let listed = server.request("resources/list", json!({}));
    assert_eq!(listed["result"]["resources"][0]["uri"], "shell://session", "{listed}");
    let first = server.request("tools/call", call(&world));
    let told = &first["result"]["structuredContent"]["session"];
    let commit = fs::read_to_string(world.workdir().join(".git/refs/heads/topic")).expect("a commit");
    let root = world.workdir().canonicalize().expect("it is there").display().to_string();
    assert_eq!(told["git"][0]["branch"], "topic", "{told}");
    assert_eq!(
        (&told["git"][0]["commit"], &told["git"][0]["root"]),
        (&json!(commit.trim()), &json!(root)),
        "{told}"
    );
    assert_eq!(told["workspace"], json!([root]), "{told}");
    assert_eq!(told["mode"], "workspace-write", "{told}");
    assert!(told["writable"].as_array().expect("folders").contains(&json!(root)), "{told}");
    assert_eq!((&told["shell"]["kind"], &told["door"]), (&json!("patched-bash"), &json!("kernel")), "{told}");
    assert!(told["shell"]["version"].as_str().expect("a version").starts_with("5."), "{told}");
    assert_eq!(told["limits"]["default_timeout_ms"], 10_000, "{told}");
    let second = server.request("tools/call", call(&world));
    assert!(second["result"]["structuredContent"].get("session").is_none(), "{second}");
    // What has changed since then is in the resource.
    assert_eq!(session(&mut server)["git"][0]["dirty"], false);
    fs::write(world.workdir().join("f"), "2\n").expect("written");
    git(&world, "git checkout -qb other");
    let now = session(&mut server);
    assert_eq!((&now["git"][0]["dirty"], &now["git"][0]["branch"]), (&json!(true), &json!("other")), "{now}");
}

#[test]
fn nothing_that_a_repository_names_is_run() {
    for sandbox in [&[][..], &["--sandbox", "danger-full-access"]] {
        let world = World::with_rules("");
        let trap = world.program("trap", "touch \"$(dirname \"$0\")/sprung\"; cat\n");
        let trap = trap.display();
        git(
            &world,
            &format!(
                "git init -q; echo 1 > f; git add f; git commit -qm x; echo '* filter=t' > .gitattributes; \
                 git config filter.t.clean {trap}; git config core.fsmonitor {trap}; git config core.hooksPath /; \
                 git config diff.external {trap}; touch -d 2001-01-01 f"
            ),
        );
        let mut server = start(&world, sandbox);
        let told = session(&mut server);
        let dirty = &told["git"][0]["dirty"];
        assert!(*dirty == json!(true) || *dirty == json!("unknown"), "{told}");
        let sprung = std::path::Path::new(&trap.to_string()).with_file_name("sprung");
        assert!(!sprung.exists(), "{told}");
    }
}
