//! Login shells: what the user's start-up files set is there, and they do not run for each call.

use end_to_end_tests::World;
use end_to_end_tests::client::Answer::Accept;
use end_to_end_tests::client::{Client, Outcome, Person};
use end_to_end_tests::machine::is_installed;
use serde_json::{Value, json};

const PROFILE: &str = r#"
echo noise; echo noise >&2
export GREETING="hello
there"
plain='a "b" $c'
list=(one 'two three')
declare -A table=([key]=value)
greet() { echo "$GREETING, $1"; }
matches() { [[ $1 == @(x|y) ]]; }
export -f greet
unset LANG
shopt -s nullglob
set -o pipefail
umask 027
shopt -s expand_aliases
alias shout='echo loud'
export STAMP=$(date +%s%N)
id > /dev/null
"#;

fn world(profile: &str, rules: &str) -> World {
    let world = World::with_rules(rules).configured("");
    std::fs::write(world.home().join(".bash_profile"), profile).expect("written");
    world
}

async fn login(client: &Client, world: &World, command: &str) -> Outcome {
    client
        .call(json!({"command": command, "workdir": world.workdir(), "login": true, "timeout_ms": 60_000}))
        .await
}

fn notes(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ran { json, .. } => json.get("notes").unwrap_or(&Value::Null).to_string(),
        Outcome::Problem(text) => panic!("the tool failed: {text}"),
    }
}

#[tokio::test]
async fn what_the_start_up_files_set_is_there_in_every_mode() {
    let rules = "prefix_rule(pattern=[\"id\"], decision=\"forbidden\")\n";
    for flags in [&[][..], &["--sandbox", "danger-full-access"]] {
        let world = world(PROFILE, rules);
        let client = Client::start_with(&world, &Person::absent(), flags).await;
        let command = r#"
            greet you; bash -c 'greet child'
            echo "$plain" "${list[1]}" "${table[key]}" "${LANG-unset}" "$(umask)"
            matches y && shopt -q nullglob login_shell && [[ $SHELLOPTS == *pipefail* ]] && echo options
            shopt -q extglob || echo no extglob
            shout
            echo "${BASH_ENV-none}" "$0" "$#" "$-"
            /bin/ls /proc/self/fd | tr '\n' ' '
            [ -n "$STAMP" ]"#;
        let outcome = login(&client, &world, command).await;
        let expected = "hello\nthere, you\nhello\nthere, child\na \"b\" $c two three value unset 0027\noptions\n\
            no extglob\nloud\nnone bash 0 hBc\n0 1 2 3 ";
        assert_eq!(outcome.ran(), (0, expected), "{flags:?}");
        assert_eq!(notes(&outcome), "null");
        // The rules hold for the command itself; what the profile executed was not judged.
        let (code, output) = (login(&client, &world, "id").await, "forbidden");
        assert!(code.ran().0 != 0 && code.ran().1.contains(output), "{code:?}");
        // Without a login shell there is none of it.
        let outcome = client.run("echo ${GREETING-none}; shopt -q login_shell || echo no login").await;
        assert_eq!(outcome.ran(), (0, "none\nno login\n"));
    }
}

/// Debian's `/etc/profile` sets another one, and with it the virtual environment would be gone in which the client was
/// started.
#[tokio::test]
async fn the_clients_search_path_stays_in_front() {
    let world = world("PATH=/from/profile:/usr/bin:$PATH\n", "");
    let mut command = world.server(&[]);
    command.env("PATH", "/venv/bin:/usr/bin:/bin");
    let client = Client::start_command(&world, &Person::absent(), command).await;
    let outcome = login(&client, &world, "echo $PATH; command -v ls").await;
    let (path, ls) = outcome.ran().1.split_once('\n').expect("two lines");
    let folders: Vec<&str> = path.split(':').collect();
    assert_eq!((&folders[..3], ls), (&["/venv/bin", "/usr/bin", "/bin"][..], "/usr/bin/ls\n"));
    for folder in ["/usr/bin", "/from/profile"] {
        assert_eq!(folders.iter().filter(|one| **one == folder).count(), 1, "{path}");
    }
    let offered = world.codex_home().join("shell-tool/programs");
    let expected = format!("/venv/bin:/usr/bin:/bin:{}\n", offered.display());
    assert_eq!(client.run("echo $PATH").await.ran(), (0, expected.as_str()));
}

#[tokio::test]
async fn start_up_files_run_once_and_again_when_one_of_them_changes() {
    let world = world(PROFILE, "");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let first = login(&client, &world, "echo $STAMP").await;
    let again = login(&client, &world, "echo $STAMP").await;
    assert_eq!(first.ran(), again.ran());
    assert!(first.ran().1.len() > 10, "{first:?}");
    std::fs::write(world.home().join(".bash_profile"), "export STAMP=changed").expect("written");
    assert_eq!(login(&client, &world, "echo $STAMP").await.ran(), (0, "changed\n"));
    std::fs::remove_file(world.home().join(".bash_profile")).expect("removed");
    assert_eq!(login(&client, &world, "echo ${STAMP-none}").await.ran(), (0, "none\n"));
}

#[tokio::test]
async fn a_profile_that_fails_or_hangs_is_left_out_and_the_result_says_so() {
    for (profile, words) in [
        ("export HALF=1\nexit 3", "ended the shell before its time"),
        ("export HALF=1\nsleep 1000", "did not end within"),
        ("export HALF=1\nexec 240>&-", "ended the shell before its time"),
    ] {
        let world = world(profile, "");
        let client = Client::start_with(&world, &Person::absent(), &[]).await;
        for _ in 0..2 {
            let outcome =
                login(&client, &world, "echo ${HALF-none}; shopt -q login_shell && echo login").await;
            assert_eq!(outcome.ran(), (0, "none\nlogin\n"), "{profile}");
            assert!(notes(&outcome).contains(words), "{profile}: {outcome:?}");
        }
        assert_eq!(notes(&client.run("true").await), "null", "only login shells need to know");
    }
}

#[tokio::test]
async fn a_profile_that_leaves_a_process_behind_or_sets_what_is_fixed_does_no_harm() {
    let profile = "sleep 98765 &\nreadonly FIXED=1\nfalse() { echo mine; }\nset -eu\nexport AFTER=yes";
    let world = world(profile, "");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = login(&client, &world, "echo $AFTER $FIXED; false; echo $-").await;
    assert_eq!(outcome.ran(), (0, "yes 1\nmine\nehuBc\n"));
    let left = client.run("ps -eo args | grep -c '[s]leep 98765'").await;
    assert_eq!(left.ran(), (1, "0\n"));
}

/// A process that an earlier call has left behind cannot write into the shell that runs the start-up files.
#[tokio::test]
async fn nothing_that_a_command_left_behind_meddles_with_the_start_up_files() {
    let world = world("greet() { echo mine; }", "");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let meddler = r#"(for i in {1..4000}; do for state in /proc/[0-9]*/fd/240; do
        [ -p "$state" ] && printf 'fgreet\ngreet () { echo evil; }\0' > "$state"; done; done) > /dev/null 2>&1 & echo started"#;
    assert_eq!(client.run(meddler).await.ran(), (0, "started\n"));
    let outcome = login(&client, &world, "greet").await;
    assert_eq!(outcome.ran(), (0, "mine\n"), "{outcome:?}");
}

/// Questions are about what the command changes: what the user's own files set would drown that.
#[tokio::test]
async fn a_question_does_not_name_what_the_start_up_files_have_set() {
    let profile = "export PATH=\"/own/bin:$PATH\" EDITOR=own COLOUR='a \"b\" $c'\n";
    let world = world(profile, "prefix_rule(pattern=[\"touch\"], decision=\"prompt\")\n");
    let person = Person::answering([Accept, Accept]);
    let client = Client::start_with(&world, &person, &[]).await;
    for command in ["touch a", "PATH=/other/bin:$PATH EDITOR=other COLOUR=red CI=red touch b"] {
        let outcome = login(&client, &world, command).await;
        assert_eq!(outcome.ran(), (0, ""), "{outcome:?}");
    }
    let asked = person.asked();
    assert!(!asked[0].contains("hanged variables"), "{asked:?}");
    assert!(
        asked[1].contains("will not get: COLOUR, EDITOR, PATH") && asked[1].contains("CI=red"),
        "the twin: {asked:?}"
    );
}

#[tokio::test]
async fn start_up_files_with_very_many_variables_are_quick() {
    let world = world("for i in {1..1500}; do export \"VARIABLE_$i=value $i\"; done", "");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = login(&client, &world, "echo $VARIABLE_1500").await;
    assert_eq!((outcome.ran(), notes(&outcome)), ((0, "value 1500\n"), "null".to_owned()));
}

#[tokio::test]
async fn an_editor_of_start_up_files_waits_for_nobody() {
    let world = world("export EDITOR=cat VISUAL=cat GIT_EDITOR=cat", "");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = login(&client, &world, "echo ${GIT_EDITOR-none}; $EDITOR x; $VISUAL x").await;
    let (_, said) = outcome.ran();
    assert!(said.starts_with("none\n") && said.matches("No editor").count() == 2, "{outcome:?}");
}

/// Version managers are set up for shells at a terminal alone.
#[tokio::test]
async fn what_stands_behind_a_guard_for_terminals_is_exported_all_the_same() {
    let world = world(". ~/.bashrc", "");
    let guarded =
        "case $- in *i*) ;; *) return;; esac\nexport MANAGER=here PATH=\"$HOME/shims:$PATH\"\necho noise\n";
    std::fs::write(world.home().join(".bashrc"), guarded).expect("written");
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = login(
        &client,
        &world,
        "echo $MANAGER; case $PATH in \"$HOME\"/shims:*) echo first;; esac; echo ${PS1-none}",
    )
    .await;
    assert_eq!((outcome.ran(), notes(&outcome)), ((0, "here\nfirst\nnone\n"), "null".to_owned()));
}

/// Whoever logs in with another shell has their variables there.
#[tokio::test]
async fn what_the_users_own_shell_exports_is_there() {
    for (shell, file, code) in [
        ("zsh", ".zshrc", "export MANAGER=here\nexport PATH=\"$HOME/shims:$PATH\"\n"),
        ("fish", ".config/fish/config.fish", "set -gx MANAGER here\nset -gx PATH $HOME/shims $PATH\n"),
    ] {
        if !is_installed(shell) {
            continue;
        }
        let world = world("", "");
        let file = world.home().join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, code).expect("written");
        let mut server = world.server(&[]);
        server.env("SHELL", format!("/usr/bin/{shell}"));
        let client = Client::start_command(&world, &Person::absent(), server).await;
        let asks = "echo $MANAGER; case $PATH in \"$HOME\"/shims:*) echo first;; esac";
        let outcome = login(&client, &world, asks).await;
        assert_eq!((outcome.ran(), notes(&outcome)), ((0, "here\nfirst\n"), "null".to_owned()), "{shell}");
    }
}

#[tokio::test]
async fn direnv_loads_what_is_allowed() {
    if !is_installed("direnv") {
        return;
    }
    let world = world("eval \"$(direnv hook bash)\"", "");
    std::fs::write(world.workdir().join(".envrc"), "export LOADED=yes\nPATH_add tools\n").expect("written");
    let mut allow = std::process::Command::new("direnv");
    world.surround(&mut allow);
    assert!(allow.arg("allow").current_dir(world.workdir()).status().expect("it starts").success());
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = login(&client, &world, "direnv exec . sh -c 'echo $LOADED ${PATH%%:*}' 2> /dev/null").await;
    assert_eq!(outcome.ran(), (0, &*format!("yes {}/tools\n", world.workdir().display())), "{outcome:?}");
}
