//! One call's programs as a tree: who started whom, and what was decided about each.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

use super::event::{Decision, Event};
use super::files::{Folder, Log};
use super::line::Line;
use super::read::snapshot;
use super::show::{ShowError, at_the_readers, came_from, connected, decided, ended};

/// Which call: `SERVER/CALL`, as `audit show` has it before the dot, or `CALL`: of the newest server that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallName {
    server: Option<u32>,
    call: String,
}

impl FromStr for CallName {
    type Err = String;

    fn from_str(text: &str) -> Result<CallName, String> {
        let (server, call) = match text.split_once('/') {
            Some((server, call)) => {
                (Some(server.parse().map_err(|_| format!("{server} is no process"))?), call)
            }
            None => (None, text),
        };
        let call = call.split('.').next().unwrap_or_default();
        match !call.is_empty() && call.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Ok(CallName { server, call: call.to_owned() }),
            false => Err(format!("{text} is no call; write 4711/3, or 3")),
        }
    }
}

/// What is known of one call.
#[derive(Default)]
struct Found {
    server: u32,
    time: String,
    programs: BTreeMap<u64, Node>,
    /// How often something was written to it, and how many bytes in all.
    written: (u64, u64),
    more: Vec<String>,
}

#[derive(Default)]
struct Node {
    decision: Option<Decision>,
    end: Option<String>,
}

/// Writes the programs of a call as a tree. Returns whether the call is there.
///
/// # Errors
///
/// When the logs cannot be read, or the tree cannot be written out.
pub fn tree(codex_home: &Path, name: &CallName, output: &mut dyn Write) -> Result<bool, ShowError> {
    let [decisions, runs] = snapshot(&Folder::of(codex_home), Log::ALL)?;
    // A server's process may have been another one's before; its calls begin anew.
    let mut calls: BTreeMap<u32, Found> = BTreeMap::new();
    let mut began: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for line in decisions.chain(runs) {
        let Ok(text) = line?.text else { continue };
        let Ok(line) = serde_json::from_slice::<Line>(&text) else { continue };
        if name.server.is_some_and(|server| server != line.server) {
            continue;
        }
        if matches!(line.event, Event::Started { .. }) {
            began.entry(line.server).or_default().push(line.time);
            calls.remove(&line.server);
            continue;
        }
        // Those of a server before it; its start is among the decisions, which come first.
        let is_before = |start: &Vec<String>| start.last().is_some_and(|start| line.time < *start);
        if !began.get(&line.server).is_some_and(is_before) && of_call(&line.event) == Some(&name.call) {
            let found = calls.entry(line.server).or_default();
            found.server = line.server;
            found.add(line);
        }
    }
    let newest = calls.into_values().max_by(|one, other| one.time.cmp(&other.time));
    let Some(found) = newest else { return Ok(false) };
    found.write(&name.call, output)?;
    output.flush()?;
    Ok(true)
}

fn of_call(event: &Event) -> Option<&String> {
    match event {
        Event::Decision(decision) => Some(&decision.call),
        Event::Connection(connection) => Some(&connection.call),
        Event::Input(input) => Some(&input.call),
        Event::Request { call, .. }
        | Event::Ended { call, .. }
        | Event::MoreRuns { call, .. }
        | Event::MoreRefusals { call, .. } => Some(call),
        Event::Started { .. } | Event::Lost { .. } | Event::LostRuns { .. } | Event::Repaired { .. } => None,
    }
}

impl Found {
    fn add(&mut self, line: Line) {
        if self.time.is_empty() || line.time < self.time {
            self.time = line.time;
        }
        match line.event {
            Event::Decision(decision) => {
                let exec = decision.exec;
                self.programs.entry(exec).or_default().decision = Some(*decision);
            }
            Event::Ended { exec, end, .. } => {
                self.programs.entry(exec).or_default().end = Some(ended(end));
            }
            Event::Input(input) if input.written => {
                let (times, bytes) = self.written;
                self.written = (times + 1, bytes.saturating_add(input.bytes));
            }
            Event::Input(_) => {}
            Event::Request { origin, .. } => self.more.push(came_from(&origin)),
            Event::MoreRuns { runs, .. } => self.more.push(format!("{runs} more ran inside")),
            Event::MoreRefusals { refusals, .. } => self.more.push(format!("{refusals} more were refused")),
            Event::Connection(connection) => self.more.push(connected(&connection)),
            Event::Started { .. } | Event::Lost { .. } | Event::LostRuns { .. } | Event::Repaired { .. } => {}
        }
    }

    fn write(&self, call: &str, output: &mut dyn Write) -> std::io::Result<()> {
        let time = at_the_readers(&self.time, &chrono::Local);
        writeln!(output, "call {call} of server {}, {time}", self.server)?;
        let mut children: BTreeMap<Option<u64>, Vec<u64>> = BTreeMap::new();
        for (number, node) in &self.programs {
            // Who starts another was there before it; one that is not in the log has started nothing that is shown.
            let parent = node.decision.as_ref().and_then(|decision| decision.parent);
            let parent = parent.filter(|parent| parent < number && self.programs.contains_key(parent));
            children.entry(parent).or_default().push(*number);
        }
        // By hand: a call may nest deeper than a stack.
        let mut open: Vec<(u64, String, bool)> = Vec::new();
        let below = |open: &mut Vec<_>, parent: Option<u64>, indent: &str| {
            let all = children.get(&parent).map(Vec::as_slice).unwrap_or_default();
            let last = all.last().copied();
            open.extend(all.iter().rev().map(|number| (*number, indent.to_owned(), Some(*number) == last)));
        };
        below(&mut open, None, "");
        while let Some((number, indent, is_last)) = open.pop() {
            let (branch, continued) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            writeln!(output, "{indent}{branch}{number} {}", self.words(number))?;
            // Deeper ones stand below the deepest that is drawn.
            let deeper = if indent.chars().count() < 120 { format!("{indent}{continued}") } else { indent };
            below(&mut open, Some(number), &deeper);
        }
        if let (times @ 1.., bytes) = self.written {
            writeln!(
                output,
                "{bytes} bytes were written to it, {times} times (audit show has their hashes)"
            )?;
        }
        match self.more[..] {
            [] => Ok(()),
            [_, ..] => writeln!(output, "{}: counted, not recorded one by one", self.more.join(", ")),
        }
    }

    fn words(&self, number: u64) -> String {
        let Some(Node { decision, end }) = self.programs.get(&number) else { return String::new() };
        let decision = decision.as_ref().map_or_else(|| "is not in the log".to_owned(), decided);
        let end = end.as_ref().map(|end| format!("; ended: {end}")).unwrap_or_default();
        format!("{decision}{end}")
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use escalation_protocol::handover::Outcome;

    use super::*;
    use crate::audit::append::{Appender, LogLimits, Written};
    use crate::audit::event::ActionKind;

    fn decision(exec: u64, parent: Option<u64>, kind: ActionKind, program: &str) -> Event {
        Event::Decision(Box::new(Decision {
            call: "3".into(),
            exec,
            parent,
            decision: kind,
            program: program.into(),
            argv: vec![program.into(), format!("{exec}")],
            cut: None,
            cwd: "/w".into(),
            rule: None,
            asked: None,
            reason: None,
            rights: None,
        }))
    }

    #[test]
    fn a_call_is_drawn_with_what_was_decided() {
        use ActionKind::{Deny, Escalate, Run};
        let home = tempfile::tempdir().expect("a folder");
        let mut appender = Appender::new(Folder::of(home.path()), LogLimits::default());
        let old = decision(1, None, Run, "/bin/old");
        let events = [
            Event::Started { version: "1".into(), sandbox: None },
            decision(1, None, Run, "/bin/make"),
            decision(2, Some(1), Run, "/bin/sh"),
            decision(3, Some(2), Deny, "/bin/git"),
            decision(4, None, Escalate, "/bin/id"),
            decision(5, Some(1), Run, "/bin/cc"),
            decision(6, Some(99), Run, "/bin/x"),
            Event::Ended { call: "3".into(), exec: 4, end: Outcome::Exited(0) },
            Event::MoreRuns { call: "3".into(), runs: 7 },
        ];
        for event in [&Event::Started { version: "0".into(), sandbox: None }, &old].into_iter().chain(&events)
        {
            std::thread::sleep(std::time::Duration::from_millis(2));
            appender
                .append([(SystemTime::now(), event)].into_iter())
                .and_then(Written::whole)
                .expect("written");
        }
        for name in ["3".to_owned(), format!("{}/3", std::process::id()), "3.4".to_owned()] {
            let mut drawn = Vec::new();
            assert!(tree(home.path(), &name.parse().expect("a call"), &mut drawn).expect("drawn"));
            let drawn = String::from_utf8(drawn).expect("UTF-8");
            let (heading, lines) = drawn.split_once('\n').expect("lines");
            assert!(heading.starts_with(&format!("call 3 of server {}, ", std::process::id())), "{heading}");
            assert_eq!(
                lines,
                "├─ 1 ran inside: /bin/make 1 in /w\n\
                 │  ├─ 2 ran inside: /bin/sh 2 in /w\n\
                 │  │  └─ 3 DENIED: /bin/git 3 in /w\n\
                 │  └─ 5 ran inside: /bin/cc 5 in /w\n\
                 ├─ 4 ran OUTSIDE: /bin/id 4 in /w; ended: exit code 0\n\
                 └─ 6 ran inside: /bin/x 6 in /w\n\
                 7 more ran inside: counted, not recorded one by one\n"
            );
        }
        assert!(!tree(home.path(), &"4".parse().expect("a call"), &mut Vec::new()).expect("read"));
        assert!("x".parse::<CallName>().is_err() && "a/3".parse::<CallName>().is_err());
    }
}
