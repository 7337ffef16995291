//! Two servers behind a balancer are started again one after the other, while clients call: no call is lost, and none runs
//! twice.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use end_to_end_tests::World;
use end_to_end_tests::http::{Site, Visitor};
use end_to_end_tests::machine::is_installed;
use end_to_end_tests::waiting::eventually;
use rustix::process::Signal;
use serde_json::json;

/// Clients of each era.
const CLIENTS: usize = 3;

/// The most calls of one client.
const MOST_CALLS: usize = 60;

struct Balancer(Child);

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn balance(folder: &Path, port: u16, servers: [u16; 2]) -> Balancer {
    let [first, second] = servers;
    let text = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n retries 20\n \
         retry-on conn-failure 503\n option redispatch 1\n option httpchk GET /readyz\n\
         listen all\n bind 127.0.0.1:{port}\n monitor-uri /both\n monitor fail if {{ nbsrv lt 2 }}\n  balance hdr(Authorization)\n hash-type consistent\n \
         default-server check inter 100ms fall 1 rise 1\n server one 127.0.0.1:{first}\n server two 127.0.0.1:{second}\n"
    );
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, text).expect("written");
    let child = Command::new("haproxy").arg("-db").arg("-f").arg(&file).spawn().expect("it runs");
    Balancer(child)
}

/// Calls until it is told to stop, and returns how often.
fn modern(visitor: &Visitor, name: &str, stop: &AtomicBool) -> usize {
    (0..MOST_CALLS)
        .take_while(|_| !stop.load(Ordering::Relaxed))
        .map(|call| {
            let result = visitor.run(&format!("echo {name}-{call} >> ../log; sleep 0.05; echo done"));
            assert_eq!(result["output"], "done\n", "{result}");
        })
        .count()
}

/// The same in a session.
fn legacy(visitor: &Visitor, name: &str, stop: &AtomicBool) -> usize {
    let session = visitor.begin(json!({}));
    (0..MOST_CALLS)
        .take_while(|_| !stop.load(Ordering::Relaxed))
        .map(|call| {
            let command = format!("echo {name}-{call} >> ../log; sleep 0.05; echo done");
            let id = u32::try_from(call).expect("small") + 1;
            let mut answer =
                visitor.call_in(&session, id, "shell", &json!({"command": command, "login": false}));
            assert_eq!(answer.status, 200, "{}", name);
            assert_eq!(answer.result()["structuredContent"]["output"], "done\n");
        })
        .count()
}

#[test]
fn a_rolling_restart_loses_no_call_and_runs_none_twice() {
    if !is_installed("haproxy") {
        return;
    }
    let world = World::with_rules("");
    let names: Vec<String> = (0..2 * CLIENTS).map(|number| format!("client{number}")).collect();
    let tokens: String = names.iter().map(|name| format!("{name} {name}-secret-secret-secret\n")).collect();
    let file = world.home().join("tokens");
    std::fs::write(&file, tokens).expect("written");
    let file = file.display().to_string();
    let ports = [free_port(), free_port()];
    let start =
        |port: u16| Site::start(&world, &["--http", &format!("127.0.0.1:{port}"), "--token-file", &file]);
    let mut sites = ports.map(start);
    let port = free_port();
    let _balancer = balance(world.home(), port, ports);
    let entrance = Visitor::of(&format!("http://127.0.0.1:{port}/mcp"));
    eventually(|| match std::net::TcpStream::connect(("127.0.0.1", port)) {
        Ok(_) if entrance.at("/both").get(&[]).status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let stop = AtomicBool::new(false);
    let calls: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..)
            .zip(&names)
            .map(|(number, name)| {
                let visitor = entrance.saying(&format!("Authorization: Bearer {name}-secret-secret-secret"));
                let stop = &stop;
                scope.spawn(move || {
                    if number % 2 == 0 { modern(&visitor, name, stop) } else { legacy(&visitor, name, stop) }
                })
            })
            .collect();
        for (site, port) in sites.iter_mut().zip(ports) {
            site.signal(Signal::TERM);
            assert!(site.end().success());
            *site = start(port);
            eventually(|| match entrance.at("/both").get(&[]).status {
                200 => Ok(()),
                other => Err(format!("{other}")),
            });
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("no call is lost")).sum()
    });
    let folders =
        std::fs::read_dir(world.workdir()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut lines: Vec<String> = folders
        .filter_map(|folder| std::fs::read_to_string(folder.join("log")).ok())
        .flat_map(|text| text.lines().map(ToOwned::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(lines.len(), calls);
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), calls, "none twice");
    assert!(calls > names.len(), "{calls}");
}
