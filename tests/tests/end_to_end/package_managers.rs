//! Package managers' profiles, with the real tools: they fetch from the registries of the user's own configuration, and without
//! the rule from nowhere.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};

/// Makes a package for each tool, and serves them.
const REGISTRY: &str = r#"
import functools, hashlib, http.server, io, json, os, sys, tarfile, zipfile
def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, 'wb').write(data if isinstance(data, bytes) else data.encode())
def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w:gz') as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name); member.size = len(text); archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()
def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for name, text in files.items(): archive.writestr(name, text)
    return out.getvalue()
os.chdir(sys.argv[1])
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Quiet)
url = 'http://127.0.0.1:%d' % server.server_address[1]
package = tar({'package/package.json': json.dumps({'name': 'tiny', 'version': '1.0.0'}), 'package/index.js': ''})
write('npm/tiny.tgz', package)
write('npm/tiny', json.dumps({'name': 'tiny', 'dist-tags': {'latest': '1.0.0'}, 'versions': {'1.0.0': {
    'name': 'tiny', 'version': '1.0.0', 'dist': {'tarball': url + '/npm/tiny.tgz', 'shasum': hashlib.sha1(package).hexdigest()}}}}))
info = 'tiny-1.dist-info/'
wheel = zipped({'tiny.py': '', info + 'METADATA': 'Metadata-Version: 2.1\nName: tiny\nVersion: 1\n', info + 'RECORD': '',
    info + 'WHEEL': 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'})
write('pip/tiny/tiny-1-py3-none-any.whl', wheel)
write('pip/tiny/index.html', '<a href="tiny-1-py3-none-any.whl">tiny-1-py3-none-any.whl</a>')
crate = tar({'tiny-1.0.0/Cargo.toml': '[package]\nname = "tiny"\nversion = "1.0.0"\n', 'tiny-1.0.0/src/lib.rs': ''})
write('cargo/dl/tiny-1.0.0.crate', crate)
write('cargo/config.json', json.dumps({'dl': url + '/cargo/dl/{crate}-{version}.crate'}))
write('cargo/ti/ny/tiny', json.dumps({'name': 'tiny', 'vers': '1.0.0', 'deps': [], 'features': {}, 'yanked': False,
    'cksum': hashlib.sha256(crate).hexdigest()}) + '\n')
module = 'go/example.org/tiny/@v/'
write(module + 'list', 'v1.0.0\n'); write(module + 'v1.0.0.info', '{"Version": "v1.0.0"}')
write(module + 'v1.0.0.mod', 'module example.org/tiny\n')
write(module + 'v1.0.0.zip', zipped({'example.org/tiny@v1.0.0/go.mod': 'module example.org/tiny\n', 'example.org/tiny@v1.0.0/t.go': 'package tiny\n'}))
print(url, flush=True)
server.serve_forever()
"#;

/// The tool, the user's configuration of it (file, text), the project (file, text), the command.
type Tool =
    (&'static str, (&'static str, &'static str), &'static [(&'static str, &'static str)], &'static str);

const TOOLS: &[Tool] = &[
    (
        "npm",
        (".npmrc", "registry=URL/npm/\n"),
        &[("package.json", "{\"name\": \"p\", \"version\": \"1.0.0\"}")],
        "npm install --no-audit --no-fund --fetch-retries=0 tiny && test -f node_modules/tiny/index.js",
    ),
    (
        "pnpm",
        (".npmrc", "registry=URL/npm/\n"),
        &[("package.json", "{\"name\": \"p\", \"version\": \"1.0.0\"}")],
        "pnpm add --fetch-retries=0 tiny && test -f node_modules/tiny/index.js",
    ),
    (
        "yarn",
        (".npmrc", "registry=URL/npm/\n"),
        &[("package.json", "{\"name\": \"p\", \"version\": \"1.0.0\"}")],
        // Without the rule it tries for long.
        "timeout 15 yarn add --non-interactive --silent tiny && test -f node_modules/tiny/index.js",
    ),
    (
        "uv",
        (".config/uv/uv.toml", "[[index]]\nurl = \"URL/pip/\"\ndefault = true\n"),
        &[],
        "uv venv -q && uv pip install -q tiny && ls .venv/lib/python*/site-packages/tiny.py",
    ),
    (
        "pip3",
        (".config/pip/pip.conf", "[global]\nindex-url = URL/pip/\n"),
        &[],
        "pip3 install -q --retries 0 --no-deps --break-system-packages --target lib tiny && test -f lib/tiny.py",
    ),
    (
        "cargo",
        (
            ".cargo/config.toml",
            "[source.crates-io]\nreplace-with = \"own\"\n[source.own]\nregistry = \"sparse+URL/cargo/\"\n[net]\nretry = 0\n",
        ),
        &[
            (
                "Cargo.toml",
                "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ntiny = \"1\"\n[workspace]\n",
            ),
            ("src/lib.rs", ""),
        ],
        "cargo fetch -q && cargo build -q --offline",
    ),
    (
        "go",
        (".config/go/env", "GOPROXY=URL/go\nGONOSUMDB=*\nGONOSUMCHECK=1\nGOFLAGS=-mod=mod\n"),
        &[
            ("go.mod", "module example.org/p\n\ngo 1.18\n\nrequire example.org/tiny v1.0.0\n"),
            ("p.go", "package p\n\nimport _ \"example.org/tiny\"\n"),
        ],
        "GOFLAGS=-mod=mod GONOSUMDB='*' go build ./...",
    ),
];

/// What `make tools` installs, before all else.
pub(crate) fn search_path() -> String {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join("bin");
    format!("{}:{}", tools.display(), super::recipes::search_path())
}

struct Registry {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// None without Python.
    fn start() -> Option<Registry> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut process = Command::new("python3")
            .args(["-c", REGISTRY])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut url = String::new();
        let output = process.stdout.take().expect("an output");
        BufReader::new(output).read_line(&mut url).expect("a line");
        Some(Registry { process, url: url.trim().to_owned(), _folder: folder })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("written");
}

#[tokio::test]
async fn they_fetch_from_the_registries_of_the_users_own_configuration() {
    let Some(registry) = Registry::start() else { return };
    for (tool, (file, configuration), project, command) in TOOLS {
        for (rules, works) in [(format!("prefix_rule([\"{tool}\"])\n"), true), (String::new(), false)] {
            // Tools need a folder for temporary files, and lie where no command can write.
            let world = World::below(Path::new(env!("CARGO_TARGET_TMPDIR")), &rules).configured("");
            let temporary = world.home().join("temporary");
            std::fs::create_dir(&temporary).expect("a folder");
            let filled = |text: &str| text.replace("URL", &registry.url);
            write(&world.home().join(file), &filled(configuration));
            for (name, text) in *project {
                write(&world.workdir().join(name), text);
            }
            let mut server = world.server(&["--sandbox", "workspace-write"]);
            server.env("PATH", search_path()).env("TMPDIR", &temporary).envs(super::recipes::tools_homes());
            let client = Client::start_command(&world, &Person::absent(), server).await;
            let level = client.run("true").await.json()["sandbox"].to_string();
            if !(level.contains("namespaces") && level.contains("+door")) {
                return;
            }
            let version = if *tool == "go" { "version" } else { "--version" };
            if client.run(&format!("{tool} {version} > /dev/null 2>&1")).await.ran().0 != 0 {
                super::recipes::skipped(&format!("{tool} is not here, or does not start"));
                break;
            }
            let outcome = client.run(&filled(command)).await;
            let (code, said) = outcome.ran();
            assert_eq!(code == 0, works, "{tool}, {rules}: {said}: {outcome:?}");
            if works {
                let rights = &outcome.json()["decisions"][0]["rights"];
                let host = registry.url.trim_start_matches("http://");
                assert_eq!(rights["run"], "inside", "{tool}: {outcome:?}");
                assert!(rights["hosts"].to_string().contains(host), "{tool}: {outcome:?}");
            }
        }
    }
}
