//! Programs that hand on the rights that they get: to what their arguments, their files or the workspace say.

use crate::command::{basename, windows_name};
use crate::decision::Decision;
use crate::nested::runs_commands;
use crate::pattern::{Element, Reading, quoted};
use crate::policy::Policy;
use crate::rights::{Run, WholeProfile};
use crate::rule::PrefixRule;

/// One kind of such programs.
struct Kind {
    programs: &'static [&'static str],
    /// The sub-commands that do; none: whatever follows.
    subcommands: &'static [&'static str],
    why: &'static str,
    /// A rule that lets one run and says nothing of its rights gives it none: its work is to run what it is given, or
    /// to show what it reads. The others need what the user has for theirs.
    inside: bool,
}

/// No list of these can be complete: what is not in it is not thereby narrow.
const KINDS: &[Kind] = &[
    Kind {
        programs: &["bash", "sh", "zsh", "dash", "ksh", "ash", "fish", "pwsh", "busybox", "toybox", "ld.so"],
        subcommands: &[],
        why: "runs any code",
        inside: true,
    },
    Kind {
        programs: &[
            "python",
            "pypy",
            "node",
            "nodejs",
            "deno",
            "bun",
            "perl",
            "ruby",
            "php",
            "lua",
            "java",
            "osascript",
        ],
        subcommands: &[],
        why: "runs any code",
        inside: true,
    },
    Kind {
        programs: &["docker", "podman", "nerdctl"],
        subcommands: &[
            "run",
            "exec",
            "create",
            "build",
            "buildx",
            "compose",
            "container",
            "cp",
            "load",
            "import",
        ],
        why: "runs any program with the rights of its service",
        inside: false,
    },
    Kind {
        programs: &["kubectl", "helm"],
        subcommands: &[],
        why: "runs programs that a --kubeconfig or a plug-in names",
        inside: false,
    },
    Kind {
        programs: &["find", "fd", "xargs", "parallel"],
        subcommands: &[],
        why: "runs any other program",
        inside: true,
    },
    Kind {
        programs: &["sed", "awk", "gawk", "mawk", "ed", "ex", "vi", "vim", "nvim", "emacs", "nano"],
        subcommands: &[],
        why: "runs and writes what its script says",
        inside: true,
    },
    Kind {
        programs: &["tar", "zip", "cpio", "sort", "split"],
        subcommands: &[],
        why: "runs programs that its options name",
        inside: true,
    },
    Kind {
        programs: &["rsync"],
        subcommands: &[],
        why: "sends any file anywhere, and runs programs that its options name",
        inside: false,
    },
    Kind {
        programs: &[
            "make",
            "gmake",
            "cmake",
            "ninja",
            "just",
            "task",
            "rake",
            "ant",
            "gradle",
            "gradlew",
            "mvn",
            "mvnw",
            "bazel",
            "npx",
            "uvx",
            "pipx",
            "pytest",
            "tox",
            "nox",
            "jest",
            "vitest",
            "tsc",
            "pre-commit",
            "ansible",
            "terraform",
        ],
        subcommands: &[],
        why: "runs what the workspace says",
        inside: true,
    },
    Kind {
        programs: &["npm", "pnpm", "yarn"],
        subcommands: &[
            "run",
            "run-script",
            "test",
            "t",
            "start",
            "stop",
            "restart",
            "exec",
            "x",
            "dlx",
            "ci",
            "install",
            "i",
            "add",
            "update",
            "rebuild",
            "publish",
            "pack",
            "version",
            "create",
            "init",
        ],
        why: "runs what the workspace and its packages say",
        inside: true,
    },
    Kind {
        programs: &["cargo", "go"],
        subcommands: &[
            "build", "b", "run", "r", "test", "t", "check", "c", "clippy", "bench", "doc", "install",
            "publish", "package", "fix", "generate", "vet",
        ],
        why: "runs what the workspace and its packages say",
        inside: true,
    },
    Kind {
        programs: &[
            "pip", "pip3", "uv", "poetry", "pipenv", "pdm", "hatch", "gem", "bundle", "composer", "conda",
        ],
        subcommands: &["install", "run", "tool", "sync", "add", "exec", "build", "update", "pip"],
        why: "runs what packages say",
        inside: true,
    },
    Kind {
        programs: &["ssh", "scp", "sftp"],
        subcommands: &[],
        why: "runs programs that its options name, here and there",
        inside: false,
    },
    Kind {
        programs: &["curl", "wget", "http", "nc", "ncat", "socat"],
        subcommands: &[],
        why: "sends any file anywhere, and writes what comes back",
        inside: false,
    },
    Kind {
        programs: &["pyenv", "rbenv", "nodenv", "asdf", "mise", "volta", "rustup", "direnv", "nvm"],
        subcommands: &[],
        why: "runs what a file of the workspace chooses",
        inside: true,
    },
    Kind {
        programs: &[
            "cat", "head", "tail", "less", "more", "bat", "grep", "egrep", "fgrep", "rg", "ag", "jq", "yq",
            "cp", "mv", "ln", "dd", "tee", "base64", "xxd", "od", "strings", "diff", "install",
        ],
        subcommands: &[],
        why: "reads what is hidden from commands, or writes what they may not",
        inside: true,
    },
];

/// Why a program that begins so hands on what it gets; `None` when that is not known.
#[must_use]
pub fn hands_on<S: AsRef<str>>(prefix: &[S]) -> Option<&'static str> {
    match kind_of(prefix) {
        Some(kind) => Some(kind.why),
        None => runs_others(prefix).then_some(RUNS_OTHERS),
    }
}

/// Why a program that begins so gets nothing more than commands may do by a rule that says nothing of its rights: it
/// runs what it is given. `None` when that is not known.
#[must_use]
pub fn runs_what_it_is_given<S: AsRef<str>>(prefix: &[S]) -> Option<&'static str> {
    match kind_of(prefix) {
        Some(kind) => kind.inside.then_some(kind.why),
        None => runs_others(prefix).then_some(RUNS_OTHERS),
    }
}

const RUNS_OTHERS: &str = "runs any other program";

fn runs_others<S: AsRef<str>>(prefix: &[S]) -> bool {
    prefix.first().is_some_and(|program| runs_commands(windows_name(program.as_ref()).as_bytes()))
}

fn kind_of<S: AsRef<str>>(prefix: &[S]) -> Option<&'static Kind> {
    let (program, arguments) = prefix.split_first()?;
    let name = windows_name(program.as_ref());
    // `python3.12` is `python`.
    let family = name.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.');
    let is_it = |known: &str| known == name || known == family;
    let subcommand = arguments.iter().map(AsRef::as_ref).find(|argument| !argument.starts_with('-'));
    let counts = |kind: &&Kind| {
        kind.programs.iter().any(|known| is_it(known))
            && (kind.subcommands.is_empty()
                || subcommand.is_none_or(|subcommand| kind.subcommands.contains(&subcommand)))
    };
    KINDS.iter().find(counts)
}

/// Programs that do what their arguments say and nothing else: they run no other, obey no file, and show nothing that is read.
/// Whoever lets one run knows what that is from its name. All others may be led to more than a rule's author thinks of.
const PLAIN: &[&str] = &[
    "arch", "basename", "cal", "chmod", "date", "df", "dirname", "du", "echo", "false", "free", "getconf",
    "groups", "hostname", "id", "kill", "ls", "lsblk", "lscpu", "mkdir", "nproc", "pgrep", "pkill", "printf",
    "pwd", "rm", "rmdir", "seq", "sleep", "stat", "test", "touch", "true", "tty", "uname", "uptime", "users",
    "who", "whoami",
];

impl Policy {
    /// The rules that let out what hands its rights on, a line each, with the narrower rule that does.
    #[must_use]
    pub fn handing_on(&self) -> Vec<String> {
        let says = |rule| if self.is_held_by_its_profile(rule) { None } else { handing_on(rule) };
        let mut found: Vec<String> = self.rules().filter_map(says).collect();
        found.dedup();
        found
    }

    /// The rules that let a program run outside without saying so, of which nobody has looked at what it may be led to; a line each.
    #[must_use]
    pub fn letting_out_unsaid(&self) -> Vec<String> {
        let says = |rule| if self.has_profile(rule) { None } else { letting_out_unsaid(rule) };
        let mut found: Vec<String> = self.rules().filter_map(says).collect();
        found.dedup();
        found
    }

    /// Whether a rule says nothing of rights, and the program's profile gives it those of a command at most, or its own alone.
    fn is_held_by_its_profile(&self, rule: &PrefixRule) -> bool {
        let holds = |profile: &WholeProfile| {
            matches!(profile.run, Run::Inside | Run::Confined) && profile.warnings.is_empty()
        };
        self.profile_of_program(rule).is_some_and(|profile| holds(&profile))
    }

    fn has_profile(&self, rule: &PrefixRule) -> bool {
        self.profile_of_program(rule).is_some()
    }

    /// The profile by which a rule that says nothing of rights has its program run.
    fn profile_of_program(&self, rule: &PrefixRule) -> Option<WholeProfile> {
        let program = rule.program.literals().first().copied().filter(|_| says_nothing(rule))?;
        let name = std::str::from_utf8(basename(program.as_bytes())).ok()?;
        self.profiles().of_program(name, &rule.origin)
    }
}

fn says_nothing(rule: &PrefixRule) -> bool {
    rule.run.is_none() && rule.profile.is_none() && rule.grants.is_none()
}

fn letting_out_unsaid(rule: &PrefixRule) -> Option<String> {
    let words = beginnings(rule).into_iter().find(|words| {
        let name = words.first().map(|program| windows_name(program)).unwrap_or_default();
        !PLAIN.contains(&name.as_str()) && hands_on(words).is_none()
    })?;
    let program = words.first()?;
    if rule.decision != Decision::Allow || rule.conditions.exact || !says_nothing(rule) {
        return None;
    }
    Some(format!(
        "{}: {} runs outside the sandbox by this rule, with your rights, and what its arguments, its files and the workspace may have it do \
         is not known here; write {} where it needs no more than commands may do, or run = \"outside\" to say that you know",
        rule.origin,
        quoted(program),
        inside(rule)
    ))
}

fn handing_on(rule: &PrefixRule) -> Option<String> {
    let gives_them = match rule.run {
        Some(Run::Outside | Run::Unconfined) => true,
        Some(Run::Inside | Run::Confined) => return None,
        None => false,
    };
    let is_bounded = rule.profile.is_some() || rule.grants.is_some();
    if rule.decision != Decision::Allow || rule.conditions.exact || (is_bounded && !gives_them) {
        return None;
    }
    let narrower = format!(
        "write {rule_inside} where it needs no more than commands may do, or exact = True for one command line",
        rule_inside = inside(rule)
    );
    let any = |element: &Element| {
        matches!(element, Element::Expression(_))
            && ["bash", "sh", "python3"].iter().all(|name| element.matches(name.as_bytes(), Reading::Narrow))
    };
    if any(&rule.program) {
        return Some(format!(
            "{}: {} fits every program, so whatever commands execute leaves the sandbox; {narrower}",
            rule.origin, rule.program
        ));
    }
    let (kind, program) = beginnings(rule).iter().find_map(|words| {
        let program = words.first()?.clone();
        Some((kind(words)?, program))
    })?;
    let (why, stays_inside) = kind;
    let program = quoted(&program);
    Some(match stays_inside && !gives_them {
        true => format!(
            "{}: {program} {why}, so this rule runs it inside the sandbox, with no more than commands may do; write {} to say \
             that you know, or run=\"outside\" where it needs what you have",
            rule.origin,
            inside(rule)
        ),
        false => format!("{}: {program} {why}, so this rule hands your rights on; {narrower}", rule.origin),
    })
}

/// Why a program that begins so hands on what it gets, and whether it gets nothing by a rule that says nothing.
fn kind(words: &[String]) -> Option<(&'static str, bool)> {
    Some((hands_on(words)?, runs_what_it_is_given(words).is_some()))
}

/// How commands begin that a rule fits, as far as it says: of alternatives in the second place each.
pub(crate) fn beginnings(rule: &PrefixRule) -> Vec<Vec<String>> {
    let literals = |element: &Element| element.literals().first().map(|word| (*word).to_owned());
    let Some(program) = literals(&rule.program) else { return Vec::new() };
    let second = rule.arguments.first().map(Element::literals).unwrap_or_default();
    let rest: Vec<String> = rule.arguments.iter().skip(1).map_while(literals).collect();
    if second.is_empty() {
        return vec![vec![program]];
    }
    let with =
        |word: &&str| [program.clone(), (*word).to_owned()].into_iter().chain(rest.iter().cloned()).collect();
    second.iter().map(with).collect()
}

/// The rule with which the program stays inside.
fn inside(rule: &PrefixRule) -> String {
    let elements = std::iter::once(&rule.program).chain(&rule.arguments).map(ToString::to_string);
    format!("prefix_rule([{}], run = \"inside\")", elements.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn lines(rule: &str) -> Vec<String> {
        Policy::from_text(Path::new("x.rules"), rule).unwrap().handing_on()
    }

    #[test]
    fn rules_that_hand_on_everything_are_named_with_a_narrower_one() {
        for pattern in [
            "[\"bash\"]",
            "[\"docker\"]",
            "[\"docker\", \"run\"]",
            "[\"find\"]",
            "[\"find\", \".\"]",
            "[\"sed\"]",
            "[\"awk\"]",
            "[\"tar\"]",
            "[\"make\", \"test\"]",
            "[\"python3.12\", \"x.py\"]",
            "[\"/usr/bin/python3\"]",
            "[\"curl\"]",
            "[\"pyenv\"]",
            "[\"cat\"]",
            "[\"grep\", \"-r\"]",
            "[\"jq\"]",
            "[regex(\".*\")]",
            "[glob(\"*\")]",
            "[\"timeout\", \"5\"]",
            "[\"env\"]",
            "[\"sudo\"]",
        ] {
            let said = lines(&format!("prefix_rule({pattern})"));
            assert!(
                matches!(&said[..], [one] if one.starts_with("x.rules:1: ") && one.contains("run = \"inside\")")),
                "{pattern}: {said:?}"
            );
            for narrower in [
                "run = \"inside\"",
                "grants = \"npm\"",
                "profile = \"git\"",
                "exact = True",
                "decision = \"prompt\"",
                "decision = \"forbidden\"",
            ] {
                let said = lines(&format!("prefix_rule({pattern}, {narrower})"));
                assert_eq!(said, [""; 0], "{pattern}, {narrower}");
            }
        }
        for pattern in [
            "[\"git\", \"push\"]",
            "[\"docker\", \"ps\"]",
            "[\"gh\", \"pr\", \"view\"]",
            "[\"npm\", \"view\"]",
            "[\"ls\"]",
            "[regex(\"mkfs.*\")]",
            "[\"cargo\", [\"metadata\", \"test\"]]",
            // What their profiles name holds them.
            "[\"npm\", \"run\", \"build\"]",
            "[\"kubectl\", \"get\"]",
            "[\"ssh\", \"host\"]",
        ] {
            assert_eq!(lines(&format!("prefix_rule({pattern})")), [""; 0], "{pattern}");
        }
    }

    #[test]
    fn what_is_let_out_without_a_word_is_named_unless_it_is_known_to_be_plain() {
        let lines = |rule: &str| Policy::from_text(Path::new("x.rules"), rule).unwrap().letting_out_unsaid();
        for program in ["gdb", "eslint", "sqlite3", "tmux", "some-tool", "/opt/x/tool", "rustc"] {
            let said = lines(&format!("prefix_rule([\"{program}\", \"a\"])"));
            let expected = format!("prefix_rule([\"{program}\", \"a\"], run = \"inside\")");
            assert!(
                matches!(&said[..], [one] if one.starts_with("x.rules:1: ") && one.contains(&expected)),
                "{said:?}"
            );
            for more in [
                "run = \"outside\"",
                "run = \"inside\"",
                "decision = \"prompt\"",
                "exact = True",
                "grants = {}",
            ] {
                assert_eq!(lines(&format!("prefix_rule([\"{program}\"], {more})")), [""; 0], "{more}");
            }
        }
        for program in ["ls", "/bin/ls", "echo", "git", "npm", "python3", "make"] {
            assert_eq!(lines(&format!("prefix_rule([\"{program}\"])")), [""; 0], "{program}");
        }
        let own = "profile(\"some-tool\", run=\"confined\")\nprefix_rule([\"some-tool\"])\n";
        assert_eq!(lines(own), [""; 0]);
    }
}
