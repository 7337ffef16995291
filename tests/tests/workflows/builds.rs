//! Builds and tests with the tool chains that are on the machine.

use crate::workflow::Workflow;

const C: &str = "printf '#include <stdio.h>\\nint main(void){puts(\"hi\");return 0;}\\n' > m.c; \
    printf 'all: m\\nm: m.o\\n\\tcc -o m m.o\\nm.o: m.c\\n\\tcc -c m.c\\nclean:\\n\\trm -f m m.o\\ntest: m\\n\\t./m\\n' > Makefile";
const RUST: &str = "mkdir src; printf '[package]\\nname = \"x\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\n[workspace]\\n' > Cargo.toml; \
    printf 'fn main() { println!(\"hi\"); }\\n#[test]\\nfn t() {}\\n' > src/main.rs";
const GO: &str = "printf 'module x\\ngo 1.19\\n' > go.mod; printf 'package main\\nimport \"fmt\"\\nfunc main() { fmt.Println(1) }\\n' > m.go; \
    printf 'package main\\nimport \"testing\"\\nfunc TestX(t *testing.T) {}\\n' > m_test.go; git init -q; git add .; git commit -qm x";
const NODE: &str = "printf '{\"name\":\"x\",\"version\":\"1.0.0\",\"scripts\":{\"build\":\"node -e 0 && echo built > built\",\"test\":\"node --test\"}}' > package.json; \
    printf 'require(\"node:test\")(\"t\", () => {});' > t.test.js";

const fn build(
    name: &'static str,
    needs: &'static [&'static str],
    setup: &'static str,
    script: &'static str,
    ignoring: &'static [&'static str],
) -> Workflow {
    Workflow { name, needs, setup, script, ignoring, ..Workflow::PLAIN }
}

const fn fetching(
    name: &'static str,
    needs: &'static [&'static str],
    setup: &'static str,
    script: &'static str,
    ignoring: &'static [&'static str],
) -> Workflow {
    Workflow { network: true, ..build(name, needs, setup, script, ignoring) }
}

pub(crate) const WORKFLOWS: &[Workflow] = &[
    build("make", &["make", "cc"], C, "make -s && make -s test > out && make -s clean", &[]),
    build("make -j2", &["make", "cc"], C, "make -sj2 && ./m > out && rm m m.o", &[]),
    build("cc with a sanitizer", &["cc"], C, "cc -fsanitize=undefined m.c -o m && ./m > out; rm m", &[]),
    build(
        "cargo build, test, offline",
        &["cargo"],
        RUST,
        "cargo build -q --offline && cargo test -q --offline > /dev/null && ./target/debug/x > out",
        &["target"],
    ),
    build(
        "go build, test, vet",
        &["go"],
        GO,
        "go build -o x . && ./x > out && go test ./... > /dev/null && go vet ./... && rm x",
        &[],
    ),
    build("npm run, npm test", &["npm"], NODE, "npm run -s build && npm test > /dev/null", &[]),
    build(
        "npm pack, npm version",
        &["npm"],
        NODE,
        "npm pack -s > name && rm x-1.0.0.tgz && npm version --no-git-tag-version 2.0.0 > v",
        &[],
    ),
    build(
        "python -m venv, unittest",
        &["python3"],
        "printf 'import unittest\\nclass T(unittest.TestCase):\\n  def test(self): pass\\n' > test_x.py",
        "python3 -m unittest -q 2> /dev/null && python3 -c 'import test_x'",
        &["__pycache__"],
    ),
    fetching(
        "cargo build of a new crate",
        &["cargo"],
        RUST,
        "cargo add -q itoa@1.0.0 && cargo build -q && ./target/debug/x > out",
        &["target"],
    ),
    fetching(
        "npm install, ci, npx",
        &["npm"],
        NODE,
        "npm install -s left-pad@1.3.0 && npm ci -s && npx -y cowsay@1.6.0 hi > cow",
        &["node_modules"],
    ),
    fetching(
        "pnpm add",
        &["npm"],
        NODE,
        "npx -y pnpm@9.15.9 add left-pad@1.3.0 > /dev/null",
        &["node_modules"],
    ),
    fetching(
        "yarn add",
        &["npm"],
        NODE,
        "npx -y yarn@1.22.22 add left-pad@1.3.0 > /dev/null",
        &["node_modules"],
    ),
    fetching(
        "pip install in a venv",
        &["python3"],
        "",
        "python3 -m venv v && v/bin/pip install -q six==1.17.0 && v/bin/python -c 'import six' ",
        &["v"],
    ),
    fetching(
        "uv venv, pip install, uvx",
        &["python3"],
        "",
        "python3 -m venv v && v/bin/pip install -q uv && v/bin/uv venv -q q && v/bin/uv pip install -q --python q/bin/python six==1.17.0 && v/bin/uvx -q cowsay -t hi > /dev/null",
        &["v", "q"],
    ),
    fetching(
        "tsc",
        &["npm"],
        NODE,
        "npm install -s typescript@5.4.5 && echo 'let x: number = 1; export { x }' > a.ts && npx tsc a.ts",
        &["node_modules"],
    ),
    fetching(
        "pytest -n 2",
        &["python3"],
        "printf 'import pytest\\n@pytest.mark.parametrize(\"i\", range(20))\\ndef test(i): pass\\n' > test_x.py",
        "python3 -m venv v && v/bin/pip install -q pytest pytest-xdist && v/bin/pytest -q -n 2 -p no:cacheprovider > /dev/null",
        &["v", "__pycache__"],
    ),
];
