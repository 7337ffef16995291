//! The score: every attempt, as every user, in every form; one table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::attempts::{self, Attempt};
use crate::place::{EVERY, Form, Place, User};
use crate::walls::Result;

/// What came of all attempts of one user in one form.
struct Column {
    user: User,
    form: Form,
    results: Vec<(String, Result)>,
}

fn column(user: User, form: Form) -> Option<Column> {
    let place = Place::of(user, form, "")?;
    // A descriptor that its parent forgot to close must not reach commands.
    let mut command = place.command("/bin/sh".as_ref());
    command
        .args(["-c", "exec 9>>\"$1\"; exec \"$0\""])
        .arg(place.server_program())
        .arg(place.outside.join("file"));
    let mut attacked = place.start_command(command);
    if !attacked.is_possible() {
        return None;
    }
    std::fs::write(place.codex_home().join("shell-tool-mcp/kept"), "secret").expect("a file of the server's");
    let late = place.world.home().join("run/late.sock");
    let _late = std::os::unix::net::UnixListener::bind(&late).expect("a socket");
    std::os::unix::fs::chown(&late, place.owner(), None).expect("its owner changes");
    let attempts = attempts::all(&place, &attacked);
    let row = |attempt: &Attempt| format!("{:>2}  {}", attempt.number, attempt.name);
    let results = attempts.iter().map(|attempt| (row(attempt), attempt.judge(&mut attacked, form))).collect();
    let kept = std::fs::read_to_string(place.outside.join("file")).expect("the file outside");
    assert_eq!(kept, "outside", "{user:?}, {form:?}");
    Some(Column { user, form, results })
}

#[test]
fn score_of_every_escape() {
    let columns: Vec<Column> = std::thread::scope(|scope| {
        let running: Vec<_> = EVERY.iter().map(|(user, form)| scope.spawn(|| column(*user, *form))).collect();
        running.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect()
    });
    if columns.is_empty() {
        return;
    }
    let of = |form: Form| -> Vec<&Column> { columns.iter().filter(|column| column.form == form).collect() };
    let (namespaces, landlock) = (of(Form::Namespaces), of(Form::Landlock));
    let mut table = format!("{:<58} {:<32} Landlock alone\n", "case, and what stops it", "with namespaces");
    let rows = columns.first().map_or(0, |column| column.results.len());
    for row in 0..rows {
        let name = columns[0].results[row].0.clone();
        writeln!(table, "{name:<58} {:<32} {}", cell(&namespaces, row), cell(&landlock, row))
            .expect("a line");
    }
    for (form, columns) in [("with namespaces", &namespaces), ("Landlock alone", &landlock)] {
        let results = || columns.iter().flat_map(|column| column.results.iter().map(|(_, result)| result));
        let stopped = results().filter(|result| matches!(result, Result::Stopped(..))).count();
        let open = results().filter(|result| **result == Result::OpenAndSaid).count();
        writeln!(
            table,
            "{form}: {stopped} of {} stopped, {open} not stopped and said, {} wrong; as {:?}",
            results().count(),
            results().count() - stopped - open,
            columns.iter().map(|column| column.user).collect::<Vec<_>>()
        )
        .expect("a line");
    }
    tell!("{table}");
    let mut wrong = String::new();
    for column in &columns {
        for (name, result) in &column.results {
            if let Result::Wrong(how) = result {
                writeln!(wrong, "{:?}, {:?}: {name}: {how}", column.user, column.form).expect("a line");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// One row of one form: the layer, and the errors of all users.
fn cell(columns: &[&Column], row: usize) -> String {
    let mut errors: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for column in columns {
        match &column.results[row].1 {
            Result::Stopped(layer, error) => errors.entry(layer).or_default().insert(error),
            Result::OpenAndSaid => errors.entry("NOT STOPPED").or_default().insert("said"),
            Result::Wrong(_) => errors.entry("WRONG").or_default().insert("see below"),
        };
    }
    let of = |(layer, errors): (&&str, &BTreeSet<&str>)| {
        format!("{layer} ({})", errors.iter().copied().collect::<Vec<_>>().join(", "))
    };
    let cells: Vec<String> = errors.iter().map(of).collect();
    if cells.is_empty() { "not tried".to_owned() } else { cells.join(" / ") }
}
