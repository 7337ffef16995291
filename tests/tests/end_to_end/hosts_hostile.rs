//! What hostile programs try at the network by name, against the running server: another host named inside a connection, odd
//! questions for names, answers that change, and more connections than there is room for.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Outcome, Person};

use super::hosts_by_name::{HELLO, NAME_SERVER, denials, machine};

const RULES: &str = "network_rule(host=\"good.test\", decision=\"allow\")\n";
const PROGRAM: &str = include_str!("hosts_hostile.py");

/// Servers that take down what they hear, to its end: one of TLS that wants each hello again, one of HTTP/1, one of HTTP/2.
const EARS: &str = r#"
import itertools, socket, sys, threading
# A HelloRetryRequest: the random that says so, no session, a cipher, no compression, no extensions.
AGAIN = bytes.fromhex("160303002c020000280303cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c00130100") + b"\0\0"
ANSWERS = {443: AGAIN, 80: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 7777: b"\0\0\0\4\0\0\0\0\0"}
count = itertools.count()
def hear(stream, answer):
    with stream, open("%s/heard-%d" % (sys.argv[1], next(count)), "wb", buffering=0) as heard:
        try:
            while said := stream.recv(4096):
                heard.write(said)
                stream.sendall(answer)
        except OSError:
            pass
def serve(port):
    listener = socket.create_server(("0.0.0.0", port), backlog=1024)
    while True:
        threading.Thread(target=hear, args=(listener.accept()[0], ANSWERS[port]), daemon=True).start()
for port in ANSWERS:
    threading.Thread(target=serve, args=(port,)).start()
print("ready", flush=True)
"#;

/// Kinds that can be understood in two ways, or that nobody honest says: refused whatever they name.
const NEVER: &[&str] = &[
    "hello after a warning",
    "two names",
    "two extensions",
    "two hosts",
    "two lengths",
    "lines without a return",
];

/// All that the servers have heard, and in how many connections.
fn heard(world: &World) -> (usize, Vec<u8>) {
    let files = fs::read_dir(world.home().join("served")).expect("a folder").flatten();
    let heard: Vec<Vec<u8>> = files.map(|file| fs::read(file.path()).unwrap_or_default()).collect();
    (heard.len(), heard.concat().to_ascii_lowercase())
}

async fn attempts(client: &Client, name: &str) -> Outcome {
    client.run_within(&format!("/usr/bin/python3 hosts_hostile.py {name}"), Duration::from_secs(60)).await
}

#[tokio::test]
async fn another_host_is_named_in_no_way_inside_a_connection() {
    let world = World::with_rules(RULES);
    let Some(command) = machine(&world, EARS, &[]) else { return };
    let client = Client::start_command(&world, &Person::absent(), command).await;
    fs::write(world.workdir().join("hosts_hostile.py"), PROGRAM).expect("written");
    let good = attempts(&client, "good.test").await;
    let (code, output) = good.ran();
    let lines: Vec<(&str, &str)> = output.lines().filter_map(|line| line.rsplit_once(": ")).collect();
    assert!(code == 0 && lines.len() > 25, "{good:?}");
    for (kind, fate) in lines {
        let expected = if NEVER.contains(&kind) { "ConnectionResetError" } else { "ended" };
        assert_eq!(fate, expected, "{kind}: {good:?}");
    }
    let evil = attempts(&client, "evil.test").await;
    let (code, output) = evil.ran();
    assert!(code == 0, "{evil:?}");
    let (connections, said) = heard(&world);
    let hears = |name: &[u8]| said.windows(name.len()).any(|part| part == name);
    assert!(connections > 50 && hears(b"good.test"), "{connections}");
    assert!(!hears(b"evil"), "{}", String::from_utf8_lossy(&said));
    for line in output.lines() {
        assert!(
            line.ends_with(": ConnectionResetError") || line.ends_with(": BrokenPipeError"),
            "{line}: {evil:?}"
        );
    }
    assert!(denials(&evil).contains("evil.test"), "{evil:?}");
}

/// A name server that leads to the machine of the test, to those who ask, and to their link, in every notation.
const LEADING: &str = r#"
import socket, threading
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.1", 53))
V4, V6 = 1, 28
answers = [(V4, "9.9.9.9"), (V4, "127.0.0.1"), (V4, "9.9.9.9"), (V4, "169.254.169.254"), (V4, "0.0.0.0"),
                           (V6, "::1"), (V6, "::ffff:127.0.0.1"), (V6, "64:ff9b::7f00:1"), (V6, "fe80::1"), (V4, "9.9.9.9")]
def serve():
    while True:
        question, asker = names.recvfrom(4096)
        end = question.index(b"\0", 12)
        kind = int.from_bytes(question[end + 1:end + 3], "big")
        # The name's number says which answer it gets: n0, n1, … Others want to know other things.
        if question[13:14] != b"n":
            continue
        of, address = answers[int(question[14:13 + question[12]])]
        record = b""
        if of == kind:
            data = socket.inet_pton(socket.AF_INET if of == V4 else socket.AF_INET6, address)
            record = b"\xc0\x0c" + question[end + 1:end + 5] + b"\0\0\0\0" + len(data).to_bytes(2, "big") + data
        head = question[:2] + b"\x81\x80\0\1" + bytes([0, 1 if record else 0]) + b"\0\0\0\0"
        names.sendto(head + question[12:end + 5] + record, asker)
threading.Thread(target=serve, daemon=True).start()
"#;

#[tokio::test]
async fn answers_lead_to_the_public_internet_in_every_notation() {
    let world = World::with_rules("network_rule(host=\"*.allowed.test\", decision=\"allow\")\n");
    let servers = LEADING.to_owned() + HELLO;
    let Some(command) = machine(&world, &servers, &[]) else { return };
    let client = Client::start_command(&world, &Person::absent(), command).await;
    let public = [true, false, true, false, false, false, false, false, false, true];
    for (number, is_public) in public.into_iter().enumerate() {
        let script = format!("curl -sS -m 20 http://n{number}.allowed.test:7777/");
        let outcome = client.run_within(&script, Duration::from_secs(30)).await;
        let (code, output) = outcome.ran();
        assert_eq!(code == 0 && output.contains("hello"), is_public, "{number}: {outcome:?}");
        assert!(is_public || denials(&outcome).contains("not an address of the public"), "{outcome:?}");
    }
}

/// Questions that no resolver asks, after each of which an honest one is answered.
const QUESTIONS: &str = r#"
import socket, struct
def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"
def question(asked, kind=1, count=1, more=b"", additional=0, flags=0x0100):
    return struct.pack(">HHHHHH", 7, flags, count, 0, 0, additional) + asked + struct.pack(">HH", kind, 1) + more
SECRET = name("secret.tunnel.test")
A, CNAME, NULL, PTR, TXT, AAAA, OPT, HTTPS, AXFR, ANY = 1, 5, 10, 12, 16, 28, 41, 65, 252, 255
odd = [question(SECRET, kind) for kind in (CNAME, NULL, TXT, HTTPS, AXFR, ANY, OPT, 0, 65535)]
odd += [
    b"", b"\0", bytes(11), bytes(12), b"\xff" * 512,
    question(b"\xc0\x0c"), question(b"\1a\xc0\x0c"), question(b"\xc0\xff"), question(b"\x3fshort"),
    question(SECRET, count=2), question(SECRET, count=65535),
    question(name(".".join(["a" * 63] * 4))), question(name(".".join(["a"] * 130))), question(b"\x80abc\0"),
    question(SECRET, more=b"\0" + struct.pack(">HHIH", OPT, 65535, 0x00008000, 0), additional=1),
    question(SECRET, more=b"\0" + struct.pack(">HHIH", OPT, 0, 0xff000000, 60000), additional=1),
    question(SECRET, flags=0x8180), question(SECRET, flags=0x2800), question(SECRET) + bytes(60000),
    question(name("1.0.0.127.in-addr.arpa"), PTR), question(name("9.9.9.9.in-addr.arpa"), PTR),
]
def over_udp(asker, data):
    try:
        asker.send(data)
    except OSError as error:
        assert error.errno == 90, error
def honest(asker):
    asker.settimeout(20)
    asker.send(struct.pack(">H", 99) + question(name("good.test"))[2:])
    while True:
        answer = asker.recv(4096)
        assert len(answer) < 1300, len(answer)
        if answer[:2] == struct.pack(">H", 99):
            assert answer[-4:-2] == b"\xc6\x12", answer
            return
def stream():
    return socket.create_connection(("127.0.0.1", 53), 20)
def exactly(asker, length):
    data = b""
    while len(data) < length:
        piece = asker.recv(length - len(data))
        assert piece, "an end"
        data += piece
    return data
def honest_stream():
    asked = question(name("good.test"))
    with stream() as asker:
        asker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The length in two pieces, and the rest byte by byte.
        for byte in struct.pack(">H", len(asked)) + asked:
            asker.send(bytes([byte]))
        answer = exactly(asker, int.from_bytes(exactly(asker, 2), "big"))
        assert answer[-4:-2] == b"\xc6\x12", answer
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.connect(("127.0.0.1", 53))
honest(asker)
honest_stream()
for data in odd:
    over_udp(asker, data)
    honest(asker)
    with stream() as one:
        one.sendall(struct.pack(">H", len(data) & 0xffff) + data)
        one.shutdown(socket.SHUT_WR)
        try:
            while one.recv(4096):
                pass
        except ConnectionResetError:
            pass
    honest_stream()
# Streams that say half a length and no more are in nobody's way but their own kind's.
silent = [stream() for _ in range(60)]
for one in silent:
    one.send(b"\0")
honest(asker)
honest_stream()
print("all answered")
"#;

#[tokio::test]
async fn odd_questions_for_names_are_answered_inside_or_not_at_all() {
    let world = World::with_rules(RULES);
    let servers = NAME_SERVER.to_owned() + HELLO;
    let Some(command) = machine(&world, &servers, &[]) else { return };
    let client = Client::start_command(&world, &Person::absent(), command).await;
    fs::write(world.workdir().join("questions.py"), QUESTIONS).expect("written");
    let outcome = client.run_within("/usr/bin/python3 questions.py", Duration::from_secs(60)).await;
    assert_eq!(outcome.ran(), (0, "all answered\n"), "{outcome:?}");
    let asked = fs::read_to_string(world.home().join("served/asked")).unwrap_or_default();
    assert!(!asked.contains("secret"), "{asked}");
    assert_eq!(client.run("curl -sS http://good.test/").await.ran(), (0, "hello good.test\n"));
}

/// Opens connections that say nothing until it cannot, and waits for its input.
const GREEDY: &str = r#"
import resource, socket
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held = []
for _ in range(600):
    try:
        one = socket.create_connection(("good.test", 443), 20)
        one.settimeout(0.001)
        held.append(one)
    except OSError:
        pass
open("held", "w").close()
import time
while True:
    time.sleep(1)
"#;

#[tokio::test]
async fn connections_that_say_nothing_leave_room_for_another_call() {
    let world = World::with_rules(RULES);
    let Some(command) = machine(&world, EARS, &[]) else { return };
    // As few descriptors as many systems give.
    let mut bounded = Command::new("sh");
    bounded
        .args(["-c", "ulimit -n 1024; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    world.surround(&mut bounded);
    let client = Client::start_command(&world, &Person::absent(), bounded).await;
    fs::write(world.workdir().join("greedy.py"), GREEDY).expect("written");
    let served = async {
        let held = world.workdir().join("held");
        while !held.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut outcomes = Vec::new();
        for _ in 0..5 {
            outcomes.push(client.run("curl -sS -i http://good.test/ | head -1").await);
        }
        outcomes
    };
    let greedy = client.run_within("/usr/bin/python3 greedy.py", Duration::from_secs(20));
    let (_, outcomes) = tokio::join!(greedy, served);
    for outcome in outcomes {
        assert!(outcome.ran().1.starts_with("HTTP/1.1 200"), "{outcome:?}");
    }
}
