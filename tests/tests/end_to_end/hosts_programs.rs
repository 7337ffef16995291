//! Programs that people use, each of which reaches a host by its name in its own way: with certificates, protocols and
//! resolvers of its own.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::machine::is_installed;

use super::hosts_by_name::machine;

/// Servers for all of them.
const INTERNET: &str = include_str!("../../programs/internet.py");

/// A program, and a script with it that says `hello`. `CA` is the authority's certificate. These know of proxies, too.
const PROGRAMS: &[(&str, &str)] = &[
    ("curl", "curl -sS --cacert $CA https://good.test/"),
    ("wget", "wget -qO- --ca-certificate=$CA https://good.test/"),
    ("git", "git -c http.sslCAInfo=$CA clone -q https://good.test/hello.git cloned && git -C cloned log --format=%s"),
    (
        "npm",
        "mkdir npm && cd npm && echo '{\"name\": \"p\", \"version\": \"1.0.0\"}' > package.json &&
         npm install --cafile=$CA --registry=https://good.test/npm/ --no-audit --no-fund tiny >&2 &&
         test -f node_modules/tiny/index.js && echo hello",
    ),
    (
        "pnpm",
        "mkdir pnpm && cd pnpm && echo '{\"name\": \"p\", \"version\": \"1.0.0\"}' > package.json &&
         echo cafile=$CA > .npmrc && pnpm add --registry=https://good.test/npm/ tiny >&2 &&
         test -f node_modules/tiny/index.js && echo hello",
    ),
    (
        "yarn",
        "mkdir yarn && cd yarn && echo '{\"name\": \"p\", \"version\": \"1.0.0\"}' > package.json &&
         echo cafile=$CA > .npmrc && yarn add --registry https://good.test/npm/ tiny >&2 &&
         test -f node_modules/tiny/index.js && echo hello",
    ),
    (
        "uv",
        "SSL_CERT_FILE=$CA uv pip install -q --index-url https://good.test/pip/ --python /usr/bin/python3 --target uv-lib tiny &&
         test -f uv-lib/tiny.py && echo hello",
    ),
    (
        "pip3",
        "pip3 install -q --cert $CA --index-url https://good.test/pip/ --no-deps --break-system-packages --target lib tiny &&
         test -f lib/tiny.py && echo hello",
    ),
    (
        "cargo",
        "mkdir -p crate/src crate/.cargo && cd crate && touch src/lib.rs &&
         printf '[package]\\nname = \"p\"\\nversion = \"1.0.0\"\\n[dependencies]\\ntiny = \"1\"\\n' > Cargo.toml &&
         printf '[source.crates-io]\\nreplace-with = \"own\"\\n[source.own]\\nregistry = \"sparse+https://good.test/cargo/\"\\n' \
         > .cargo/config.toml && CARGO_HTTP_CAINFO=$CA cargo fetch -q && echo hello",
    ),
    (
        "go",
        "mkdir module && cd module && printf 'module p\\ngo 1.18\\nrequire example.org/tiny v1.0.0\\n' > go.mod &&
         export SSL_CERT_FILE=$CA GOPROXY=https://good.test/go GOSUMDB=off GOFLAGS='-mod=mod -modcacherw' &&
         GODEBUG=netdns=go GOMODCACHE=$PWD/one go mod download && GODEBUG=netdns=cgo GOMODCACHE=$PWD/two go mod download &&
         echo hello",
    ),
];

/// The same of programs that reach no host by a proxy unless they are told to.
const DIRECT: &[(&str, &str)] = &[
    ("curl", "curl -sS -6 --http1.1 --tls-max 1.2 --cacert $CA https://good.test/"),
    ("curl", "curl -sS --http2-prior-knowledge http://good.test:50051/"),
    (
        "ssh",
        "ssh -v -F /dev/null -o StrictHostKeyChecking=no me@good.test 2>&1 | grep -o 'remote software version hello'",
    ),
    (
        "ssh",
        "GIT_SSH_COMMAND='ssh -v -F /dev/null -o StrictHostKeyChecking=no' git ls-remote ssh://me@good.test/a 2>&1 |
         grep -o 'remote software version hello'",
    ),
    (
        "java",
        "mkdir java && cd java && keytool -importcert -noprompt -file $CA -keystore trusted -storepass secret >&2 &&
         cat > Get.java <<'END' && java -XX:TieredStopAtLevel=1 -Djavax.net.ssl.trustStore=trusted \
         -Djavax.net.ssl.trustStorePassword=secret Get.java
import java.net.*; import java.net.http.*;
class Get { public static void main(String[] words) throws Exception {
  var request = HttpRequest.newBuilder(URI.create(\"https://good.test/\")).build();
  System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
  System.out.println(new String(new URL(\"http://good.test/\").openStream().readAllBytes()));
} }
END",
    ),
    (
        "node",
        "NODE_EXTRA_CA_CERTS=$CA node -e 'fetch(\"https://good.test/\").then(answer => answer.text()).then(console.log)'",
    ),
    // Both of its resolvers: c-ares, and the C library's.
    (
        "node",
        "node -e 'const dns = require(\"dns\").promises;
         Promise.all([dns.resolve4(\"good.test\"), dns.resolve6(\"good.test\"), dns.lookup(\"good.test\")])
             .then(all => console.log(\"hello\", all))'",
    ),
    (
        "python3",
        "/usr/bin/python3 -c '
import asyncio, os, ssl
async def main():
    trusted = ssl.create_default_context(cafile=os.environ[\"CA\"])
    reader, writer = await asyncio.open_connection(\"good.test\", 443, ssl=trusted)
    writer.write(b\"GET / HTTP/1.0\\r\\nHost: good.test\\r\\n\\r\\n\")
    print((await reader.read()).decode())
asyncio.run(main())'",
    ),
    ("psql", "PGPASSWORD=x psql -h good.test -U me -d it -Atc 'select 1'"),
    ("redis-cli", "redis-cli -h good.test ping"),
    (
        "musl-gcc",
        "cat > get.c <<'END' && musl-gcc -static get.c -o get && ./get
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *one;
  if (getaddrinfo(\"good.test\", \"80\", &hints, &one)) return 1;
  for (; one; one = one->ai_next) {
    int stream = socket(one->ai_family, SOCK_STREAM, 0);
    if (connect(stream, one->ai_addr, one->ai_addrlen)) continue;
    const char *ask = \"GET / HTTP/1.0\\r\\nHost: good.test\\r\\n\\r\\n\";
    char said[4096];
    ssize_t length;
    if (write(stream, ask, strlen(ask)) < 0) return 2;
    while ((length = read(stream, said, sizeof said)) > 0) fwrite(said, 1, length, stdout);
    return 0;
  }
  return 3;
}
END",
    ),
    ("busybox", "busybox nslookup good.test | grep -q 198.18. && busybox wget -qO- http://good.test/"),
    // Names over TCP, of the machine itself, by way of the search list, and back from an address.
    (
        "python3",
        "/usr/bin/python3 -c '
import socket
ask = b\"\\x12\\x34\\x01\\0\\0\\x01\\0\\0\\0\\0\\0\\0\\x04good\\x04test\\0\\0\\x01\\0\\x01\"
stream = socket.create_connection((\"127.0.0.1\", 53))
stream.send(len(ask).to_bytes(2, \"big\") + ask)
answer = stream.recv(512)
print(\"hello\" if answer[2:4] == ask[:2] and bytes([198, 18]) in answer else answer)'",
    ),
    ("getent", "getent ahosts localhost | grep -q 127.0.0.1 && getent ahosts loop.test | grep -q 127.0.0.1 && echo hello"),
    ("getent", "set -- $(getent ahostsv4 sub); getent hosts $1 | grep -q sub.good.test && echo hello"),
    ("getent", "set -- $(getent ahostsv6 good.test); getent hosts $1 | grep -q good.test && echo hello"),
];

/// The same of libraries that `make test-network-programs` fetches. `LIBRARIES` is where they are.
const LIBRARIES: &[(&str, &str)] = &[
    // With c-ares and without, with TLS and without.
    (
        "python3",
        "for resolver in ares native; do GRPC_DNS_RESOLVER=$resolver $LIBRARIES/python/bin/python -c '
import grpc, os
with open(os.environ[\"CA\"], \"rb\") as file:
    trusted = grpc.ssl_channel_credentials(file.read())
for channel in (grpc.insecure_channel(\"good.test:50052\"), grpc.secure_channel(\"good.test:50053\", trusted)):
    print(channel.unary_unary(\"/test.Greeter/Greet\")(b\"you\", timeout=60))' || exit; done",
    ),
    (
        "node",
        "NODE_PATH=$LIBRARIES/node_modules node -e '
const grpc = require(\"@grpc/grpc-js\");
const same = bytes => bytes;
const client = new grpc.Client(\"good.test:50052\", grpc.credentials.createInsecure());
client.makeUnaryRequest(\"/test.Greeter/Greet\", same, same, Buffer.from(\"you\"), (error, answer) => {
    console.log(error ?? answer.toString());
    client.close();
});'",
    ),
];

/// Those that take no proxy from the environment unless they are told to.
const DIRECT_LIBRARIES: &[(&str, &str)] = &[
    // The C library's resolver, and c-ares.
    (
        "python3",
        "$LIBRARIES/python/bin/python -c '
import aiohttp, asyncio, os, ssl
async def main():
    trusted = ssl.create_default_context(cafile=os.environ[\"CA\"])
    for resolver in (aiohttp.ThreadedResolver(), aiohttp.AsyncResolver()):
        connector = aiohttp.TCPConnector(ssl=trusted, resolver=resolver)
        async with aiohttp.ClientSession(connector=connector) as session, session.get(\"https://good.test/\") as answer:
            print(await answer.text())
asyncio.run(main())'",
    ),
    (
        "node",
        "NODE_PATH=$LIBRARIES/node_modules NODE_EXTRA_CA_CERTS=$CA node -e '
require(\"undici\").request(\"https://good.test/\").then(answer => answer.body.text()).then(console.log)'",
    ),
    (
        "ssh",
        "export GIT_SSH_COMMAND='ssh -F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null' &&
         git clone -q ssh://me@good.test:2222${CA%/*}/www/hello.git by-ssh && git -C by-ssh log --format=%s",
    ),
    (
        "cc",
        "cat > ares.c <<'END' && cc ares.c -o ares -lcares && ./ares
#include <ares.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/select.h>
static void found(void *how, int status, int timeouts, struct ares_addrinfo *all) {
  printf(\"%s by %s\\n\", status ? ares_strerror(status) : \"hello\", (char *)how);
}
static int look_up(char *how, int flags) {
  ares_channel channel;
  struct ares_options options = {.flags = flags};
  struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC};
  if (ares_init_options(&channel, &options, ARES_OPT_FLAGS)) return 1;
  ares_getaddrinfo(channel, \"good.test\", \"80\", &hints, found, how);
  fd_set to_read, to_write;
  for (int count;;) {
    FD_ZERO(&to_read);
    FD_ZERO(&to_write);
    if (!(count = ares_fds(channel, &to_read, &to_write))) return 0;
    struct timeval room, *limit = ares_timeout(channel, NULL, &room);
    select(count, &to_read, &to_write, NULL, limit);
    ares_process(channel, &to_read, &to_write);
  }
}
int main(void) { return look_up(\"UDP\", 0) || look_up(\"TCP\", ARES_FLAG_USEVC); }
END",
    ),
];

/// The sandbox that has a network of its own, and the one that has Landlock alone.
const SANDBOXES: [&str; 2] = ["", "[shell_tool]\nnamespaces = \"off\"\n"];

/// A client of a server on a machine with these servers, and all that the programs need.
async fn client(internet: &str, sandbox: &str) -> Option<(World, Client)> {
    if !is_installed("openssl") || !is_installed("git") {
        return None;
    }
    let world =
        World::with_rules("network_rule(host=\"good.test\", decision=\"allow\")\n").configured(sandbox);
    let mut server = machine(&world, internet, &[])?;
    let authority = world.home().join("served/ca.pem");
    server.env("PATH", super::package_managers::search_path()).envs(super::recipes::tools_homes());
    server.env("CA", authority).env("LIBRARIES", libraries());
    let client = Client::start_command(&world, &Person::absent(), server).await;
    Some((world, client))
}

/// What `make test-network-programs` fetches.
fn libraries() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("network")
}

/// Runs each script whose program is there. Returns what did not say `hello`, and what is not there.
async fn run_all(client: &Client, programs: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let (mut wrong, mut missing) = (Vec::new(), Vec::new());
    for (program, script) in programs {
        if client.run(&format!("command -v {program}")).await.ran().0 != 0 {
            missing.push(format!("{program} is not here"));
            continue;
        }
        let outcome = client.run_within(script, Duration::from_secs(120)).await;
        let (code, output) = outcome.ran();
        if code != 0 || !output.contains("hello") {
            wrong.push(format!("{program}: {script}: {outcome:?}"));
        }
    }
    (wrong, missing)
}

/// Looks at the outcome where a program may be missing, which is said.
fn expect_all((wrong, missing): (Vec<String>, Vec<String>)) {
    missing.iter().for_each(|why| super::recipes::skipped(why));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn programs_speak_their_own_protocols_to_hosts_by_name() {
    let Some((_world, client)) = client(INTERNET, SANDBOXES[0]).await else { return };
    expect_all(run_all(&client, &[PROGRAMS, DIRECT].concat()).await);
}

#[tokio::test]
async fn programs_that_know_of_proxies_reach_hosts_with_landlock_alone() {
    let Some((_world, client)) = client(INTERNET, SANDBOXES[1]).await else { return };
    expect_all(run_all(&client, PROGRAMS).await);
}

#[tokio::test]
#[ignore = "it needs the registries: make test-network-programs"]
async fn every_program_and_library_reaches_hosts() {
    let python = libraries().join("python/bin/python");
    assert!(python.exists(), "make test-network-programs installs {}", python.display());
    let more = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/internet_fetched.py");
    let internet = INTERNET.replace("MORE = []", &format!("MORE = [{python:?}, {more:?}]"));
    let knowing = [PROGRAMS, LIBRARIES].concat();
    let all = [PROGRAMS, LIBRARIES, DIRECT, DIRECT_LIBRARIES].concat();
    for (sandbox, programs) in SANDBOXES.into_iter().zip([all, knowing]) {
        let (_world, client) = client(&internet, sandbox).await.expect("a machine of its own");
        let (wrong, missing) = run_all(&client, &programs).await;
        assert!(wrong.is_empty() && missing.is_empty(), "{missing:?}\n\n{}", wrong.join("\n\n"));
    }
}
