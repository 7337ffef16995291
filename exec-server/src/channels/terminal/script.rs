//! `approve --json`: questions out, answers in, one JSON object a line.

use std::io::{self, BufRead, Read, Write};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::servers::{News, ServerId, Servers, ServersAt};
use shell_engine::approval::Choice;

/// Bytes of an answer's line.
const MAX_LINE: u64 = 64 << 10;

/// Why a script's work ends badly.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// A line is endless.
    #[error("a line of the input is longer than {MAX_LINE} bytes")]
    LongLine,
    /// Answers cannot be read.
    #[error("cannot read answers")]
    Read(#[source] io::Error),
    /// Questions cannot be written.
    #[error("cannot write questions")]
    Write(#[source] io::Error),
}

/// An answer.
#[derive(Debug, Deserialize)]
struct Answer {
    question: String,
    decision: String,
    reason: Option<String>,
}

/// Writes the questions of the user's servers to standard output, and takes answers from standard input until its end.
///
/// # Errors
///
/// When standard input or output break.
pub async fn approve_by_script(servers: &ServersAt) -> Result<(), ScriptError> {
    let mut lines = read_lines();
    let mut servers = Servers::new(servers);
    let mut open: Vec<(String, ServerId, String, Vec<String>)> = Vec::new();
    loop {
        let said = tokio::select! {
            news = servers.next() => {
                match &news {
                    News::Asked(server, shown) => {
                        open.push((key(*server, &shown.id), *server, shown.id.clone(), shown.choices.clone()));
                    }
                    News::Closed(server, id) => open.retain(|(name, ..)| *name != key(*server, id)),
                    News::Went(gone) => open.retain(|(_, server, ..)| server != gone),
                    News::Came(..) | News::Connections(..) | News::Trouble(_) => {}
                }
                describe(&news)
            }
            line = lines.recv() => match line {
                None => return Ok(()),
                Some(Err(error)) => return Err(error),
                Some(Ok(line)) => match understand(&line, &open) {
                    Ok((server, id, choice, reason)) => {
                        servers.answer(server, id, choice, reason);
                        continue;
                    }
                    Err(problem) => json!({"event": "error", "problem": problem}),
                },
            },
        };
        match writeln!(io::stdout().lock(), "{said}") {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(ScriptError::Write(error)),
        }
    }
}

fn key(server: ServerId, id: &str) -> String {
    format!("{server}:{id}")
}

fn describe(news: &News) -> Value {
    match news {
        News::Came(id, server) => {
            json!({"event": "server", "server": id, "process": server.process, "folder": server.folder})
        }
        News::Went(id) => json!({"event": "server_gone", "server": id}),
        News::Asked(server, shown) => {
            let mut value = serde_json::to_value(shown).unwrap_or_default();
            if let Value::Object(object) = &mut value {
                object.remove("id");
                object.insert("event".into(), "question".into());
                object.insert("question".into(), key(*server, &shown.id).into());
                object.insert("server".into(), json!(server));
                object.insert("always".into(), json!(shown.rules.first().map(|rule| &rule.rule)));
            }
            value
        }
        News::Closed(server, id) => json!({"event": "closed", "question": key(*server, id)}),
        News::Connections(server, open, left_out) => {
            json!({"event": "connections", "server": server, "open": open, "left_out": left_out})
        }
        News::Trouble(problem) => json!({"event": "error", "problem": problem}),
    }
}

/// Which question is answered how; or what is wrong with the answer, which then counts for nothing.
fn understand<'o>(
    line: &str,
    open: &'o [(String, ServerId, String, Vec<String>)],
) -> Result<(ServerId, &'o str, Choice, Option<String>), String> {
    let answer: Answer = serde_json::from_str(line).map_err(|error| format!("not an answer: {error}"))?;
    // A list would be taken for the fields in their order.
    if !line.starts_with('{') {
        return Err("not an answer: it is no object".into());
    }
    let (_, server, id, choices) = open
        .iter()
        .find(|(name, ..)| *name == answer.question)
        .ok_or_else(|| format!("no question {:?} is open", answer.question))?;
    let choice = Choice::from_word(&answer.decision)
        .filter(|choice| choices.iter().any(|word| *word == choice.word()));
    let choice = choice
        .ok_or_else(|| format!("{:?} is not among the choices: {}", answer.decision, choices.join(", ")))?;
    Ok((*server, id, choice, answer.reason))
}

/// Reads lines in a thread of their own, which ends with the process.
fn read_lines() -> mpsc::Receiver<Result<String, ScriptError>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = (&mut input).take(MAX_LINE).read_until(b'\n', &mut line);
            let line = match read {
                Ok(0) => break,
                Ok(length) if length as u64 == MAX_LINE && !line.ends_with(b"\n") => {
                    Err(ScriptError::LongLine)
                }
                Ok(_) => Ok(String::from_utf8_lossy(&line).trim().to_owned()),
                Err(error) => Err(ScriptError::Read(error)),
            };
            let last = line.is_err();
            if line.as_ref().is_ok_and(String::is_empty) {
                continue;
            }
            if sender.blocking_send(line).is_err() || last {
                break;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_open_and_on_offer_is_an_answer() {
        let choices = vec!["once".to_owned(), "deny".to_owned()];
        let open = [("0:q1".to_owned(), 0, "q1".to_owned(), choices)];
        let good = r#"{"question":"0:q1","decision":"once","reason":"fine"}"#;
        assert_eq!(understand(good, &open), Ok((0, "q1", Choice::Once, Some("fine".into()))));
        for (bad, problem) in [
            ("once", "not an answer"),
            (r#"{"question":"0:q1"}"#, "not an answer"),
            (r#"["0:q1","once",null]"#, "not an answer"),
            (r#"{"question":"0:q1","decision":"deny","decision":"once"}"#, "not an answer"),
            (r#"{"question":"1:q1","decision":"once"}"#, "no question \"1:q1\" is open"),
            (r#"{"question":"0:q1","decision":"always"}"#, "not among the choices: once, deny"),
            (r#"{"question":"0:q1","decision":"yes"}"#, "not among the choices"),
        ] {
            assert!(understand(bad, &open).unwrap_err().contains(problem), "{bad}");
        }
    }
}
