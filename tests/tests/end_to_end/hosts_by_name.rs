//! Hosts by name, through the whole server: real programs, servers with names of our own.
//!
//! Each server of ours runs in a user, mount and network namespace of the test's own, with a hosts file of its own. The machine
//! in there has an address of the public Internet besides those that mean itself, so that a name may lead to it.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Answer, Client, Outcome, Person};
use end_to_end_tests::machine::{is_here, is_installed};
use end_to_end_tests::waiting::eventually_async;

const HOSTS: &str = "127.0.0.1 localhost loop.test\n9.9.9.9 good.test evil.test sub.good.test\n10.0.0.7 private.test\n\
                     169.254.169.254 meta.test\n127.0.0.2 inner.good.test\n8.8.4.4 own.test\n";

/// What the namespaces hold before the server starts: addresses, names, and servers. Connections to 9.9.9.9 come from elsewhere,
/// as they would on the Internet.
const MACHINE: &str = r#"
ip link set lo up && ip addr add 8.8.4.4/32 dev lo && ip addr add 9.9.9.9/32 dev lo && ip addr add 10.0.0.7/32 dev lo &&
ip route replace local 9.9.9.9 dev lo table local src 8.8.4.4 &&
ip route replace local 10.0.0.7 dev lo table local src 8.8.4.4 &&
mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && mkdir -p "$HOME/served" && rm -f "$HOME/ready" || exit 1
setpriv --pdeathsig KILL /usr/bin/python3 "$3" "$HOME/served" > "$HOME/ready" 2> "$HOME/why" < /dev/null &
until grep -qs ready "$HOME/ready"; do kill -0 $! || { cat "$HOME/why" >&2; exit 1; }; sleep 0.02; done
shift 3
exec "$@"
"#;

/// A server of HTTP that says which host it was asked for.
pub(crate) const HELLO: &str = r#"
import http.server, threading
class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        text = ("hello " + self.headers.get("Host", "") + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *_):
        pass
servers = [http.server.ThreadingHTTPServer(("0.0.0.0", port), Hello) for port in (80, 7777)]
print("ready", flush=True)
for server in servers:
    threading.Thread(target=server.serve_forever).start()
"#;

/// A machine of the test's own, if there can be one.
pub(crate) fn machine(world: &World, servers: &str, arguments: &[&str]) -> Option<Command> {
    let hosts = world.home().join("hosts");
    let resolver = world.home().join("resolv.conf");
    fs::write(&hosts, HOSTS).expect("written");
    fs::write(&resolver, "search good.test\n").expect("written");
    let serves = world.home().join("serves.py");
    fs::write(&serves, servers).expect("written");
    let namespaces = ["--user", "--map-root-user", "--mount", "--net", "--kill-child"];
    let has_them = Command::new("unshare").args(namespaces).args(["ip", "link", "set", "lo", "up"]).output();
    let has_them =
        has_them.map_err(|error| error.to_string()).and_then(|output| match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        });
    if !is_here("a network of its own", has_them) || !is_installed("python3") {
        return None;
    }
    let server = world.server(arguments);
    let mut command = Command::new("unshare");
    command.args(namespaces).args(["sh", "-c", MACHINE, "sh"]).arg(hosts).arg(resolver).arg(serves);
    command.arg(server.get_program()).args(server.get_args());
    world.surround(&mut command);
    Some(command)
}

pub(crate) async fn client(world: &World, person: &Person, arguments: &[&str]) -> Option<Client> {
    Some(Client::start_command(world, person, machine(world, HELLO, arguments)?).await)
}

pub(crate) fn denials(outcome: &Outcome) -> String {
    outcome.json()["denials"].to_string()
}

const RULES: &str = "network_rule(host=\"good.test\", ports=[80, 7777, 7778], decision=\"allow\")\n\
                     network_rule(host=\"evil.test\", decision=\"deny\", justification=\"it is evil\")\n";

/// Programs that reach a host by its name, each in its own way, and what they print.
const PROGRAMS: &[(&str, &str)] = &[
    ("curl", "curl -sS http://good.test/"),
    ("curl", "curl -sS -4 http://good.test/"),
    ("curl", "curl -sS -6 http://good.test/"),
    ("curl", "curl -sS --no-keepalive http://good.test:7777/"),
    ("wget", "wget -qO- http://good.test/"),
    (
        "python3",
        "/usr/bin/python3 -c 'import urllib.request as u; print(u.urlopen(\"http://good.test/\").read().decode())'",
    ),
    (
        "python3",
        "/usr/bin/python3 -c '
import asyncio
async def main():
    r, w = await asyncio.open_connection(\"good.test\", 80)
    w.write(b\"GET / HTTP/1.0\\r\\nHost: good.test\\r\\n\\r\\n\")
    print((await r.read()).decode())
asyncio.run(main())'",
    ),
    ("node", "node -e 'fetch(\"http://good.test/\").then(r => r.text()).then(console.log)'"),
    (
        "node",
        "node -e 'require(\"dns\").resolve4(\"good.test\", (e, a) => console.log(e || \"hello \" + a))'",
    ),
    ("busybox", "busybox wget -qO- http://good.test/"),
    ("getent", "getent ahosts good.test | sed -n 's/^198.18.*/hello good.test/p' | head -1"),
    // By way of the search list.
    ("getent", "getent hosts sub | sed 's/^/hello /'"),
];

#[tokio::test]
async fn programs_reach_allowed_hosts_as_they_always_do() {
    let world = World::with_rules(RULES);
    let Some(client) = client(&world, &Person::absent(), &[]).await else { return };
    for (program, script) in PROGRAMS.iter().filter(|(program, _)| is_installed(program)) {
        let outcome = client.run_within(script, Duration::from_secs(30)).await;
        let (code, output) = outcome.ran();
        assert!(code == 0 && output.contains("hello"), "{program}: {script}: {outcome:?}");
    }
}

/// Connects to so many ports of a host, all of which answer.
const MANY_PORTS: &str = "/usr/bin/python3 -c '
import socket
for port in range(9000, 9040):
    s = socket.create_connection((\"good.test\", port))
    s.sendall(b\"GET / HTTP/1.0\\r\\nHost: good.test\\r\\n\\r\\n\")
    said = s.makefile(\"rb\").read()
    assert b\"hello\" in said, (port, said)
print(\"all of them\")'";

#[tokio::test]
async fn as_many_ports_are_reached_as_a_program_needs() {
    let world = World::with_rules("network_rule(host=\"good.test\", decision=\"allow\")\n");
    let servers = HELLO.replace("(80, 7777)", "range(9000, 9040)");
    let Some(command) = machine(&world, &servers, &[]) else { return };
    let client = Client::start_command(&world, &Person::absent(), command).await;
    let outcome = client.run_within(MANY_PORTS, Duration::from_secs(30)).await;
    assert!(outcome.ran().1.contains("all of them"), "{outcome:?}");
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_at_once_and_says_why() {
    let world = World::with_rules(RULES);
    let Some(client) = client(&world, &Person::absent(), &[]).await else { return };
    let good = client.run("curl -sS http://good.test/").await;
    assert_eq!(good.ran(), (0, "hello good.test\n"), "{good:?}");
    let evil = client.run("curl -sS -m 20 http://evil.test/").await;
    let told = denials(&evil);
    assert!(evil.ran().0 != 0 && told.contains("evil.test:80") && told.contains("it is evil"), "{evil:?}");
    assert!(told.contains("default.rules:2") && told.contains("curl"), "{told}");
    // Who waits for its connection does not get one, and does not try again.
    let waits = client.run_within("wget -O- http://evil.test/", Duration::from_secs(30)).await;
    assert!(
        !is_installed("wget") || waits.ran().0 == 4 && waits.ran().1.contains("Connection refused"),
        "{waits:?}"
    );
    // Its words are no reason to speak of this machine's port 80, where somebody listens.
    assert!(!denials(&waits).contains("localhost"), "{waits:?}");
    let nobody = client.run_within("wget -O- http://good.test:7778/", Duration::from_secs(30)).await;
    assert!(!is_installed("wget") || nobody.ran().0 == 4, "nobody listens there: {nobody:?}");
    // Nobody can be asked about what no rule speaks about.
    let unknown = client.run("curl -sS -m 20 http://unknown.test/").await;
    let told = denials(&unknown);
    assert!(unknown.ran().0 != 0 && told.contains("unknown.test:80"), "{unknown:?}");
    assert!(told.contains("network_rule(host=") && told.contains("--allow-host"), "{told}");
    let port = client.run("curl -sS -m 20 http://good.test:8080/").await;
    assert!(port.ran().0 != 0 && denials(&port).contains("good.test:8080"), "{port:?}");
}

#[tokio::test]
async fn nothing_else_of_the_network_is_within_reach() {
    let world = World::with_rules("network_rule(host=\"*\", decision=\"allow\")");
    let Some(client) = client(&world, &Person::absent(), &[]).await else { return };
    assert_eq!(client.run("curl -sS http://good.test/").await.ran(), (0, "hello good.test\n"));
    for script in [
        // Addresses that are typed, in every notation.
        "curl -sS -m 5 http://9.9.9.9/",
        "curl -sS -m 5 http://[::ffff:9.9.9.9]/",
        "curl -sS -m 5 http://0x7f.1:7777/",
        "curl -sS -m 5 http://127.1:7777/",
        "curl -sS -m 5 http://2130706433:7777/",
        "curl -sS -m 5 http://localhost:7777/",
        "curl -sS -m 5 'http://[fe80::1%25eth0]/'",
        "curl -sS -m 5 http://192.0.0.1:7777/",
        // Names that lead to the machine itself, to its link.
        "curl -sS -m 5 http://loop.test:7777/",
        "curl -sS -m 5 http://inner.good.test:7777/",
        "curl -sS -m 5 http://meta.test/latest/meta-data/",
        // Another host's name inside.
        "curl -sS -m 5 -H 'Host: evil.test' http://good.test/",
        // The way out changed, or looked for by another protocol.
        "ip route add default via 192.0.0.1 && curl -sS -m 5 http://9.9.9.9/",
        "ping -c 1 -W 2 good.test",
        "/usr/bin/python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'",
        "/usr/bin/python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); \
         s.connect((\"good.test\", 443)); s.send(b\"x\"); s.recv(1)'",
    ] {
        let outcome = client.run_within(script, Duration::from_secs(30)).await;
        let (code, output) = outcome.ran();
        assert!(code != 0 && !output.contains("hello"), "{script}: {outcome:?}");
    }
}

/// The machine's own name server, which knows nothing and writes down what it was asked for.
pub(crate) const NAME_SERVER: &str = r#"
import socket, sys
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.1", 53))
def serve():
    while True:
        question, asker = names.recvfrom(4096)
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        with open(sys.argv[1] + "/asked", "a") as asked:
            asked.write(".".join(labels) + "\n")
        names.sendto(question[:2] + b"\x81\x83" + question[4:], asker)
import threading
threading.Thread(target=serve, daemon=True).start()
"#;

#[tokio::test]
async fn no_name_leaves_before_it_is_allowed() {
    let world = World::with_rules("network_rule(host=\"*.allowed.test\", decision=\"allow\")\n");
    let Some(command) = machine(&world, &(NAME_SERVER.to_owned() + HELLO), &[]) else { return };
    let client = Client::start_command(&world, &Person::absent(), command).await;
    let asked = || fs::read_to_string(world.home().join("served/asked")).unwrap_or_default();
    let outcome = client.run("curl -sS http://known.allowed.test/").await;
    assert!(outcome.ran().0 != 0 && denials(&outcome).contains("has no address"), "{outcome:?}");
    assert!(asked().contains("known.allowed.test"), "{}", asked());
    let script = "for n in 1 2 3; do getent ahosts secret-$n.tunnel.test; done
        curl -sS -m 20 http://secret-4.tunnel.test/
        getent ahosts secret-5.allowed.test
        /usr/bin/python3 -c '
import socket
ask = b\"\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0\\x06secret\\x04test\\0\\0\\x10\\0\\x01\"
for server in (\"127.0.0.1\", \"127.0.0.53\", \"8.8.4.4\", \"9.9.9.9\"):
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.settimeout(2)
    try:
        names.sendto(ask, (server, 53))
        print(server, names.recv(512))
    except OSError as error:
        print(server, error)
'";
    let outcome = client.run_within(script, Duration::from_secs(60)).await;
    assert!(outcome.ran().1.contains("198.18."), "names have addresses inside: {outcome:?}");
    assert!(!asked().contains("secret"), "{}", asked());
}

#[tokio::test]
async fn without_a_word_about_hosts_none_is_reached_unless_a_person_says_so() {
    let world = World::with_rules("");
    let Some(nobody) = client(&world, &Person::absent(), &[]).await else { return };
    let outcome = nobody.run("curl -sS -m 20 http://good.test/").await;
    assert!(outcome.ran().0 != 0 && denials(&outcome).contains("--allow-host good.test:80"), "{outcome:?}");
    let person = Person::answering([Answer::Accept]);
    let Some(somebody) = client(&world, &person, &[]).await else { return };
    assert_eq!(somebody.run("curl -sS http://good.test/").await.ran(), (0, "hello good.test\n"));
    assert_eq!(person.asked().len(), 1);
}

#[tokio::test]
async fn a_flag_allows_a_host() {
    let world = World::with_rules("");
    let arguments =
        ["--allow-host", "*.good.test:80", "--allow-host", "private.test", "--allow-host", "good.test:7777"];
    let Some(client) = client(&world, &Person::absent(), &arguments).await else { return };
    let outcome =
        client.run("curl -sS http://sub.good.test/ http://good.test:7777/ http://private.test/").await;
    let expected = "hello sub.good.test\nhello good.test:7777\nhello private.test\n";
    assert_eq!(outcome.ran(), (0, expected), "{outcome:?}");
    let outcome = client.run("curl -sS http://good.test/").await;
    assert_ne!(outcome.ran().0, 0);
}

#[tokio::test]
async fn a_person_is_asked_while_the_connection_waits() {
    let world = World::with_rules("");
    let person = Person::answering([Answer::Accept, Answer::Deny, Answer::Deny]);
    let arguments = ["--allow-host", "unused.test"];
    let Some(client) = client(&world, &person, &arguments).await else { return };
    let script = "curl -sS http://good.test/ & curl -sS http://good.test/ & wait";
    let outcome = client.run(script).await;
    assert_eq!(outcome.ran().1, "hello good.test\nhello good.test\n", "{outcome:?}");
    let asked = person.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].contains("connect to `good.test:80`") && asked[0].contains("curl"), "{asked:?}");
    assert!(!asked[0].contains("Started by"), "by the command's own shell: {asked:?}");
    let outcome = client.run("env curl -sS http://evil.test/ | sh -c 'cat; :'").await;
    assert!(denials(&outcome).contains("a person said no"), "{outcome:?}");
    let outcome = client.run("sh -c 'curl -sS http://sub.good.test/; :' & wait").await;
    assert!(denials(&outcome).contains("a person said no"), "{outcome:?}");
    let asked = person.asked();
    let started: Vec<&str> = asked[2].lines().filter(|line| line.starts_with("Started by")).collect();
    assert!(started.len() == 1 && started[0].contains("-c curl -sS http://sub.good.test/; :"), "{asked:?}");
}

#[tokio::test]
async fn a_yes_to_a_call_ends_with_it() {
    let world = World::with_rules("");
    let person = Person::answering([Answer::Accept, Answer::Deny]);
    let Some(client) = client(&world, &person, &["--allow-host", "unused.test"]).await else { return };
    let left = "(until [ -e go ]; do sleep 0.05; done; curl -sS http://good.test/ > said 2>&1; touch done) \
                > /dev/null 2>&1 < /dev/null & curl -sS http://good.test/";
    assert_eq!(client.run(left).await.ran(), (0, "hello good.test\n"));
    let outcome = client.run("touch go; until [ -e done ]; do sleep 0.05; done; cat said").await;
    assert!(!outcome.ran().1.contains("hello"), "{outcome:?}");
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_says_nothing_of_what_listens_there() {
    let world = World::with_rules("network_rule(host=\"own.test\", decision=\"allow\")");
    let Some(client) = client(&world, &Person::absent(), &[]).await else { return };
    for port in [80, 81] {
        let outcome = client.run(&format!("curl -sS http://own.test:{port}/")).await;
        assert!(outcome.ran().0 != 0 && denials(&outcome).contains("this machine's own"), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_rule_and_is_on_record() {
    let world = World::with_rules(RULES);
    let Some(client) = client(&world, &Person::absent(), &[]).await else { return };
    let script = "/usr/bin/python3 -c '
import socket
s = socket.create_connection((\"good.test\", 80))
s.send(b\"GET / HTTP/1.1\\r\\nHost: good.test\\r\\n\\r\\n\")
said = b\"\"
while b\"hello\" not in said:
    said += s.recv(1000)
print(said[:8], flush=True)
open(\"open\", \"w\").close()
try:
    print(\"ended\", s.recv(10))
except OSError as error:
    print(\"reset\")'";
    let forget = async {
        let opened = world.workdir().join("open");
        while !opened.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        fs::write(world.rules_file(), "network_rule(host=\"other.test\", decision=\"allow\")")
            .expect("written");
    };
    let running = client.run_within(script, Duration::from_secs(30));
    let (outcome, ()) = tokio::join!(running, forget);
    assert_eq!(outcome.ran(), (0, "b'HTTP/1.1'\nreset\n"), "{outcome:?}");
    assert!(denials(&outcome).contains("is gone"), "{outcome:?}");
    let log = || world.server(&["audit", "show"]).output().expect("it runs").stdout;
    let is_there = || String::from_utf8_lossy(&log()).contains("good.test:80");
    // It is written when there is time for it.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !is_there() && std::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(is_there(), "{}", String::from_utf8_lossy(&log()));
}

/// Looks at the servers of its machine as a person does in another terminal, and writes down what it sees.
const LOOKING: &str = r#"
import subprocess
looking = subprocess.Popen(["PROGRAM", "approve", "--json"], stdin=subprocess.PIPE, stdout=open("SEEN", "w"))
"#;

#[tokio::test]
async fn open_connections_are_shown_to_who_looks_at_a_server() {
    let world = World::with_rules(RULES);
    let seen = world.home().join("seen.json");
    let program = end_to_end_tests::binaries().join("exec-server");
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let looking = LOOKING.replace("PROGRAM", &path(&program)).replace("SEEN", &path(&seen));
    let Some(command) = machine(&world, &(looking + HELLO), &[]) else { return };
    let client = Client::start_command(&world, &Person::absent(), command).await;
    let script = "/usr/bin/python3 -c '
import os, socket, time
s = socket.create_connection((\"good.test\", 80))
s.send(b\"GET / HTTP/1.1\\r\\nHost: good.test\\r\\n\\r\\n\")
said = b\"\"
while b\"hello\" not in said:
    said += s.recv(1000)
while not os.path.exists(\"seen\"):
    time.sleep(0.02)
s.close()'";
    // What was said of open connections, the newest last.
    let told = || -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&seen).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|line| line["event"] == "connections").collect()
    };
    let look = async {
        let shown = eventually_async(async || {
            let shown = told().pop().filter(|shown| shown["open"][0]["received"].as_u64() > Some(15));
            shown.ok_or_else(|| fs::read_to_string(&seen).unwrap_or_default())
        });
        let shown = shown.await;
        fs::write(world.workdir().join("seen"), "").expect("written");
        shown
    };
    let (outcome, shown) = tokio::join!(client.run_within(script, Duration::from_secs(60)), look);
    assert_eq!(outcome.ran().0, 0, "{outcome:?}");
    let open = &shown["open"][0];
    assert_eq!((&open["host"], &open["port"], &open["sent"]), (&"good.test".into(), &80.into(), &35.into()));
    assert!(open["program"].to_string().contains("python3"), "{shown}");
    assert!(open["allowed"].to_string().contains("default.rules:1"), "{shown}");
    eventually_async(async || {
        let last = told().pop().unwrap_or_default();
        if last["open"] == serde_json::json!([]) { Ok(()) } else { Err(last.to_string()) }
    })
    .await;
}
