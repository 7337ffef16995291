//! Rights in rules, questions, answers and records.

use std::os::unix::fs::PermissionsExt as _;

use end_to_end_tests::World;
use end_to_end_tests::asking::{Asking, ERAS, choose};
use end_to_end_tests::lines::run_subcommand;
use serde_json::json;

const SANDBOX: [&str; 2] = ["--sandbox", "workspace-write"];

#[test]
fn a_question_says_what_a_yes_gives_and_inside_gives_nothing() {
    for era in ERAS {
        let world = World::with_rules("").configured("");
        let kept = world.codex_home().parent().expect("a folder").join("granted");
        std::fs::create_dir(&kept).expect("a folder outside");
        let rule = format!("prefix_rule([\"touch\"], \"prompt\", grants={{\"write\": [{kept:?}]}})\n");
        std::fs::write(world.rules_file(), rule).expect("written");
        let mut asking = Asking::start_with(&world, era, &SANDBOX);
        let command = format!("touch {}/a", kept.display());
        let given = asking.run(&command, &choose("once"));
        let line = format!("A yes runs it inside the sandbox, with writing {}.", kept.display());
        assert!(given.messages()[0].contains(&line), "{given:?}");
        assert!(given.choices().contains(&"inside"), "{given:?}");
        let rights = &given.result["decisions"][0]["rights"];
        assert_eq!(rights, &json!({"run": "inside", "write": [kept]}), "{given:?}");
        assert!(kept.join("a").exists(), "{given:?}");
        let command = format!("touch {}/b", kept.display());
        let inside = asking.run(&command, &choose("inside"));
        assert_eq!(inside.result["decisions"][0]["rights"], json!({"run": "inside"}), "{inside:?}");
        assert!(!kept.join("b").exists(), "{inside:?}");
    }
}

#[test]
fn what_a_caller_asks_for_is_given_by_one_answer_and_never_without() {
    for era in ERAS {
        let world = World::with_rules("").configured("");
        let kept = world.codex_home().parent().expect("a folder").join("granted");
        std::fs::create_dir(&kept).expect("a folder outside");
        let mut asking = Asking::start_with(&world, era, &SANDBOX);
        let more = json!({
            "additional_permissions": {"file_system": {"write": [kept]}},
            "justification": "the report goes there"
        });
        let script = |name: &str| format!("echo a > {0}/{name} && cat {0}/{name}", kept.display());
        let refused = asking.run_with(&script("no"), &more, &choose("deny"));
        assert_eq!((refused.questions.len(), kept.join("no").exists()), (1, false), "{refused:?}");
        assert_eq!(refused.result["status"], "declined", "{refused:?}");
        let given = asking.run_with(&script("yes"), &more, &choose("once"));
        let message = given.messages()[0];
        assert!(message.contains("the agent says: the report goes there"), "{message}");
        assert!(message.contains(&format!("with writing {}", kept.display())), "{message}");
        assert_eq!((given.questions.len(), given.output()), (1, "a\n"), "{given:?}");
        let later = asking.run(&script("later"), &choose("once"));
        assert_eq!((later.questions.len(), kept.join("later").exists()), (0, false), "{later:?}");
    }
}

/// Such as npm: `env` executes it once more, as its interpreter.
#[test]
fn a_script_that_env_starts_is_asked_about_once() {
    for era in ERAS {
        let world = World::with_rules("").configured("");
        let tool = world.home().join("tool");
        std::fs::write(&tool, "#!/usr/bin/env sh\necho ran $1\n").expect("a script");
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let rules = format!(
            "prefix_rule([{tool:?}], \"prompt\", run=\"inside\")\nprefix_rule([\"npm\"], \"prompt\")\n"
        );
        std::fs::write(world.rules_file(), rules).expect("written");
        let mut asking = Asking::start_with(&world, era, &SANDBOX);
        let both = asking.run(&format!("{0} a; {0} b", tool.display()), &choose("once"));
        assert_eq!((both.questions.len(), both.output()), (2, "ran a\nran b\n"), "{both:?}");
        for one in [format!("{} one", tool.display()), "npm --version".to_owned()] {
            let mut questions = |decision: &str| {
                let answered = asking.run(&one, &choose(decision));
                assert_eq!(answered.result["exit_code"], 0, "{one}: {answered:?}");
                answered.questions.len()
            };
            assert_eq!(["once", "always", "deny"].map(&mut questions), [1, 1, 0], "{one}");
        }
    }
}

#[test]
fn what_a_caller_asks_for_is_told_with_what_it_opens_and_is_never_everything() {
    let world = World::with_rules("").configured("");
    std::fs::create_dir(world.home().join(".ssh")).expect("a folder");
    std::fs::write(world.home().join(".ssh/id_ed25519"), "key").expect("a file");
    std::fs::write(world.home().join(".git-credentials"), "key").expect("a file");
    let mut asking = Asking::start_with(&world, ERAS[0], &SANDBOX);
    let files = |kind: &str, place: &str| json!({"additional_permissions": {"file_system": {kind: [place]}}});
    for (kind, place, expected) in [
        ("write", "/etc/cron.d", "Careful: write /etc/cron.d: the system's programs"),
        ("write", "~/.bashrc", "Careful: write ~/.bashrc: what is there is run or obeyed outside"),
        ("read", "~/.ssh", "Careful: ~/.ssh is hidden from commands"),
        ("read", "~/.git-credentials", "Careful: ~/.git-credentials is hidden from commands"),
        ("read", "~/work/x", "Not given: ~/work/x, which lies where commands"),
    ] {
        let asked = asking.run_with("true", &files(kind, place), &choose("deny"));
        assert!(asked.messages()[0].contains(expected), "{place}: {asked:?}");
    }
    let asked = json!({"additional_permissions": {"file_system": {"write": ["~/made", "/proc/sys"]}}});
    let refused = asking.run_with("true", &asked, &choose("once"));
    assert!(!world.home().join("made").exists(), "nothing is made for what is refused: {refused:?}");
    let hosts: Vec<String> = (0..9).map(|number| format!("h{number}.example.org")).collect();
    let asked = asking.run_with(
        "true",
        &json!({"additional_permissions": {"network": {"hosts": hosts}}}),
        &choose("deny"),
    );
    assert!(hosts.iter().all(|host| asked.messages()[0].contains(host)), "{asked:?}");
    let at = |path: std::path::PathBuf| path.to_str().expect("UTF-8").to_owned();
    for place in [at(world.codex_home()), at(world.codex_home().join("rules")), at(world.home().to_owned())] {
        let refused = asking.run_with("echo ran", &files("write", &place), &choose("once"));
        assert!(refused.questions.is_empty(), "{place}: {refused:?}");
        assert!(refused.output().contains("no caller is given that"), "{place}: {refused:?}");
    }
}

#[test]
fn the_record_is_learned_from_and_replayed() {
    let world = World::with_rules("prefix_rule([\"touch\"], \"prompt\")\n").configured("");
    let mut asking = Asking::start_with(&world, ERAS[0], &SANDBOX);
    assert_eq!(asking.run("touch c", &choose("deny")).questions.len(), 1);
    // What lets a program out is on record before it runs, with all before it.
    for name in ["a", "b"] {
        assert_eq!(asking.run(&format!("touch {name}"), &choose("once")).questions.len(), 1);
    }
    drop(asking);
    let (code, learned, error) = run_subcommand(&world, &["policy", "learn", "--since", "1h"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(learned.contains("match=[\"touch a\"") && learned.contains("\"c\"], \"forbidden\""), "{learned}");
    let (code, _, error) = run_subcommand(&world, &["policy", "learn", "--session", "1"]);
    assert!(code == Some(1) && error.contains("no decision of a server 1"), "{code:?} {error}");
    let file = world.workdir().join("other.rules");
    std::fs::write(&file, "prefix_rule([\"touch\"], \"forbidden\")\n").expect("written");
    let (code, replayed, error) =
        run_subcommand(&world, &["policy", "replay", file.to_str().expect("UTF-8")]);
    assert_eq!(code, Some(0), "{error}");
    assert!(replayed.contains("- asked") && replayed.contains("+ denied"), "{replayed}");
    assert!(replayed.contains("3 of ") && replayed.contains(" decisions would be others"), "{replayed}");
}

#[test]
fn profiles_and_what_old_rules_give_are_listed() {
    let own = "profile(\"deploy\", base=\"git\", hosts=[\"build.example.org\"], justification=\"ours\")\n\
               prefix_rule([[\"git\", \"make\", \"some-tool\"]])\n";
    let world = World::with_rules(own);
    let (code, listed, error) = run_subcommand(&world, &["policy", "profiles"]);
    assert_eq!(code, Some(0), "{error}");
    for line in ["deploy     confined   ours", "git        confined", "npm        inside"] {
        assert!(listed.contains(line), "{listed}");
    }
    let (code, one, _) = run_subcommand(&world, &["policy", "profiles", "deploy"]);
    assert!(code == Some(0) && one.contains("hosts: build.example.org"), "{one}");
    assert_eq!(run_subcommand(&world, &["policy", "profiles", "none"]).0, Some(1));
    let (code, changes, error) = run_subcommand(&world, &["policy", "explain", "--changes"]);
    assert_eq!(code, Some(0), "{error}");
    for line in ["confined to what the profile \"git\" names", "inside the sandbox", "outside the sandbox"] {
        assert!(changes.contains(line), "{changes}");
    }
    let (code, explained, error) = run_subcommand(&world, &["policy", "explain", "git fetch"]);
    assert!(code == Some(0) && explained.contains("rights: confined"), "{explained}{error}");
}

#[test]
fn grants_that_give_too_much_are_errors_or_say_what_they_open() {
    let world = World::with_rules("").configured("");
    std::fs::write(world.workdir().join("tool"), "").expect("a file");
    let at = |folder: &std::path::Path| folder.to_str().expect("UTF-8").to_owned();
    let (home, rules, tool) = (at(world.home()), at(&world.codex_home()), at(&world.workdir().join("tool")));
    let above = at(world.home().parent().expect("a folder"));
    let file = world.home().join("tried.rules");
    let check = |text: &str| {
        std::fs::write(&file, text).expect("written");
        let (code, _, said) = run_subcommand(&world, &["policy", "check", "--rules", &at(&file), "true"]);
        (code, said)
    };
    for (grants, is_error, expected) in [
        ("write=[\"/\"]", true, "gives all that is there"),
        ("write=[\"~\"]", true, "gives all that is there"),
        ("write=[\"$HOME/\"]", true, "gives all that is there"),
        ("write=[\"$CODEX_HOME\"]", true, "the rules are there"),
        ("write=[\"$CODEX_HOME/rules\"]", true, "the rules are there"),
        ("hosts=[\"**\"]", true, "is no host"),
        ("env=[\"*\"]", true, "error"),
        ("write=[\"x\"]", true, "is no absolute path"),
        ("write=[\"/a/../b\"]", true, "goes up"),
        (&format!("write=[\"{home}\"]"), false, "the rules are there"),
        (&format!("write=[\"{above}\"]"), false, "the rules are there"),
        (&format!("write=[\"{rules}/rules\"]"), false, "the rules are there"),
        (&format!("read=[\"{above}\"]"), false, "shows every secret in your home"),
        ("read=[\"/\"]", false, "shows every secret of this machine"),
        ("read=[\"~\"]", false, "shows every secret in your home"),
        ("read=[\"$CODEX_HOME\"]", false, "shows what the server keeps"),
        ("hosts=[\"*\"]", false, "opens the whole network"),
        ("hosts=[\"*:443\"]", false, "opens the whole network"),
        ("write=[\"~/.bashrc\"]", false, "run or obeyed outside"),
        ("write=[\"~/.ssh\"]", false, "run or obeyed outside"),
        ("write=[\"$REPO/hooks\"]", false, "run or obeyed outside"),
        ("write=[\"/usr/local/bin\"]", false, "run or obeyed outside"),
        ("protected=[\".git/config\"]", false, "can be written"),
        ("sockets=[\"/run/docker.sock\"]", false, "root's rights"),
        ("write=[\"/etc\"]", false, "services and their settings"),
        ("write=[\"/lib/x\"]", false, "services and their settings"),
        ("write=[\"/var/spool/cron\"]", false, "services and their settings"),
        ("devices=[\"/dev/tty\"]", false, "no disk, no memory, no terminal"),
        ("env=[\"LD_PRELOAD\"]", false, "lead it to run anything"),
        ("env=[\"LD_*\"]", false, "LD_PRELOAD among them"),
        (&format!("may_run=[\"{tool}\"]"), false, "commands can write it, so it is not executed"),
    ] {
        let (code, said) = check(&format!("profile(\"tried\", {grants})\n"));
        assert_eq!(code, Some(i32::from(is_error)), "{grants}: {said}");
        assert!(said.contains(expected) && said.contains("tried.rules:1"), "{grants}: {said}");
    }
    for fine in [
        "write=[\"~/.npm\", \"$REPO\", \"/srv/build\"]",
        "read=[\"~/.config/gh\"]",
        "may_run=[\"ssh\"]",
        "write=[\"/var/tmp/x\"]",
        "devices=[\"/dev/nvidia*\"]",
        "env=[\"DEPLOY_*\"]",
        "hosts=[\"*.example.org\"]",
    ] {
        assert_eq!(check(&format!("profile(\"tried\", {fine})\n")), (Some(0), String::new()), "{fine}");
    }
}

#[test]
fn of_two_rules_the_smaller_rights_count_and_explain_says_so() {
    let rules = "prefix_rule([\"touch\"], run=\"unconfined\")\n\
                 prefix_rule([\"touch\", \"a\"], grants={\"write\": [\"/srv/x\"]})\n";
    let world = World::with_rules(rules).configured("");
    let (code, said, error) = run_subcommand(&world, &["policy", "explain", "touch a"]);
    assert_eq!(code, Some(0), "{error}");
    for part in [
        "rights: inside the sandbox",
        "write: /srv/x",
        "of these the smaller rights count:",
        "default.rules:1 gives: unconfined",
        "default.rules:2 gives: inside the sandbox, with writing /srv/x",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (_, doctor, _) = run_subcommand(&world, &["doctor"]);
    assert!(doctor.contains("default.rules:1: gives unconfined"), "{doctor}");
    assert!(!doctor.contains("default.rules:2: gives"), "{doctor}");
}
