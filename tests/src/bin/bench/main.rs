//! `make bench`: how fast the shell is, beside plain Bash and beside Codex's server where its npm package can be
//! installed.
//!
//! Everything that is compared is measured in turn, round by round, so that a busy machine slows all of it alike; what
//! is printed is the median, and the median of the ratios of each round. Nothing here fails for being slow.

#![expect(clippy::print_stdout, reason = "a table for people")]
#![expect(clippy::expect_used, reason = "a measurement that cannot be made must say so and end")]

mod chart;
mod doors;
mod network;
mod rights;
mod sessions;

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use end_to_end_tests::lines::Lines;
use end_to_end_tests::{World, binaries};
use serde_json::{Value, json};

const EXECS: usize = 1000;

/// Parts that can be measured alone, by their names as arguments.
const PARTS: [(&str, fn()); 8] = [
    ("servers", servers),
    ("escalations", escalations),
    ("doors", doors::measure),
    ("sandboxes", sandboxes),
    ("approvals", approvals),
    ("rights", rights::measure),
    ("sessions", sessions::measure),
    ("network", network::measure),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (_, measure) in
        PARTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|it| it == name))
    {
        measure();
    }
    if chart::is_empty() {
        return;
    }
    println!("\nRatios, with their goals ( | ):\n\n{}", chart::draw());
}

/// Calls, beside plain Bash and beside Codex's server.
fn servers() {
    let world = World::with_rules("prefix_rule(pattern=[\"printenv\"], decision=\"allow\")\n");
    let ours = Contestant {
        name: "ours",
        bash: binaries().join("bash"),
        server: Box::new(|world| world.server(&["--sandbox", "danger-full-access"])),
        unsandboxed: None,
    };
    let mut contestants = vec![ours];
    match codex_server() {
        Ok(theirs) => contestants.push(theirs),
        Err(why) => println!("Codex's server is not measured: {why}\n"),
    }
    println!("{:<58} {:>10} {:>10}  ratio (goal)", "median of each", "plain", "measured");
    for contestant in &contestants {
        contestant.measure(&world);
        contestant.measure_calls(&world);
    }
    match std::env::var_os("SHELL_TOOL_MCP_LAUNCHER") {
        Some(launcher) => launcher_start(Path::new(&launcher), &world),
        None => println!("The launcher is not measured: SHELL_TOOL_MCP_LAUNCHER does not name it"),
    }
}

/// What a client waits for that starts the installed launcher, beside the least that anything in Node.js needs.
fn launcher_start(launcher: &Path, world: &World) {
    let node = || {
        let begin = Instant::now();
        let status = Command::new("node").args(["-e", "0"]).stdin(Stdio::null()).status();
        assert!(status.expect("Node.js starts").success());
        begin.elapsed()
    };
    let ours = || {
        let mut command = Command::new(launcher);
        world.surround(&mut command);
        // Where Node.js is.
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let begin = Instant::now();
        let mut lines = Lines::start_command(command);
        lines.initialize();
        begin.elapsed()
    };
    let (plain, ours, ratio) = in_turn(30, node, ours);
    let goal = 1.5 * milliseconds(plain) + 15.0;
    compared(
        "launcher: start to initialize answered",
        plain,
        ours,
        ratio,
        &format!("1.5 × + 15 ms: {goal:.0} ms"),
    );
}

/// A server, and the Bash that it runs.
struct Contestant {
    name: &'static str,
    bash: PathBuf,
    server: Box<dyn Fn(&World) -> Command>,
    /// What tells it to run without a sandbox, if it needs to be told.
    unsandboxed: Option<Value>,
}

impl Contestant {
    fn measure(&self, world: &World) {
        let start = median((0..15).map(|_| self.start(world).1));
        self.row("start to initialize answered", None, start, "20 ms");

        let (mut server, _) = self.start(world);
        let plain_true = || self.plain("true", world);
        let (plain, ours, ratio) = in_turn(60, plain_true, || call(&mut server, world, "true"));
        self.row("call of `true`, login: false, beside `bash -c true`", Some((plain, ratio)), ours, "2");
        let mut calls: Vec<Duration> = (0..300).map(|_| call(&mut server, world, "true")).collect();
        calls.sort();
        let (usual, slow) = (calls[calls.len() / 2], calls[calls.len() * 99 / 100]);
        let ratio = slow.as_secs_f64() / usual.as_secs_f64();
        self.row("its 99th percentile, beside its median", Some((usual, ratio)), slow, "3");

        let many = format!("for ((i = 0; i < {EXECS}; i++)); do /bin/true; done");
        let (plain, ours, ratio) =
            in_turn(7, || self.plain(&many, world), || call(&mut server, world, &many));
        self.row(&format!("{EXECS} × /bin/true under the hook"), Some((plain, ratio)), ours, "1.5");

        let many = format!("for ((i = 0; i < {EXECS}; i++)); do /usr/bin/printenv; done > /dev/null");
        let (plain, ours, ratio) =
            in_turn(5, || self.plain(&many, world), || call(&mut server, world, &many));
        self.row(&format!("{EXECS} × /usr/bin/printenv escalated"), Some((plain, ratio)), ours, "2.5");
        println!(
            "{:<58} {:>10} {:>7} KiB",
            format!("{}: resident memory afterwards", self.name),
            "",
            resident(server.pid())
        );
    }

    /// Whole calls: login shells, much output, many at once.
    fn measure_calls(&self, world: &World) {
        let (server, _) = self.start(world);
        let idle = format!("{}: resident memory idle", self.name);
        println!("{idle:<58} {:>10} {:>7} KiB  (12 MB)", "", resident(server.pid()));
        let server = RefCell::new(server);
        let call = |command: &str, login| request(&mut server.borrow_mut(), &shell(world, command, login));

        let profile = world.home().join(".bash_profile");
        std::fs::write(&profile, "export FROM_PROFILE=$(uname -s)\n").expect("a profile");
        let (plain, login, ratio) = in_turn(60, || call("true", false), || call("true", true));
        self.row("login call of `true`, beside login: false", Some((plain, ratio)), login, "1.5");
        std::fs::remove_file(profile).expect("it is there");

        let flood = "head -c 1000000000 /dev/zero";
        let (plain, ours, ratio) = in_turn(3, || self.through_a_pipe(flood, world), || call(flood, false));
        self.row("1 GB of output, beside a plain pipe", Some((plain, ratio)), ours, "2");

        let sixty_four = |at_once| many_calls(&mut server.borrow_mut(), world, at_once);
        let (one, sixteen, ratio) = in_turn(5, || sixty_four(1), || sixty_four(16));
        self.row("64 calls, 16 at once, beside one at a time", Some((one, ratio)), sixteen, "0.67");
    }

    /// Bash, and a reader that does nothing with what it reads.
    fn through_a_pipe(&self, command: &str, world: &World) -> Duration {
        let begin = Instant::now();
        let mut bash = Command::new(&self.bash)
            .args(["-c", command])
            .current_dir(world.workdir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Bash starts");
        let mut output = bash.stdout.take().expect("a pipe");
        let mut buffer = vec![0; 64 << 10];
        while output.read(&mut buffer).expect("a readable pipe") > 0 {}
        assert!(bash.wait().expect("it ends").success());
        begin.elapsed()
    }

    fn row(&self, what: &str, plain: Option<(Duration, f64)>, measured: Duration, goal: &str) {
        let (plain, ratio) = match plain {
            Some((plain, ratio)) => {
                (format!("{:.2} ms", milliseconds(plain)), format!("{ratio:.2} ({goal})"))
            }
            None => (String::new(), format!("({goal})")),
        };
        let measured = format!("{:.2} ms", milliseconds(measured));
        println!("{:<58} {plain:>10} {measured:>10}  {ratio}", format!("{}: {what}", self.name));
    }

    /// Starts the server and returns the time from its start to its answer.
    fn start(&self, world: &World) -> (Lines, Duration) {
        let begin = Instant::now();
        let mut server = Lines::start_command((self.server)(world));
        server.initialize();
        let time = begin.elapsed();
        if let Some(state) = &self.unsandboxed {
            let answer = server.request("codex/sandbox-state/update", state.clone());
            assert!(answer["error"].is_null(), "{answer}");
        }
        (server, time)
    }

    fn plain(&self, command: &str, world: &World) -> Duration {
        let begin = Instant::now();
        let status = Command::new(&self.bash)
            .args(["-c", command])
            .current_dir(world.workdir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("Bash starts").success());
        begin.elapsed()
    }
}

/// What it costs to leave the sandbox, beside plain Bash that forks and executes the same program; and many at once.
fn escalations() {
    println!("\n{:<58} {:>10} {:>10}  ratio (goal)", "median of each", "plain", "escalated");
    let world = World::with_rules("prefix_rule([\"true\"])\n").configured("");
    let mut server = Lines::start_with(&world, &[]);
    server.initialize();
    let bash = binaries().join("bash");
    let first = server.request("tools/call", shell(&world, "/bin/true", false));
    let text = first["result"]["content"][0]["text"].as_str().unwrap_or_default();
    if !text.contains("\"decision\":\"escalated\"") {
        println!("not here: {text}");
        return;
    }
    let many = format!("for ((i = 0; i < {EXECS}; i++)); do /bin/true; done");
    let (plain, escalated, ratio) =
        in_turn(5, || plain_run(&bash, &many, &world), || call(&mut server, &world, &many));
    compared_with(&format!("{EXECS} × /bin/true out of the sandbox"), plain, escalated, ratio, 2.5);

    // Each counts its own errors; the call ends well only if there were none.
    let parallel = "pids=(); for ((i = 0; i < 200; i++)); do /bin/true & pids+=($!); done; for pid in \"${pids[@]}\"; do wait $pid || exit 1; done";
    let (plain, escalated, ratio) =
        in_turn(5, || plain_run(&bash, parallel, &world), || call(&mut server, &world, parallel));
    compared("200 × /bin/true out of the sandbox at once", plain, escalated, ratio, "no error");
}

fn compared(what: &str, plain: Duration, measured: Duration, ratio: f64, goal: &str) {
    let [plain, measured] = [plain, measured].map(milliseconds);
    println!("{what:<58} {plain:>7.2} ms {measured:>7.2} ms  {ratio:.2} ({goal})");
}

/// As [`compared`], for the chart, too.
fn compared_with(what: &str, plain: Duration, measured: Duration, ratio: f64, goal: f64) {
    compared(what, plain, measured, ratio, &format!("{goal:.2}"));
    chart::add(what, ratio, goal);
}

/// What a sandbox adds to a call, beside plain Bash: all that is done for one call, its session being there.
fn sandboxes() {
    println!("\n{:<58} {:>10} {:>10}  added (goal)", "median of each", "bash -c", "call");
    for (name, setting, goal) in
        [("namespaces, Landlock and seccomp", "require", "3 ms"), ("Landlock and seccomp", "off", "1.5 ms")]
    {
        let world = World::with_rules("").configured(&format!("[shell_tool]\nnamespaces = \"{setting}\"\n"));
        let mut server = Lines::start_with(&world, &[]);
        server.initialize();
        let first = server.request("tools/call", shell(&world, "true", false));
        if first["result"]["isError"] == json!(true) {
            println!("{name}: not here: {}", first["result"]["content"][0]["text"]);
            continue;
        }
        let mut free = Lines::start_with(&world, &["--sandbox", "danger-full-access"]);
        free.initialize();
        let bash = binaries().join("bash");
        let plain = || plain_run(&bash, "true", &world);
        let (plain, measured, _) =
            in_turn(100, plain, || request(&mut server, &shell(&world, "true", false)));
        cost(&format!("call of `true` in {name}"), plain, measured, goal);
        let without = || request(&mut free, &shell(&world, "true", false));
        let (plain, measured, _) =
            in_turn(100, without, || request(&mut server, &shell(&world, "true", false)));
        cost("  the same, beside a call without a sandbox", plain, measured, "0.5 ms");
    }
}

fn plain_run(bash: &Path, command: &str, world: &World) -> Duration {
    let begin = Instant::now();
    let status =
        Command::new(bash).args(["-c", command]).current_dir(world.workdir()).stdin(Stdio::null()).status();
    assert!(status.expect("Bash starts").success());
    begin.elapsed()
}

/// What it costs to ask, when the client answers at once, beside the same program allowed by a rule.
fn approvals() {
    println!("\n{:<58} {:>10} {:>10}  difference (goal)", "median of each", "allowed", "asked");
    let rules = "prefix_rule(pattern=[\"uname\"], decision=\"allow\")\nprefix_rule(pattern=[\"printenv\"], decision=\"prompt\")\n";
    let world = World::with_rules(rules);
    let start = || Lines::start_with(&world, &["--sandbox", "danger-full-access"]);
    let (allowed, asked) = ("/usr/bin/uname > /dev/null", "/usr/bin/printenv > /dev/null");

    let server = std::cell::RefCell::new(start());
    server.borrow_mut().initialize_as("2025-11-25", &json!({"elicitation": {"form": {}}}));
    let legacy = |command: &str| ask_by_request(&mut server.borrow_mut(), &world, command);
    let (plain, measured, _) = in_turn(100, || legacy(allowed), || legacy(asked));
    cost("a prompt answered at once, by elicitation/create", plain, measured, "1.5 ms");

    let server = std::cell::RefCell::new(start());
    let modern = |command: &str| ask_by_result(&mut server.borrow_mut(), &world, command);
    let (plain, measured, _) = in_turn(100, || modern(allowed), || modern(asked));
    cost("a prompt answered at once, by input_required and a retry", plain, measured, "3 ms");
}

fn cost(what: &str, plain: Duration, measured: Duration, goal: &str) {
    let [plain, measured] = [plain, measured].map(milliseconds);
    println!("{what:<58} {plain:>7.2} ms {measured:>7.2} ms  {:.2} ms ({goal})", measured - plain);
}

/// Calls as a client of 2025-11-25 that accepts whatever it is asked.
fn ask_by_request(server: &mut Lines, world: &World, command: &str) -> Duration {
    let arguments = json!({"command": command, "workdir": world.workdir(), "login": false});
    let begin = Instant::now();
    let id = server.send_request("tools/call", json!({"name": "shell", "arguments": arguments}));
    loop {
        let message = server.receive_call();
        if message["method"] == "elicitation/create" {
            server.respond(&message["id"], &json!({"action": "accept", "content": {}}));
        } else if message["id"] == json!(id) {
            let time = begin.elapsed();
            assert_eq!(message["result"]["structuredContent"]["exit_code"], 0, "{message}");
            return time;
        }
    }
}

/// Calls as a client of 2026-07-28 that accepts whatever it is asked.
fn ask_by_result(server: &mut Lines, world: &World, command: &str) -> Duration {
    let mut params = json!({
        "name": "shell",
        "arguments": {"command": command, "workdir": world.workdir(), "login": false},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"}
        }
    });
    let begin = Instant::now();
    loop {
        let answer = server.request("tools/call", params.clone());
        let Some(requests) = answer["result"]["inputRequests"].as_object() else {
            let time = begin.elapsed();
            assert_eq!(answer["result"]["structuredContent"]["exit_code"], 0, "{answer}");
            return time;
        };
        let accept = |id: &String| (id.clone(), json!({"action": "accept", "content": {}}));
        params["inputResponses"] = Value::Object(requests.keys().map(accept).collect());
        params["requestState"] = answer["result"]["requestState"].clone();
    }
}

fn call(server: &mut Lines, world: &World, command: &str) -> Duration {
    request(server, &shell(world, command, false))
}

fn shell(world: &World, command: &str, login: bool) -> Value {
    let arguments =
        json!({"command": command, "workdir": world.workdir(), "login": login, "timeout_ms": 300_000});
    json!({"name": "shell", "arguments": arguments})
}

fn request(server: &mut Lines, params: &Value) -> Duration {
    let begin = Instant::now();
    let answer = server.request("tools/call", params.clone());
    let time = begin.elapsed();
    assert_succeeded(&answer);
    time
}

/// The time that 64 calls take, so many at once.
fn many_calls(server: &mut Lines, world: &World, at_once: usize) -> Duration {
    let params = shell(world, "/bin/true", false);
    let begin = Instant::now();
    let mut waiting = 0;
    for _ in 0..64 {
        server.send_request("tools/call", params.clone());
        waiting += 1;
        if waiting == at_once {
            assert_succeeded(&server.receive());
            waiting -= 1;
        }
    }
    for _ in 0..waiting {
        assert_succeeded(&server.receive());
    }
    begin.elapsed()
}

fn assert_succeeded(answer: &Value) {
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.starts_with("{\"exit_code\":0,"), "{answer}");
}

/// Measures both in turn; the medians of each, and of the ratios of each round.
fn in_turn(
    rounds: usize,
    mut plain: impl FnMut() -> Duration,
    mut measured: impl FnMut() -> Duration,
) -> (Duration, Duration, f64) {
    let (_, _) = (plain(), measured());
    let times: Vec<(Duration, Duration)> = (0..rounds).map(|_| (plain(), measured())).collect();
    let mut ratios: Vec<f64> =
        times.iter().map(|(plain, measured)| measured.as_secs_f64() / plain.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN);
    (median(times.iter().map(|time| time.0)), median(times.iter().map(|time| time.1)), ratio)
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Resident memory of a process in KiB (proc(5), `VmRSS`).
fn resident(pid: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).unwrap_or("?").to_owned()
}

/// Codex's server, installed below `target/`.
fn codex_server() -> Result<Contestant, String> {
    const PACKAGE: &str = "@openai/codex-shell-tool-mcp";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench-codex");
    let vendor = folder.join("node_modules").join(PACKAGE).join("vendor/x86_64-unknown-linux-musl");
    let server = vendor.join("codex-exec-mcp-server");
    if !server.is_file() {
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let installed = Command::new("npm")
            .args(["install", "--no-save", "--no-audit", "--no-fund", "--silent", "--prefix"])
            .arg(&folder)
            .arg(format!("{PACKAGE}@0.97.0"))
            .stdout(Stdio::null())
            .status();
        if !installed.is_ok_and(|status| status.success()) || !server.is_file() {
            return Err(format!("npm could not install {PACKAGE}@0.97.0 for this system"));
        }
    }
    let wrapper = vendor.join("codex-execve-wrapper");
    let bash = ["debian-12", "ubuntu-22.04", "debian-11"]
        .map(|variant| vendor.join("bash").join(variant).join("bash"))
        .into_iter()
        .find(|bash| {
            Command::new(bash)
                .arg("--version")
                .stdout(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
        .ok_or("none of its Bash builds runs on this system")?;
    Ok(Contestant {
        name: "codex",
        bash: bash.clone(),
        server: Box::new(move |world| {
            let mut command = world.server(&[]);
            let environment: Vec<_> = command
                .get_envs()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                .collect();
            command = Command::new(&server);
            command.arg("--execve").arg(&wrapper).arg("--bash").arg(&bash);
            command.env_clear().envs(environment).current_dir(world.workdir());
            command
        }),
        unsandboxed: Some(json!({"sandboxPolicy": {"type": "danger-full-access"}, "sandboxCwd": "/"})),
    })
}
