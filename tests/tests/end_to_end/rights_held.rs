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

/// What has the user's passwords gives one to Git's transport, and to nothing else that a confined git starts.
#[tokio::test]
async fn the_credential_store_answers_to_gits_transport_alone() {
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
            if is_known && told.send(()).is_err() {
                return;
            }
        }
    });
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
    assert!(heard.try_recv().is_ok(), "{outcome:?}");
    let fill = format!("printf 'protocol=http\\nhost={address}\\n\\n' | git credential fill 2>&1");
    let outcome = client.run(&fill).await;
    let said = outcome.ran().1;
    assert!(!said.contains("secret") && said.contains("not how git itself runs"), "{outcome:?}");
}
