//! Clients of services by their built-in profiles: the real programs, and servers of the test's own on this machine.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::machine::is_installed;
use serde_json::Value;

use super::recipes::{search_path, skipped};

/// Says what it has heard in a file, one line for each request: a forge over TLS, the servers of a cluster, a service on a Unix
/// socket that gets its name after it was bound.
const SERVICE: &str = r#"
import base64, http.server, json, os, socketserver, ssl, sys
kind, heard, place = sys.argv[1:4]
def pods(path):
    if path == '/api': return {'kind': 'APIVersions', 'versions': ['v1']}
    if path == '/apis': return {'kind': 'APIGroupList', 'groups': []}
    if path == '/api/v1': return {'kind': 'APIResourceList', 'groupVersion': 'v1', 'resources': [
        {'name': 'pods', 'singularName': 'pod', 'namespaced': True, 'kind': 'Pod', 'verbs': ['get', 'list'], 'shortNames': ['po']}]}
    return {'kind': 'PodList', 'apiVersion': 'v1', 'items': [{'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'web', 'namespace': 'default'}}]}
class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0)).decode()
        said = self.headers.get('Authorization', '')
        if said.startswith('Basic '): said = 'basic ' + base64.b64decode(said[6:]).decode()
        with open(heard, 'a') as log: print(self.command, self.path, said, body, file=log)
        path = self.path.split('?')[0]
        status, answer = 200, b''
        if kind == 'forge' and path.endswith('/info/refs'): status = 404 if said else 401
        elif kind == 'forge': answer = json.dumps({'login': 'me'}).encode()
        elif kind == 'cluster': answer = json.dumps(pods(path)).encode()
        elif path.endswith('_ping'): answer = b'OK'
        else: answer = json.dumps([{'Id': 'a' * 64, 'Names': ['/web'], 'Image': 'x', 'Command': 'y', 'Created': 1, 'Ports': [], 'State': 'running', 'Status': 'Up'}]).encode()
        self.send_response(status)
        self.send_header('Api-Version', '1.41')
        if status == 401: self.send_header('WWW-Authenticate', 'Basic realm="x"')
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(answer)
    do_POST = do_HEAD = do_GET
    def address_string(self): return ''
    def log_message(self, *_): pass
if kind == 'service':
    server = socketserver.ThreadingUnixStreamServer(place + '.new', Service)
    os.rename(place + '.new', place)
    print('ready', flush=True)
else:
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Service)
    if kind == 'forge':
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place + '/cert.pem', place + '/key.pem')
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print('127.0.0.1:%d' % server.server_address[1], flush=True)
server.serve_forever()
"#;

struct Service {
    process: Child,
    /// What it says when it is ready: where it is.
    address: String,
    heard: PathBuf,
}

impl Service {
    fn start(world: &World, kind: &str, place: &Path) -> Service {
        let number = fs::read_dir(world.home()).expect("a home").count();
        let heard = world.home().join(format!("heard-{number}"));
        fs::write(&heard, "").expect("written");
        let mut process = Command::new("python3")
            .args(["-c", SERVICE, kind])
            .args([&heard, place])
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut address = String::new();
        BufReader::new(process.stdout.take().expect("an output")).read_line(&mut address).expect("a line");
        assert!(!address.is_empty(), "{kind} did not start");
        Service { process, address: address.trim().to_owned(), heard }
    }

    fn heard(&self) -> String {
        fs::read_to_string(&self.heard).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client in a world with these rules, where this machine has what holds them and the program.
async fn client(world: &World, program: &str, variables: &[(&str, &str)]) -> Option<Client> {
    let mut server = world.server(&["--sandbox", "workspace-write"]);
    server.env("PATH", search_path()).envs(variables.iter().copied());
    client_of(world, program, server).await
}

async fn client_of(world: &World, program: &str, server: Command) -> Option<Client> {
    let client = Client::start_command(world, &Person::absent(), server).await;
    let level = client.run("true").await.json()["sandbox"].to_string();
    if !["namespaces", "landlock", "+door"].iter().all(|part| level.contains(part)) {
        return None;
    }
    if client.run(&format!("type -P {program}")).await.ran().0 != 0 {
        skipped(&format!("{program} is not here"));
        return None;
    }
    Some(client)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("written");
}

fn rights(outcome: &end_to_end_tests::client::Outcome) -> Value {
    outcome.json()["decisions"][0]["rights"].clone()
}

/// A certificate for this machine's own address, if one can be made here.
fn has_certificate(folder: &Path) -> bool {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "9",
        ])
        .args([
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(folder)
        .output();
    let is_made = made.is_ok_and(|output| output.status.success());
    if !is_made {
        skipped("openssl is not here, so there is no forge");
    }
    is_made && is_installed("python3")
}

#[tokio::test]
async fn gh_talks_to_the_hosts_that_it_is_logged_in_at_and_to_no_other() {
    for (rule, is_confined) in
        [("prefix_rule([\"gh\"])\n", true), ("prefix_rule([\"gh\"], run=\"unconfined\")\n", false)]
    {
        let world = World::with_rules(rule).configured("");
        if !has_certificate(world.home()) {
            return;
        }
        let [forge, other] = ["forge", "forge"].map(|kind| Service::start(&world, kind, world.home()));
        let login =
            format!("{}:\n    user: me\n    oauth_token: secret\n    git_protocol: https\n", forge.address);
        write(&world.home().join(".config/gh/hosts.yml"), &login);
        write(&world.home().join(".ssh/id"), "the key\n");
        write(&world.workdir().join("note"), "a note\n");
        let certificate = world.home().join("cert.pem").display().to_string();
        // Of any host that GH_HOST names.
        let variables = [("SSL_CERT_FILE", &*certificate), ("GH_ENTERPRISE_TOKEN", "everywhere")];
        let Some(client) = client(&world, "gh", &variables).await else { return };
        let (address, elsewhere) = (&forge.address, &other.address);
        let outcome = client.run(&format!("GH_HOST={address} gh api user -F text=@note")).await;
        if is_confined {
            assert_eq!(outcome.ran(), (0, "{\"login\": \"me\"}"), "{outcome:?}");
            assert_eq!(
                (&rights(&outcome)["run"], &rights(&outcome)["profile"]),
                (&"confined".into(), &"gh".into())
            );
            assert!(
                forge.heard().contains("/user token ") && forge.heard().contains("a note"),
                "{}",
                forge.heard()
            );
        }
        // Nothing of the agent's says where an unconfined one goes, so it is told by an argument.
        let elsewhere = format!(
            "GH_HOST={elsewhere} gh api https://{elsewhere}/api/v3/user; GH_HOST={elsewhere} gh api user"
        );
        let outcome = client.run(&elsewhere).await;
        assert_eq!(other.heard().is_empty(), is_confined, "{outcome:?}: {}", other.heard());
        let outcome =
            client.run(&format!("GH_HOST={address} gh api https://{address}/x -F text=@$HOME/.ssh/id")).await;
        assert_eq!(!forge.heard().contains("the key"), is_confined, "{outcome:?}: {}", forge.heard());
    }
}

#[tokio::test]
async fn without_a_rule_gh_has_neither_its_token_nor_its_host() {
    let world = World::with_rules("").configured("");
    if !has_certificate(world.home()) {
        return;
    }
    let forge = Service::start(&world, "forge", world.home());
    let login = format!("{}:\n    user: me\n    oauth_token: secret\n", forge.address);
    write(&world.home().join(".config/gh/hosts.yml"), &login);
    let Some(client) = client(&world, "gh", &[]).await else { return };
    let outcome = client.run(&format!("GH_HOST={} gh api user", forge.address)).await;
    assert!(outcome.ran().0 != 0 && forge.heard().is_empty(), "{outcome:?}");
}

/// `gh auth setup-git` writes such a configuration.
#[tokio::test]
async fn gh_gives_a_confined_git_its_password_and_nobody_else() {
    let world = World::with_rules("prefix_rule([\"git\"])\n").configured("");
    if !has_certificate(world.home()) {
        return;
    }
    let forge = Service::start(&world, "forge", world.home());
    let login = format!("{}:\n    user: me\n    oauth_token: secret\n", forge.address);
    write(&world.home().join(".config/gh/hosts.yml"), &login);
    let certificate = world.home().join("cert.pem").display().to_string();
    let configuration = format!(
        "[http]\n\tsslCAInfo = {certificate}\n[credential \"https://{}\"]\n\thelper = \"!gh auth git-credential\"\n[alias]\n\tshow-it = \"!gh auth token\"\n",
        forge.address
    );
    write(&world.home().join(".gitconfig"), &configuration);
    let Some(client) = client(&world, "gh", &[]).await else { return };
    let outcome = client.run(&format!("git ls-remote https://{}/x 2>&1", forge.address)).await;
    assert!(forge.heard().contains("basic me:secret"), "{outcome:?}: {}", forge.heard());
    for asks in [
        "git show-it 2>&1".to_owned(),
        format!("printf 'protocol=https\\nhost={}\\n\\n' | git credential fill 2>&1", forge.address),
        format!(
            "git -c alias.x='!gh auth git-credential get' x 2>&1 <<< $'protocol=https\\nhost={}\\n'",
            forge.address
        ),
    ] {
        let outcome = client.run(&asks).await;
        assert!(!outcome.ran().1.contains("secret"), "{asks}: {outcome:?}");
    }
}

#[tokio::test]
async fn kubectl_talks_to_the_servers_of_the_users_own_configuration() {
    for (rule, reaches) in [("prefix_rule([\"kubectl\"])\n", true), ("", false)] {
        let world = World::with_rules(rule).configured("");
        if !is_installed("python3") {
            return;
        }
        let [cluster, other] = ["cluster", "cluster"].map(|kind| Service::start(&world, kind, world.home()));
        let configuration = |address: &str| {
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster:\n    server: http://{address}\n\
                 contexts:\n- name: c\n  context: {{cluster: c, user: u}}\nusers:\n- name: u\n  user: {{username: me, password: secret}}\n"
            )
        };
        write(&world.home().join(".kube/config"), &configuration(&cluster.address));
        write(&world.workdir().join("kubeconfig"), &configuration(&other.address));
        let Some(client) = client(&world, "kubectl", &[]).await else { return };
        let outcome = client.run("kubectl get pods -o name").await;
        assert_eq!(outcome.ran().1 == "pod/web\n", reaches, "{outcome:?}");
        assert_eq!(cluster.heard().contains("/pods"), reaches, "{outcome:?}");
        if reaches {
            assert_eq!(
                (&rights(&outcome)["run"], &rights(&outcome)["profile"]),
                (&"confined".into(), &"kubectl".into())
            );
        }
        let outcome = client.run("kubectl --kubeconfig=kubeconfig get pods").await;
        assert!(outcome.ran().0 != 0 && other.heard().is_empty(), "{outcome:?}: {}", other.heard());
    }
}

#[tokio::test]
async fn docker_talks_to_its_service_also_when_that_has_started_anew() {
    for (rule, reaches) in [("prefix_rule([\"docker\"])\n", true), ("", false)] {
        let world = World::with_rules(rule).configured("");
        if !is_installed("python3") {
            return;
        }
        let runtime = world.home().join("runtime");
        fs::create_dir(&runtime).expect("a folder");
        let socket = runtime.join("docker.sock");
        let there = format!("unix://{}", socket.display());
        let mut service = Service::start(&world, "service", &socket);
        let Some(client) = client(&world, "docker", &[("DOCKER_HOST", &there)]).await else { return };
        for _ in 0..2 {
            let outcome = client.run("docker ps --format '{{.Names}}'").await;
            assert_eq!(outcome.ran() == (0, "web\n"), reaches, "{outcome:?}");
            assert_eq!(service.heard().contains("/containers/json"), reaches, "{outcome:?}");
            if reaches {
                assert_eq!(
                    (&rights(&outcome)["run"], &rights(&outcome)["profile"]),
                    (&"confined".into(), &"docker".into())
                );
            }
            let outcome = client
                .run("curl -sS --unix-socket \"$XDG_RUNTIME_DIR/docker.sock\" http://x/from-curl")
                .await;
            assert!(!service.heard().contains("from-curl"), "{outcome:?}");
            drop(service);
            fs::remove_file(&socket).expect("removed");
            service = Service::start(&world, "service", &socket);
        }
    }
}

/// Lets whoever has the key run commands, as a forge does for Git.
const SSH_SERVER: &str = r#"
import asyncio, asyncssh, subprocess, sys
key, authorized, heard = sys.argv[1:4]
async def run(process):
    with open(heard, 'a') as log: print(process.command, file=log)
    command = await asyncio.create_subprocess_shell(
        process.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    await process.redirect(stdin=command.stdin, stdout=command.stdout, stderr=command.stderr)
    process.exit(await command.wait())
async def main():
    server = await asyncssh.listen('127.0.0.1', 0, server_host_keys=[key], authorized_client_keys=authorized,
                                   process_factory=run, encoding=None)
    print(server.get_port(), flush=True)
    await server.wait_closed()
asyncio.run(main())
"#;

/// An SSH server that knows the user's key; `None` where it cannot be had.
fn ssh_server(world: &World) -> Option<Service> {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join("python/bin/python");
    let keys = world.home().join(".ssh");
    fs::create_dir_all(&keys).expect("a folder");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).expect("private");
    let makes = |name: &str| {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(keys.join(name));
        command.status().is_ok_and(|status| status.success())
    };
    if !python.exists() || !makes("id_ed25519") || !makes("host") {
        skipped("there is no SSH server (make tools), or no ssh-keygen");
        return None;
    }
    let heard = world.home().join("heard-by-ssh");
    let mut process = Command::new(python)
        .args(["-c", SSH_SERVER])
        .args([&keys.join("host"), &keys.join("id_ed25519.pub"), &heard])
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut port = String::new();
    BufReader::new(process.stdout.take().expect("an output")).read_line(&mut port).expect("a line");
    let address = format!("127.0.0.1:{}", port.trim());
    let host = fs::read_to_string(keys.join("host.pub")).expect("a key");
    write(&keys.join("known_hosts"), &format!("[127.0.0.1]:{} {host}", port.trim()));
    Some(Service { process, address, heard })
}

/// A server whose user has his home in the world by the machine's list of users, too: ssh looks there.
fn at_home(world: &World) -> Option<Command> {
    const AT_HOME: &str = "mount --bind \"$1\" /etc/passwd || exit 99; shift; exec \"$@\"";
    let users = world.home().join("passwd");
    write(&users, &format!("root:x:0:0::{}:/bin/bash\n", world.home().display()));
    let namespaces = ["--user", "--map-root-user", "--mount", "--kill-child", "sh", "-c", AT_HOME, "sh"];
    let tried = Command::new("unshare").args(namespaces).arg(&users).arg("true").status();
    if !tried.is_ok_and(|status| status.success()) {
        skipped("there is no mount namespace to have a user in");
        return None;
    }
    let server = world.server(&["--sandbox", "workspace-write"]);
    let mut command = Command::new("unshare");
    world.surround(&mut command);
    command.args(namespaces).arg(users).arg(server.get_program()).args(server.get_args());
    command.env("PATH", search_path());
    Some(command)
}

#[tokio::test]
async fn a_confined_git_fetches_and_pushes_over_ssh_with_the_users_key() {
    for (rule, reaches) in [("prefix_rule([[\"git\", \"ssh\", \"scp\"]])\n", true), ("", false)] {
        let world = World::with_rules(rule).configured("");
        let Some(server) = ssh_server(&world) else { return };
        let forge = world.home().join("forge.git");
        let made = Command::new("git").args(["init", "-q", "--bare", "-b", "main"]).arg(&forge).status();
        assert!(made.is_ok_and(|status| status.success()), "git makes a repository");
        let address = format!("ssh://{}{}", server.address, forge.display());
        let identity = "[user]\n\tname = u\n\temail = u@example.com\n[init]\n\tdefaultBranch = main\n";
        write(&world.home().join(".gitconfig"), identity);
        let Some(at_home) = at_home(&world) else { return };
        let Some(client) = client_of(&world, "ssh", at_home).await else { return };
        let outcome = client
            .run(&format!("git init -q a && cd a && git commit -q --allow-empty -m one && git push -q {address} main 2>&1"))
            .await;
        assert_eq!(outcome.ran().0 == 0, reaches, "{outcome:?}");
        let outcome = client.run(&format!("git clone -q {address} b 2>&1 && git -C b log --format=%s")).await;
        assert_eq!(outcome.ran() == (0, "one\n"), reaches, "{outcome:?}");
        assert_eq!(server.heard().contains("git-receive-pack"), reaches, "{}", server.heard());
        // The key is ssh's alone, and ssh runs only as Git runs it.
        for steals in [
            "ssh -F ~/.ssh/id_ed25519 host".to_owned(),
            "echo Include ~/.ssh/id_ed25519 > c; ssh -F c host".to_owned(),
            "scp ~/.ssh/id_ed25519 host:x".to_owned(),
            "cat ~/.ssh/id_ed25519".to_owned(),
            format!("git -c core.sshCommand='cat ~/.ssh/id_ed25519; false' ls-remote {address}"),
            format!(
                "git ls-remote --upload-pack='cat {}' {address}",
                world.home().join(".ssh/id_ed25519").display()
            ),
        ] {
            let outcome = client.run(&format!("{steals} 2>&1")).await;
            let said = outcome.ran().1.to_lowercase();
            assert!(!said.contains("private key") && !said.contains("b3blbnnza"), "{steals}: {outcome:?}");
        }
    }
}
