//! A question as it travels to a terminal. Everything in it can be shown as it is: what would deceive is written out.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use shell_engine::approval::{Choice, OfferedRule, OpenQuestion};
use shell_engine::visible::visible;

/// Bytes of arguments that travel; the rest is counted.
const MAX_ARGUMENTS: usize = 32 << 10;

/// Characters of a command line that travel; the middle of a longer one is left out.
const MAX_COMMAND: usize = 20_000;

/// Arguments that travel; the rest is counted.
const MAX_COUNT: usize = 512;

/// Details that travel, and characters of each.
const MAX_DETAILS: usize = 64;
const MAX_DETAIL: usize = 2000;

/// What a detail begins with that says whose question it is.
const ASKED_BY: &str = "Asked by ";

/// A question, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::channels) struct ShownQuestion {
    /// Its name for the server that asks.
    pub(super) id: String,
    /// The question in words, as every channel shows it.
    pub(super) message: String,
    /// What is to be allowed, where that is not that the program runs.
    #[serde(default)]
    pub(super) wish: Option<String>,
    /// Program and arguments in one line, quoted as a shell would need it; its middle is left out when it is very long.
    pub(super) command: String,
    pub(super) program: String,
    pub(super) arguments: Vec<String>,
    /// How many arguments are not in `arguments`, or not whole.
    pub(super) left_out: usize,
    pub(super) workdir: String,
    /// The rule that asks: file and line.
    pub(super) rule: Option<String>,
    /// Why it asks.
    pub(super) why: Option<String>,
    /// What else there is to know before saying yes.
    pub(super) details: Vec<String>,
    /// The words that may be answered.
    pub(super) choices: Vec<String>,
    /// The rules that may be added, the narrowest first.
    pub(super) rules: Vec<ShownRule>,
    /// When it was asked, in milliseconds since 1970.
    pub(super) since_ms: u64,
}

/// Whose question it is, where there are several who ask. A name that could be taken for a sentence, or another name, is quoted.
pub(super) fn asked_by(asker: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.@".contains(letter);
    match asker.chars().all(is_plain) && !asker.ends_with('.') {
        true => format!("{ASKED_BY}{asker}."),
        false => format!("{ASKED_BY}{:?}.", visible(asker.as_bytes())),
    }
}

/// A rule that may be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShownRule {
    /// The word that has it added.
    pub(super) decision: String,
    /// What the commands begin with that it allows.
    pub(super) begins_with: String,
    /// The rule, as it will be written.
    pub(super) rule: String,
}

impl ShownQuestion {
    /// Its name.
    pub(in crate::channels) fn id(&self) -> &str {
        &self.id
    }

    /// The same as another server shows it, which knows who asks, and trusts nobody to have said what does not deceive.
    pub(in crate::channels) fn relayed(self, id: String, asker: &str) -> ShownQuestion {
        let mut relayed = ShownQuestion { id, ..self.made_visible() };
        relayed.details.retain(|detail| !detail.starts_with(ASKED_BY));
        relayed.choices.retain(|word| Choice::from_word(word).is_some());
        relayed.details.insert(0, asked_by(asker));
        relayed
    }

    pub(super) fn new(open: &OpenQuestion) -> ShownQuestion {
        let question = &open.question;
        let (arguments, left_out) = beginning(&question.arguments);
        let since = open.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let justification = question.rule.as_ref().and_then(|matched| matched.rule.justification.as_deref());
        ShownQuestion {
            id: open.id.to_string(),
            message: question.message(),
            wish: question.wish(),
            command: with_both_ends(question.command_line()),
            program: visible(question.program.as_os_str().as_encoded_bytes()),
            arguments,
            left_out,
            workdir: visible(question.workdir.as_os_str().as_encoded_bytes()),
            rule: question.rule.as_ref().map(|matched| visible(matched.rule.origin.to_string().as_bytes())),
            why: justification.or(question.danger.as_deref()).map(|why| visible(why.as_bytes())),
            details: question
                .cautions
                .iter()
                .chain(&question.details)
                .take(MAX_DETAILS)
                .map(|detail| detail_of(detail))
                .chain(question.script_line())
                .collect(),
            choices: open.offers.choices().into_iter().map(|choice| choice.word()).collect(),
            rules: open.offers.always.iter().map(ShownRule::new).collect(),
            since_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Makes sure on the receiving side that nothing in it deceives, whoever sent it.
    pub(super) fn made_visible(self) -> ShownQuestion {
        let clean = |text: String| visible(text.as_bytes());
        ShownQuestion {
            id: clean(self.id),
            message: self.message.lines().map(|line| visible(line.as_bytes())).collect::<Vec<_>>().join("\n"),
            wish: self.wish.map(clean),
            command: clean(self.command),
            program: clean(self.program),
            arguments: self.arguments.into_iter().map(clean).collect(),
            workdir: clean(self.workdir),
            rule: self.rule.map(clean),
            why: self.why.map(clean),
            details: self.details.into_iter().map(clean).collect(),
            choices: self.choices.into_iter().map(clean).collect(),
            rules: self
                .rules
                .into_iter()
                .map(|rule| ShownRule {
                    decision: clean(rule.decision),
                    begins_with: clean(rule.begins_with),
                    rule: clean(rule.rule),
                })
                .collect(),
            ..self
        }
    }

    /// What a yes is to, in one line.
    pub(super) fn in_short(&self) -> String {
        let Some(wish) = &self.wish else { return self.command.clone() };
        format!("{wish} by {}", self.command)
    }

    /// Whether this may be answered.
    pub(super) fn offers(&self, choice: Choice) -> bool {
        self.choices.iter().any(|word| *word == choice.word())
    }

    /// How long it has been open.
    pub(super) fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(Duration::from_millis(self.since_ms))
    }
}

impl ShownRule {
    fn new(offered: &OfferedRule) -> ShownRule {
        ShownRule {
            decision: offered.choice.word(),
            begins_with: offered.beginning.clone(),
            rule: visible(offered.line.as_bytes()),
        }
    }
}

/// Keeps beginning and end of what is too long, and says how much is left out between them.
fn with_both_ends(text: String) -> String {
    let count = text.chars().count();
    if count <= MAX_COMMAND {
        return text;
    }
    let head: String = text.chars().take(MAX_COMMAND / 2).collect();
    let tail: String = text.chars().skip(count - MAX_COMMAND / 2).collect();
    format!("{head} … {} characters left out … {tail}", count - MAX_COMMAND)
}

fn detail_of(text: &str) -> String {
    let kept: String = text.chars().take(MAX_DETAIL).collect();
    let more = if kept.len() < text.len() { "…" } else { "" };
    visible(kept.as_bytes()) + more
}

fn beginning(arguments: &[Vec<u8>]) -> (Vec<String>, usize) {
    let mut room = MAX_ARGUMENTS;
    let mut kept = Vec::new();
    for argument in arguments.iter().take(MAX_COUNT) {
        let Some(rest) = room.checked_sub(argument.len().max(1)) else { break };
        room = rest;
        kept.push(visible(argument));
    }
    let left_out = arguments.len() - kept.len();
    (kept, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_arguments_are_counted_and_nothing_deceives() {
        let arguments = vec![b"a\x1b[2J".to_vec(), vec![b'x'; MAX_ARGUMENTS], b"last".to_vec()];
        assert_eq!(beginning(&arguments), (vec!["a\\u{1b}[2J".to_owned()], 2));
        assert_eq!(beginning(&vec![Vec::new(); 1000]).1, 1000 - MAX_COUNT);
    }

    #[test]
    fn who_asks_is_a_name_and_no_sentence() {
        assert_eq!(asked_by("ann@example.com"), "Asked by ann@example.com.");
        for (name, shown) in [
            ("carol. Approved by admin", "Asked by \"carol. Approved by admin\"."),
            ("ann.", "Asked by \"ann.\"."),
            ("a\"b", "Asked by \"a\\\"b\"."),
        ] {
            assert_eq!(asked_by(name), shown);
        }
        for deceiving in ["\u{430}lice", "ali\u{200b}ce", "\u{202e}ecila"] {
            let shown = asked_by(deceiving);
            assert!(shown.is_ascii() && shown.starts_with("Asked by \""), "{shown}");
        }
    }
}
