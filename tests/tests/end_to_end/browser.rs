//! Servers of commands in a real browser (Chromium without a window), by their published ports: pages, and web sockets.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::machine::is_installed;
use end_to_end_tests::waiting::eventually_async;
use serde_json::{Value, json};

use super::sessions::exec;

/// A browser that shows a page, and what the page's scripts print.
pub(crate) struct Browser {
    process: Child,
    said: Arc<Mutex<String>>,
}

impl Browser {
    pub(crate) fn open(world: &World, url: &str) -> Browser {
        let data = world.home().join("browser");
        let mut process = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--enable-logging=stderr", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", data.display()))
            .arg(url)
            .env("HOME", world.home())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, heard) = (BufReader::new(process.stderr.take().expect("piped")), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                heard.lock().expect("not poisoned").push_str(&(line + "\n"));
            }
        });
        Browser { process, said }
    }

    /// Waits until a script has printed this.
    pub(crate) async fn prints(&self, words: &str) {
        eventually_async(async || {
            let said = self.said.lock().expect("not poisoned").clone();
            if said.contains(words) { Ok(()) } else { Err(said) }
        })
        .await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that nobody has.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("bound").port()
}

/// Starts a server inside; where the result says that it is to be found.
pub(crate) async fn published(client: &Client, world: &World, command: &str) -> String {
    let going = exec(client, world, command, json!({"stdin": true, "yield_time_ms": 1000})).await;
    let session = going["session_id"].clone();
    let notes = Mutex::new(going["notes"].to_string());
    eventually_async(async || {
        let told = notes.lock().expect("not poisoned").clone();
        if told.contains("http://127.0.0.1:") {
            return Ok(());
        }
        let poll = json!({"session_id": session, "yield_time_ms": 250, "chars": ""});
        let polled: Value = client.structured("write_stdin", poll).await;
        *notes.lock().expect("not poisoned") = polled["notes"].to_string();
        Err(polled.to_string())
    })
    .await;
    let notes = notes.into_inner().expect("not poisoned");
    let url = notes.split("http://").nth(1).expect("a place");
    let place: String =
        url.chars().take_while(|one| one.is_ascii_digit() || matches!(one, '.' | ':')).collect();
    format!("http://{place}/")
}

/// A page that opens a web socket, and its server, which says again what it hears (RFC 6455).
const ECHO: &str = r#"
import base64, hashlib, http.server, sys
PAGE = b"""<!doctype html><script>
const socket = new WebSocket("ws://" + location.host + "/socket");
socket.onopen = () => socket.send("echo of hello");
socket.onmessage = message => console.log("heard " + message.data + " at " + location.host);
</script>"""
class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        key = self.headers.get("Sec-WebSocket-Key")
        if not key:
            self.send_response(200)
            self.send_header("Content-Length", str(len(PAGE)))
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            return self.wfile.write(PAGE)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept.decode())
        self.end_headers()
        while len(head := self.rfile.read(2)) == 2 and head[0] & 15 == 1:
            mask = self.rfile.read(4)
            text = bytes(one ^ mask[at % 4] for at, one in enumerate(self.rfile.read(head[1] & 127)))
            self.wfile.write(bytes([0x81, len(text)]) + text)
        self.close_connection = True
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Server).serve_forever()
"#;

#[tokio::test]
async fn a_page_with_a_web_socket_is_opened_where_the_result_says() {
    if !is_installed("python3") || !is_installed("chromium") {
        return;
    }
    let world = World::with_rules("").configured("");
    fs::write(world.workdir().join("echo.py"), ECHO).expect("written");
    let port = free_port().to_string();
    let client = Client::start_with(&world, &Person::absent(), &["--publish", &port]).await;
    let url = published(&client, &world, &format!("exec /usr/bin/python3 echo.py {port}")).await;
    let browser = Browser::open(&world, &url);
    browser.prints(&format!("heard echo of hello at 127.0.0.1:{port}")).await;
}

#[tokio::test]
#[ignore = "it needs the registries: make test-browser"]
async fn vite_shows_what_changes_while_it_is_shown() {
    let world = World::with_rules("").configured("");
    let app = world.workdir().join("app");
    fs::create_dir(&app).expect("made");
    fs::write(app.join("package.json"), "{\"private\": true, \"type\": \"module\"}").expect("written");
    fs::write(app.join("index.html"), "<!doctype html><script type=module src=/main.js></script>")
        .expect("written");
    let main = |version: u32| {
        format!("import.meta.hot.accept();\nconsole.log(\"version {version} of the page\");\n")
    };
    fs::write(app.join("main.js"), main(1)).expect("written");
    let install = ["install", "--no-audit", "--no-fund", "--loglevel=error", "vite@5"];
    let installed = Command::new("npm").args(install).current_dir(&app).output().expect("npm");
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let port = free_port().to_string();
    let client = Client::start_with(&world, &Person::absent(), &["--publish", &port]).await;
    let vite = format!("cd app && exec node_modules/.bin/vite --host 127.0.0.1 --port {port} --strictPort");
    let url = published(&client, &world, &vite).await;
    let browser = Browser::open(&world, &url);
    browser.prints("version 1 of the page").await;
    browser.prints("[vite] connected").await;
    // By its web socket, without being loaded again.
    fs::write(app.join("main.js"), main(2)).expect("written");
    browser.prints("[vite] hot updated: /main.js").await;
    browser.prints("version 2 of the page").await;
}
