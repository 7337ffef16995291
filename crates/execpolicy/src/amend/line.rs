//! The text of an added rule.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::SystemTime;

use super::broad::too_broad;
use super::handing_on::hands_on;
use crate::answers::rank;
use crate::command::Command;
use crate::decision::Decision;
use crate::evaluate::Options;
use crate::evaluation::{DecidedBy, Evaluation, RuleMatch};
use crate::giving::Plain;
use crate::network::{self, Protocol, normalise_host};
use crate::pattern::quoted;
use crate::policy::Policy;
use crate::rights::{Grants, Rights, Run};

/// A rule to be added, known to be valid and not too broad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    line: String,
    length: usize,
    inside: bool,
    /// The hosts and the port that it is about, where it is about such.
    place: Option<String>,
}

/// Why a rule cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmendmentError {
    /// It would allow far more than was asked for.
    #[error("a rule for this prefix would allow too much: {0}")]
    TooBroad(&'static str),
    /// Rule files are text.
    #[error("a word of the command is not UTF-8")]
    NotText,
    /// The host of a network rule is not a host.
    #[error("{0}")]
    Host(String),
    /// The justification is blank.
    #[error("a justification must not be blank")]
    BlankJustification,
}

impl Amendment {
    /// A rule that allows every command that begins with these words.
    ///
    /// # Errors
    /// The prefix is too broad, or not text.
    pub fn allow(words: &[OsString]) -> Result<Self, AmendmentError> {
        Self::prefix(words, Decision::Allow)
    }

    /// A rule that allows every command that begins with these words, and settles the question of the rule
    /// that asked: see [`suggest_answers`].
    ///
    /// # Errors
    /// The prefix is too broad, or not text.
    pub fn answer(words: &[OsString]) -> Result<Self, AmendmentError> {
        Ok(Self::allow(words)?.with("overrides_prompt=True"))
    }

    /// A rule that lets every command run inside the sandbox, unasked, that begins with these words: nothing is too
    /// broad for that.
    ///
    /// # Errors
    /// The prefix is empty, or not text.
    pub fn inside(words: &[OsString]) -> Result<Self, AmendmentError> {
        Ok(Self::written(words, Decision::Allow)?.staying_inside())
    }

    fn staying_inside(self) -> Self {
        Self { inside: true, ..self.with("run=\"inside\"") }
    }

    /// The same rule, saying what it gives: what was shown when it was asked about.
    #[must_use]
    pub fn giving(self, rights: &Rights) -> Self {
        let run = format!("run={}", quoted(rights.run.word()));
        let inside = rights.run == Run::Inside;
        let rule = Self { inside: self.inside || (inside && rights.grants.is_empty()), ..self.with(&run) };
        match &rights.profile {
            Some(profile) => rule.with(&format!("profile={}", quoted(profile.as_str()))),
            None if rights.grants.is_empty() || rights.run == Run::Unconfined => rule,
            None => rule.with(&format!("grants={}", rights.grants)),
        }
    }

    /// The same rule for these words and nothing after them.
    #[must_use]
    pub fn exactly(self) -> Self {
        self.with("exact=True")
    }

    /// The same rule for a project alone: in this folder, and below it. `None`: its path is not text.
    #[must_use]
    pub fn within(self, folder: &Path) -> Option<Self> {
        let folder = globset::escape(folder.to_str()?);
        Some(self.with(&format!("cwd=[{}]", quoted(&folder))))
    }

    /// The same rule until then.
    #[must_use]
    pub fn until(self, time: SystemTime) -> Self {
        let time = humantime::format_rfc3339_seconds(time).to_string();
        self.with(&format!("until={}", quoted(&time)))
    }

    fn with(self, argument: &str) -> Self {
        let open = self.line.strip_suffix(')').unwrap_or(&self.line);
        Self { line: format!("{open}, {argument})"), ..self }
    }

    /// A rule about every command that begins with these words.
    ///
    /// # Errors
    /// The prefix is empty, not text, or too broad to be allowed.
    pub fn prefix(words: &[OsString], decision: Decision) -> Result<Self, AmendmentError> {
        let words: Vec<&str> = words
            .iter()
            .map(|word| word.to_str().ok_or(AmendmentError::NotText))
            .collect::<Result<_, _>>()?;
        let refused = match decision {
            Decision::Allow => too_broad(&words),
            Decision::Prompt | Decision::Forbidden => words.is_empty().then_some("it is empty"),
        };
        if let Some(why) = refused {
            return Err(AmendmentError::TooBroad(why));
        }
        Self::written(&words, decision)
    }

    fn written<W: AsRef<OsStr>>(words: &[W], decision: Decision) -> Result<Self, AmendmentError> {
        let words: Vec<&str> = words
            .iter()
            .map(|word| word.as_ref().to_str().ok_or(AmendmentError::NotText))
            .collect::<Result<_, _>>()?;
        if words.is_empty() {
            return Err(AmendmentError::TooBroad("it is empty"));
        }
        let pattern: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        Ok(Self {
            line: format!(
                "prefix_rule(pattern=[{}], decision={})",
                pattern.join(", "),
                quoted(decision.word())
            ),
            length: words.len(),
            inside: false,
            place: None,
        })
    }

    /// A network rule about one host.
    ///
    /// # Errors
    /// The host is not one, or the justification is blank.
    pub fn network(
        host: &str,
        protocol: Protocol,
        decision: Decision,
        justification: Option<&str>,
    ) -> Result<Self, AmendmentError> {
        let host = normalise_host(host).map_err(AmendmentError::Host)?;
        let why = match justification {
            Some(text) if text.trim().is_empty() => return Err(AmendmentError::BlankJustification),
            Some(text) => format!(", justification={}", quoted(text)),
            None => String::new(),
        };
        let decision = match decision {
            Decision::Allow => "allow",
            Decision::Prompt => "prompt",
            Decision::Forbidden => "deny",
        };
        Ok(Self {
            line: format!(
                "network_rule(host={}, protocol=\"{protocol}\", decision=\"{decision}\"{why})",
                quoted(&host)
            ),
            length: 0,
            inside: false,
            place: Some(host),
        })
    }

    /// A rule about a host at one port, or about all hosts below one (`*.example.org`).
    ///
    /// # Errors
    /// The host is not one.
    pub fn host(host: &str, port: u16, decision: Decision) -> Result<Self, AmendmentError> {
        let host = network::host(host).map_err(AmendmentError::Host)?.name().to_owned();
        let (quoted_host, decision) = (quoted(&host), quoted(decision.word()));
        Ok(Self {
            line: format!("network_rule(host={quoted_host}, ports=[{port}], decision={decision})"),
            length: host.split('.').count(),
            inside: false,
            place: Some(if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            }),
        })
    }

    /// The rule as one line of a rules file, without the newline.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Whether what it allows stays inside the sandbox.
    #[must_use]
    pub fn stays_inside(&self) -> bool {
        self.inside
    }

    /// The hosts and the port that it is about, where it is about such.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// How many words of a command the rule names, the program's among them; of a rule about a host at a port, how many parts
    /// its name has.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }
}

/// The rules worth offering to a human who is asked because a command looks dangerous, the narrowest first: with them
/// such commands run inside the sandbox, unasked. None where it is not the command itself that does.
#[must_use]
pub fn suggest_inside(evaluation: &Evaluation) -> Vec<Amendment> {
    let ([whole], DecidedBy::Heuristic) = (evaluation.commands(), evaluation.decided_by()) else {
        return Vec::new();
    };
    let options = whole.iter().skip(1).take_while(|word| word.as_encoded_bytes().starts_with(b"-")).count();
    // `rm -rf build`, and `rm -rf`.
    let lengths = [whole.len(), 1 + options].into_iter().filter(|length| *length >= 2);
    let mut rules: Vec<Amendment> =
        lengths.filter_map(|length| Amendment::inside(whole.get(..length)?).ok()).collect();
    rules.dedup();
    rules
}

/// The rules worth offering to a human who is asked whether a command is to be run again with what it was refused: all of
/// its words, and the program with its first word. They say what that is.
#[must_use]
pub fn suggest_retries(command: &[OsString], rights: &Rights) -> Vec<Amendment> {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let rule = |length| {
        let rule = Amendment::allow(command.get(..length)?).ok()?.giving(rights);
        // A profile gives no protected name to what is not asked about.
        let protected = Grants { protected: rights.grants.protected.clone(), ..Grants::default() };
        let is_left_out = rights.profile.is_some() && !protected.is_empty();
        Some(if is_left_out { rule.with(&format!("grants={protected}")) } else { rule })
    };
    // Of what hands its rights on, this very command line alone.
    if hands_on(&words).is_some() {
        return rule(command.len()).map(Amendment::exactly).into_iter().collect();
    }
    let is_word = |word: &&OsString| !word.as_encoded_bytes().starts_with(b"-");
    let shorter = command.get(1).filter(is_word).map(|_| 2).filter(|length| *length < command.len());
    std::iter::once(command.len()).chain(shorter).filter_map(rule).collect()
}

/// Rules shorter than the whole command that are offered at most.
const MOST_SHORTER: usize = 3;

/// The rules worth offering to a human who is asked because a rule in `folder` says so, the narrowest first:
/// it has all words of the command; the others are the shortest ones. With one of them, the rule that asks
/// does so no more about commands that begin with its words. Other rules that ask, and all that forbid, hold
/// as before.
///
/// Empty when none would help (the rule lies elsewhere, has conditions, or is about a command inside this
/// one), or when the command holds other commands, looks dangerous, or would make too broad a rule. A shorter
/// rule has the program and at least one word that is not an option, and no fewer words than the rule that
/// asks: options first would leave open what the program does.
#[must_use]
pub fn suggest_answers(
    evaluation: &Evaluation,
    command: &Command<'_>,
    options: &Options,
    folder: &Path,
) -> Vec<Amendment> {
    let asked_here = |one: &&RuleMatch| {
        one.rule.decision == Decision::Prompt
            && one.part == 0
            && rank(&one.rule.origin.file).as_deref() == Some(folder)
    };
    let asking = || evaluation.matches().iter().filter(|one| one.rule.decision > Decision::Allow);
    let helps = evaluation.decided_by() == DecidedBy::Rule && asking().all(|one| asked_here(&one));
    // As if no rule spoke: is it a single command that does not look dangerous?
    let plain = Policy::empty().evaluate(command, options);
    let ([whole], DecidedBy::Nothing, None) = (plain.commands(), plain.decided_by(), plain.doubt()) else {
        return Vec::new();
    };
    let Some(narrowest) = helps.then(|| Amendment::answer(whole).ok()).flatten() else { return Vec::new() };
    let rights = evaluation.rights();
    if rights.is_none() {
        return vec![narrowest.staying_inside()];
    }
    let says_rights =
        |rule: Amendment| if options.plain == Plain::Outside { rule } else { rule.giving(rights) };
    let words: Vec<_> = whole.iter().map(|word| word.to_string_lossy()).collect();
    // Of what hands its rights on, this very command line alone.
    if hands_on(&words).is_some() {
        return vec![says_rights(narrowest.exactly())];
    }
    let begins_with_option = whole.get(1).is_none_or(|word| word.as_encoded_bytes().starts_with(b"-"));
    let shortest = asking().map(|one| one.rule.length()).max().unwrap_or_default().max(2);
    let lengths = if begins_with_option { shortest..shortest } else { shortest..whole.len() };
    let mut shorter: Vec<Amendment> = lengths
        .filter_map(|length| Amendment::answer(whole.get(..length)?).ok())
        .take(MOST_SHORTER)
        .collect();
    shorter.reverse();
    std::iter::once(narrowest).chain(shorter).map(says_rights).collect()
}

#[cfg(test)]
mod tests {
    use super::suggest_answers;
    use crate::{Command, Options, Policy};

    #[test]
    fn a_person_is_offered_the_whole_command_and_its_short_beginnings() {
        let folder = std::path::Path::new("/rules");
        let offered = |rules: &str, line: &str| {
            let policy = Policy::from_text(&folder.join("default.rules"), rules).unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            let (command, options) = (Command::from_words(&words).unwrap(), Options::default());
            let suggested = suggest_answers(&policy.evaluate(&command, &options), &command, &options, folder);
            suggested
                .iter()
                .map(|one| {
                    let list = one.line().split(['[', ']']).nth(1).unwrap();
                    let words: Vec<&str> = list.split(", ").map(|word| word.trim_matches('"')).collect();
                    assert_eq!(words.len(), one.length());
                    words.join(" ")
                })
                .collect::<Vec<_>>()
        };
        let git = "prefix_rule([[\"git\", \"tool\", \"python3\", \"npx\", \"deno\", \"ssh\", \"env\", \"rm\"]], \"prompt\")";
        assert_eq!(offered(git, "git push origin"), ["git push origin", "git push"]);
        assert_eq!(
            offered(git, "tool a b c d e f"),
            ["tool a b c d e f", "tool a b c", "tool a b", "tool a"]
        );
        // What the file holds is another thing tomorrow.
        for line in ["python3 x.py y", "python3 -W ignore x.py"] {
            assert!(offered(git, line).is_empty(), "{line}");
        }
        // The whole alone: nothing shorter is narrow enough.
        for line in ["tool", "tool a", "git -C /x push", "npx -y pkg", "deno run x", "ssh host ls"] {
            assert_eq!(offered(git, line), [line]);
        }
        for line in ["git", "env tool a b", "rm -rf a b"] {
            assert!(offered(git, line).is_empty(), "{line}");
        }
        // A shorter rule would not settle the question of a longer one.
        let longer = "prefix_rule([\"git\", \"push\", \"origin\"], \"prompt\")";
        assert_eq!(offered(longer, "git push origin main"), ["git push origin main", "git push origin"]);
    }
}
