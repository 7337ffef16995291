//! What lies outside the project: refused, and what the refusal names lets it through.

use crate::workflow::{Expected, Workflow};

const fn outside(
    name: &'static str,
    needs: &'static [&'static str],
    setup: &'static str,
    script: &'static str,
    named: &'static str,
) -> Workflow {
    Workflow { name, needs, setup, script, expected: Expected::Refused(named), ..Workflow::PLAIN }
}

const fn kept(
    name: &'static str,
    setup: &'static str,
    script: &'static str,
    named: &'static str,
) -> Workflow {
    Workflow { name, setup, script, expected: Expected::Kept(named), ..Workflow::PLAIN }
}

pub(crate) const WORKFLOWS: &[Workflow] = &[
    outside("a file beside the project", &[], "mkdir ../out", "echo x > ../out/x && cp ../out/x got", "/out"),
    outside(
        "the same, in a pipe",
        &[],
        "mkdir ../out",
        "{ echo x > ../out/x; cp ../out/x got; } 2>&1 | tail",
        "/out",
    ),
    outside(
        "a folder that is missing",
        &[],
        "",
        "mkdir -p ../new/deep && echo x > ../new/deep/x && cp ../new/deep/x got",
        "/new",
    ),
    outside(
        "make install",
        &["make"],
        "mkdir ../opt; printf 'install:\\n\\tmkdir -p ../opt/bin\\n\\tcp Makefile ../opt/bin/tool\\n' > Makefile",
        "make -s install && cp ../opt/bin/tool got",
        "/opt",
    ),
    Workflow {
        ignoring: &["target"],
        ..outside(
            "cargo build --target-dir",
            &["cargo"],
            "mkdir src ../built; printf '[package]\\nname = \"x\"\\nversion = \"0.1.0\"\\nedition = \"2021\"\\n[workspace]\\n' > Cargo.toml; echo 'fn main() {}' > src/main.rs",
            "cargo build -q --offline --target-dir ../built",
            "/built",
        )
    },
    outside(
        "go build -o",
        &["go"],
        "mkdir ../built; printf 'module x\\ngo 1.19\\n' > go.mod; printf 'package main\\nfunc main() {}\\n' > m.go",
        "go build -o ../built/x . && ../built/x > got",
        "/built",
    ),
    outside(
        "npm pack --pack-destination",
        &["npm"],
        "mkdir ../built; printf '{\"name\":\"x\",\"version\":\"1.0.0\"}' > package.json",
        "npm --no-update-notifier pack --pack-destination ../built > name",
        "/built",
    ),
    outside(
        "python writes a log",
        &["python3"],
        "mkdir ../log",
        "python3 -c 'open(\"../log/x\", \"w\").write(\"x\")' && cp ../log/x got",
        "/log",
    ),
    outside("a trace", &["strace"], "", "strace -o /dev/null true && touch got", "debug = true"),
    kept("a program for the user", "mkdir -p ../.local/bin", "echo > ../.local/bin/git", ".local/bin"),
    kept("a start-up file", "touch ../.bashrc", "echo >> ../.bashrc", ".bashrc"),
    kept("an agent's rules", "mkdir ../.claude", "echo > ../.claude/settings.json", ".claude"),
];
