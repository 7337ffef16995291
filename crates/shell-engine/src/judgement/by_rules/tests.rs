//! Tests of the verdict: rules and files that look like each other.

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::{Mode, Plan};

use super::super::verdict::Approved;
use super::super::wording::unasked;
use super::*;
use crate::config::Variables;
use crate::programs::{FileState, Programs, look};

/// A folder with programs, none of which is the user's until a test says so.
struct World {
    _keep: tempfile::TempDir,
    root: PathBuf,
    policy: Policy,
    trust: Trust,
    environment: Environment,
}

impl World {
    fn new(rules: &str) -> World {
        let keep = tempfile::tempdir().unwrap();
        let root = keep.path().canonicalize().unwrap();
        let policy = Policy::from_text(Path::new("test.rules"), rules).expect("good rules");
        let mut plan = Plan::unenforced(Mode::WorkspaceWrite, false.into());
        plan.writable = vec![root.clone()];
        let programs = Programs::new(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
        let trust = Trust::new(Arc::new(programs), Arc::new(plan));
        let own: Arc<Variables> = Arc::new([("PATH".into(), "/usr/bin:/bin".into())].into());
        let environment = Environment::new(own, &["PATH=/usr/bin:/bin".into()]);
        World { _keep: keep, root, policy, trust, environment }
    }

    fn program(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.root.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn judged(&self, file: &Path, arguments: &[&str]) -> Verdict {
        let options = Options::default();
        let grounds = Grounds {
            policy: &self.policy,
            options: &options,
            legacy: None,
            trust: &self.trust,
            environment: &self.environment,
            let_run: &LetRun::default(),
            executed: &Executed::default(),
        };
        judge(&grounds, &self.exec(file, arguments)).verdict
    }

    fn exec(&self, file: &Path, arguments: &[&str]) -> Exec {
        let opened: Option<OwnedFd> = look(file);
        let name = file.file_name().unwrap();
        Exec {
            file: file.to_owned(),
            argv: std::iter::once(name.to_owned()).chain(arguments.iter().map(OsString::from)).collect(),
            env: vec!["PATH=/usr/bin:/bin".into()],
            directory: None,
            workdir: self.root.clone(),
            seen: opened.as_ref().and_then(FileState::of),
            opened,
            first_line: None,
            starter: crate::judgement::Starter::Shell,
            below: None,
            kept_inside: None,
            runs_as: None,
            lineage: crate::judgement::Lineage::default(),
            is_far: false,
            reads_input: false,
        }
    }
}

fn in_bin(name: &str) -> PathBuf {
    ["/usr/bin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
        .expect("there")
}

const RULES: &str = r#"
prefix_rule(pattern=["env", "status"], decision="allow")
prefix_rule(pattern=["env", "push"], decision="prompt", justification="goes public")
prefix_rule(pattern=["id"], decision="forbidden", justification="not yours")
"#;

fn denied(verdict: Verdict) -> String {
    let Verdict::Deny { reason } = verdict else { panic!("not denied: {verdict:?}") };
    reason
}

#[test]
fn only_a_rule_about_the_program_that_it_means_escalates() {
    let world = World::new(RULES);
    assert!(matches!(world.judged(&in_bin("env"), &["status"]), Verdict::Escalate(_)));
    assert!(matches!(world.judged(&in_bin("env"), &["log"]), Verdict::Run { why_inside: None }));
    let planted = world.program("env", b"#!/bin/sh\n");
    let Verdict::Run { why_inside: Some(why) } = world.judged(&planted, &["status"]) else {
        panic!("escalated")
    };
    assert!(why.contains("`env` means"), "{why}");
}

#[test]
fn a_rule_that_asks_escalates_and_the_heuristic_only_runs() {
    let world = World::new(RULES);
    let Verdict::Ask { approved, question, .. } = world.judged(&in_bin("env"), &["push"]) else {
        panic!("not asked")
    };
    assert!(matches!(approved, Approved::Escalates(_)));
    let asked = format!(
        "Allow agent to run `{} push` in `{}`?\nReason: goes public\nRule: test.rules:3",
        in_bin("env").display(),
        world.root.display()
    );
    assert!(question.message().starts_with(&asked), "{}", question.message());
    let Verdict::Ask { approved, .. } = world.judged(&in_bin("rm"), &["-rf", "/etc/x"]) else {
        panic!("not asked")
    };
    assert!(matches!(approved, Approved::Runs { why_inside: None }));
}

#[test]
fn a_rule_that_asks_about_another_file_says_so_and_a_yes_does_not_let_it_out() {
    let world = World::new(RULES);
    let planted = world.program("env", b"#!/bin/sh\n");
    let Verdict::Ask { approved, question, .. } = world.judged(&planted, &["push"]) else {
        panic!("not asked")
    };
    assert!(matches!(approved, Approved::Runs { why_inside: Some(_) }));
    assert!(question.message().contains("not the program that the rule means"), "{}", question.message());
}

#[test]
fn a_denial_names_justification_file_and_line() {
    let world = World::new(RULES);
    assert_eq!(
        denied(world.judged(&in_bin("id"), &["-u"])),
        "Execution forbidden by policy: not yours (rule test.rules:4)"
    );
}

#[test]
fn a_forbidden_program_is_forbidden_under_its_other_names() {
    let world = World::new(RULES);
    let content = std::fs::read(in_bin("id")).unwrap();
    let copy = world.program("harmless", &content);
    assert!(denied(world.judged(&copy, &[])).contains("it is also known as"));
    std::os::unix::fs::symlink(in_bin("id"), world.root.join("link")).unwrap();
    assert!(denied(world.judged(&world.root.join("link"), &[])).contains("not yours (rule test.rules:4)"));
    let script = world.program("script", format!("#!{}\n", in_bin("id").display()).as_bytes());
    denied(world.judged(&script, &[]));
    // What a wrapper runs is looked at as a file, too.
    denied(world.judged(&in_bin("timeout"), &["5", "./harmless"]));
    let mut content = content;
    content.push(0);
    let other = world.program("other", &content);
    assert!(matches!(world.judged(&other, &[]), Verdict::Run { why_inside: None }));
    assert!(matches!(world.judged(&in_bin("timeout"), &["5", "./other"]), Verdict::Run { .. }));
}

#[test]
fn the_heuristic_knows_programs_by_their_files_unless_a_rule_speaks() {
    let world = World::new("prefix_rule([\"harmless\"])");
    let copy = world.program("sweep", &std::fs::read(in_bin("rm")).unwrap());
    assert!(matches!(world.judged(&copy, &["-rf", "/etc/x"]), Verdict::Ask { .. }));
    assert!(matches!(world.judged(&copy, &["x"]), Verdict::Run { .. }));
    let allowed = world.program("harmless", &std::fs::read(in_bin("rm")).unwrap());
    assert!(matches!(world.judged(&allowed, &["-rf", "/etc/x"]), Verdict::Run { why_inside: Some(_) }));
}

#[test]
fn a_denial_because_nobody_is_there_says_who_can_allow_it_and_has_no_rule_to_write() {
    let world = World::new("");
    let Verdict::Ask { question, .. } = world.judged(&in_bin("rm"), &["-rf", "/etc/x"]) else {
        panic!("not asked")
    };
    let reason = unasked(&question, "the client cannot ask", Path::new("/home/u/.codex/shell-tool/rules"));
    assert!(
        reason.ends_with(
            "but the client cannot ask; only a person can allow it: by an answer, or by a rule with \
             run=\"inside\" in /home/u/.codex/shell-tool/rules"
        ),
        "{reason}"
    );
}

#[test]
fn what_a_rule_keeps_inside_runs_there_unasked_and_a_yes_lets_nothing_out() {
    let world = World::new(
        "prefix_rule([\"rm\", \"-rf\"], run = \"inside\")\nprefix_rule([\"env\"], \"prompt\", run = \"inside\")\n\
         prefix_rule([\"id\"])\nprefix_rule([\"id\"], run = \"inside\")\n",
    );
    assert!(matches!(world.judged(&in_bin("rm"), &["-rf", "/usr/x"]), Verdict::Run { why_inside: None }));
    // The twin: another spelling is another command, and is asked about.
    assert!(matches!(world.judged(&in_bin("rm"), &["-fr", "/usr/x"]), Verdict::Ask { .. }));
    let Verdict::Ask { approved, question, .. } = world.judged(&in_bin("env"), &[]) else {
        panic!("not asked")
    };
    assert!(matches!(approved, Approved::Runs { .. }) && question.message().contains("inside the sandbox"));
    // Of two rules that allow, the one that keeps it inside is the stricter.
    assert!(matches!(world.judged(&in_bin("id"), &[]), Verdict::Run { why_inside: None }));
}

#[test]
fn a_program_that_another_one_starts_stays_inside_and_that_is_said_where_only_the_shells_are_seen() {
    let world = World::new(RULES);
    let Verdict::Run { why_inside: Some(why) } = world.judged(&in_bin("nice"), &["env", "status"]) else {
        panic!("nothing is said")
    };
    assert!(why.contains("test.rules:2 lets `env` out") && why.contains("only the kernel's door"), "{why}");
}

#[test]
fn a_question_promises_nothing_that_an_administrator_withholds() {
    let mut world = World::new(
        "prefix_rule([\"env\"], \"prompt\", grants={\"read\": [\"/srv\", \"/opt/keys\"], \
         \"hosts\": [\"a.example\", \"b.example\"]})",
    );
    let bounds = "[shell_tool]\ndeny_read = [\"/opt/keys\", \"/srv/secret\"]\ndeny_hosts = [\"a.example\"]\n";
    world.policy.add_requirements(Path::new("requirements.toml"), bounds).expect("good bounds");
    let Verdict::Ask { question, .. } = world.judged(&in_bin("env"), &["x"]) else { panic!("not asked") };
    let message = question.message();
    assert!(
        message.contains("inside the sandbox, with the network to b.example, and reading /srv.\n")
            || message.contains("inside the sandbox, with the network to b.example, and reading /srv. "),
        "{message}"
    );
    assert!(
        ["a.example", "/opt/keys", "/srv/secret"].iter().all(|what| message.contains(&format!(
            "{what}, which the administrator's requirements.toml does not let anybody give"
        ))),
        "{message}"
    );
}
