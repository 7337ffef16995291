//! Programs that people use, each of which reaches a host by its name in its own way: with certificates, protocols and
//! resolvers of its own.

#![cfg(target_os = "linux")]

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::machine::is_installed;

use super::hosts_by_name::machine;

/// Servers for all of them.
const INTERNET: &str = include_str!("../../programs/internet.py");

/// A program, and a script with it that says `hello`. `CA` is the authority's certificate.
const PROGRAMS: &[(&str, &str)] = &[
    ("curl", "curl -sS --cacert $CA https://good.test/"),
    ("curl", "curl -sS -6 --http1.1 --tls-max 1.2 --cacert $CA https://good.test/"),
    ("curl", "curl -sS --http2-prior-knowledge http://good.test:50051/"),
    ("wget", "wget -qO- --ca-certificate=$CA https://good.test/"),
    ("git", "git -c http.sslCAInfo=$CA clone -q https://good.test/hello.git cloned && git -C cloned log --format=%s"),
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
         SSL_CERT_FILE=$CA GOPROXY=https://good.test/go GOSUMDB=off GOFLAGS=-mod=mod go mod download && echo hello",
    ),
    (
        "java",
        "mkdir java && cd java && cat > Get.java <<'END' && java -XX:TieredStopAtLevel=1 Get.java
import java.net.*; import java.net.http.*;
class Get { public static void main(String[] words) throws Exception {
  var request = HttpRequest.newBuilder(URI.create(\"http://good.test/\")).build();
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

#[tokio::test]
async fn programs_speak_their_own_protocols_to_hosts_by_name() {
    if !is_installed("openssl") || !is_installed("git") {
        return;
    }
    let world = World::with_rules("network_rule(host=\"good.test\", decision=\"allow\")\n");
    let Some(mut server) = machine(&world, INTERNET, &[]) else { return };
    server.env("PATH", super::package_managers::search_path()).envs(super::recipes::tools_homes());
    let client = Client::start_command(&world, &Person::absent(), server).await;
    let authority = world.home().join("served/ca.pem");
    let mut wrong = Vec::new();
    for (program, script) in PROGRAMS {
        let is_there = client.run(&format!("command -v {program}")).await.ran().0 == 0;
        if !is_there {
            super::recipes::skipped(&format!("{program} is not here"));
            continue;
        }
        let script = format!("export CA={}; {script}", authority.display());
        let outcome = client.run_within(&script, Duration::from_secs(120)).await;
        let (code, output) = outcome.ran();
        if code != 0 || !output.contains("hello") {
            wrong.push(format!("{program}: {script}: {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
