//! The kernel's door and programs that people run, which execute others: what each does with one that runs, that leaves, that is
//! refused, and that is asked about.

use std::process::Command;
use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::Answer::Accept;
use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::machine::is_installed;

/// `id` may leave, `touch` is forbidden, `uname` is asked about; all else runs.
const RULES: &str = r#"
prefix_rule(["id"], decision="allow")
prefix_rule(["touch"], decision="forbidden", justification="nothing is touched")
prefix_rule(["uname"], decision="prompt")
"#;

/// A name, the program that it takes, and a script that has it execute `$P`, which also lies in the file `name`.
const PROGRAMS: &[(&str, &str, &str)] = &[
    (
        "a Git hook",
        "git",
        "mkdir hooks; printf '#!/bin/sh\\nexec %s\\n' $P > hooks/pre-commit; chmod +x hooks/pre-commit; git init -q r; cd r; \
         git -c core.hooksPath=../hooks -c user.name=a -c user.email=a@b commit -q --allow-empty -m x",
    ),
    (
        "a Git alias",
        "git",
        "git init -q r; cd r; printf '[alias]\\nway = !%s\\n' $P > ../config; GIT_CONFIG_GLOBAL=$PWD/../config git way",
    ),
    (
        "Node's spawn",
        "node",
        "node -e 'const n = require(\"fs\").readFileSync(\"name\", \"utf8\").trim(); \
         process.exit(require(\"child_process\").spawnSync(n, {stdio: \"inherit\"}).status)'",
    ),
    (
        "Node's exec",
        "node",
        "node -e 'const n = require(\"fs\").readFileSync(\"name\", \"utf8\").trim(); \
         require(\"child_process\").exec(n, (e, out, err) => { process.stdout.write(out + err); process.exit(e ? e.code : 0) })'",
    ),
    ("npm run", "npm", "printf '{\"scripts\":{\"way\":\"%s\"}}' $P > package.json; npm run --silent way"),
    (
        "make -j",
        "make",
        "printf 'all: a b c d\\na b c:\\n\\t@sleep 0.01\\nd:\\n\\t@%s\\n' $P > Makefile; make -s -j4",
    ),
    (
        "Java",
        "java",
        "printf 'import java.nio.file.*; class Way { public static void main(String[] a) throws Exception { \
         String n = Files.readString(Path.of(\"name\")).trim(); \
         System.exit(new ProcessBuilder(n).inheritIO().start().waitFor()); } }' > Way.java; java Way.java",
    ),
    (
        "Go",
        "go",
        "printf 'package main\\nimport (\"os\"; \"os/exec\"; \"strings\")\\nfunc main() { n, _ := os.ReadFile(\"name\"); \
         c := exec.Command(strings.TrimSpace(string(n))); c.Stdout = os.Stdout; c.Stderr = os.Stderr; \
         if c.Run() != nil { os.Exit(1) } }' > way.go; GOCACHE=$PWD/cache go run way.go",
    ),
    ("Perl", "perl", "perl -e 'open F, \"name\"; $n = <F>; chomp $n; exec {$n} $n'"),
    (
        "a file in memory",
        "python3",
        "python3 -c 'import os, shutil; n = open(\"name\").read().strip(); fd = os.memfd_create(n, os.MFD_CLOEXEC); \
         os.write(fd, open(shutil.which(n), \"rb\").read()); os.execve(fd, [n], os.environ)'",
    ),
    ("a thread of a static musl program", "musl-gcc", "\"$HOME\"/thread-musl-gcc"),
    ("a thread of a static program", "cc", "\"$HOME\"/thread-cc"),
];

fn decided(outcome: &Outcome) -> Vec<String> {
    let list = outcome.json()["decisions"].as_array().cloned().unwrap_or_default();
    list.iter().map(|made| made["decision"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn programs_that_people_run_execute_nothing_past_the_rules() {
    let world = World::with_rules(RULES);
    let client =
        Client::start_with(&world, &Person::answering([Accept; PROGRAMS.len()]), &["--door", "kernel"]).await;
    for (name, needs, script) in PROGRAMS.iter().filter(|(_, needs, _)| is_installed(needs)) {
        if needs.ends_with("cc") {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/thread.c");
            let mut compiler = Command::new(needs);
            compiler.args(["-static", "-pthread", "-o"]).arg(world.home().join(format!("thread-{needs}")));
            assert!(compiler.arg(source).status().expect("a compiler").success(), "{name}");
        }
        let run = async |program: &str| {
            let command = format!("rm -r -- * 2> /dev/null; export P={program}; echo $P > name; {script}");
            client.run_within(&command, Duration::from_secs(60)).await
        };
        let outcome = run("whoami").await;
        assert_eq!((outcome.ran().1, decided(&outcome)), ("root\n", Vec::new()), "{name}");
        let outcome = run("touch").await;
        assert!(outcome.ran().1.contains("nothing is touched"), "{name}: {outcome:?}");
        assert_eq!(decided(&outcome), ["refused"], "{name}");
        let outcome = run("id").await;
        assert!(outcome.ran().1.starts_with("uid="), "{name}: {outcome:?}");
        // A copy of what may leave is not what may.
        let leaves: &[&str] = if *name == "a file in memory" { &[] } else { &["escalated"] };
        assert_eq!(decided(&outcome), leaves, "{name}");
        let outcome = run("uname").await;
        assert_eq!(outcome.ran(), (0, "Linux\n"), "{name}: {outcome:?}");
        assert!(decided(&outcome)[0].starts_with("approved_"), "{name}: {outcome:?}");
    }
}
