//! Hosts where the sandbox has no network namespace: through a proxy that the server is, and that alone.

#![cfg(target_os = "linux")]

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Answer, Client, Person};

use super::hosts_by_name::{client, denials};

const RULES: &str = "network_rule(host=\"good.test\", ports=[80, 7777], decision=\"allow\")\n\
                     network_rule(host=\"*\", ports=[81, 7777], decision=\"allow\")\n\
                     network_rule(host=\"sub.good.test\", decision=\"allow\", by=[\"curl\"])\n\
                     network_rule(host=\"10.0.0.7\", ports=[80], decision=\"allow\")\n\
                     network_rule(host=\"evil.test\", decision=\"deny\", justification=\"it is evil\")\n";

async fn alone(rules: &str, person: &Person) -> Option<(World, Client)> {
    let world = World::with_rules(rules).configured("[shell_tool]\nnamespaces = \"off\"\n");
    let client = client(&world, person, &[]).await?;
    Some((world, client))
}

#[tokio::test]
async fn programs_that_know_of_proxies_reach_allowed_hosts() {
    let Some((_world, client)) = alone(RULES, &Person::absent()).await else { return };
    let python = "/usr/bin/python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())'";
    for script in [
        "curl -sS http://good.test/".to_owned(),
        "curl -sS --proxytunnel http://good.test:7777/".to_owned(),
        "curl -sS --noproxy '' --socks5-hostname ${HTTP_PROXY#http://} http://good.test/".to_owned(),
        "curl -sS http://sub.good.test/".to_owned(),
        "curl -sS http://10.0.0.7/".to_owned(),
        format!("{python} http://good.test/"),
        "wget -qO- http://good.test/".to_owned(),
    ] {
        let outcome = client.run_within(&script, Duration::from_secs(30)).await;
        let (code, output) = outcome.ran();
        assert!(code == 0 && output.contains("hello"), "{script}: {outcome:?}");
    }
    // By program, as everywhere.
    let outcome = client.run(&format!("{python} http://sub.good.test/")).await;
    assert!(outcome.ran().0 != 0 && denials(&outcome).contains("sub.good.test:80"), "{outcome:?}");
    let evil = client.run("curl -sS --fail-with-body http://evil.test/").await;
    let told = denials(&evil);
    assert!(evil.ran().0 != 0 && told.contains("evil.test:80") && told.contains("it is evil"), "{evil:?}");
}

#[tokio::test]
async fn nothing_is_reached_but_the_proxy() {
    let Some((_world, client)) = alone(RULES, &Person::absent()).await else { return };
    assert_eq!(client.run("curl -sS http://good.test/").await.ran(), (0, "hello good.test\n"));
    let socket = |what: &str| {
        format!(
            "/usr/bin/python3 -c 'import os, socket\nport = int(os.environ[\"HTTP_PROXY\"].split(\":\")[-1])\n{what}\nprint(\"hello\")'"
        )
    };
    for script in [
        // Past the proxy, also at its own port elsewhere.
        "curl -sS -m 5 --noproxy '*' http://9.9.9.9/".to_owned(),
        "curl -sS -m 5 --noproxy '*' http://127.0.0.1:7777/".to_owned(),
        socket("socket.create_connection((\"9.9.9.9\", 80), 5)"),
        socket("socket.create_connection((\"9.9.9.9\", port), 5)"),
        socket("socket.create_connection((\"::ffff:9.9.9.9\", 80), 5)"),
        // Without connecting, by other protocols, as a server.
        socket("s = socket.socket(); s.sendto(b\"x\", 0x20000000, (\"9.9.9.9\", 80)); s.getpeername()"),
        socket(
            "s = socket.socket(); s.sendmsg([b\"x\"], [], 0x20000000, (\"9.9.9.9\", 80)); s.getpeername()",
        ),
        socket("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b\"x\", (\"9.9.9.9\", 53))"),
        socket("socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)"),
        socket("socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect((\"9.9.9.9\", 80))"),
        socket("socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET, 132)"),
        socket("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
        socket("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
        socket("socket.socket(40, socket.SOCK_STREAM)"),
        socket("s = socket.socket(); s.bind((\"0.0.0.0\", 0))"),
        socket("s = socket.socket(); s.listen()"),
        // What is behind the proxy, in ways that could lead past the rules.
        "curl -sS --fail -m 5 --proxytunnel http://127.0.0.1:7777/".to_owned(),
        "curl -sS --fail -m 5 http://localhost:7777/ -x $HTTP_PROXY --noproxy ''".to_owned(),
        "curl -sS --fail -m 5 -x $HTTP_PROXY http://0x7f.1:7777/".to_owned(),
        "curl -sS --fail -m 5 -x $HTTP_PROXY http://[::1]:7777/".to_owned(),
        "curl -sS --fail -m 5 -x $HTTP_PROXY http://9.9.9.9:7777/".to_owned(),
        "curl -sS --fail -m 5 -x $HTTP_PROXY http://meta.test:7777/latest/meta-data/".to_owned(),
        "curl -sS --fail -m 5 -H 'Host: evil.test' http://good.test/".to_owned(),
        "curl -sS --fail -m 5 --proxytunnel -H 'Host: evil.test' http://good.test/".to_owned(),
    ] {
        let outcome = client.run_within(&script, Duration::from_secs(30)).await;
        let (code, output) = outcome.ran();
        assert!(code != 0 && !output.contains("hello"), "{script}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_person_is_asked_and_told_what_this_does_not_hold() {
    let person = Person::answering([Answer::Accept]);
    let Some((_world, client)) = alone("", &person).await else { return };
    let outcome = client.run("curl -sS http://good.test/").await;
    assert_eq!(outcome.ran(), (0, "hello good.test\n"), "{outcome:?}");
    let asked = person.asked();
    assert!(asked[0].contains("connect to `good.test:80`") && asked[0].contains("curl"), "{asked:?}");
    assert!(outcome.json()["notes"].to_string().contains("through a proxy alone"), "{outcome:?}");
}
