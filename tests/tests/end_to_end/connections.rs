//! Behind the kernel's door only servers inside can be connected to, and all of those.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::waiting::eventually;

const DOOR: &[&str] = &["--door", "kernel"];

/// Servers of the host's in the working folder, which note who has come in `reached`. The last says so when
/// it listens.
const HOST: &str = r#"
import os, socket, sys, threading
when, folder = sys.argv[1], os.getcwd()
kept = []
def serve(name, kind=socket.SOCK_STREAM, bind_as=None):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(bind_as or name)
    kept.append(s)
    if kind != socket.SOCK_DGRAM:
        s.listen(64)
    def accept():
        while True:
            c = s.recv(99) if kind == socket.SOCK_DGRAM else s.accept()[0]
            with open('../reached', 'a') as f: f.write(f'{name}\n')
            try: c.send(b'reached')
            except (AttributeError, OSError): pass
    threading.Thread(target=accept, daemon=True).start()
serve(f'{folder}/{when}-absolute')
serve(f'{when}-relative')
number = os.open('.', os.O_PATH)
serve(f'/proc/self/fd/{number}/{when}-by-descriptor')
serve(f'{when}-new\nline')
serve(f'{when}-packets', socket.SOCK_SEQPACKET)
serve(f'{when}-datagrams', socket.SOCK_DGRAM)
serve(f'{when}-old-name'); os.rename(f'{when}-old-name', f'{when}-renamed')
serve(f'{when}-one-name'); os.link(f'{when}-one-name', f'{when}-linked')
os.mkdir(f'{when}-old'); serve(f'{when}-old/socket'); os.rename(f'{when}-old', f'{when}-moved')
print('listening', flush=True)
sys.stdin.read()
"#;

/// Tries them all, in each way that there is, and says what came of it.
const INSIDE: &str = r#"
import errno, os, socket, sys
when = sys.argv[1]
names = [f'{when}-' + n for n in ('absolute relative by-descriptor packets datagrams renamed linked one-name moved/socket new\nline other-namespace').split(' ')]
here = os.getcwd()
number = os.open('.', os.O_PATH)
def spellings(name):
    yield name
    yield f'{here}/{name}'
    yield f'./../{os.path.basename(here)}/{name}'
    yield f'/proc/self/fd/{number}/{name}'
    yield f'/dev/fd/{number}/{name}'
    yield f'/proc/self/cwd/{name}'
    yield f'/proc/{os.getpid()}/cwd/{name}'
    yield f'/proc/self/root/{here}/{name}'
    link = 'link-to-it'
    if os.path.lexists(link): os.unlink(link)
    os.symlink(f'{here}/{name}', link); yield link
    hard = 'another-name'
    if os.path.lexists(hard): os.unlink(hard)
    try: os.link(name, hard); yield hard
    except OSError: pass
    opened = os.open(name, os.O_PATH); yield f'/proc/self/fd/{opened}'; os.close(opened)
results = set()
def attempt(what):
    try: results.add(f'{what()}')
    except OSError as e: results.add(errno.errorcode[e.errno])
def connect(kind, path):
    s = socket.socket(socket.AF_UNIX, kind); s.settimeout(5); s.connect(path); return s.recv(9)
def datagram(make, send):
    s = make(); return send(s)
for name in names:
    if not os.path.lexists(name): continue
    for path in spellings(name):
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM, socket.SOCK_RAW):
            if kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
                for make in (lambda: socket.socket(socket.AF_UNIX, kind), lambda: socket.socketpair(socket.AF_UNIX, kind)[0]):
                    attempt(lambda: datagram(make, lambda s: s.sendto(b'x', path)))
                    attempt(lambda: datagram(make, lambda s: s.sendmsg([b'x'], [], 0, path)))
                    attempt(lambda: datagram(make, lambda s: (s.connect(path), s.send(b'x'))))
            else:
                attempt(lambda: connect(kind, path))
print(sorted(results))
"#;

struct Host(Child);

impl Host {
    /// Starts servers outside; `around` may be a namespace.
    fn start(world: &World, around: &[&str], script: &str, when: &str) -> Host {
        let arguments = around.iter().copied().chain(["python3", "-c", script, when]);
        let mut arguments = arguments.collect::<Vec<_>>().into_iter();
        let mut server = Command::new(arguments.next().expect("a program"))
            .args(arguments)
            .current_dir(world.workdir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("servers outside");
        let mut line = String::new();
        BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "listening\n");
        Host(server)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn reached(world: &World) -> String {
    std::fs::read_to_string(world.workdir().join("../reached")).unwrap_or_default()
}

fn script(world: &World, name: &str, text: &str) {
    std::fs::write(world.workdir().join(name), text).expect("a script");
}

#[tokio::test]
async fn no_socket_of_the_hosts_is_reached_whatever_it_is_called_and_whenever_it_was_made() {
    const ELSEWHERE: &str = r#"
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + '-other-namespace'); s.listen(64)
print('listening', flush=True)
while True:
    c = s.accept()[0]
    with open('../reached', 'a') as f: f.write('other namespace\n')
    try: c.send(b'reached')
    except OSError: pass
"#;
    let world = World::with_rules("");
    script(&world, "inside.py", INSIDE);
    let mut kept = Vec::new();
    let start = |when: &str| {
        [
            Host::start(&world, &[], HOST, when),
            Host::start(&world, &["unshare", "--map-root-user", "--net"], ELSEWHERE, when),
        ]
    };
    kept.extend(start("early"));
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    client.run("true").await;
    kept.extend(start("late"));
    // They are there.
    for name in ["early-renamed", "late-renamed", "late-other-namespace"] {
        std::os::unix::net::UnixStream::connect(world.workdir().join(name)).expect("a server outside");
    }
    eventually(|| {
        let reached = reached(&world);
        let all = ["early-old-name", "late-old-name", "other namespace"];
        all.iter().all(|name| reached.contains(name)).then_some(()).ok_or(reached)
    });
    std::fs::remove_file(world.workdir().join("../reached")).expect("their notes");
    for when in ["early", "late"] {
        let outcome = client.run_within(&format!("python3 inside.py {when}"), Duration::from_secs(120)).await;
        let (code, said) = outcome.ran();
        assert_eq!(
            (code, said.contains("reached"), said.contains("None")),
            (0, false, false),
            "{when}: {said}"
        );
        assert!(said.contains("EACCES") && said.contains("EPERM"), "{when}: {said}");
        assert_eq!(reached(&world), "", "{when}: {said}");
    }
}

#[tokio::test]
async fn addresses_and_descriptors_that_change_meanwhile_lead_nowhere() {
    const RACE: &str = r#"
import ctypes, os, socket, struct, threading, time
libc = ctypes.CDLL(None, use_errno=True)
inside = socket.socket(socket.AF_UNIX); inside.bind('inside'); inside.listen(4096)
came = 0
def accept():
    global came
    while True: inside.accept()[0].close(); came += 1
threading.Thread(target=accept, daemon=True).start()
address = lambda path: struct.pack('H', 1) + path.encode().ljust(108, b'\0')
buffer = ctypes.create_string_buffer(110)
own, other = address('inside'), address('late-renamed')
done = False
if os.path.lexists('link'): os.unlink('link')
os.symlink('inside', 'link')
def flip():
    while not done:
        ctypes.memmove(buffer, own, 110); ctypes.memmove(buffer, other, 110)
def relink():
    while not done:
        for target in ('inside', 'late-renamed'):
            os.symlink(target, 'new'); os.rename('new', 'link')
threading.Thread(target=flip, daemon=True).start()
threading.Thread(target=relink, daemon=True).start()
by_link = ctypes.create_string_buffer(address('link'))
results = {}
end = time.monotonic() + 8
while time.monotonic() < end:
    for where in (buffer, by_link):
        s = socket.socket(socket.AF_UNIX)
        result = ctypes.get_errno() if libc.connect(s.fileno(), where, 110) else 0
        results[result] = results.get(result, 0) + 1
        s.close()
done = True
print(results, 'some' if came else 'none', flush=True)
"#;
    let world = World::with_rules("");
    script(&world, "race.py", RACE);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    client.run("true").await;
    let _host = Host::start(&world, &[], HOST, "late");
    let outcome = client.run_within("python3 race.py", Duration::from_secs(60)).await;
    let said = outcome.ran().1;
    assert!(said.ends_with("some\n") && said.contains("13:"), "both sides were tried: {outcome:?}");
    assert_eq!(reached(&world), "");
}

/// What people run inside, and what it says when it works.
const SERVERS: &[(&str, &str, &str)] = &[
    (
        "Python's HTTP server",
        "python3 -c '
import http.server, socketserver, threading, socket, http.client
class S(socketserver.UnixStreamServer):
    def get_request(self): return super().get_request()[0], (\"x\", 0)
open(\"page\", \"w\").write(\"hello\")
s = S(\"http.sock\", http.server.SimpleHTTPRequestHandler); threading.Thread(target=s.serve_forever, daemon=True).start()
class C(http.client.HTTPConnection):
    def connect(self): self.sock = socket.socket(socket.AF_UNIX); self.sock.connect(\"http.sock\")
c = C(\"x\"); c.request(\"GET\", \"/page\"); print(c.getresponse().read().decode())' 2> /dev/null",
        "hello",
    ),
    (
        "Node",
        "node -e 'const n=require(\"net\"); const s=n.createServer(c=>c.end(\"hello\")).listen(\"node.sock\",()=>n.connect(\"node.sock\").on(\"data\",d=>{console.log(String(d)); s.close()}))'",
        "hello",
    ),
    (
        "a D-Bus session",
        "dbus-run-session -- dbus-send --session --print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.GetId 2> /dev/null | grep -c string",
        "1",
    ),
    (
        "gpg-agent",
        "export GNUPGHOME=$PWD/gpg; mkdir -m 700 gpg; gpg -q --batch --passphrase '' --quick-gen-key a@b.invalid 2> /dev/null; echo x | gpg -q --batch --sign 2> /dev/null | gpg -q --batch -d 2> /dev/null; gpgconf --kill all",
        "x",
    ),
    ("tmux", "tmux -S tmux.sock new-session -d 'sleep 9'; tmux -S tmux.sock list-sessions | grep -c '1 windows'; tmux -S tmux.sock kill-server", "1"),
    (
        "an abstract socket",
        "python3 -c '
import socket
s = socket.socket(socket.AF_UNIX); s.bind(\"\\0x\"); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect(\"\\0x\"); print(\"hello\")'",
        "hello",
    ),
    (
        "TCP",
        "python3 -c '
import socket
s = socket.create_server((\"127.0.0.1\", 0)); c = socket.create_connection(s.getsockname()); print(\"hello\")
u = socket.socket(type=socket.SOCK_DGRAM); u.connect((\"127.0.0.1\", 9)); u.send(b\"x\")
s.close()
try: socket.create_connection(s.getsockname() if 0 else (\"127.0.0.1\", 9))
except ConnectionRefusedError: print(\"refused\")'",
        "hello\nrefused",
    ),
    (
        "a deep folder by a descriptor",
        "python3 -c '
import os, socket
d = \"d\" * 120; os.mkdir(d); n = os.open(d, os.O_PATH)
s = socket.socket(socket.AF_UNIX); s.bind(f\"/proc/self/fd/{n}/s\"); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect(f\"/proc/self/fd/{n}/s\"); print(\"hello\")'",
        "hello",
    ),
    (
        "errors",
        "python3 -c '
import errno, os, socket
def t(path, kind=socket.SOCK_STREAM, s=None):
    s = s or socket.socket(socket.AF_UNIX, kind)
    try: s.connect(path); print(0)
    except OSError as e: print(errno.errorcode[e.errno])
t(\"missing\"); open(\"plain\", \"w\"); t(\"plain\"); t(\"plain/x\")
s = socket.socket(socket.AF_UNIX); s.bind(\"stale\"); t(\"stale\"); s.listen(); t(\"stale\"); t(\"stale\", socket.SOCK_SEQPACKET)
c = socket.socket(socket.AF_UNIX); t(\"stale\", s=c); t(\"stale\", s=c); s.close(); t(\"stale\")
f = socket.socket(socket.AF_UNIX); f.bind(\"full\"); f.listen(0); t(\"full\"); n = socket.socket(socket.AF_UNIX); n.setblocking(False); k = []
t(\"full\", s=n)'",
        "ENOENT\nECONNREFUSED\nENOTDIR\nECONNREFUSED\n0\nEPROTOTYPE\n0\nEISCONN\nECONNREFUSED\n0\nEAGAIN",
    ),
    (
        "who has come",
        "python3 -c '
import os, socket, struct
s = socket.socket(socket.AF_UNIX); s.bind(\"who\"); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect(\"who\"); a = s.accept()[0]
pid, uid, gid = struct.unpack(\"3i\", a.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)); print(pid, uid == os.getuid(), gid == os.getgid())
pid, uid, gid = struct.unpack(\"3i\", c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)); print(pid == os.getpid())'",
        "0 True True\nTrue",
    ),
];

#[tokio::test]
async fn servers_inside_are_reached_as_ever() {
    let world = World::with_rules("");
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    for (name, script, says) in SERVERS {
        let outcome = client.run_within(script, Duration::from_secs(60)).await;
        assert_eq!(outcome.ran().1.trim_end(), *says, "{name}: {outcome:?}");
    }
}

/// Servers that never accept hold whoever connects; nobody else waits for them.
#[tokio::test]
async fn connections_that_wait_keep_nobody_else_from_theirs() {
    const HELD: &str = r#"
import os, signal, socket, time
s = socket.socket(socket.AF_UNIX); s.bind('held'); s.listen(0)
children = []
for _ in range(40):
    child = os.fork()
    if child == 0:
        socket.socket(socket.AF_UNIX).connect('held'); os._exit(0)
    children.append(child)
time.sleep(1)
open('holding', 'w').close()
while not os.path.exists('go'): time.sleep(0.05)
for child in children[:20]: os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
time.sleep(1)
came = [s.accept() for _ in range(21)]
for child in children[20:]: assert os.waitpid(child, 0)[1] == 0
print('all came')
"#;
    let world = World::with_rules("");
    script(&world, "held.py", HELD);
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let other = "while [ ! -e holding ]; do sleep 0.05; done; python3 -c '
import socket
s = socket.socket(socket.AF_UNIX); s.bind(\"free\"); s.listen(); socket.socket(socket.AF_UNIX).connect(\"free\"); print(\"free\")'; touch go";
    let (held, free) = tokio::join!(
        client.run_within("python3 held.py", Duration::from_secs(60)),
        client.run_within(other, Duration::from_secs(60))
    );
    assert_eq!(free.ran().1, "free\n", "{free:?}");
    assert_eq!(held.ran().1, "all came\n", "{held:?}");
    // Those of a call that is over are given up.
    let outcome = client
        .run_within(
            "python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX); s.bind(\"over\"); s.listen(0)
for _ in range(30):
    if os.fork() == 0: socket.socket(socket.AF_UNIX).connect(\"over\"); os._exit(0)
' & sleep 1; echo over",
            Duration::from_secs(30),
        )
        .await;
    assert_eq!(outcome.ran().1, "over\n");
    assert_eq!(client.run(SERVERS[0].1).await.ran().1, "hello\n");
}

#[tokio::test]
async fn a_socket_that_the_user_has_taken_out_of_what_is_hidden_is_reached() {
    let world = World::with_rules("");
    let home = world.home().to_owned();
    let path = |name: &str| home.join(name);
    let granted = path("granted.sock");
    let serve = |path: &Path| {
        let listener = std::os::unix::net::UnixListener::bind(path).expect("a socket");
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let _ = std::io::Write::write_all(&mut connection.expect("a connection"), b"reached");
            }
        });
    };
    serve(&granted);
    serve(&path("other.sock"));
    let world = world.configured(&format!("[shell_tool]\nallow_read = [\"{}\"]\n", granted.display()));
    let client = Client::start_with(&world, &Person::absent(), DOOR).await;
    let command = |path: &Path| {
        format!(
            "python3 -c '
import socket
s = socket.socket(socket.AF_UNIX); s.connect(\"{}\"); print(s.recv(9))'",
            path.display()
        )
    };
    assert_eq!(client.run(&command(&granted)).await.ran().1, "b'reached'\n");
    assert!(!client.run(&command(&path("other.sock"))).await.ran().1.contains("reached"));
    // Another socket at its place is another socket.
    std::fs::rename(&granted, path("away.sock")).expect("moved");
    serve(&granted);
    assert!(client.run(&command(&granted)).await.ran().1.contains("PermissionError"));
    assert_eq!(client.run(&command(&path("away.sock"))).await.ran().1, "b'reached'\n");
}
