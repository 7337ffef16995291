//! Hosts by name: what a command's connections cost through the whole server, beside the same program that connects to the
//! same server directly.
//!
//! Both sides are in a user, mount and network namespace of their own, where the server has an address of the public Internet;
//! nothing leaves the machine.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::lines::Lines;

use super::{cost, in_turn, median, milliseconds, request, shell};

/// Set where everything is prepared.
const PREPARED: &str = "BENCH_NETWORK_PREPARED";
const PROGRAM: &str = include_str!("network.py");
const RULES: &str = "network_rule(host=\"good.test\", decision=\"allow\")\n";

/// What the namespaces hold: one address that comes from elsewhere, as it would on the Internet, and its name.
const MACHINE: &str = r#"
ip link set lo up && ip addr add 8.8.4.4/32 dev lo && ip addr add 9.9.9.9/32 dev lo &&
ip route replace local 9.9.9.9 dev lo table local src 8.8.4.4 && mount --bind "$1" /etc/hosts && shift && exec "$@"
"#;

pub(super) fn measure() {
    if std::env::var_os(PREPARED).is_some() {
        return measure_prepared();
    }
    let hosts = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(&hosts, "127.0.0.1 localhost\n9.9.9.9 good.test\n").expect("written");
    let program = std::env::current_exe().expect("this program");
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--net", "--kill-child", "sh", "-c", MACHINE, "sh"])
        .arg(hosts.path())
        .arg(program)
        .arg("network")
        .env(PREPARED, "")
        .status();
    assert!(status.expect("unshare").success(), "no namespaces can be made here");
}

fn measure_prepared() {
    println!("\n{:<58} {:>10} {:>10}  (goal)", "hosts by name: median of each", "direct", "by name");
    let world = World::with_rules(RULES);
    let mut server = Side::start(&world);
    let measured = |what: &str, rounds| {
        in_turn(rounds, || directly(&world, what), || by_name(&world, &server.sandbox, what))
    };
    let (direct, by_name_, _) = measured("handshakes", 15);
    cost("connect and TLS handshake", direct, by_name_, "0.3 ms");
    for (what, words) in [("download", "1 GB down"), ("upload", "1 GB up")] {
        let (direct, by_name_, ratio) = measured(what, 9);
        let [direct, by_name_] = [direct, by_name_].map(milliseconds);
        println!("{words:<58} {direct:>7.0} ms {by_name_:>7.0} ms  {:.2} × as fast (0.9)", 1.0 / ratio);
    }
    let (direct, by_name_, _) = measured("crowd", 5);
    let [direct, by_name_] = [direct, by_name_].map(milliseconds);
    println!("{:<58} {direct:>7.0} ms {by_name_:>7.0} ms  (all served)", "1,000 connections at once");
    let answered = median((0..5).map(|_| by_name(&world, &server.sandbox, "names")));
    cost("the address of a name", Duration::ZERO, answered, "0.2 ms");
    server.peer.kill().expect("it runs");
}

/// The server that is connected to, and the one whose commands connect.
struct Side {
    peer: Child,
    sandbox: RefCell<Lines>,
}

impl Side {
    fn start(world: &World) -> Side {
        let at = |name: &str| world.workdir().join(name);
        fs::write(at("network.py"), PROGRAM).expect("written");
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=good.test", "-addext", "subjectAltName=DNS:good.test"])
            .arg("-keyout")
            .arg(at("key.pem"))
            .arg("-out")
            .arg(at("certificate.pem"))
            .output();
        assert!(made.expect("openssl").status.success(), "no certificate");
        let mut peer = Command::new("/usr/bin/python3")
            .args(["network.py", "serve", "certificate.pem", "key.pem"])
            .current_dir(world.workdir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut line = String::new();
        let output = peer.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        let mut sandbox = Lines::start_with(world, &[]);
        sandbox.initialize();
        Side { peer, sandbox: RefCell::new(sandbox) }
    }
}

fn directly(world: &World, what: &str) -> Duration {
    let status = Command::new("/usr/bin/python3")
        .args(["network.py", what, "certificate.pem", "result"])
        .current_dir(world.workdir())
        .status();
    assert!(status.expect("Python starts").success());
    result(world)
}

fn by_name(world: &World, sandbox: &RefCell<Lines>, what: &str) -> Duration {
    let command = format!("/usr/bin/python3 network.py {what} certificate.pem result");
    request(&mut sandbox.borrow_mut(), &shell(world, &command, false));
    result(world)
}

/// The median of what the client has measured.
fn result(world: &World) -> Duration {
    let text = fs::read_to_string(world.workdir().join("result")).expect("a result");
    let times: Vec<f64> = serde_json::from_str(&text).expect("times");
    median(times.into_iter().map(Duration::from_secs_f64))
}
