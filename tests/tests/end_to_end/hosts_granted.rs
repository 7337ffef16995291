//! Hosts that rules grant to programs, that flags and clients name, and that a person has allowed for longer.

#![cfg(target_os = "linux")]

use std::fs;

use end_to_end_tests::World;
use end_to_end_tests::client::{Answer, Client, Outcome, Person};
use serde_json::{Value, json};

use super::hosts_by_name::{client, denials};

#[tokio::test]
async fn a_program_reaches_what_its_rule_grants_and_no_other_does() {
    let world = World::with_rules(
        "prefix_rule([\"curl\"], grants={\"hosts\": [\"good.test:80\", \"evil.test\"]}, run=\"inside\")\n\
         network_rule(host=\"evil.test\", decision=\"forbidden\")\n",
    );
    let Some(client) = client(&world, &Person::absent(), &[]).await else { return };
    assert_eq!(client.run("curl -sS http://good.test/").await.ran(), (0, "hello good.test\n"));
    let python = "/usr/bin/python3 -c 'import urllib.request as u; u.urlopen(\"http://good.test/\")'";
    for (script, place) in [
        ("curl -sS -m 20 http://good.test:7777/", "good.test:7777"),
        ("curl -sS -m 20 http://sub.good.test/", "sub.good.test:80"),
        // The strictest counts.
        ("curl -sS -m 20 http://evil.test/", "evil.test:80"),
        (python, "good.test:80"),
    ] {
        let outcome = client.run(script).await;
        assert!(outcome.ran().0 != 0 && denials(&outcome).contains(place), "{script}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_rule_goes_by_the_program_that_connects() {
    let world = World::with_rules(
        "network_rule(host=\"good.test\", ports=[80], decision=\"allow\", by=[\"curl\"])\n\
         network_rule(host=\"localhost\", ports=[7777], decision=\"allow\", by=[\"curl\"])\n",
    );
    let Some(client) = client(&world, &Person::absent(), &[]).await else { return };
    for place in ["good.test:80", "localhost:7777"] {
        let outcome = client.run(&format!("curl -sS http://{place}/")).await;
        assert!(outcome.ran().0 == 0 && outcome.ran().1.starts_with("hello"), "{outcome:?}");
        let python = "import sys, urllib.request as u; u.urlopen(sys.argv[1])";
        let outcome = client.run(&format!("/usr/bin/python3 -c '{python}' http://{place}/")).await;
        assert!(outcome.ran().0 != 0 && denials(&outcome).contains(place), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_confined_program_reaches_what_its_profile_names_alone() {
    let world = World::with_rules(
        "profile(\"fetcher\", run=\"confined\", hosts=[\"good.test:80\"])\n\
         prefix_rule([\"curl\"], profile=\"fetcher\")\n",
    );
    let Some(client) = client(&world, &Person::absent(), &[]).await else { return };
    assert_eq!(client.run("curl -sS http://good.test/").await.ran(), (0, "hello good.test\n"));
    let outcome = client.run("curl -sS -m 20 http://evil.test/").await;
    assert!(outcome.ran().0 != 0 && denials(&outcome).contains("evil.test:80"), "{outcome:?}");
}

#[tokio::test]
async fn addresses_and_ports_of_this_machine_are_reached_when_they_are_named() {
    let world = World::with_rules("network_rule(host=\"10.0.0.7\", ports=[80], decision=\"allow\")");
    let arguments = ["--allow-host", "localhost:7777"];
    let Some(client) = client(&world, &Person::absent(), &arguments).await else { return };
    for (script, expected) in [
        ("curl -sS http://10.0.0.7/", "hello 10.0.0.7\n"),
        ("curl -sS http://localhost:7777/", "hello localhost:7777\n"),
        ("curl -sS http://127.0.0.1:7777/", "hello 127.0.0.1:7777\n"),
        ("curl -sS http://private.test/", ""),
    ] {
        let outcome = client.run(script).await;
        assert!(outcome.ran().1.starts_with(expected), "{script}: {outcome:?}");
        assert_eq!(outcome.ran().0 == 0, !expected.is_empty(), "{script}: {outcome:?}");
    }
    for script in [
        "curl -sS -m 5 http://9.9.9.9/",
        "curl -sS -m 5 http://localhost:80/",
        "curl -sS -m 5 http://10.0.0.7:7777/",
        "curl -sS -m 5 http://127.0.0.2:7777/",
    ] {
        let outcome = client.run(script).await;
        assert!(outcome.ran().0 != 0 && !outcome.ran().1.contains("hello"), "{script}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_address_without_a_way_is_named_with_what_leads_there() {
    let world = World::with_rules("");
    let Some(client) = client(&world, &Person::absent(), &[]).await else { return };
    let script = "curl -sS -m 5 http://10.0.0.7/; \
                  /usr/bin/python3 -c 'import socket; socket.socket(type=socket.SOCK_DGRAM).connect((\"8.8.8.8\", 53))'";
    let outcome = client.run(script).await;
    let told = denials(&outcome);
    assert!(told.contains("10.0.0.7:80 by /usr/bin/curl was refused"), "{outcome:?}");
    // Nothing is said of them all, nor of what only looks for a way.
    assert!(!told.contains("ADDRESS:PORT") && !told.contains("8.8.8.8"), "{told}");
    let rule = told.split("a person can write ").nth(1).and_then(|rest| rest.split(" into the rules").next());
    let rule = rule.expect("what would allow it").replace("\\\"", "\"");
    fs::write(world.rules_file(), rule).expect("written");
    assert_eq!(client.run("curl -sS http://10.0.0.7/").await.ran(), (0, "hello 10.0.0.7\n"));
}

/// Runs a command with what Codex says of the sandbox beside it.
async fn run_as_codex(client: &Client, world: &World, network: Value, script: &str) -> Outcome {
    let entries = json!([{"path": {"type": "special", "value": {"kind": "root"}}, "access": "write"}]);
    let profile = json!({"type": "managed", "file_system": {"type": "restricted", "entries": entries}, "network": network});
    let state = json!({"permissionProfile": profile, "sandboxCwd": world.workdir()});
    let request = rmcp::model::CustomRequest::new("codex/sandbox-state/update", Some(state));
    let sent = client.service().send_request(rmcp::model::ClientRequest::CustomRequest(request)).await;
    sent.expect("understood");
    client.run(script).await
}

#[tokio::test]
async fn a_clients_lists_of_hosts_are_obeyed() {
    let world = World::with_rules("");
    let Some(client) = client(&world, &Person::absent(), &[]).await else { return };
    let script = "curl -sS -m 20 http://good.test/; curl -sS -m 20 http://sub.good.test/";
    for (network, expected) in [
        (json!("restricted"), ""),
        (json!({"enabled": true, "allowed_domains": ["good.test"]}), "hello good.test\n"),
        (
            json!({"enabled": true, "allowed_domains": ["**.good.test"]}),
            "hello good.test\nhello sub.good.test\n",
        ),
        (json!({"enabled": true, "denied_domains": ["good.test"]}), "hello sub.good.test\n"),
        (
            json!({"enabled": true, "domains": {"*.good.test": "allow", "good.test": "deny"}}),
            "hello sub.good.test\n",
        ),
        (json!({"enabled": false, "allowed_domains": ["good.test"]}), ""),
    ] {
        let outcome = run_as_codex(&client, &world, network.clone(), script).await;
        let said: String = outcome
            .ran()
            .1
            .lines()
            .filter(|line| line.starts_with("hello"))
            .fold(String::new(), |all, line| all + line + "\n");
        assert_eq!(said, expected, "{network}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_for_longer_is_not_asked_for_again() {
    let world = World::with_rules("");
    let person = Person::answering([Answer::Choose("session"), Answer::Choose("always:3")]);
    let Some(client) = client(&world, &person, &[]).await else { return };
    for _ in 0..2 {
        assert_eq!(client.run("curl -sS http://good.test/").await.ran(), (0, "hello good.test\n"));
    }
    assert_eq!(person.asked().len(), 1);
    let outcome = client.run("curl -sS http://sub.good.test/").await;
    assert_eq!(outcome.ran(), (0, "hello sub.good.test\n"), "{:?}", person.asked());
    let rule = "network_rule(host=\"*.good.test\", ports=[80], decision=\"allow\")";
    assert!(person.asked()[1].contains(rule), "{:?}", person.asked());
    assert!(fs::read_to_string(world.answers_file()).expect("written").contains(rule));
    // Also for other names of the kind, and for no other port.
    let outcome = client
        .run("/usr/bin/python3 -c 'import socket; s = socket.create_connection((\"sub.good.test\", 80))'");
    assert_eq!(outcome.await.ran().0, 0);
    assert_eq!(person.asked().len(), 2);
}
