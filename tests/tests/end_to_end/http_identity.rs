//! Who may ask a server behind HTTP: tokens from a file, tokens that somebody has signed, and a proxy's word.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use end_to_end_tests::World;
use end_to_end_tests::http::{Answer, LEGACY, MODERN, Site, Visitor, modern_call};
use end_to_end_tests::waiting::eventually;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

const ANY: &str = "127.0.0.1:0";
const ISSUER: &str = "https://id.example.com";
const AUDIENCE: &str = "https://shell.example.com/mcp";

fn shell(command: &str) -> Value {
    json!({"command": command, "login": false})
}

fn hello(visitor: &Visitor) -> Answer {
    visitor.post(MODERN, None, &modern_call("shell", &shell("echo hello")))
}

fn bearing(visitor: &Visitor, token: &str) -> Visitor {
    visitor.saying(&format!("Authorization: Bearer {token}"))
}

/// Somebody who signs tokens: an Ed25519 key whose secret is `seed` again and again.
struct Signer {
    key: Ed25519KeyPair,
    name: &'static str,
}

impl Signer {
    fn new(seed: u8, name: &'static str) -> Signer {
        Signer { key: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a key"), name }
    }

    fn public(&self) -> Value {
        let x = base64(self.key.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.name, "x": x})
    }

    fn sign(&self, claims: &Value) -> String {
        let head = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.name}).to_string();
        let text = format!("{}.{}", base64(head.as_bytes()), base64(claims.to_string().as_bytes()));
        let signature = base64(self.key.sign(text.as_bytes()).as_ref());
        format!("{text}.{signature}")
    }
}

/// As tokens have it: base64url without padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .enumerate()
            .fold(0_u32, |bits, (at, byte)| bits | (u32::from(*byte) << (16 - 8 * at)));
        for at in 0..=three.len() {
            let index = usize::try_from((bits >> (18 - 6 * at)) & 63).expect("small");
            text.push(char::from(LETTERS[index]));
        }
    }
    text
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

fn claims(changes: Value) -> Value {
    let now = now();
    let mut claims =
        json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now + 600, "scope": "shell:run"});
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn oauth(keys: &str) -> Vec<String> {
    ["--http", ANY, "--jwks", keys, "--issuer", ISSUER, "--audience", AUDIENCE]
        .map(ToOwned::to_owned)
        .to_vec()
}

fn start(world: &World, arguments: &[String]) -> Site {
    Site::start(world, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn written(world: &World, name: &str, text: &str) -> PathBuf {
    let path = world.home().join(name);
    std::fs::write(&path, text).expect("written");
    path
}

#[test]
fn tokens_of_a_file_let_in_and_strangers_get_401() {
    let world = World::with_rules("");
    let tokens =
        written(&world, "tokens", "ann ann-ann-ann-ann-ann\nbob:bob-bob-bob-bob-bob shell:approve\n");
    let site = Site::start(&world, &["--http", ANY, "--token-file", &tokens.display().to_string()]);
    assert!(site.address.ends_with("/mcp"), "{}", site.address);
    let visitor = site.visitor();
    let ann = bearing(&visitor, "ann-ann-ann-ann-ann");
    assert_eq!(ann.run("echo hello")["output"], "hello\n");
    for stranger in [
        visitor.clone(),
        bearing(&visitor, "ann"),
        bearing(&visitor, "ann-ann-ann-ann-annn"),
        bearing(&visitor, &"x".repeat(10_000)),
        visitor.saying("Authorization: Basic YW5uOmFubi1hbm4="),
        ann.saying("Authorization: Bearer ann-ann-ann-ann-ann"),
        bearing(&visitor.at("/mcp?token=ann-ann-ann-ann-ann"), "x"),
    ] {
        let answer = hello(&stranger);
        assert_eq!(answer.status, 401);
        assert!(answer.headers["www-authenticate"].starts_with("Bearer"), "{answer:?}");
    }
    // Who may only approve runs nothing.
    let bob = hello(&bearing(&visitor, "bob-bob-bob-bob-bob"));
    assert!(bob.status == 403 && bob.headers["www-authenticate"].contains("insufficient_scope"), "{bob:?}");
    // Tokens are exchanged while the server runs.
    written(&world, "tokens", "ann new-new-new-new-new-new\n");
    eventually(|| match hello(&bearing(&visitor, "new-new-new-new-new-new")).status {
        200 => Ok(()),
        other => Err(format!("{other}")),
    });
    assert_eq!(hello(&ann).status, 401);
}

#[test]
fn who_is_known_may_be_served_elsewhere_and_bad_files_are_named() {
    let world = World::with_rules("");
    let tokens = written(&world, "tokens", "ann ann-ann-ann-ann-ann\n");
    let site = Site::start(&world, &["--http", "0.0.0.0:0", "--token-file", &tokens.display().to_string()]);
    let local = site.address.replace("0.0.0.0", "127.0.0.1");
    let visitor = Visitor::of(&local);
    assert_eq!(bearing(&visitor, "ann-ann-ann-ann-ann").run("echo hello")["output"], "hello\n");
    assert_eq!(hello(&visitor).status, 401);
    let token = "ann-ann-ann-ann-ann";
    assert_eq!(hello(&bearing(&visitor, token).calling_it("evil.example.com")).status, 403);
    for (text, problem) in [("", "no token"), ("ann secret-secret-secret shell:rum\n", "line 1")] {
        let tokens = written(&world, "bad", text);
        let refused = Command::new(end_to_end_tests::binaries().join("exec-server"))
            .args(["serve", "--http", ANY, "--token-file", &tokens.display().to_string()])
            .envs([("HOME", world.home()), ("CODEX_HOME", &world.codex_home())])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(problem), "{said}");
        assert!(!said.contains("secret-secret"), "{said}");
    }
}

#[test]
fn signed_tokens_let_in_whom_they_name_for_what_they_say() {
    let world = World::with_rules("");
    let (signer, stranger) = (Signer::new(1, "one"), Signer::new(2, "one"));
    let keys = written(&world, "keys.json", &json!({"keys": [signer.public()]}).to_string());
    let site = start(&world, &oauth(&keys.display().to_string()));
    let visitor = site.visitor();
    let now = now();
    let come = |token: &str| hello(&bearing(&visitor, token)).status;
    for changes in
        [json!({}), json!({"aud": ["other", AUDIENCE]}), json!({"scope": null, "scp": ["shell:run"]})]
    {
        assert_eq!(come(&signer.sign(&claims(changes.clone()))), 200, "{changes}");
    }
    for changes in [
        json!({"exp": now - 1}),
        json!({"exp": null}),
        json!({"nbf": now + 600}),
        json!({"aud": "https://other.example.com"}),
        json!({"aud": null}),
        json!({"iss": "https://evil.example.com"}),
        json!({"iss": null}),
        json!({"sub": null}),
        json!({"sub": "a\nb"}),
        json!({"long": "x".repeat(9000)}),
    ] {
        assert_eq!(come(&signer.sign(&claims(changes.clone()))), 401, "{changes}");
    }
    for changes in [json!({"scope": ""}), json!({"scope": "shell:approve openid"}), json!({"scope": null})] {
        assert_eq!(come(&signer.sign(&claims(changes.clone()))), 403, "{changes}");
    }
    // Signed by another, by nobody, and with the public key as a shared secret.
    let good = signer.sign(&claims(json!({})));
    let (head, rest) = good.split_once('.').expect("parts");
    let (payload, signature) = rest.split_once('.').expect("parts");
    let none = "eyJhbGciOiJub25lIn0";
    let public = signer.public().to_string();
    let text = format!("{}.{payload}", base64(br#"{"alg":"HS256","kid":"one"}"#));
    let shared = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes()), text.as_bytes());
    let hashed = format!("{text}.{}", base64(shared.as_ref()));
    for bad in [
        stranger.sign(&claims(json!({}))),
        Signer::new(1, "other").sign(&claims(json!({}))),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{head}.{payload}."),
        format!("{head}.{payload}"),
        hashed,
        "a.b.c".into(),
    ] {
        assert_eq!(come(&bad), 401, "{bad}");
    }
}

#[test]
fn a_client_learns_who_makes_tokens() {
    let world = World::with_rules("");
    let signer = Signer::new(1, "one");
    let keys = written(&world, "keys.json", &json!({"keys": [signer.public()]}).to_string());
    let site = start(&world, &oauth(&keys.display().to_string()));
    let visitor = site.visitor();
    let challenge = hello(&visitor).headers["www-authenticate"].clone();
    let url = challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next());
    let url = url.unwrap_or_else(|| panic!("no address in {challenge}"));
    let path = format!("/.well-known/{}", url.split("/.well-known/").nth(1).expect("a path"));
    for path in [&*path, "/.well-known/oauth-protected-resource"] {
        let mut answer = visitor.at(path).get(&[]);
        assert_eq!(answer.status, 200, "{path}");
        let metadata: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(metadata["authorization_servers"], json!([ISSUER]), "{metadata}");
        assert_eq!(metadata["resource"], AUDIENCE, "{metadata}");
        assert!(metadata["scopes_supported"].as_array().expect("a list").contains(&json!("shell:run")));
    }
}

#[test]
fn keys_are_fetched_and_new_ones_are_found() {
    let world = World::with_rules("");
    let (first, second) = (Signer::new(1, "first"), Signer::new(2, "second"));
    let shown = json!({"keys": [first.public(), second.public()]}).to_string();
    let listener = TcpListener::bind(ANY).expect("a port");
    let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let _ = stream.read(&mut [0; 4096]);
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json";
        let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{shown}", shown.len());
    });
    let site = start(&world, &oauth(&url));
    server.join().expect("fetched");
    for signer in [&first, &second] {
        assert_eq!(hello(&bearing(&site.visitor(), &signer.sign(&claims(json!({}))))).status, 200);
    }
    let refused = Command::new(end_to_end_tests::binaries().join("exec-server"))
        .arg("serve")
        .args(oauth("http://id.example.com/keys"))
        .envs([("HOME", world.home()), ("CODEX_HOME", &world.codex_home())])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("https"), "{said}");
}

#[test]
fn commands_cannot_speak_as_the_proxy() {
    let world = World::with_rules("");
    for proxy in ["127.0.0.1", "::1", "0.0.0.0/0", "unix"] {
        let mut command = world.server(&["serve", "--http", ANY, "--network", "--proxy", proxy]);
        let output = command.output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && error.contains("could say that they are anybody"),
            "{proxy}: {error}"
        );
    }
}

#[test]
fn a_proxys_word_counts_only_where_it_is_trusted() {
    let world = World::with_rules("");
    let trusting = |proxy: &str| Site::start(&world, &["--http", ANY, "--proxy", proxy]);
    let site = trusting("127.0.0.1");
    let ann = site.visitor().saying("X-Forwarded-User: ann");
    assert_eq!(ann.run("echo hello")["output"], "hello\n");
    assert_eq!(hello(&site.visitor()).status, 401);
    assert_eq!(hello(&ann.saying("X-Forwarded-User: bob")).status, 401, "one may be the client's");
    let elsewhere = trusting("10.9.9.0/24");
    assert_eq!(hello(&elsewhere.visitor().saying("X-Forwarded-User: ann")).status, 401);
}

#[test]
fn nobody_reaches_what_is_anothers() {
    let world =
        World::with_rules("prefix_rule(pattern=[\"touch\"], decision=\"prompt\", justification=\"asks\")\n");
    let tokens = written(&world, "tokens", "ann ann-ann-ann-ann-ann\nbob bob-bob-bob-bob-bob\n");
    let site = Site::start(&world, &["--http", ANY, "--token-file", &tokens.display().to_string()]);
    let ann = bearing(&site.visitor(), "ann-ann-ann-ann-ann");
    let bob = bearing(&site.visitor(), "bob-bob-bob-bob-bob");
    let failed = |visitor: &Visitor, tool: &str, arguments: Value| {
        let result = visitor.call(tool, &arguments).result();
        assert_eq!(result["isError"], true, "{result}");
    };
    // Outputs and background processes.
    let long = ann.run("seq 100000");
    let id = long["output_id"].as_str().expect("an id").to_owned();
    failed(&bob, "read_output", json!({"id": id}));
    let left = ann.run("sleep 1000 & echo left");
    assert_eq!(left["output"], "left\n");
    let list = ann.call("background_list", &json!({})).result();
    let id = list["structuredContent"]["calls"][0]["id"].as_str().expect("an id").to_owned();
    failed(&bob, "background_kill", json!({"id": id}));
    assert_eq!(bob.call("background_list", &json!({})).result()["structuredContent"]["calls"], json!([]));
    // Sessions.
    let session = ann.begin(json!({}));
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    assert_eq!(bob.post(LEGACY, Some(&session), &list).status, 404);
    assert_eq!(ann.post(LEGACY, Some(&session), &list).status, 200);
    // Questions.
    let mut message = modern_call("shell", &shell("touch made"));
    let asked = ann.post(MODERN, None, &message).result();
    let questions = asked["inputRequests"].as_object().unwrap_or_else(|| panic!("no question: {asked}"));
    let accept = json!({"action": "accept", "content": {}});
    let answers: serde_json::Map<_, _> = questions.keys().map(|id| (id.clone(), accept.clone())).collect();
    message["params"]["requestState"] = asked["requestState"].clone();
    message["params"]["inputResponses"] = answers.into();
    let refused = bob.post(MODERN, None, &message).message();
    assert!(
        refused["error"]["message"].as_str().is_some_and(|text| text.contains("requestState")),
        "{refused}"
    );
    assert_eq!(ann.post(MODERN, None, &message).result()["structuredContent"]["exit_code"], 0);
    // Files, and what a client says about its workspace.
    let place = |visitor: &Visitor| visitor.run("pwd")["output"].as_str().expect("text").trim().to_owned();
    let (anns, bobs) = (place(&ann), place(&bob));
    assert_ne!(anns, bobs);
    assert_eq!(ann.run("echo secret > file; cat file")["output"], "secret\n");
    for command in ["cat", "head", "echo x >>"] {
        let result = bob.run(&format!("{command} {anns}/file"));
        assert_ne!(result["exit_code"], 0, "{result}");
        assert!(!result["output"].as_str().expect("text").contains("secret\n"), "{result}");
    }
    let result = bob.run(&format!("ls {anns}/.. {}; echo > {anns}/intruded", world.workdir().display()));
    assert!(result["exit_code"] != 0 && !PathBuf::from(&anns).join("intruded").exists(), "{result}");
    let rooted = bob.begin(json!({"roots": {}}));
    let mut answer = bob.call_in(&rooted, 1, "shell", &shell("pwd"));
    let first = answer.message();
    // Folders that a client names mean nothing here, so it is not asked for any.
    assert!(
        first["result"]["structuredContent"]["output"].as_str().is_some_and(|text| text.trim() == bobs),
        "{first}"
    );
    let mut message = modern_call("shell", &shell(&format!("echo > {anns}/made")));
    message["params"]["_meta"]["codex/sandbox-state"] =
        json!({"sandboxPolicy": {"type": "danger-full-access"}});
    let result = bob.post(MODERN, None, &message).result();
    assert!(
        result["structuredContent"]["exit_code"] != 0 && !PathBuf::from(&anns).join("intruded").exists(),
        "{result}"
    );
    // Temporary files, each in a folder of his own; and records.
    let temporary =
        ann.run("echo secret > $TMPDIR/x; echo $TMPDIR")["output"].as_str().expect("text").trim().to_owned();
    assert_ne!(bob.run(&format!("cat {temporary}/x"))["exit_code"], 0);
    assert_ne!(
        bob.run(&format!("ls {}", world.codex_home().join("shell-tool-mcp").display()))["exit_code"],
        0
    );
    // And all that anybody needs is there.
    let fine = bob
        .run("git --version && python3 -c 'import tempfile; tempfile.mkstemp()' && mkdir a && cd ~ && pwd");
    assert_eq!(fine["exit_code"], 0, "{fine}");
}

/// As in a pod of Kubernetes' restricted standard.
#[test]
fn principals_are_served_and_kept_apart_by_landlock_alone() {
    let world = World::with_rules("").configured("[shell_tool]\nnamespaces = \"off\"\n");
    let tokens = written(&world, "tokens", "ann ann-ann-ann-ann-ann\nbob bob-bob-bob-bob-bob\n");
    let site = Site::start(&world, &["--http", ANY, "--token-file", &tokens.display().to_string()]);
    let ann = bearing(&site.visitor(), "ann-ann-ann-ann-ann");
    let bob = bearing(&site.visitor(), "bob-bob-bob-bob-bob");
    let made = ann.run("echo secret > file; cat file; pwd");
    assert_eq!(made["exit_code"], 0, "{made}");
    assert!(made["sandbox"].as_str().is_some_and(|level| level.starts_with("landlock")), "{made}");
    let place = made["output"].as_str().and_then(|text| text.lines().nth(1)).expect("a folder");
    let read = bob.run(&format!("git --version; cat {place}/file"));
    assert!(read["exit_code"] != 0 && !read["output"].to_string().contains("secret"), "{read}");
    assert!(read["output"].to_string().contains("git version"), "{read}");
}
