//! Ways by which a command leads an allowed program: each works against `run="unconfined"`, which is the twin, and against
//! nothing less. A program that is confined, or outside, executes nothing that a command can write, and shows nothing
//! that is hidden.
//!
//! OUT is a folder that only a program outside can write; EVIL is a script of the agent's that tries to. What the user has
//! set up leads into the workspace, as dotfiles in a repository do.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use end_to_end_tests::word;
use serde_json::{Value, json};

use crate::place::{Attacked, Form, Place, User};

/// What shows that an attack has worked.
#[derive(Clone, Copy, Debug)]
enum Shows {
    /// Something lies in OUT.
    Out,
    /// The secret is in the result.
    Secret,
}

use Shows::{Out, Secret};

/// The program of the rule, how it runs where it is under test, the attack, what shows that it has worked.
type Attack = (&'static str, &'static str, &'static str, &'static str, Shows);

/// As a rule that says nothing has it run.
const GIT: &str = ", run=\"confined\"";

#[rustfmt::skip]
const OF_GIT: &[Attack] = &[
    ("an alias", "git", GIT, "git -c alias.x='!EVIL' x", Out),
    ("an alias in an included file", "git", GIT, "SET alias.x '!EVIL'; git x", Out),
    ("a monitor", "git", GIT, "SET core.fsmonitor EVIL; git status", Out),
    ("sshCommand", "git", GIT, "SET core.sshCommand EVIL; git fetch ssh://localhost/x", Out),
    ("a filter", "git", GIT, "SET filter.x.clean EVIL; echo '* filter=x' > .gitattributes; echo 1 > new; git add new", Out),
    ("a filter process", "git", GIT, "SET filter.x.process EVIL; echo '* filter=x' > .gitattributes; echo 1 > new; git add new", Out),
    ("textconv", "git", GIT, "SET diff.x.textconv EVIL; echo '* diff=x' > .gitattributes; echo 2 > file; git diff file", Out),
    ("an external diff", "git", GIT, "SET diff.external EVIL; echo 2 > file; git diff file", Out),
    ("hooks", "git", GIT, "mkdir -p h; cp EVIL h/pre-commit; SET core.hooksPath $PWD/h; git commit -q --allow-empty -m x", Out),
    ("a credential helper", "git", GIT, "SET credential.helper EVIL; printf 'protocol=https\\nhost=x.test\\n\\n' | git credential fill", Out),
    ("a credential helper with a shell's words", "git", GIT, "SET credential.helper '!id; EVIL'; printf 'protocol=https\\nhost=x.test\\n\\n' | git credential fill", Out),
    ("the loader as a helper", "git", GIT, "cp $(type -P touch) t; SET credential.helper \"!$(echo /lib64/ld-linux-*.so.2 /lib/ld-linux-*.so.1 | grep -o '[^ *]*ld-linux[^ *]*' | head -1) $PWD/t OUT/marker\"; printf 'protocol=https\\nhost=x.test\\n\\n' | git credential fill", Out),
    ("a link to the loader as a helper", "git", GIT, "cp $(type -P touch) t; ln -sf $(echo /lib64/ld-linux-*.so.2 /lib/ld-linux-*.so.1 | grep -o '[^ *]*ld-linux[^ *]*' | head -1) l; SET credential.helper \"!$PWD/l $(type -P touch) OUT/marker #\"; printf 'protocol=https\\nhost=x.test\\n\\n' | git credential fill", Out),
    ("gpg's program", "git", GIT, "SET gpg.program EVIL; git commit -q -S --allow-empty -m x", Out),
    ("a pager by a terminal", "git", GIT, "SET core.pager sh; git commit -q --allow-empty -m ': > OUT/marker'; python3 -c 'import pty; pty.spawn([\"git\", \"-p\", \"log\", \"-1\", \"--format=%B\"])'", Out),
    ("an editor by its input", "git", GIT, "SET core.editor 'sh -s'; echo ': > OUT/marker' | git commit -q --allow-empty", Out),
    ("an editor by a terminal", "git", GIT, "SET core.editor 'sh -s'; printf '%s\n' 'import pty, os' 'p, f = pty.fork()' 'if p == 0: os.execvp(\"git\", [\"git\", \"commit\", \"-q\", \"--allow-empty\"])' 'os.write(f, b\": > OUT/marker; exit 1\\n\")' 'try:' '    while os.read(f, 999): pass' 'except OSError: pass' > t.py; python3 t.py", Out),
    ("a pager by an argument", "git", GIT, "git grep -OEVIL inside", Out),
    ("a transport helper", "git", GIT, "git -c protocol.ext.allow=always fetch 'ext::EVIL'", Out),
    ("the other side's program", "git", GIT, "git fetch --upload-pack=EVIL .", Out),
    ("its helper folder", "git", GIT, "mkdir -p e; cp EVIL e/git-x; git --exec-path=$PWD/e x", Out),
    ("a destination that is a link", "git", GIT, "ln -sfn OUT dest; git clone -q . dest/new", Out),
    ("an output file", "git", GIT, "git diff --output=OUT/marker", Out),
    ("a hidden file beside another", "git", GIT, "git diff --no-index /dev/null HOME/.ssh/id_ed25519", Secret),
    ("the credential store beside another file", "git", GIT, "git diff --no-index /dev/null HOME/.git-credentials", Secret),
    ("a hidden file as a message", "git", GIT, "git commit -q --allow-empty -F HOME/.ssh/id_ed25519; git log -1", Secret),
    ("objects of a hidden repository", "git", GIT, "mkdir -p .git/objects/info; echo HOME/.ssh/hidden.git/objects > .git/objects/info/alternates; git cat-file -p HIDDEN", Secret),
    ("a rebase with commands", "git", GIT, "git rebase -q -x EVIL HEAD~1", Out),
    ("a filter that is gpg", "git", GIT, "SET filter.x.clean 'gpg --batch --yes --no-tty -o OUT/marker --enarmor HOME/.gnupg/key'; echo '* filter=x' > .gitattributes; touch -d 2001-01-01 file; git status", Out),
    ("a filter that is ssh", "git", GIT, "SET filter.x.clean 'ssh -F HOME/.ssh/id_ed25519 x'; echo '* filter=x' > .gitattributes; touch -d 2001-01-01 file; git status", Secret),
    ("a filter that is ssh-keygen", "git", GIT, "SET filter.x.clean 'ssh-keygen -q -t ed25519 -N abcde -f OUT/marker'; echo '* filter=x' > .gitattributes; touch -d 2001-01-01 file; git status", Out),
    ("an alias that is gpg", "git", GIT, "git -c alias.x='!gpg --batch --yes --no-tty -o OUT/marker --enarmor HOME/.gnupg/key' x", Out),
    ("the other side's program that is ssh", "git", GIT, "git fetch --upload-pack 'ssh -F HOME/.ssh/id_ed25519' ./", Secret),
    ("the other side's program that is git", "git", GIT, "git fetch --upload-pack 'git hash-object -w HOME/.git-credentials' ./; git cat-file -p $(printf '%s' https://u:secret@x.test | git hash-object --stdin)", Secret),
    ("asking for a password", "git", GIT, "SET credential.helper store; printf 'protocol=https\\nhost=x.test\\n\\n' | git credential fill", Secret),
    ("the credential store itself", "git", GIT, "printf 'protocol=https\\nhost=x.test\\n\\n' | git credential-store get", Secret),
    ("a filter that is the credential store", "git", GIT, "SET filter.x.clean 'git credential-store --file HOME/.git-credentials get'; echo '* filter=x' > .gitattributes; printf 'protocol=https\\nhost=x.test\\n\\n' > q; git add q; git cat-file -p :q", Secret),
    ("an archive with a file", "git", GIT, "git archive --add-file=HOME/.git-credentials HEAD | tar -xO .git-credentials", Secret),
    ("a mistyped subcommand", "git", ", run=\"confined\")\nprefix_rule([\"git\", \"branch\"], \"forbidden\"", "git -c help.autocorrect=immediate brnch secret; ls .git/refs/heads", Secret),
    ("a merge driver", "git", GIT, "SET merge.x.driver EVIL; echo '* merge=x' > .gitattributes; git checkout -q -b other HEAD~1; echo 3 > file; git commit -qam o; git merge -q main", Out),
];

#[rustfmt::skip]
const OF_OTHERS: &[Attack] = &[
    ("cat", "cat", "", "cat HOME/.ssh/id_ed25519", Secret),
    ("grep", "grep", "", "grep -r . HOME/.ssh", Secret),
    ("jq", "jq", "", "jq -R . HOME/.ssh/id_ed25519", Secret),
    ("cat, outside", "cat", ", run=\"outside\"", "cat HOME/.ssh/id_ed25519 HOME/.netrc", Secret),
    ("cat, through a process outside", "cat", ", run=\"outside\"", "cat /proc/OUTSIDER/root/HOME/.ssh/id_ed25519", Secret),
    ("tar", "tar", ", run=\"outside\"", "tar -cf t.tar file; tar -xf t.tar --to-command=EVIL", Out),
    ("tar, by a shell", "tar", ", run=\"outside\"", "tar -cf t.tar file; tar -xf t.tar --to-command='sh EVIL'", Out),
    ("find", "find", ", run=\"outside\"", "find . -maxdepth 0 -exec EVIL ';'", Out),
    ("find, by a shell", "find", ", run=\"outside\"", "find . -maxdepth 0 -exec sh -c ': > OUT/marker' ';'", Out),
    ("sed", "sed", ", run=\"outside\"", "sed '1e EVIL' file", Out),
    ("sed, by a shell's words", "sed", ", run=\"outside\"", "sed '1e : > OUT/marker' file", Out),
    ("awk", "awk", ", run=\"outside\"", "awk 'BEGIN { system(\"EVIL\") }'", Out),
    ("awk, by a file", "awk", ", run=\"outside\"", "echo 'BEGIN { system(\": > OUT/marker\") }' > a.awk; awk -f a.awk", Out),
    ("awk by itself", "awk", ", run=\"outside\"", "awk 'BEGIN { print 1 > \"OUT/marker\" }'", Out),
    ("an interpreter", "python3", ", run=\"outside\"", "echo 'open(\"OUT/marker\", \"w\")' > x.py; python3 x.py", Out),
    ("an interpreter's input", "python3", ", run=\"outside\"", "echo 'open(\"OUT/marker\", \"w\")' | python3 -", Out),
    ("a program by a descriptor", "env", ", run=\"outside\"", "exec 7<EVIL; env /proc/self/fd/7", Out),
    ("a program by a folder's descriptor", "env", ", run=\"outside\"", "exec 7<.; env /proc/self/fd/7/evil", Out),
    ("a program as standard input", "env", ", run=\"outside\"", "env /proc/self/fd/0 < EVIL", Out),
    ("a library", "env", ", run=\"outside\"", "cp $(type -P touch) t; env $(echo /lib64/ld-linux-*.so.2 /lib/ld-linux-*.so.1 | grep -o '[^ *]*ld-linux[^ *]*' | head -1) ./t OUT/marker", Out),
    ("mise's shim", "env", ", run=\"outside\"", "echo 'path = \"EVIL\"' > mise.toml; env SHIM/mise", Out),
    ("asdf's shim", "env", ", run=\"outside\"", "mkdir -p t/bin; cp EVIL t/bin/tool; echo \"tool path:$PWD/t\" > .tool-versions; env SHIM/asdf", Out),
    ("pyenv's shim", "env", ", run=\"outside\"", "mkdir -p t/bin; cp EVIL t/bin/python; echo \"$PWD/t\" > .python-version; env SHIM/pyenv", Out),
    ("rustup's toolchain.path", "CARGO", ", run=\"outside\"", "mkdir -p t/bin; cp EVIL t/bin/cargo; printf '[toolchain]\npath = \"%s\"\n' $PWD/t > rust-toolchain.toml; CARGO build", Out),
    ("a plug-in of a configuration", "env", ", profile=\"kubectl\", grants={\"may_run\": [\"KUBECTL\"]}", "echo EVIL > kubeconfig; env KUBECTL --kubeconfig kubeconfig get pods", Out),
];

#[test]
fn nothing_leads_an_allowed_git() {
    all_fail(OF_GIT);
}

/// Rights of these programs are the twin where the variable is granted.
#[rustfmt::skip]
const BY_VARIABLES: &[Attack] = &[
    ("a module by a variable", "python3", ", run=\"inside\", grants={\"read\": [\"~/.ssh\"]}", "printf 'print(open(\"HOME/.ssh/id_ed25519\").read())' > sitecustomize.py; PYTHONPATH=$PWD python3 -c pass", Secret),
    ("a program by the search path", "env", ", run=\"inside\", grants={\"read\": [\"~/.ssh\"]}", "printf '#!/bin/sh\\ncat HOME/.ssh/id_ed25519' > w; chmod +x w; PATH=$PWD:$PATH env w", Secret),
];

#[test]
fn no_variable_leads_a_program_with_grants() {
    all_fail_beside(BY_VARIABLES, ", run=\"inside\", grants={\"read\": [\"~/.ssh\"], \"env\": [\"P*\"]}");
}

/// What a program outside can write, and not what decides about commands. OUT stands for the twin's.
#[test]
fn nothing_outside_writes_rules() {
    for user in [User::Root, User::Ordinary] {
        let Some(place) = Place::of(user, Form::Namespaces, "") else { return };
        let home = place.world.codex_home().to_owned();
        let rules = "prefix_rule([\"cp\"], run=\"outside\")\nprefix_rule([\"mv\"], run=\"outside\")\n";
        std::fs::write(place.world.rules_file(), rules).expect("rules");
        own(&place);
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            return;
        }
        let (home, out) = (word(&home), word(&place.outside));
        let script = format!(
            "echo 'prefix_rule([\"id\"], run=\"unconfined\")' > x; cp x {out}/twin; cp x {home}/twin; for f in rules/x.rules config.toml \
             shell-tool/rules/x.rules; do cp x {home}/$f; done; mv {home}/rules {home}/rules.old; mv {home} {home}.old; true"
        );
        let result = attacked.run(&script).expect("a result");
        assert!(place.outside.join("twin").exists(), "{result}");
        let home = place.world.codex_home();
        assert!(home.join("twin").exists(), "{result}");
        for file in ["rules/x.rules", "shell-tool/rules/x.rules"] {
            assert!(!home.join(file).exists(), "{file}: {result}");
        }
        let configuration = std::fs::read_to_string(home.join("config.toml")).unwrap_or_default();
        assert!(!configuration.contains("unconfined"), "{result}");
    }
}

/// Attacks whose twin is plain Bash.
const BY_EDITOR_OR_PAGER: &[&str] =
    &["a pager by a terminal", "an editor by its input", "an editor by a terminal"];

#[test]
fn nothing_leads_another_allowed_program() {
    all_fail(OF_OTHERS);
}

fn all_fail(attacks: &[Attack]) {
    all_fail_beside(attacks, ", run=\"unconfined\"");
}

fn all_fail_beside(attacks: &[Attack], twin: &str) {
    let mut wrong = String::new();
    for user in [User::Root, User::Ordinary] {
        for attack in attacks {
            match judge(user, attack, twin) {
                Ok(()) => {}
                Err(how) => writeln!(wrong, "{user:?}: {}: {how}", attack.0).expect("a line"),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A world of its own for each run: what one attack leaves would be in the next one's way.
fn judge(user: User, (name, program, given, attack, shows): &Attack, twin: &str) -> Result<(), String> {
    let (program, attack) = (&program.replace("CARGO", &cargo()), &attack.replace("CARGO", &cargo()));
    for (run, works) in [(twin, true), (*given, false)] {
        let Some(place) = Place::of(user, Form::Namespaces, "") else { return Ok(()) };
        let hidden = prepare(&place);
        shims(&place);
        let run = run.replace("KUBECTL", &place.world.codex_home().join("kubectl").display().to_string());
        std::fs::write(place.world.rules_file(), format!("prefix_rule([\"{program}\"]{run})\n"))
            .expect("rules");
        own(&place);
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            return Ok(());
        }
        if !has(&mut attacked, program) {
            tell!("skipped: {name}: needs {program}");
            return Ok(());
        }
        let attack = filled(&place, attack, &hidden);
        // What leaves the sandbox has neither an editor nor a pager nor a terminal, whatever its rule says.
        let result = if works && BY_EDITOR_OR_PAGER.contains(name) {
            let mut plain = place.command(Path::new("/bin/bash"));
            plain.args(["-c", &attack]).current_dir(place.world.workdir()).stdin(Stdio::null());
            json!({"output": String::from_utf8_lossy(&plain.output().expect("Bash starts").stdout)})
        } else {
            attacked.run(&attack)?
        };
        let has_worked = match shows {
            Out => std::fs::read_dir(&place.outside)
                .expect("a folder")
                .flatten()
                .any(|entry| is_new(&entry.file_name())),
            Secret => result["output"].as_str().unwrap_or_default().contains("secret"),
        };
        match (has_worked, works) {
            (true, true) | (false, false) => {}
            (false, true) => return Err(format!("the twin does not work: {result}")),
            (true, false) => return Err(format!("it works: {result}")),
        }
    }
    Ok(())
}

/// What the world has in OUT from the beginning.
fn is_new(name: &std::ffi::OsStr) -> bool {
    name != "file" && name != "pipe"
}

fn has(attacked: &mut Attacked, program: &str) -> bool {
    attacked.run(&format!("type -P {program}")).is_ok_and(|result: Value| result["exit_code"] == 0)
}

/// The user's repository in the workspace, with a configuration that includes a file there, and one in a hidden place.
/// Returns the name of an object of that.
fn prepare(place: &Place) -> String {
    let (home, work) = (place.world.home(), place.world.workdir());
    let configuration = "[user]\n\tname = u\n\temail = u@example.com\n[init]\n\tdefaultBranch = main\n[include]\n\tpath = ~/work/gitconfig\n";
    std::fs::write(home.join(".gitconfig"), configuration).expect("a configuration");
    std::fs::remove_dir_all(work.join(".git")).expect("no repository");
    git(home, &work, &["init", "-q"]);
    for text in ["inside", "inside, too"] {
        std::fs::write(work.join("file"), text).expect("a file");
        git(home, &work, &["add", "file"]);
        git(home, &work, &["commit", "-q", "-m", text]);
    }
    git(home, home, &["init", "-q", "--bare", ".ssh/hidden.git"]);
    std::fs::write(home.join(".ssh/object"), "secret object").expect("a file");
    std::fs::write(home.join(".git-credentials"), "https://u:secret@x.test").expect("a file");
    std::fs::create_dir_all(home.join(".gnupg")).expect("a folder");
    std::fs::write(home.join(".gnupg/key"), "secret").expect("a file");
    let folder = home.join(".ssh/hidden.git");
    git(home, &folder, &["hash-object", "-w", "../object"]).trim().to_owned()
}

fn git(home: &Path, folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder).env_clear().env("HOME", home);
    // It may be another user's.
    command.envs([
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "safe.directory"),
        ("GIT_CONFIG_VALUE_0", "*"),
    ]);
    let done = command.env("PATH", std::env::var_os("PATH").expect("PATH")).output().expect("git runs");
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Programs of the user's that start what a file says: in the working directory, as version managers do, and a configuration,
/// as `kubectl` does with a plug-in for credentials.
fn shims(place: &Place) {
    for (name, exec) in [
        ("mise", "$(sed -n 's/^path = \"\\(.*\\)\"/\\1/p' mise.toml)"),
        ("asdf", "$(sed -n 's/^tool path://p' .tool-versions)/bin/tool"),
        ("pyenv", "$(cat .python-version)/bin/python"),
    ] {
        let _ = place.world.program(name, &format!("exec \"{exec}\" \"$@\""));
    }
    let _ = place.world.program("kubectl", "read -r plugin < \"$2\"; exec \"$plugin\"");
}

/// Gives all of it to the user who is attacked.
fn own(place: &Place) {
    if let Some(owner) = place.owner() {
        let owner = format!("{owner}:{owner}");
        let owned = Command::new("chown").arg("-hR").arg(owner).arg(place.world.home()).status();
        assert!(owned.expect("chown starts").success());
    }
}

fn filled(place: &Place, attack: &str, hidden: &str) -> String {
    let (out, work) = (word(&place.outside), word(&place.world.workdir()));
    let evil = format!("{work}/evil");
    let set = format!("git config --file {work}/gitconfig");
    let attack = attack
        .replace("SET", &set)
        .replace("EVIL", &evil)
        .replace("OUTSIDER", &place.outsider.id().to_string())
        .replace("OUT", &out)
        .replace("HOME", &word(place.world.home()))
        .replace("HIDDEN", hidden)
        .replace("SHIM", &word(&place.world.codex_home()))
        .replace("KUBECTL", &word(&place.world.codex_home().join("kubectl")));
    format!("printf '#!/bin/sh\\n: > {out}/marker\\n' > {evil}; chmod +x {evil}\n({attack}) 2>&1")
}

/// The user's own Cargo, which is rustup's where that is.
fn cargo() -> String {
    let home = std::env::var_os("HOME").unwrap_or_default();
    word(&Path::new(&home).join(".cargo/bin/cargo"))
}

/// A link that was there before commands were, where Git appends.
#[test]
fn a_link_in_gits_logs_leads_nowhere() {
    for (run, works) in [(", run=\"unconfined\"", true), (GIT, false)] {
        let Some(place) = Place::of(User::Root, Form::Namespaces, "") else { return };
        prepare(&place);
        std::fs::write(place.world.rules_file(), format!("prefix_rule([\"git\"]{run})\n")).expect("rules");
        let log = place.world.workdir().join(".git/logs/HEAD");
        std::fs::remove_file(&log).expect("a log");
        let target = place.outside.join("marker");
        std::fs::write(&target, "").expect("a file");
        std::os::unix::fs::symlink(&target, &log).expect("a link");
        let mut attacked = place.start(&[]);
        if !attacked.is_possible() {
            return;
        }
        let result = attacked.run("git commit -q --allow-empty -m x 2>&1").expect("a result");
        let written = std::fs::read_to_string(&target).expect("a file");
        assert_eq!(!written.is_empty(), works, "{result}");
    }
}

/// Python looks for its libraries beside the name that it is called by, where a command can write.
#[test]
fn python_is_not_called_by_a_name_beside_a_pyvenv_cfg() {
    use std::os::unix::process::CommandExt;
    let rules = "prefix_rule([\"python3\"], run=\"outside\")\n";
    let Some(place) = Place::of(User::Root, Form::Namespaces, rules) else { return };
    let mut attacked = place.start(&[]);
    if !attacked.is_possible() || !has(&mut attacked, "python3") {
        return;
    }
    let found =
        attacked.run("python3 -c 'import sys; print(sys.executable, \"%d.%d\" % sys.version_info[:2])'");
    let found = found.expect("a result")["output"].as_str().expect("an output").to_owned();
    let (python, version) = found.trim().split_once(' ').expect("two words");
    let folder = place.world.workdir().join("v");
    let packages = folder.join(format!("lib/python{version}/site-packages"));
    std::fs::create_dir_all(&packages).expect("folders");
    std::fs::create_dir_all(folder.join("bin")).expect("a folder");
    std::fs::write(folder.join("pyvenv.cfg"), "home = /usr/bin\n").expect("written");
    let marker = place.outside.join("marker");
    std::fs::write(packages.join("usercustomize.py"), "").expect("written");
    std::fs::write(packages.join("sitecustomize.py"), format!("open({marker:?}, 'w')\n")).expect("written");
    let name = folder.join("bin/python3");
    let mut twin = Command::new(python);
    assert!(twin.arg0(&name).args(["-c", "pass"]).status().expect("it starts").success());
    if std::fs::remove_file(&marker).is_err() {
        tell!("skipped: {python} does not look beside its name");
        return;
    }
    let result = attacked.run(&format!("exec -a {} {python} -c pass", word(&name))).expect("a result");
    assert!(!marker.exists(), "{result}");
    let why = result["decisions"][0]["why_not_escalated"].as_str().unwrap_or_default();
    assert!(why.contains("the command calls it"), "{result}");
}
