//! Attempts on the way out of the sandbox that the user's rules open: other programs under a trusted name, forbidden
//! programs under other names, the interceptor switched off, environments and Git repositories that make a trusted
//! program do something else.
//!
//! OUT is a folder that only a program outside can write; EVIL is a script of the agent's that tries to.

use std::fmt::Write as _;

use end_to_end_tests::waiting::eventually;
use end_to_end_tests::word;

use serde_json::Value;

use crate::place::{Attacked, EVERY, Form, Place, User};

const RULES: &str = r#"
prefix_rule(["touch"], run="unconfined")
prefix_rule(["env"], run="unconfined")
prefix_rule(["gcc"], run="unconfined")
prefix_rule(["git"], run="confined")
prefix_rule(["id"], decision="forbidden", justification="no names")
prefix_rule(["git", ["push", "tag"]], decision="forbidden", justification="no names")
"#;

/// How it shows that this layer stopped an attempt.
#[derive(Clone, Copy, Debug)]
enum Layer {
    /// The rule speaks about the program whatever it is called; nothing of it has run.
    Interceptor,
    /// Allowed, but it is not the program that the rule means, so it ran inside.
    Trust,
    /// Left, without this variable.
    Environment(&'static str),
    /// It left with the rights of its rule, which are not enough; with Landlock alone it stays inside where nobody can be asked.
    Rights,
    /// It is called otherwise than it was judged, so it stays inside where nobody can be asked.
    Name,
    /// No rule speaks about it, so it ran inside.
    Sandbox,
}

use Layer::{Environment, Interceptor, Name, Rights, Sandbox, Trust};

impl Layer {
    fn name(self) -> &'static str {
        match self {
            Interceptor => "interceptor",
            Trust => "trust",
            Environment(_) => "environment",
            Rights => "rights",
            Name => "name",
            Sandbox => "sandbox",
        }
    }

    /// The allowed twin where the row has none of its own.
    fn twin(self) -> &'static str {
        match self {
            Interceptor => "cp $(type -P true) yes; ./yes",
            Trust | Name | Sandbox => "touch OUT/marker",
            Environment(_) => "CI=hello env | grep -x CI=hello",
            Rights => "git status --short",
        }
    }

    /// Whether the result shows the layer at work.
    fn is_seen(self, result: &Value) -> bool {
        let mut decisions = result["decisions"].as_array().into_iter().flatten();
        let why = |made: &Value| made["why_not_escalated"].as_str().unwrap_or_default().to_owned();
        let output = result["output"].as_str().unwrap_or_default();
        match self {
            // The sentence stands in the output, or beside the decision where the command has hidden it.
            Interceptor => decisions.any(|made| {
                made["decision"] == "refused"
                    && (why(made).contains("no names") || output.contains("no names"))
            }),
            Trust => decisions.any(|made| made["decision"] == "ran_inside" && why(made).contains("` means")),
            Environment(name) => decisions.any(|made| {
                let mut dropped = made["dropped_variables"].as_array().into_iter().flatten();
                made["decision"] == "escalated" && dropped.any(|dropped| dropped == name)
                    || was_to_be_asked(made, &why(made))
            }),
            Name => decisions.any(|made| was_to_be_asked(made, &why(made))),
            Rights => {
                let is_held =
                    |made: &Value| made["decision"] == "escalated" || was_to_be_asked(made, &why(made));
                decisions.any(is_held) && !output.contains("secret")
            }
            Sandbox => {
                decisions.next().is_none()
                    && (output.contains("Read-only file system") || output.contains("Permission denied"))
            }
        }
    }
}

fn was_to_be_asked(made: &Value, why: &str) -> bool {
    made["decision"] == "ran_inside" && why.contains("a person would have been asked")
}

/// Number, name, the attack, what stops it.
#[rustfmt::skip]
const ATTEMPTS: &[(&str, &str, &str, Layer)] = &[
    ("1", "a copy", "cp $(type -P id) xid; ./xid", Interceptor),
    ("2", "a symbolic link", "ln -s $(type -P id) sid; ./sid", Interceptor),
    ("2", "a hard link to a copy", "cp $(type -P id) hid; ln hid hid2; ./hid2", Interceptor),
    ("3", "/proc/self/root", "/proc/self/root$(type -P id)", Interceptor),
    ("4", "the loader", "$(echo /lib64/ld-linux-*.so.2 /lib/ld-linux-*.so.1 | grep -o '[^ *]*ld-linux[^ *]*' | head -1) $(type -P id)", Interceptor),
    ("5", "./touch", "cp EVIL touch; ./touch OUT/marker", Trust),
    ("5", "touch by its whole path", "cp EVIL touch; \"$PWD/touch\" OUT/marker", Trust),
    ("5", "touch in another folder", "mkdir -p d; cp EVIL d/touch; cd d; ../d/touch OUT/marker", Trust),
    ("6", "PATH with a folder in front", "mkdir -p d; cp EVIL d/touch; PATH=$PWD/d:$PATH; touch OUT/marker", Trust),
    ("6", "PATH with . in front", "cp EVIL touch; PATH=.:$PATH touch OUT/marker", Trust),
    ("7", "a shell that no rule allows", "sh -c ': > OUT/marker'", Sandbox),
    ("7", "eval", "eval 'i''d'", Interceptor),
    ("8", "a descriptor of the file", "exec 9< $(type -P id); /proc/self/fd/9", Interceptor),
    ("8", "a descriptor of a removed copy", "cp $(type -P id) gone; exec 9< gone; rm gone; /proc/self/fd/9", Interceptor),
    ("8", "fexecve of a file in memory", "python3 -c \"import os; f = os.memfd_create('x'); os.write(f, open('$(type -P touch)', 'rb').read()); os.execve(f, ['touch', '$(echo OUT/marker)'], os.environ)\"", Sandbox),
    ("10", "exec -a", "exec -a harmless id", Interceptor),
    ("10", "exec -a of the agent's own", "exec -a touch EVIL", Sandbox),
    ("10", "exec -a of an allowed program", "exec -a other touch OUT/marker", Name),
    ("10", "exec -a of a login shell's name", "exec -l touch OUT/marker", Name),
    ("10", "exec -a of a sub-command", "exec -a git-push git", Interceptor),
    ("10", "exec -a of a sub-command, with a path", "exec -a /x/git-push git origin", Interceptor),
    ("10", "a sub-command's own file", "$(git --exec-path)/git-push", Interceptor),
    ("10", "options before the sub-command", "git --no-pager push", Interceptor),
    ("10", "options with values before it", "git -C . -P --git-dir .git tag x", Interceptor),
    ("10", "very many options before it", "git $(printf -- '-P %.0s' {1..2000}) push", Interceptor),
    ("2", "thirty-five links in a row", "mkdir d; cd d; ln -s $(type -P id) l0; for i in {1..35}; do ln -s l$((i - 1)) l$i; done; ./l35", Interceptor),
    ("7", "a file for an interpreter", "cp $(type -P id) xid; python3 xid", Interceptor),
    ("7", "a file for an interpreter, behind options", "cp $(type -P id) xid; python3 -I -X utf8 ./xid -c x", Interceptor),
    ("7", "a file for a shell", "bash $(type -P id)", Interceptor),
    ("10", "hash -p", "cp EVIL touch; hash -p \"$PWD/touch\" touch; touch OUT/marker", Trust),
    ("11", "unset", "unset BASH_EXEC_WRAPPER CODEX_ESCALATE_SOCKET; id", Interceptor),
    ("11", "an empty setting", "BASH_EXEC_WRAPPER= id", Interceptor),
    ("11", "another wrapper", "export BASH_EXEC_WRAPPER=$(type -P true); id", Interceptor),
    ("11", "declare -n", "declare -n BASH_EXEC_WRAPPER=other; other=x; id", Interceptor),
    ("11", "export -n", "export BASH_EXEC_WRAPPER; export -n BASH_EXEC_WRAPPER; id", Interceptor),
    ("11", "exec -c", "exec -c id", Interceptor),
    ("14", "BASH_ENV", "BASH_ENV=EVIL env", Environment("BASH_ENV")),
    ("14", "ENV", "ENV=EVIL env", Environment("ENV")),
    ("14", "an exported function", "ls() { EVIL; }; export -f ls; env", Environment("BASH_FUNC_ls%%")),
    ("14", "an alias", "shopt -s expand_aliases\nalias harmless=id\neval harmless", Interceptor),
    ("14", "a function that shadows", "harmless() { command id; }; harmless", Interceptor),
    ("15", "LD_PRELOAD", "LD_PRELOAD=$PWD/evil.so env", Environment("LD_PRELOAD")),
    ("15", "LD_AUDIT", "LD_AUDIT=$PWD/evil.so env", Environment("LD_AUDIT")),
    ("15", "DYLD_INSERT_LIBRARIES", "DYLD_INSERT_LIBRARIES=$PWD/evil.so env", Environment("DYLD_INSERT_LIBRARIES")),
    ("15", "LD_PRELOAD for the interceptor", "LD_PRELOAD=$PWD/evil.so id", Interceptor),
    ("40", "printf -v, then export", "printf -v LD_PRELOAD %s evil.so; export LD_PRELOAD; env", Environment("LD_PRELOAD")),
    ("40", "read, then export", "read -r PAGER <<< EVIL; export PAGER; env", Environment("PAGER")),
    ("40", "set -a", "set -a; GIT_SSH_COMMAND=EVIL; env", Environment("GIT_SSH_COMMAND")),
    ("40", "a file of TLS secrets", "SSLKEYLOGFILE=OUT/marker env", Environment("SSLKEYLOGFILE")),
    ("40", "options of zip", "ZIP='-T -TT EVIL' env", Environment("ZIP")),
    ("-", "a variable that nobody knows", "A_NAME_OF_NOBODYS=EVIL env", Environment("A_NAME_OF_NOBODYS")),
    ("-", "DEPENDENCIES_OUTPUT", "echo 'int x;' > x.c; export DEPENDENCIES_O''UTPUT=OUT/marker; gcc -c x.c -o x.o", Environment("DEPENDENCIES_OUTPUT")),
    ("25", "-c core.fsmonitor", "git -c core.fsmonitor=EVIL status", Rights),
    ("25", "-c core.pager", "git -c core.pager=EVIL -p status", Rights),
    ("25", "-c alias", "git -c alias.x='!EVIL' x", Rights),
    ("25", "-c diff.external", "git -c diff.external=EVIL diff", Rights),
    ("25", "--config-env", "WHAT=EVIL git --config-env=core.fsmonitor=WHAT status", Rights),
    ("26", "--exec-path", "cp EVIL git-x; git --exec-path=$PWD x", Rights),
    ("26", "-C into a repository of the agent's", "mkdir -p r/.git/objects r/.git/refs; echo 'ref: refs/heads/main' > r/.git/HEAD; printf '[core]\\nfsmonitor = EVIL\\n' > r/.git/config; git -C r status", Rights),
    ("27", "grep -O", "git grep --no-index -OEVIL inside", Rights),
    ("28", "diff --output", "git diff --output=OUT/marker", Rights),
    ("28", "merge-file", "echo x > base; echo evil > other; git merge-file OUT/kept base other", Rights),
    ("28", "format-patch", "mkdir -p .codex; cd .codex; git format-patch --suffix=.rules -1", Rights),
    ("-", "diff of a file that is hidden", "git diff /dev/null $HOME/.netrc", Rights),
    ("-", "diff --no-index", "git diff --no-index file $HOME/.netrc", Rights),
    ("-", "hash-object -w", "git hash-object -w $HOME/.netrc", Rights),
    ("-", "commit -F", "git commit --allow-empty -F $HOME/.netrc", Rights),
    ("29", "ext::", "git -c protocol.ext.allow=always fetch 'ext::EVIL'", Rights),
    ("29", "--upload-pack", "git fetch --upload-pack=EVIL .", Rights),
    ("30", "GIT_SSH_COMMAND", "cd OUT; GIT_SSH_COMMAND=EVIL git --version", Environment("GIT_SSH_COMMAND")),
    ("30", "GIT_EXTERNAL_DIFF", "cd OUT; GIT_EXTERNAL_DIFF=EVIL git --version", Environment("GIT_EXTERNAL_DIFF")),
    ("30", "GIT_CONFIG_COUNT", "cd OUT; GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0=EVIL git --version", Environment("GIT_CONFIG_KEY_0")),
    ("30", "GIT_PAGER", "cd OUT; GIT_PAGER=EVIL git --version", Environment("GIT_PAGER")),
    ("30", "GIT_EXEC_PATH", "cd OUT; GIT_EXEC_PATH=$PWD git --version", Environment("GIT_EXEC_PATH")),
    ("30", "GIT_TEMPLATE_DIR", "cd OUT; GIT_TEMPLATE_DIR=$PWD git --version", Environment("GIT_TEMPLATE_DIR")),
];

#[test]
fn what_rules_allow_is_what_leaves() {
    let mut wrong = String::new();
    let mut tried = 0;
    for (user, form) in EVERY {
        let Some(place) = Place::of(user, form, RULES) else { continue };
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            continue;
        }
        for (number, name, attack, layer) in ATTEMPTS {
            let needed = ["git", "python3", "gcc"].into_iter().find(|program| attack.contains(program));
            if needed.is_some_and(|program| !has(&mut attacked, program)) {
                tell!("skipped: {name}: needs {needed:?}");
                continue;
            }
            tried += 1;
            match judge(&place, &mut attacked, form, attack, *layer) {
                Ok(()) => tell!("{user:?}, {form:?}: {number:>2}  {name}: stopped by {}", layer.name()),
                Err(how) => writeln!(wrong, "{user:?}, {form:?}: {number} {name}: {how}").expect("a line"),
            }
        }
    }
    tell!("{tried} attempts");
    assert!(wrong.is_empty(), "{wrong}");
}

fn has(attacked: &mut Attacked, program: &str) -> bool {
    attacked.run(&format!("type -P {program}")).is_ok_and(|result| result["exit_code"] == 0)
}

/// Runs the twin, which must do what it says, and the attack, which must be stopped by this layer.
fn judge(
    place: &Place,
    attacked: &mut Attacked,
    form: Form,
    attack: &str,
    layer: Layer,
) -> Result<(), String> {
    let out = word(&place.outside);
    let marker = place.outside.join("marker");
    let folder = word(&place.world.workdir());
    let evil = format!("{folder}/evil");
    let filled = |command: &str| command.replace("OUT", &out).replace("EVIL", &evil);

    // Without mounts the agent can write the settings of the workspace's own repository, so no Git leaves there.
    if !matches!((layer, form), (Rights, Form::Landlock)) {
        let twin = attacked.run(&filled(layer.twin()))?;
        let has_left =
            twin["decisions"].as_array().into_iter().flatten().any(|made| made["decision"] == "escalated");
        if twin["exit_code"] != 0 || has_left == matches!(layer, Interceptor) {
            return Err(format!("the twin: {twin}"));
        }
        if layer.twin().contains("marker") {
            std::fs::remove_file(&marker)
                .map_err(|error| format!("the twin has not left: {error}: {twin}"))?;
        }
    }

    let made = format!("printf '#!/bin/sh\\n: > {out}/marker\\n' > {evil}; chmod +x {evil}\n");
    let result = attacked.run(&format!("{made}({}) 2>&1", filled(attack)))?;
    // What it has left in the workspace would be in the next one's way.
    for left in ["evil", "xid", "sid", "hid", "hid2", "touch", "git-x"] {
        let _ = std::fs::remove_file(place.world.workdir().join(left));
    }
    for left in ["d", "r"] {
        let _ = std::fs::remove_dir_all(place.world.workdir().join(left));
    }
    if std::fs::remove_file(&marker).is_ok() {
        return Err(format!("it wrote outside: {result}"));
    }
    let output = result["output"].as_str().unwrap_or_default();
    match layer.is_seen(&result) && !output.contains("uid=") {
        true => Ok(()),
        false => Err(format!("not stopped by {}: {result}", layer.name())),
    }
}
/// BYPASSES 63: what an escalated program has started does not outlive the call, though it has left its session.
#[test]
fn grandchildren_of_an_escalated_program_end_with_its_call() {
    for (user, form) in EVERY {
        let Some(place) = Place::of(user, form, RULES) else { continue };
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            continue;
        }
        let pid = place.outside.join("pid");
        let command = format!(
            "env sh -c 'setsid sh -c \"echo \\$\\$ > {0}.new; mv {0}.new {0}; exec sleep 4321\" > /dev/null 2>&1 < /dev/null &'
             until [ -s {0} ]; do sleep 0.02; done; echo it lives",
            word(&pid)
        );
        let result = attacked.run(&command).expect("a result");
        // The twin: it was there for as long as the call was.
        assert_eq!(result["output"], "it lives\n", "{result}");
        let process = std::fs::read_to_string(&pid).expect("its number");
        let arguments = format!("/proc/{}/cmdline", process.trim());
        let lives = || std::fs::read(&arguments).is_ok_and(|line| line.starts_with(b"sleep\x004321"));
        eventually(|| {
            if lives() { Err(format!("{user:?}, {form:?}: it outlives the call: {result}")) } else { Ok(()) }
        });
    }
}

/// Without a home there would be nothing to hide in it.
#[test]
fn nothing_runs_where_no_home_is_known() {
    let Some(place) = Place::of(User::Root, Form::Namespaces, "") else { return };
    for empty in [false, true] {
        for (user, is_fine) in [(0, true), (54_321, false)] {
            // Another user than root has its folders where everybody may write.
            let mut command = std::process::Command::new("setpriv");
            place.world.surround(&mut command);
            command.arg(format!("--reuid={user}")).arg(format!("--regid={user}")).arg("--clear-groups");
            command.arg(place.server_program()).env_remove("HOME").current_dir("/tmp");
            if empty {
                command.env("HOME", "");
            }
            let opened =
                std::process::Command::new("chmod").args(["-R", "a+rwX"]).arg(place.world.home()).status();
            assert!(opened.expect("chmod").success());
            let output = command.stdin(std::process::Stdio::null()).output().expect("it starts");
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(words.contains("no home folder is known"), !is_fine, "{words}");
        }
    }
}
