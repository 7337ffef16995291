//! What a person chooses, and the rules that may be chosen.

/// What a person chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Allow this once.
    Once,
    /// Allow this very command until the server ends.
    Session,
    /// Allow every command that begins with all of these words, and write the rule.
    Always,
    /// Allow every command that begins with this many of these words, and write the rule.
    AlwaysFirst(usize),
    /// Allow every command that begins with this many of these words, until the server ends.
    SessionFirst(usize),
    /// The same for good, in this project.
    Project(usize),
    /// The same for one hour.
    Hour(usize),
    /// Allow this once, inside the sandbox and with nothing more than commands may do.
    Inside,
    /// Do not run it.
    Deny,
    /// Do not run it, and end the call.
    End,
}

impl Choice {
    /// The word for it in forms, JSON and logs.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Choice::Once => "once".to_owned(),
            Choice::Session => "session".to_owned(),
            Choice::Always => "always".to_owned(),
            Choice::AlwaysFirst(words) => format!("always:{words}"),
            Choice::SessionFirst(words) => format!("session:{words}"),
            Choice::Project(words) => format!("project:{words}"),
            Choice::Hour(words) => format!("hour:{words}"),
            Choice::Inside => "inside".to_owned(),
            Choice::Deny => "deny".to_owned(),
            Choice::End => "end".to_owned(),
        }
    }

    /// The choice that a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Choice> {
        let (scope, words) = word.split_once(':').unwrap_or_default();
        let scope: Option<fn(usize) -> Choice> = match scope {
            "always" => Some(Choice::AlwaysFirst),
            "session" => Some(Choice::SessionFirst),
            "project" => Some(Choice::Project),
            "hour" => Some(Choice::Hour),
            _ => None,
        };
        let shorter = scope.zip(words.parse().ok()).map(|(choice, words)| choice(words));
        [Choice::Once, Choice::Session, Choice::Always, Choice::Inside, Choice::Deny, Choice::End]
            .into_iter()
            .chain(shorter)
            // There is one word for each: neither `always:02` nor `always:+2`.
            .find(|choice| choice.word() == word)
    }

    /// Whether it makes a rule.
    #[must_use]
    pub fn makes_a_rule(self) -> bool {
        match self {
            Choice::Always
            | Choice::AlwaysFirst(_)
            | Choice::SessionFirst(_)
            | Choice::Project(_)
            | Choice::Hour(_) => true,
            Choice::Once | Choice::Session | Choice::Inside | Choice::Deny | Choice::End => false,
        }
    }
}

/// A rule that a person may have made instead of being asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedRule {
    /// The choice that makes it.
    pub choice: Choice,
    /// What the commands begin with that it allows, as a shell would need it; nothing in it hides.
    pub beginning: String,
    /// The rule, as the line that it will be.
    pub line: String,
}

#[cfg(test)]
mod tests {
    use super::Choice;

    #[test]
    fn each_choice_has_one_word() {
        for choice in [
            Choice::Once,
            Choice::Session,
            Choice::Always,
            Choice::AlwaysFirst(2),
            Choice::Inside,
            Choice::Deny,
            Choice::End,
            Choice::SessionFirst(1),
            Choice::Project(3),
            Choice::Hour(20),
        ] {
            assert_eq!(Choice::from_word(&choice.word()), Some(choice));
        }
        for word in [
            "",
            "Once",
            "always:",
            "always:02",
            "hour:+2",
            "hour",
            "week:2",
            "always:+2",
            "always:-1",
            "always: 2",
            "always:99999999999999999999",
        ] {
            assert_eq!(Choice::from_word(word), None, "{word}");
        }
    }
}
