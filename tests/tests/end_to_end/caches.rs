//! Build tools' caches: what a command puts there works for later commands, and never reaches the user's own tools.

use std::fs;
use std::path::Path;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::waiting::eventually_async;

const LANDLOCK: &str = "[shell_tool]\nnamespaces = \"off\"\n";

/// A world whose home has a warm cache.
fn warm(config: &str) -> World {
    let world = World::with_rules("").configured(config);
    fs::create_dir_all(world.home().join(".npm/_cacache")).expect("a cache");
    fs::write(world.home().join(".npm/_cacache/warm"), "warm\n").expect("a file");
    world
}

async fn output(client: &Client, command: &str) -> (i64, String) {
    let outcome = client.run(command).await;
    let (code, output) = outcome.ran();
    (code, output.to_owned())
}

async fn has_namespaces(client: &Client) -> bool {
    client.run("true").await.json()["sandbox"].as_str().is_some_and(|level| level.starts_with("namespaces"))
}

#[tokio::test]
async fn what_a_command_puts_into_a_cache_is_kept_and_stays_out_of_the_users() {
    let world = warm("");
    let cache = world.home().join(".npm/_cacache");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    if !has_namespaces(&client).await {
        return;
    }
    let write = "cd ~/.npm/_cacache && cat warm && rm warm && echo new > new && mkdir -p ../_npx/a && ls";
    assert_eq!(output(&client, write).await, (0, "warm\nnew\n".into()));
    assert!(
        cache.join("warm").exists()
            && !cache.join("new").exists()
            && !world.home().join(".npm/_npx").exists()
    );
    drop(client);
    until_nobody_uses_them(&world).await;
    // A later server of the same workspace has it, and one of another has not.
    let again = Client::start_with(&world, &Person::absent(), &[]).await;
    assert_eq!(output(&again, "ls ~/.npm/_cacache").await, (0, "new\n".into()));
    let other = world.home().join("other");
    fs::create_dir(&other).expect("a folder");
    let roots = ["--writable-root", other.to_str().expect("UTF-8")];
    let elsewhere = Client::start_with(&world, &Person::absent(), &roots).await;
    assert_eq!(output(&elsewhere, "ls ~/.npm/_cacache").await, (0, "warm\n".into()));
    // Two servers at once have layers of their own.
    let beside = Client::start_with(&world, &Person::absent(), &[]).await;
    assert_eq!(output(&beside, "ls ~/.npm/_cacache; echo > ~/.npm/mine").await, (0, "warm\n".into()));
    assert_eq!(output(&again, "ls ~/.npm").await, (0, "_cacache\n_npx\n".into()));
}

#[tokio::test]
async fn a_tool_without_a_cache_is_led_to_one() {
    for config in ["", LANDLOCK] {
        let world = warm(config);
        let client = Client::start_with(&world, &Person::absent(), &[]).await;
        let use_it = "mkdir -p \"$CARGO_HOME/registry\" && echo kept > \"$CARGO_HOME/registry/x\" && cat \"$CARGO_HOME\"/*/x";
        assert_eq!(output(&client, use_it).await, (0, "kept\n".into()), "{config}");
        // The one that is there needs none where it can be written.
        let led = output(&client, "echo ${npm_config_cache-not led}").await.1;
        let expected = has_namespaces(&client).await;
        assert_eq!(led == "not led\n", expected, "{config}: {led}");
        assert!(!world.home().join(".cargo").exists());
    }
    let world = warm("[shell_environment_policy]\nset = { CARGO_HOME = \"/mine\" }\nexclude = [\"X\"]\n");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    assert_eq!(output(&client, "echo $CARGO_HOME").await.1, "/mine\n");
}

#[tokio::test]
async fn what_is_hidden_in_a_cache_stays_hidden() {
    let world = World::with_rules("");
    let secret = world.home().join(".cache/tool/secret");
    fs::create_dir_all(secret.parent().expect("a folder")).expect("a cache");
    fs::write(&secret, "secret\n").expect("a file");
    let world =
        world.configured(&format!("[shell_tool]\ndeny_read = [{:?}]\n", secret.display().to_string()));
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    if !has_namespaces(&client).await {
        return;
    }
    for attack in [
        "cat ~/.cache/tool/secret",
        "mv ~/.cache/tool ~/.cache/moved; cat ~/.cache/*/secret",
        "cp -a ~/.cache/tool ~/.cache/copy; cat ~/.cache/copy/secret",
        "find ~/.local/share -name secret -exec cat {} +; ln ~/.cache/tool/secret ~/.cache/x && cat ~/.cache/x",
    ] {
        let (_, output) = output(&client, attack).await;
        assert!(!output.contains("secret\n") || output.contains("denied"), "{attack}: {output}");
    }
}

#[tokio::test]
async fn a_program_that_a_command_puts_into_a_cache_does_not_leave() {
    let world = World::with_rules("").configured("");
    let place = world.home().join(".cache/bin");
    fs::create_dir_all(&place).expect("a cache");
    fs::copy(world.program("tool", "echo"), place.join("tool")).expect("a program");
    let rule = format!("prefix_rule(pattern=[\"{}/tool\"], decision=\"allow\")\n", place.display());
    fs::write(world.rules_file(), rule).expect("rules");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    if !has_namespaces(&client).await {
        return;
    }
    for command in ["~/.cache/bin/tool", "PATH=~/.cache/bin:$PATH tool"] {
        let replace = "printf '#!/bin/sh\\necho > ~/left\\n' > ~/.cache/bin/tool";
        let outcome = client.run(&format!("{replace} && {command}")).await.json().clone();
        let why = outcome["decisions"][0]["why_not_escalated"].as_str().unwrap_or_default();
        assert!(why.contains("another file outside"), "{command}: {outcome}");
        assert!(!world.home().join("left").exists(), "{command}");
    }
}

#[tokio::test]
async fn caches_can_be_the_users_or_none() {
    let world = warm("[shell_tool]\ncaches = \"shared\"\n");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    assert_eq!(output(&client, "echo > ~/.npm/x; echo ${CARGO_HOME-none}").await, (0, "none\n".into()));
    assert!(world.home().join(".npm/x").exists());
    let world = warm("[shell_tool]\ncaches = \"off\"\n");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let (code, output) = output(&client, "echo ${CARGO_HOME-none}; echo > ~/.npm/x").await;
    assert!(code != 0 && output.starts_with("none\n"), "{output}");
    assert!(!store(world.home()).exists());
}

fn store(home: &Path) -> std::path::PathBuf {
    home.join(".local/share/shell-tool-mcp/caches")
}

#[tokio::test]
async fn what_is_kept_is_listed_and_thrown_away_when_nobody_uses_it() {
    let world = warm("");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    output(&client, "mkdir -p \"$CARGO_HOME\" && touch \"$CARGO_HOME/x\" && chmod 000 \"$CARGO_HOME\"").await;
    let listed = caches(&world, "list");
    assert!(listed.contains("in use") && listed.contains("work"), "{listed}");
    assert!(caches(&world, "clear").contains("kept: a server uses it"));
    drop(client);
    until_nobody_uses_them(&world).await;
    assert!(caches(&world, "clear").contains("thrown away"));
    assert!(caches(&world, "list").contains("holds no caches"));
    assert_eq!(fs::read_dir(store(world.home())).expect("a folder").count(), 0);
}

fn caches(world: &World, action: &str) -> String {
    let run = world.server(&["caches", action]).output().expect("it starts");
    assert!(run.status.success(), "{run:?}");
    String::from_utf8(run.stdout).expect("UTF-8")
}

/// A server whose client is gone takes a moment to end.
async fn until_nobody_uses_them(world: &World) {
    eventually_async(async || {
        let listed = caches(world, "list");
        if listed.contains("in use") { Err(listed) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn that_no_caches_can_be_kept_is_said_once() {
    let world = warm("");
    // A file where the folder would be.
    fs::create_dir_all(world.home().join(".local")).expect("made");
    fs::write(world.home().join(".local/share"), "").expect("written");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let said = |result: &serde_json::Value| result["notes"].to_string().contains("caches read-only");
    assert!(said(client.run("true").await.json()) && !said(client.run("true").await.json()));
}
