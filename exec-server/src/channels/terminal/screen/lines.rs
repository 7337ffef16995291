//! Text for a window of some width. Lines are broken where the window ends, so that nothing is beyond its edge.

use ratatui::style::Style as Painted;
use ratatui::text::{Line, Span};

use super::super::connection::ShownConnection;
use super::super::precedent::DiffWord;
use super::style::Style;
use super::view_state::{Entry, ViewState};

/// A piece of text in one style.
type Piece = (String, Painted);

/// The connections that are open, in lines of at most `width` columns.
pub(super) fn connections(view: &ViewState, style: &Style, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (open, left_out) in view.connections.values() {
        let more = (*left_out > 0).then(|| format!("{left_out} more"));
        for text in open.iter().map(ShownConnection::in_words).chain(more) {
            lines.extend(broken(vec![(text, style.plain)], width));
        }
    }
    lines
}

/// Everything there is to say about a question, in lines of at most `width` columns.
pub(super) fn question(
    entry: &Entry,
    folder: Option<&str>,
    style: &Style,
    width: usize,
) -> Vec<Line<'static>> {
    let question = &entry.question;
    let mut lines = Vec::new();
    let mut say = |label: &str, pieces: Vec<Piece>| {
        let start = vec![(format!("{label:<9}"), style.label)];
        lines.extend(broken(start.into_iter().chain(pieces).collect(), width));
    };
    let plain = |text: &str| vec![(text.to_owned(), style.plain)];
    match &question.wish {
        None => say("Run", plain(&question.command)),
        Some(wish) => {
            say("Allow to", plain(wish));
            say("By", plain(&question.command));
        }
    }
    say("In", plain(&question.workdir));
    if let Some(why) = &question.why {
        say("Reason", plain(why));
    }
    if let Some(rule) = &question.rule {
        say("Rule", plain(rule));
    }
    for detail in &question.details {
        say("Note", vec![(detail.clone(), style.warning)]);
    }
    match &entry.before {
        Some(before) => {
            let mut pieces = Vec::new();
            for word in &before.words {
                let (mark, text, painted) = match word {
                    DiffWord::Same(text) => ("", text, style.plain),
                    // Words: signs could be taken for a part of what they mark, as in `--force`.
                    DiffWord::New(text) => ("added: ", text, style.new),
                    DiffWord::Gone(text) => ("removed: ", text, style.gone),
                };
                let text = bordered(text);
                pieces.push((format!("{mark}{text}"), painted));
                pieces.push((" ".to_owned(), style.plain));
            }
            if before.words.iter().all(|word| matches!(word, DiffWord::Same(_))) {
                pieces.push(("(the same)".to_owned(), style.plain));
            }
            if let Some(workdir) = &before.workdir {
                pieces.push((format!("(in {workdir})"), style.new));
            }
            let when = before.approved.get(..16).unwrap_or(&before.approved).replace('T', " ");
            pieces.push((format!(" approved {when} UTC"), style.plain));
            say("Before", pieces);
        }
        None if question.wish.is_some() => {}
        None => say("Before", plain("this program was not approved before")),
    }
    if let Some(narrowest) = question.rules.first() {
        let mut pieces = vec![("would add: ".to_owned(), style.plain), (narrowest.rule.clone(), style.plain)];
        if question.rules.len() > 1 {
            pieces.push((" (or a shorter one)".to_owned(), style.plain));
        }
        say("Always", pieces);
    }
    if question.left_out > 0 {
        say(
            "Long",
            vec![(format!("{} arguments are not compared: too long", question.left_out), style.warning)],
        );
    }
    if let Some(folder) = folder {
        say("Server", plain(folder));
    }
    lines
}

/// What keys do, and what becomes of questions.
pub(super) fn help(style: &Style, width: usize) -> Vec<Line<'static>> {
    const KEYS: [(&str, &str); 9] = [
        ("o", "allow this once"),
        ("s", "allow this very command until its server ends"),
        ("a", "allow commands that begin so from now on; the rule is shown first"),
        ("d", "do not run it; you may say why"),
        ("↑ ↓", "choose a question (also k, j, Tab)"),
        ("PgUp PgDn", "read a long question (also space, Home, End)"),
        ("Esc", "back"),
        ("q", "leave; open questions stay open for a moment, and in the client"),
        ("?", "this help; Esc closes it"),
    ];
    KEYS.iter()
        .flat_map(|(key, what)| {
            broken(vec![(format!("{key:<11}"), style.key), ((*what).to_owned(), style.plain)], width)
        })
        .collect()
}

/// What comes of saying always: the rule as it will be written, and what else there is to choose.
pub(super) fn rule(entry: &Entry, place: usize, style: &Style, width: usize) -> Vec<Line<'static>> {
    let rules = &entry.question.rules;
    let Some(rule) = rules.get(place) else { return Vec::new() };
    let mut lines = Vec::new();
    let mut say = |label: &str, text: String, painted: Painted| {
        lines.extend(broken(vec![(format!("{label:<9}"), style.label), (text, painted)], width));
    };
    say("Adds", rule.rule.clone(), style.warning);
    let scope = match rule.decision.split(':').next() {
        Some("session") => ", until the server ends",
        Some("project") => ", in this project",
        Some("hour") => ", for one hour",
        Some(_) | None => "",
    };
    say("Allows", format!("every command that starts with: {}{scope}", rule.begins_with), style.plain);
    if rules.len() > 1 {
        let longest = if place == 0 { ", the longest" } else { "" };
        say(
            "Choose",
            format!("← next, → back (rule {} of {}{longest})", place + 1, rules.len()),
            style.plain,
        );
    }
    lines.push(Line::default());
    lines
}

/// A word whose beginning and end can be seen, also when there are spaces in it. Not for a shell: escapes stay as they
/// are.
fn bordered(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_@%+=:,./-".contains(character);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

/// Breaks pieces into lines of at most `width` columns.
pub(super) fn broken(pieces: Vec<Piece>, width: usize) -> Vec<Line<'static>> {
    let width = width.max(2);
    let mut lines = Vec::new();
    let mut line: Vec<Span<'static>> = Vec::new();
    let mut used = 0;
    for (text, style) in pieces {
        let mut piece = String::new();
        for character in text.chars() {
            let columns = Span::raw(character.encode_utf8(&mut [0; 4]) as &str).width();
            if used + columns > width {
                line.push(Span::styled(std::mem::take(&mut piece), style));
                lines.push(Line::from(std::mem::take(&mut line)));
                used = 0;
            }
            used += columns;
            piece.push(character);
        }
        line.push(Span::styled(piece, style));
    }
    lines.push(Line::from(line));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pieces: &[&str], width: usize) -> Vec<String> {
        let pieces = pieces.iter().map(|text| ((*text).to_owned(), Painted::new())).collect();
        broken(pieces, width).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_lost_at_the_edge() {
        assert_eq!(texts(&["abc", "defgh"], 3), ["abc", "def", "gh"]);
        assert_eq!(texts(&["漢字漢"], 5), ["漢字", "漢"]);
        assert_eq!(texts(&[""], 5), [""]);
        let long = "x".repeat(1000);
        assert_eq!(texts(&[&long], 7).concat(), long);
    }
}
