//! A table of commands and what is decided about each, by one set of rules that resembles a user's.

mod heuristics;

use std::path::Path;

use execpolicy::{Command, DecidedBy, Decision, Options, Policy};

const RULES: &str = r#"
prefix_rule(["ls"])
prefix_rule(["cat"])
prefix_rule(["git", ["status", "log", "diff"]])
prefix_rule(["git", "push"], "prompt", justification = "shows the world")
prefix_rule(["git", "push", ["-f", "--force"]], "forbidden", justification = "rewrites history")
prefix_rule(["npm", "test"], exact = True)
prefix_rule(["cargo", ["build", "test"]], deny_args = ["--config", "-Z"])
prefix_rule(["rm"], "forbidden", args_any = ["--no-preserve-root"])
prefix_rule(["curl"], "prompt", args_any = [["-o", "--output"], "-O"])
prefix_rule(["/opt/tool/bin/deploy"], "forbidden")
prefix_rule(["python3", regex("(?:test|check)_[a-z]+\\.py")])
prefix_rule(["pytest", glob("tests/**")])
prefix_rule(["dd"], "forbidden")
prefix_rule(["make"], env = {"CI": "1"})
prefix_rule(["terraform", "apply"], cwd = ["/home/me/infra"])
prefix_rule(["tool"], program_paths = ["/usr/local/bin/*"])
prefix_rule([regex("mkfs(\\..*)?")], "forbidden")
prefix_rule(["env"], "prompt", args_any = ["SECRET=1"])
host_executable("ls", ["/bin/ls", "/usr/bin/ls"])
"#;

use DecidedBy::{Heuristic, Nothing, Parts, Rule};
use Decision::{Allow, Forbidden, Prompt};

/// Words are separated by `|`, so that scripts keep their spaces.
const TABLE: &[(&str, Decision, DecidedBy)] = &[
    // Plain prefixes.
    ("ls", Allow, Rule),
    ("ls|-l|/", Allow, Rule),
    ("/bin/ls", Allow, Rule),
    ("/usr/bin/ls|x", Allow, Rule),
    ("/ws/ls|x", Allow, Nothing),
    ("./ls|x", Allow, Nothing),
    ("LS", Allow, Nothing),
    ("lsof", Allow, Nothing),
    ("cat|x", Allow, Rule),
    ("/anywhere/cat|x", Allow, Rule),
    ("git", Allow, Nothing),
    ("git|status", Allow, Rule),
    ("git|status|-s", Allow, Rule),
    ("git|log|-p", Allow, Rule),
    ("git|diff", Allow, Rule),
    ("git|show", Allow, Nothing),
    ("git|-C|/x|status", Allow, Nothing),
    ("git|push", Prompt, Rule),
    ("git|push|origin|main", Prompt, Rule),
    ("git|push|-f", Forbidden, Rule),
    ("git|push|--force|origin", Forbidden, Rule),
    ("git|push|origin|-f", Prompt, Rule),
    ("/usr/bin/git|push|-f", Forbidden, Rule),
    ("/ws/git|push|-f", Forbidden, Rule),
    // Git runs what it guesses by `help.autocorrect`.
    ("git|Push", Prompt, Rule),
    ("gitk|push", Allow, Nothing),
    // exact
    ("npm|test", Allow, Rule),
    ("npm|test|--", Allow, Nothing),
    ("npm|test|x", Allow, Nothing),
    ("npm|install", Allow, Nothing),
    // deny_args
    ("cargo|build", Allow, Rule),
    ("cargo|test|--release", Allow, Rule),
    ("cargo|build|--config|x", Allow, Nothing),
    ("cargo|build|--config=x", Allow, Nothing),
    ("cargo|build|--conf=x", Allow, Nothing),
    ("cargo|build|-Zx", Allow, Nothing),
    ("cargo|build|-vZx", Allow, Nothing),
    ("cargo|build|--|--config", Allow, Rule),
    ("cargo|run", Allow, Nothing),
    // args_any of rules that ask or forbid understands every spelling
    ("rm|-r|--no-preserve-root|/", Forbidden, Rule),
    ("rm|-r|--no-pres|/", Forbidden, Rule),
    ("rm|-r|/|--no-preserve-root", Forbidden, Rule),
    ("rm|-r|x", Allow, Nothing),
    ("rm|--|--no-preserve-root", Allow, Nothing),
    ("curl|x", Allow, Nothing),
    ("curl|x|-o|y", Prompt, Rule),
    ("curl|-sSLo|y|x", Prompt, Rule),
    ("curl|-sO|x", Prompt, Rule),
    ("curl|--output=y|x", Prompt, Rule),
    ("curl|--output-dir|y|x", Allow, Nothing),
    // A rule with a full path
    ("/opt/tool/bin/deploy", Forbidden, Rule),
    ("/opt/tool/bin/deploy|now", Forbidden, Rule),
    ("/opt//tool/./bin/deploy", Forbidden, Rule),
    ("/opt/tool/x/../bin/deploy", Forbidden, Rule),
    ("/proc/self/root/opt/tool/bin/deploy", Forbidden, Rule),
    ("deploy", Allow, Nothing),
    ("/usr/bin/deploy", Allow, Nothing),
    // Expressions
    ("python3|test_x.py", Allow, Rule),
    ("python3|check_abc.py|-v", Allow, Rule),
    ("python3|test_x.pyc", Allow, Nothing),
    ("python3|atest_x.py", Allow, Nothing),
    ("python3|-c|test_x.py", Allow, Nothing),
    ("pytest|tests/a/b.py", Allow, Rule),
    ("pytest|tests/../evil.py", Allow, Nothing),
    ("pytest|other/a.py", Allow, Nothing),
    ("mkfs|/dev/sda", Forbidden, Rule),
    ("mkfs.ext4|/dev/sda", Forbidden, Rule),
    ("/sbin/mkfs.xfs|x", Forbidden, Rule),
    ("xmkfs", Allow, Nothing),
    // Conditions that are not known do not loosen
    ("make", Allow, Nothing),
    ("terraform|apply", Allow, Nothing),
    ("tool", Allow, Nothing),
    ("/usr/local/bin/tool", Allow, Rule),
    ("/usr/local/bin/x/tool", Allow, Nothing),
    ("/ws/tool", Allow, Nothing),
    // Scripts: each command is judged
    ("bash|-c|ls", Allow, Parts),
    ("bash|-lc|ls && git status", Allow, Parts),
    ("/bin/zsh|-lc|ls | cat", Allow, Parts),
    ("sh|-ec|ls; cat x", Allow, Parts),
    ("dash|-c|ls\ncat x", Allow, Parts),
    ("bash|--norc|-c|ls", Allow, Parts),
    ("bash|-o|pipefail|-c|ls | cat", Allow, Parts),
    ("bash|-c|(ls; cat x)", Allow, Parts),
    ("bash|-c|for f in a b; do cat \"$f\"; done", Allow, Parts),
    ("bash|-c|if ls; then cat x; fi", Allow, Parts),
    ("bash|-c|while ls; do cat x; done", Allow, Parts),
    ("bash|-c|ls 2>/dev/null", Allow, Parts),
    ("bash|-c|ls 2>&1 | cat", Allow, Parts),
    ("bash|-c|cat < x", Allow, Parts),
    ("bash|-c|cat $(ls)", Allow, Parts),
    ("bash|-c|LANG=C ls", Allow, Parts),
    ("bash|-c|ls *.c", Allow, Parts),
    ("bash|-c|bash -c 'ls && cat x'", Allow, Parts),
    ("bash|-c|eval ls", Allow, Parts),
    ("bash|-c|ls && id", Allow, Nothing),
    ("bash|-c|ls > x", Allow, Nothing),
    ("bash|-c|ls >> x", Allow, Nothing),
    ("bash|-c|PATH=. ls", Allow, Nothing),
    ("bash|-c|PATH=.; ls", Allow, Nothing),
    ("bash|-c|LD_PRELOAD=x ls", Allow, Nothing),
    ("bash|-c|ls() { id; }; ls", Allow, Nothing),
    ("bash|-c|ls $(id)", Allow, Nothing),
    ("bash|-c|ls <(id)", Allow, Nothing),
    ("bash|-c|$X ls", Allow, Nothing),
    ("bash|-c|git $X", Allow, Nothing),
    ("bash|-c|git \"$X\"", Allow, Nothing),
    ("bash|-c|ls (", Allow, Nothing),
    ("bash|-c|ls;;", Allow, Nothing),
    ("bash|-c|", Allow, Nothing),
    ("bash|-c|ls\r", Allow, Nothing),
    ("bash|script.sh", Allow, Nothing),
    ("bash", Allow, Nothing),
    ("bash|-c|npm test", Allow, Parts),
    ("bash|-c|npm test $X", Allow, Nothing),
    ("bash|-c|cargo build $X", Allow, Nothing),
    ("bash|-c|git push", Prompt, Parts),
    ("bash|-c|ls; git push -f", Forbidden, Parts),
    ("bash|-c|git push -f > x", Forbidden, Parts),
    ("bash|-c|(git push -f)", Forbidden, Parts),
    ("bash|-ec|git push -f", Forbidden, Parts),
    ("bash|-c|if true; then git push -f; fi", Forbidden, Parts),
    ("bash|-c|echo $(git push -f)", Forbidden, Parts),
    ("bash|-c|echo \"`git push -f`\"", Forbidden, Parts),
    ("bash|-c|f() { git push -f; }; f", Forbidden, Parts),
    ("bash|-c|$X git push -f", Forbidden, Parts),
    ("bash|-c|git push -f; ((", Forbidden, Parts),
    ("bash|-c|g'i't push \"-f\"", Forbidden, Parts),
    ("bash|-c|g\\it pu\\sh $'\\x2df'", Forbidden, Parts),
    ("bash|-c|git \\\n push -f", Forbidden, Parts),
    ("bash|-c|bash -c 'sh -c \"git push -f\"'", Forbidden, Parts),
    ("bash|-c|bash <<'E'\ngit push -f\nE", Forbidden, Parts),
    ("bash|-c|bash <<< 'git push -f'", Forbidden, Parts),
    ("bash|-c|eval 'git push -f'", Forbidden, Parts),
    ("bash|-c|trap 'git push -f' EXIT", Forbidden, Parts),
    ("bash|-c|exec git push -f", Forbidden, Parts),
    ("bash|-c|command git push -f", Forbidden, Parts),
    ("bash|-c|coproc dd if=x", Forbidden, Parts),
    ("bash|-c|time git push -f", Forbidden, Parts),
    ("bash|-c|! git push -f", Forbidden, Parts),
    ("bash|-c|git push -f &", Forbidden, Parts),
    // Wrappers
    ("env|ls", Allow, Parts),
    ("env|LANG=C|ls", Allow, Parts),
    ("env|-i|ls", Allow, Parts),
    ("env|-u|X|ls", Allow, Parts),
    ("env|PATH=.|ls", Allow, Nothing),
    ("env|X", Allow, Nothing),
    ("env", Allow, Nothing),
    ("env|A=1|git|push|-f", Forbidden, Parts),
    ("env|-|git|push|-f", Forbidden, Parts),
    ("env|-S|git push -f", Forbidden, Parts),
    ("env|-vSgit push|-f", Forbidden, Parts),
    ("env|--split-string=dd x", Forbidden, Parts),
    ("env|-C|/x|dd", Forbidden, Parts),
    ("env|SECRET=1|ls", Prompt, Rule),
    ("nice|ls", Allow, Parts),
    ("nice|-n|5|ls", Allow, Parts),
    ("nice|-10|ls", Allow, Parts),
    ("nice|-n5|dd", Forbidden, Parts),
    ("nohup|ls", Allow, Parts),
    ("nohup|dd", Forbidden, Parts),
    ("timeout|5|ls", Allow, Parts),
    ("timeout|-k|1|-s|KILL|5|ls", Allow, Parts),
    ("timeout|--signal=KILL|5|dd", Forbidden, Parts),
    ("timeout|--sig|KILL|5|dd", Forbidden, Parts),
    ("timeout|--unknown|5|dd", Forbidden, Parts),
    ("timeout|--unknown|5|ls", Allow, Nothing),
    ("stdbuf|-oL|ls", Allow, Parts),
    ("stdbuf|-o|L|dd", Forbidden, Parts),
    ("time|-p|ls", Allow, Parts),
    ("setsid|-f|dd", Forbidden, Parts),
    ("ionice|-c|2|-n|3|dd", Forbidden, Parts),
    ("ionice|-c2|ls", Allow, Parts),
    ("chrt|-r|10|dd", Forbidden, Parts),
    ("taskset|-c|0|dd", Forbidden, Parts),
    ("setpriv|dd", Forbidden, Parts),
    ("setpriv|--reuid|65534|--clear-groups|dd", Forbidden, Parts),
    ("prlimit|--nofile=10|dd", Forbidden, Parts),
    ("nsenter|-t|1|-m|dd", Forbidden, Parts),
    ("xargs|ls", Allow, Nothing),
    ("xargs|dd", Forbidden, Parts),
    ("xargs|-0|-n|1|git|push|-f", Forbidden, Parts),
    ("xargs|-I{}|sh|-c|git push -f {}", Forbidden, Parts),
    ("sudo|ls", Allow, Nothing),
    ("sudo|-u|me|git|push|-f", Forbidden, Parts),
    ("sudo|A=1|dd", Forbidden, Parts),
    ("doas|-u|me|dd", Forbidden, Parts),
    ("su|-c|git push -f", Forbidden, Parts),
    ("find|.|-name|x", Allow, Nothing),
    ("find|.|-exec|ls|{}|;", Allow, Nothing),
    ("find|.|-exec|dd|{}|;", Forbidden, Parts),
    ("find|.|-execdir|git|push|-f|+", Forbidden, Parts),
    ("find|.|-ok|dd|;", Forbidden, Parts),
    ("busybox|dd", Forbidden, Parts),
    ("chroot|/x|dd", Forbidden, Parts),
    ("flock|/x|dd", Forbidden, Parts),
    ("/lib64/ld-linux-x86-64.so.2|/bin/dd", Forbidden, Parts),
    ("/lib/ld-musl-x86_64.so.1|--library-path|/x|/bin/dd", Forbidden, Parts),
    ("watch|-n|1|git push -f", Forbidden, Parts),
    ("env|nice|timeout|5|nohup|bash|-c|git push -f", Forbidden, Parts),
    // The heuristic, where no rule speaks
    ("rm|-f|x", Prompt, Heuristic),
    ("rm|-fr|x", Prompt, Heuristic),
    ("rm|-Rf|x", Prompt, Heuristic),
    ("rm|--force|x", Prompt, Heuristic),
    ("rm|-v|-f|x", Prompt, Heuristic),
    ("rm|x|-f", Prompt, Heuristic),
    ("rm|-rfv|x", Prompt, Heuristic),
    ("rm|--|-f", Allow, Nothing),
    ("sudo|rm|-f|x", Prompt, Heuristic),
    ("env|rm|-f|x", Prompt, Heuristic),
    ("xargs|rm|-f", Prompt, Heuristic),
    ("find|.|-exec|rm|-f|{}|;", Prompt, Heuristic),
    ("sh|-c|rm -f x", Prompt, Heuristic),
    ("/bin/sh|-c|rm -f x", Prompt, Heuristic),
    ("bash|-ec|rm -f x", Prompt, Heuristic),
    ("dash|-c|rm -f x", Prompt, Heuristic),
    ("bash|--norc|-c|rm -f x", Prompt, Heuristic),
    ("bash|-c|ls; rm -f x", Prompt, Heuristic),
    ("bash|-c|rm -f x > y", Prompt, Heuristic),
    ("bash|-c|(rm -f x)", Prompt, Heuristic),
    ("bash|-c|for f in *; do rm -f $f; done", Prompt, Heuristic),
    ("bash|-c|$SUDO rm -f x", Prompt, Heuristic),
    ("bash|-c|rm $X -f", Prompt, Heuristic),
    ("bash|-c|rm >/dev/null -f x", Prompt, Heuristic),
    ("bash|-c|>x rm -f y", Prompt, Heuristic),
    ("bash|-c|ls\n\n\\rm -f x", Prompt, Heuristic),
    ("bash|-c|sh -c \"rm -f $X\"", Prompt, Heuristic),
    ("bash|-c|sh $OPTIONS -c 'rm -f x'", Prompt, Heuristic),
    ("bash|-c|nice $OPTIONS rm -f x", Prompt, Heuristic),
    ("bash|-c|timeout $T rm -f x", Prompt, Heuristic),
    ("bash|-c|eval \"rm -f $X\"", Prompt, Heuristic),
    ("bash|-c|find . -exec sh -c 'rm -f \"$1\"' _ {} \\;", Prompt, Heuristic),
    ("bash|-c|a | xargs -n1 rm -f", Prompt, Heuristic),
];

#[test]
fn every_command_is_decided_as_the_table_says() {
    assert!(TABLE.len() >= 150, "{}", TABLE.len());
    let policy = Policy::from_text(Path::new("table.rules"), RULES).expect("valid rules");
    let mut wrong = Vec::new();
    for (line, decision, decided_by) in TABLE {
        let words: Vec<&str> = line.split('|').collect();
        // Scripts may hold pipes: words after `-c` are one.
        let words = join_script(words);
        let command = Command::from_words(&words).unwrap();
        let evaluation = policy.evaluate(&command, &Options::default());
        let found = (evaluation.decision(), evaluation.decided_by());
        if found != (*decision, *decided_by) {
            wrong.push(format!("{line:?}: {found:?}, expected {:?}", (decision, decided_by)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Joins again the words of a script that holds ` | `.
fn join_script(words: Vec<&str>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        match joined.last_mut() {
            Some(last) if word.starts_with(' ') || last.ends_with(' ') => {
                last.push('|');
                last.push_str(word);
            }
            Some(_) | None => joined.push(word.to_owned()),
        }
    }
    joined
}

#[test]
fn conditions_hold_where_they_are_known_to() {
    let policy = Policy::from_text(Path::new("table.rules"), RULES).expect("valid rules");
    let decide = |command: Command<'_>| {
        let evaluation = policy.evaluate(&command, &Options::default());
        (evaluation.decision(), evaluation.decided_by())
    };
    let none: [&str; 0] = [];
    let apply = ["apply"];
    for (cwd, expected) in [
        ("/home/me/infra", Rule),
        ("/home/me/infra/prod", Rule),
        ("/home/me", Nothing),
        ("/home/me/infra2", Nothing),
    ] {
        let command = Command::new("terraform", &apply).with_cwd(Path::new(cwd));
        assert_eq!(decide(command), (Allow, expected), "{cwd}");
    }
    for (value, expected) in [("1", Rule), ("0", Nothing)] {
        let environment = [("CI".into(), value.into())];
        let command = Command::new("make", &none).with_environment(&environment);
        assert_eq!(decide(command), (Allow, expected), "{value}");
    }
    let words = ["make"];
    let environment = [("CI".into(), "1".into())];
    let nice = Command::new("nice", &words).with_environment(&environment);
    assert_eq!(decide(nice), (Allow, Parts));
    let words = ["CI=0", "make"];
    let env = Command::new("env", &words).with_environment(&environment);
    assert_eq!(decide(env), (Allow, Nothing));
}
/// Options may stand before what a rule that asks or forbids names; for one that allows they may not.
#[test]
fn options_before_a_sub_command_dodge_no_rule() {
    let rules = "prefix_rule([\"git\", \"push\"], \"forbidden\")\nprefix_rule([\"git\", \"log\"])\n\
        prefix_rule([\"kubectl\", \"delete\", \"pod\"], \"forbidden\", exact = True)\n";
    let policy = Policy::from_text(Path::new("x.rules"), rules).unwrap();
    for (line, decision, decided_by) in [
        ("git push", Forbidden, DecidedBy::Rule),
        ("git --no-pager push origin", Forbidden, DecidedBy::Rule),
        ("git -C push log", Forbidden, DecidedBy::Rule),
        ("git -c a=b --git-dir x push", Forbidden, DecidedBy::Rule),
        ("git commit -m push", Allow, DecidedBy::Nothing),
        ("git --no-pager log", Allow, DecidedBy::Nothing),
        ("git log push", Allow, DecidedBy::Rule),
        ("kubectl -n x delete pod", Forbidden, DecidedBy::Rule),
        ("kubectl -n x delete pod y", Allow, DecidedBy::Nothing),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let found = policy.evaluate(&Command::from_words(&words).unwrap(), &Options::default());
        assert_eq!((found.decision(), found.decided_by()), (decision, decided_by), "{line}");
    }
}

/// The file that an interpreter runs is a program to rules that ask or forbid.
#[test]
fn what_an_interpreter_runs_is_judged() {
    let rules = "prefix_rule([\"deploy\", \"now\"], \"prompt\")\nprefix_rule([\"fine\"])\n";
    let policy = Policy::from_text(Path::new("x.rules"), rules).unwrap();
    for (line, decision, decided_by) in [
        ("python3 deploy now", Prompt, DecidedBy::Parts),
        ("python3.12 -I -X utf8 /opt/deploy now", Prompt, DecidedBy::Parts),
        ("node --require x /opt/deploy now", Prompt, DecidedBy::Parts),
        ("node --unknown x /opt/deploy now", Prompt, DecidedBy::Parts),
        ("bash -e deploy now", Prompt, DecidedBy::Parts),
        ("env -i sh ./deploy now", Prompt, DecidedBy::Parts),
        ("ruby -I lib deploy now", Prompt, DecidedBy::Parts),
        ("python3 deploy later", Allow, DecidedBy::Nothing),
        ("python3 -c deploy now", Allow, DecidedBy::Nothing),
        ("python3 fine", Allow, DecidedBy::Nothing),
        ("bash fine", Allow, DecidedBy::Nothing),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let found = policy.evaluate(&Command::from_words(&words).unwrap(), &Options::default());
        assert_eq!((found.decision(), found.decided_by()), (decision, decided_by), "{line}");
    }
}
