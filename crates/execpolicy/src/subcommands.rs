//! Other words by which a tool takes one of its subcommands: aliases of its own, abbreviations, guesses, plumbing. A rule that asks or
//! forbids counts for them, too.
//!
//! What a tool's configuration adds (an alias of Cargo's) is not known here. Of Git's aliases the kernel's door sees what they start.

/// A tool's subcommands, and other words for them.
struct Tool {
    programs: &'static [&'static str],
    /// All that it knows, where it takes what is similar.
    known: &'static [&'static str],
    guess: Guess,
    /// A subcommand, and words that mean it.
    aliases: &'static [(&'static str, &'static [&'static str])],
}

/// What a tool makes of a word that it does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guess {
    Nothing,
    /// The subcommand that begins so.
    Beginning,
    /// The one that it is similar to, if the user, or whoever writes the command, has set that.
    Similar,
}

#[rustfmt::skip]
const TOOLS: &[Tool] = &[
    Tool {
        programs: &["npm"],
        known: &[
            "access", "adduser", "audit", "bugs", "cache", "ci", "completion", "config", "dedupe", "deprecate", "diff", "dist-tag",
            "docs", "doctor", "edit", "exec", "explain", "explore", "find-dupes", "fund", "get", "help", "help-search", "init",
            "install", "install-ci-test", "install-test", "link", "ll", "login", "logout", "ls", "org", "outdated", "owner", "pack",
            "ping", "pkg", "prefix", "profile", "prune", "publish", "query", "rebuild", "repo", "restart", "root", "run", "run-script",
            "sbom", "search", "set", "shrinkwrap", "star", "stars", "start", "stop", "team", "test", "token", "undeprecate",
            "uninstall", "unpublish", "unstar", "update", "version", "view", "whoami",
        ],
        guess: Guess::Beginning,
        aliases: &[
            ("ci", &["clean-install", "ic", "install-clean", "isntall-clean", "cit", "install-ci-test", "clean-install-test", "sit"]),
            ("config", &["c", "get", "set"]),
            ("dist-tag", &["dist-tags"]),
            ("exec", &["x"]),
            ("init", &["create", "innit"]),
            ("install", &[
                "add", "i", "in", "ins", "inst", "insta", "instal", "isnt", "isnta", "isntal", "isntall", "it", "install-test",
            ]),
            ("adduser", &["add-user", "login"]),
            ("login", &["add-user", "adduser"]),
            ("ls", &["list", "la", "ll"]),
            ("owner", &["author"]),
            ("rebuild", &["rb"]),
            ("run", &["run-script", "rum", "urn"]),
            ("run-script", &["run", "rum", "urn"]),
            ("search", &["find", "s", "se"]),
            ("test", &["t", "tst", "it", "install-test", "cit", "install-ci-test"]),
            ("uninstall", &["r", "remove", "rm", "un", "unlink"]),
            ("update", &["up", "upgrade", "udpate"]),
            ("view", &["info", "show", "v"]),
        ],
    },
    Tool {
        programs: &["pnpm"],
        known: &[],
        guess: Guess::Nothing,
        aliases: &[
            ("install", &["i", "it", "install-test", "ci"]),
            ("add", &["i", "install"]),
            ("remove", &["rm", "un", "uninstall"]),
            ("run", &["run-script", "t", "test", "start"]),
            ("test", &["t", "tst"]),
            ("update", &["up", "upgrade"]),
        ],
    },
    Tool {
        programs: &["cargo"],
        known: &[],
        guess: Guess::Nothing,
        aliases: &[
            ("build", &["b"]), ("check", &["c"]), ("doc", &["d"]), ("run", &["r"]), ("test", &["t"]), ("remove", &["rm"]),
        ],
    },
    Tool {
        programs: &["git"],
        known: &[
            "add", "am", "annotate", "apply", "archive", "backfill", "bisect", "blame", "branch", "bugreport", "bundle", "cat-file",
            "check-attr", "check-ignore", "check-mailmap", "check-ref-format", "checkout", "checkout-index", "cherry", "cherry-pick",
            "citool", "clean", "clone", "column", "commit", "commit-graph", "commit-tree", "config", "count-objects", "credential",
            "daemon", "describe", "diagnose", "diff", "diff-files", "diff-index", "diff-pairs", "diff-tree", "difftool",
            "fast-export", "fast-import", "fetch", "fetch-pack", "filter-branch", "fmt-merge-msg", "for-each-ref", "for-each-repo",
            "format-patch", "fsck", "gc", "get-tar-commit-id", "grep", "gui", "hash-object", "help", "hook", "http-backend",
            "http-fetch", "http-push", "imap-send", "index-pack", "init", "init-db", "instaweb", "interpret-trailers", "log",
            "ls-files", "ls-remote", "ls-tree", "mailinfo", "mailsplit", "maintenance", "merge", "merge-base", "merge-file",
            "merge-index", "merge-tree", "mergetool", "mktag", "mktree", "multi-pack-index", "mv", "name-rev", "notes",
            "pack-objects", "pack-redundant", "pack-refs", "patch-id", "prune", "prune-packed", "pull", "push", "quiltimport",
            "range-diff", "read-tree", "rebase", "receive-pack", "reflog", "refs", "remote", "repack", "replace", "replay",
            "request-pull", "rerere", "reset", "restore", "rev-list", "rev-parse", "revert", "rm", "send-email", "send-pack",
            "shortlog", "show", "show-branch", "show-index", "show-ref", "sparse-checkout", "stage", "stash", "status",
            "stripspace", "submodule", "switch", "symbolic-ref", "tag", "unpack-file", "unpack-objects", "update-index",
            "update-ref", "update-server-info", "upload-archive", "upload-pack", "var", "verify-commit", "verify-pack",
            "verify-tag", "version", "whatchanged", "worktree", "write-tree",
        ],
        guess: Guess::Similar,
        aliases: &[("push", &["send-pack", "http-push"]), ("fetch", &["fetch-pack", "http-fetch"]), ("add", &["stage"])],
    },
];

/// Words of Docker's that name what a subcommand is about, and stand before it.
const GROUPS: &[&str] = &["container", "image", "volume", "network", "system", "builder", "buildx"];

/// With this `send-pack` speaks to who has started it, and connects to nobody: so Git's transport runs it below `push`.
const SPEAKS_TO_ITS_STARTER: &[u8] = b"--stateless-rpc";

/// So many letters may differ.
const MOST_DIFFERENT: usize = 2;

/// The subcommands that a program takes a word for, besides the one that it is.
pub(crate) fn meanings(program: &[u8], word: &[u8], rest: &[&[u8]]) -> Vec<&'static str> {
    let Some(tool) = tool(program) else { return Vec::new() };
    let Ok(word) = std::str::from_utf8(word) else { return Vec::new() };
    if word.is_empty() || word.starts_with('-') || rest.contains(&SPEAKS_TO_ITS_STARTER) {
        return Vec::new();
    }
    let is_known = tool.known.contains(&word);
    let by_alias = tool.aliases.iter().filter(|(_, words)| words.contains(&word)).map(|(meant, _)| *meant);
    let mut found: Vec<&str> = by_alias.collect();
    if found.is_empty() && !is_known {
        let is_guessed = |known: &&&str| match tool.guess {
            Guess::Nothing => false,
            Guess::Beginning => known.starts_with(word),
            Guess::Similar => known.starts_with(word) || is_similar(known, word),
        };
        found.extend(tool.known.iter().filter(is_guessed));
    }
    found
}

/// Whether a subcommand stands behind this word, which says what it is about.
pub(crate) fn is_group(program: &[u8], word: &[u8]) -> bool {
    let is_dockers = ["docker", "podman", "nerdctl"].iter().any(|name| program == name.as_bytes());
    is_dockers && GROUPS.iter().any(|group| word == group.as_bytes())
}

fn tool(program: &[u8]) -> Option<&'static Tool> {
    let name = std::str::from_utf8(program).ok()?;
    TOOLS.iter().find(|tool| tool.programs.contains(&name))
}

/// In short words one letter makes another word.
fn is_similar(known: &str, word: &str) -> bool {
    let most = if word.len() < 4 { 1 } else { MOST_DIFFERENT };
    word.len() < 32 && strsim::damerau_levenshtein(known, word) <= most
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Command, Decision, Options, Policy};

    fn decision(rules: &str, line: &str) -> Decision {
        let policy = Policy::from_text(Path::new("x.rules"), rules).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        policy.evaluate(&Command::from_words(&words).unwrap(), &Options::default()).decision()
    }

    #[test]
    fn rules_that_forbid_count_for_other_words_of_a_subcommand() {
        let rules = "prefix_rule([[\"npm\", \"git\", \"docker\", \"cargo\", \"pnpm\"]])\n\
                     prefix_rule([\"npm\", [\"publish\", \"install\"]], \"forbidden\")\nprefix_rule([\"git\", \"push\"], \"forbidden\")\n\
                     prefix_rule([\"docker\", \"run\"], \"forbidden\")\nprefix_rule([\"cargo\", \"run\"], \"forbidden\")\n\
                     prefix_rule([\"pnpm\", \"add\"], \"forbidden\")\n";
        for line in [
            "npm publish",
            "npm publis",
            "npm pub",
            "npm p",
            "npm i x",
            "npm add x",
            "npm isntall x",
            "npm --silent pub",
            "git pusj",
            "git pus",
            "git psuh",
            "git send-pack x",
            "git -c help.autocorrect=immediate pusj",
            "docker container run x",
            "docker run x",
            "docker --debug container run x",
            "cargo r",
            "pnpm i x",
        ] {
            assert_eq!(decision(rules, line), Decision::Forbidden, "{line}");
        }
        for line in [
            "npm prune",
            "npm pack",
            "npm init",
            "npm t",
            "npm view x",
            "git pull",
            "git show",
            "git st",
            "git co x",
            "git send-pack --stateless-rpc x",
            "docker ps",
            "docker container ls",
            "cargo t",
            "pnpm t",
            "git status push",
        ] {
            assert_eq!(decision(rules, line), Decision::Allow, "{line}");
        }
    }

    #[test]
    fn rules_that_allow_mean_the_word_itself() {
        let rules = "prefix_rule([], \"allow\")";
        assert!(Policy::from_text(Path::new("x.rules"), rules).is_err());
        let policy = Policy::from_text(Path::new("x.rules"), "prefix_rule([\"npm\", \"install\"])").unwrap();
        let matches = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            !policy.evaluate(&Command::from_words(&words).unwrap(), &Options::default()).matches().is_empty()
        };
        assert!(matches("npm install x") && !matches("npm i x"));
    }
}
