//! Rights that rules give are what a program has, and all that it starts: each beside what it has without them.

use std::io::{Read, Write};
use std::net::TcpListener;

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Outcome, Person};
use serde_json::Value;

async fn client(world: &World) -> Client {
    Client::start_with(world, &Person::absent(), &["--sandbox", "workspace-write"]).await
}

fn world(rules: &str) -> World {
    let world = World::with_rules(rules).configured("");
    for folder in [".aws", "granted"] {
        std::fs::create_dir(world.home().join(folder)).expect("a folder");
    }
    std::fs::write(world.home().join(".aws/credentials"), "the key\n").expect("written");
    world
}

/// Whether this machine has what holds them.
async fn holds(client: &Client) -> bool {
    let level = client.run("true").await.json()["sandbox"].to_string();
    level.contains("namespaces") && level.contains("landlock") && level.contains("+door")
}

fn decided(outcome: &Outcome) -> Vec<String> {
    let made = outcome.json()["decisions"].as_array().cloned().unwrap_or_default();
    made.iter().map(|made| made["decision"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn grants_are_added_to_what_commands_may_do() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nreached\n");
        }
    });
    let rules = format!(
        "prefix_rule([\"sh\", \"-c\"], run=\"inside\", grants={{\"write\": [\"~/granted\", \"~/made\"], \"read\": [\"~/.aws\"], \"hosts\": [\"{address}\"]}})\n"
    );
    let world = world(&rules);
    let client = client(&world).await;
    if !holds(&client).await {
        return;
    }
    let get = format!(
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://{address}\").read().decode())'"
    );
    let work = format!(
        "echo x > ~/granted/file && echo x > ~/made/file; cat ~/.aws/credentials; {get}; echo x > ~/other"
    );
    let script = world.workdir().join("work");
    std::fs::write(&script, &work).expect("written");
    let outcome = client.run("sh -c '. ./work' 2>&1").await;
    let (_, said) = outcome.ran();
    assert!(said.starts_with("the key\nreached\n"), "{outcome:?}");
    assert!(said.contains("other"), "what is not granted is not written: {outcome:?}");
    assert!(world.home().join("granted/file").exists() && world.home().join("made/file").exists());
    assert!(!world.home().join("other").exists());
    // The twin has none of it.
    std::fs::remove_file(world.home().join("granted/file")).expect("removed");
    let outcome = client.run("sh ./work 2>&1").await;
    let (_, said) = outcome.ran();
    assert!(!said.contains("the key") && !said.contains("reached"), "{outcome:?}");
    assert!(!world.home().join("granted/file").exists());
}

#[tokio::test]
async fn what_it_starts_is_judged_whatever_its_rights() {
    for run in [
        "inside\", grants={\"write\": [\"~/granted\"]}, justification=\"x",
        "outside",
        "confined\", grants={\"may_run\": [\"id\"]}, justification=\"x",
    ] {
        let rules = format!(
            "prefix_rule([\"env\"], run=\"{run}\")\nprefix_rule([\"id\"], \"forbidden\", justification=\"no names\")\n"
        );
        let world = world(&rules);
        let client = client(&world).await;
        if !holds(&client).await {
            return;
        }
        let outcome = client.run("env id 2>&1; env true").await;
        let (_, said) = outcome.ran();
        assert!(said.contains("no names") && !said.contains("uid="), "{run}: {outcome:?}");
        assert_eq!(decided(&outcome)[..2], ["escalated", "refused"], "{run}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_confined_program_has_what_its_profile_names() {
    let rules = "profile(\"quiet\", run=\"confined\", may_run=[\"cat\"])\n\
                 profile(\"told\", run=\"confined\", may_run=[\"cat\", \"printenv\"], stdin=True, env=[\"FOO_*\"], read=[\"~/.aws\"])\n\
                 prefix_rule([\"env\", \"cat\"], profile=\"quiet\")\nprefix_rule([\"env\", \"-u\", \"X\"], profile=\"told\")\n";
    let world = world(rules);
    let client = client(&world).await;
    if !holds(&client).await {
        return;
    }
    let outcome = client.run("echo input | env cat; env cat ~/.aws/credentials 2>&1").await;
    assert!(!outcome.ran().1.contains("input") && !outcome.ran().1.contains("the key"), "{outcome:?}");
    let told = "export FOO_A=1 BAR=2; echo input | env -u X cat; env -u X cat ~/.aws/credentials; env -u X printenv FOO_A BAR";
    assert_eq!(client.run(told).await.ran(), (1, "input\nthe key\n1\n"));
    let outcome = client.run("env -u X ls 2>&1").await;
    let notes = outcome.json()["notes"].to_string();
    assert!(
        notes.contains("ls was not executed (Permission denied)") && notes.contains("may_run"),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_a_confined_program_may_run_can_lie_in_the_home() {
    let rules = "profile(\"tools\", run=\"confined\", may_run=[\"~/tools\"])\nprefix_rule([\"env\"], profile=\"tools\")\n";
    let world = world(rules);
    let tools = world.home().join("tools");
    std::fs::create_dir(&tools).expect("a folder");
    std::fs::copy("/bin/echo", tools.join("say")).expect("a program");
    let client = client(&world).await;
    if !holds(&client).await {
        return;
    }
    let outcome = client.run("env ~/tools/say said; env /bin/echo refused 2>&1").await;
    let (_, said) = outcome.ran();
    assert!(said.contains("said") && !said.contains("refused\n"), "{outcome:?}");
}

/// Who names a script names what it does, not the shell that runs it.
#[tokio::test]
async fn what_runs_a_script_that_is_named_runs_nothing_else() {
    let rules = "profile(\"tools\", run=\"confined\", may_run=[\"~/tools\"], read=[\"~/.aws\"])\nprefix_rule([\"env\"], profile=\"tools\")\n";
    let world = world(rules);
    let tools = world.home().join("tools");
    std::fs::create_dir(&tools).expect("a folder");
    for (name, line) in [("plain", "/bin/sh"), ("found", "/usr/bin/env python3")] {
        let path = tools.join(name);
        std::fs::write(&path, format!("#!{line}\n")).expect("a script");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("executable");
    }
    std::fs::write(tools.join("plain"), "#!/bin/sh\necho plain $1\n").expect("a script");
    std::fs::write(tools.join("found"), "#!/usr/bin/env python3\nprint('found')\n").expect("a script");
    let client = client(&world).await;
    if !holds(&client).await {
        return;
    }
    let outcome = client.run("env ~/tools/plain x; env sh ~/tools/plain y; env ~/tools/found").await;
    assert_eq!(outcome.ran().1, "plain x\nplain y\nfound\n", "{outcome:?}");
    let steals = "echo 'cat ~/.aws/credentials' > s; echo 'print(open(\"/dev/stdin\").read())' > p; \
        env sh -c 'read -r x < ~/.aws/credentials; echo $x'; env sh s; env sh < s; env python3 -c 'print(1)'; env python3 p < s; true";
    let outcome = client.run(&format!("({steals}) 2>&1")).await;
    let (_, said) = outcome.ran();
    assert!(!said.contains("the key") && !said.contains("1\n"), "{outcome:?}");
}

/// A place that commands, or a program by another rule, can exchange is another one by the time that it is given.
#[tokio::test]
async fn a_place_that_commands_can_exchange_is_not_given() {
    let rules = "prefix_rule([\"cat\"], run=\"inside\", grants={\"read\": [\"~/work/cfg\"]})\n\
                 prefix_rule([\"cp\"], run=\"inside\", grants={\"write\": [\"~/granted\"]})\n\
                 prefix_rule([\"tee\"], run=\"inside\", grants={\"write\": [\"~/granted/logs\"]})\n";
    let world = world(rules);
    let client = client(&world).await;
    if !holds(&client).await {
        return;
    }
    let outcome = client.run("ln -s ~/.aws cfg; cat cfg/credentials 2>&1").await;
    assert!(!outcome.ran().1.contains("the key"), "{outcome:?}");
    let plants =
        "mkdir s; ln -s ~/.aws s/logs; cp -a s/logs ~/granted/; echo evil | tee ~/granted/logs/config";
    let outcome = client.run(&format!("({plants}) 2>&1")).await;
    assert!(!world.home().join(".aws/config").exists(), "{outcome:?}");
    assert!(world.home().join("granted/logs").is_symlink(), "{outcome:?}");
}

#[tokio::test]
async fn what_a_command_wrote_is_not_executed_outside_and_the_result_says_so() {
    let world =
        world("prefix_rule([\"env\"], run=\"outside\")\nprefix_rule([\"nice\"], run=\"unconfined\")\n");
    let client = client(&world).await;
    if !holds(&client).await {
        return;
    }
    let plant = "printf '#!/bin/sh\\necho ran\\n' > x; chmod +x x";
    assert_eq!(client.run(&format!("{plant}; nice ./x")).await.ran(), (0, "ran\n"), "the twin");
    let outcome = client.run("env ./x 2>&1").await;
    assert_eq!(outcome.ran().0, 126, "{outcome:?}");
    let notes = outcome.json()["notes"].to_string();
    assert!(notes.contains("work/x was not executed") && notes.contains("run=\\\"unconfined\\\""), "{notes}");
}

#[tokio::test]
async fn what_gains_rights_by_being_executed_is_asked_about() {
    let has_set_user = |path: &&str| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o4000 != 0)
    };
    let Some(program) = ["/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount"].into_iter().find(has_set_user)
    else {
        return;
    };
    let world = world(&format!("prefix_rule([\"{program}\"], run=\"outside\")\n"));
    let client = client(&world).await;
    let outcome = client.run(&format!("{program} --help > /dev/null")).await;
    let made: &Value = &outcome.json()["decisions"][0];
    assert_eq!(made["decision"], "ran_inside", "{outcome:?}");
    assert!(
        made["why_not_escalated"].as_str().unwrap_or_default().contains("gains rights by being executed"),
        "{made}"
    );
}

/// A server that wants a password, for itself or for whom it is asked by a proxy's clients; tells of each request whether it came
/// with that.
fn server_with_a_password() -> (std::net::SocketAddr, std::sync::mpsc::Receiver<bool>) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("an address");
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or_default();
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let is_known = text.contains("Basic dTpzZWNyZXQ=");
            let status =
                if is_known { "404 Not Found" } else { "401 No\r\nWWW-Authenticate: Basic realm=\"x\"" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if told.send(is_known).is_err() {
                return;
            }
        }
    });
    (address, heard)
}

/// What has the user's passwords gives one to Git's transport, and to nothing else that a confined git starts.
#[tokio::test]
async fn the_credential_store_answers_to_gits_transport_alone() {
    let (address, heard) = server_with_a_password();
    let world = world("prefix_rule([\"git\"])\n");
    let home = world.home();
    std::fs::write(home.join(".gitconfig"), "[credential]\n\thelper = store\n").expect("written");
    let credentials = format!("http://u:secret@127.0.0.1%3a{}\n", address.port());
    std::fs::write(home.join(".git-credentials"), credentials).expect("written");
    let client = client(&world).await;
    if !holds(&client).await {
        return;
    }
    let outcome = client.run(&format!("git ls-remote http://{address}/x 2>&1")).await;
    assert!(heard.try_iter().any(|is_known| is_known), "{outcome:?}");
    let fill = format!("printf 'protocol=http\\nhost={address}\\n\\n' | git credential fill 2>&1");
    let outcome = client.run(&fill).await;
    let said = outcome.ran().1;
    assert!(!said.contains("secret") && said.contains("not how git itself runs"), "{outcome:?}");
}

/// Whoever says by which proxy Git goes reads the password, and the user's own configuration may say so.
#[tokio::test]
async fn git_is_told_no_password_where_a_command_says_how_it_connects() {
    let ((address, _), (proxy, heard)) = (server_with_a_password(), server_with_a_password());
    let at = format!("http://{address}/x");
    let by = format!("http.proxy=http://{proxy}");
    // In a repository of the command's own.
    let own = |configuration: &str| {
        let configuration =
            configuration.replace("ADDRESS", &address.to_string()).replace("PROXY", &proxy.to_string());
        format!("git init -q --bare n; printf '{configuration}\\n' >> n/config; git -C n ls-remote {at}")
    };
    for (said_by_the_user, attack) in [
        (true, format!("git ls-remote {at}")),
        (false, format!("git -c {by} ls-remote {at}")),
        (false, format!("git clone -q -c {by} {at} d")),
        (false, own("[http]\\n\\tproxy = http://PROXY")),
        (false, own("[Http \"http://ADDRESS\"]\\n\\tPrOxY = http://PROXY")),
        (
            false,
            own("[remote \"o\"]\\n\\turl = http://ADDRESS/x\\n\\tproxy = http://PROXY")
                .replace(&format!("ls-remote {at}"), "ls-remote o"),
        ),
        (
            false,
            format!("echo '[http] proxy = http://{proxy}' > more; {}", own("[include]\\n\\tpath = ../more")),
        ),
        (false, format!("git config -f included http.proxy http://{proxy}; git ls-remote {at}")),
    ] {
        let world = world("prefix_rule([\"git\"])\n");
        let (home, work) = (world.home(), world.workdir());
        let of_the_user =
            if said_by_the_user { format!("[http]\n\tproxy = http://{proxy}\n") } else { String::new() };
        let configuration = format!(
            "[credential]\n\thelper = store\n[include]\n\tpath = {}/included\n{of_the_user}",
            work.display()
        );
        std::fs::write(home.join(".gitconfig"), configuration).expect("written");
        let credentials = format!("http://u:secret@127.0.0.1%3a{}\n", address.port());
        std::fs::write(home.join(".git-credentials"), credentials).expect("written");
        let client = client(&world).await;
        if !holds(&client).await {
            return;
        }
        let outcome = client.run(&format!("({attack}) 2>&1")).await;
        let requests: Vec<bool> = heard.try_iter().collect();
        // It goes by the proxy in any case.
        assert!(!requests.is_empty(), "{attack}: {outcome:?}");
        assert_eq!(requests.contains(&true), said_by_the_user, "{attack}: {outcome:?}");
        let is_said = outcome.ran().1.contains("git is told no password");
        assert_eq!(is_said, !said_by_the_user, "{attack}: {outcome:?}");
    }
}

/// By plumbing, a guess of Git's, and aliases: what a rule about `git push` is about.
#[tokio::test]
async fn a_rule_about_a_subcommand_counts_for_what_git_takes_for_it() {
    for lets_git_run in ["prefix_rule([\"git\"])\n", ""] {
        let world = world(&format!(
            "{lets_git_run}prefix_rule([\"git\", \"push\"], \"forbidden\", justification=\"stay here\")\n"
        ));
        let client = client(&world).await;
        if !holds(&client).await {
            return;
        }
        let made = "git init -q && git init -q --bare o && git -c user.name=a -c user.email=b commit -q --allow-empty -m x";
        assert_eq!(client.run(made).await.ran().0, 0);
        for attack in [
            "git send-pack ./o HEAD:refs/heads/x",
            "git -c help.autocorrect=immediate pusj ./o HEAD:refs/heads/x",
            "git -c alias.x=push x ./o HEAD:refs/heads/x",
            "git -c alias.x='!git push' x ./o HEAD:refs/heads/x",
        ] {
            let outcome = client.run(&format!("{attack} 2>&1")).await;
            assert!(outcome.ran().1.contains("stay here"), "{attack}: {outcome:?}");
        }
        assert_eq!(
            client
                .run("git -C o branch; git fetch -q ./o; git st; git status -s")
                .await
                .ran()
                .1
                .matches("stay here")
                .count(),
            0
        );
        let heads = client.run("git -C o for-each-ref").await;
        assert_eq!(heads.ran().1, "", "{heads:?}");
    }
}
