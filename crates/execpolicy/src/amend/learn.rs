//! From commands and what was decided about them to the rules that would have decided alike.
//!
//! Of each program: the shortest beginnings that fit no command of which something else was decided, and never fewer
//! words than say what the program does, its sub-command's own included (`gh pr view`). A command with a beginning of its
//! own gets a rule for this very command line. What stands for more than was seen is marked.

use std::collections::{BTreeMap, BTreeSet};

use super::broad::too_broad;
use super::handing_on::hands_on;
use crate::decision::Decision;
use crate::examples::typed;
use crate::pattern::quoted;

/// Examples that one rule is given, besides one for each of its alternatives.
const MOST_EXAMPLES: usize = 3;
/// Words that may say what a program does, with its name: `gh pr view`.
const MOST_WORDS: usize = 3;
/// Words in one place of a pattern; more say that anything may stand there.
const MOST_ALTERNATIVES: usize = 5;
/// Characters of an example; longer ones say little.
const LONGEST_EXAMPLE: usize = 200;

/// One command of which something was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its words; first the program as a rule is to name it: by its path, or by a name that means it.
    pub words: Vec<String>,
    /// What was decided.
    pub decision: Decision,
    /// What it was given, as arguments of a rule: `run="confined", profile="git"`; empty where nothing was.
    pub rights: String,
}

/// What commands have in common that one rule can speak about.
type Answered<'o> = (Decision, &'o str);

/// The rules, a line each, by program; a comment before those that allow more than was seen by the nature of the
/// program.
#[must_use]
pub fn learn(observed: &[Observed]) -> Vec<String> {
    let mut programs: BTreeMap<String, Vec<(Vec<String>, Answered<'_>)>> = BTreeMap::new();
    for one in observed {
        let Some((program, arguments)) = one.words.split_first() else { continue };
        let words = std::iter::once(program.clone()).chain(arguments.iter().cloned()).collect();
        programs.entry(program.clone()).or_default().push((words, (one.decision, one.rights.as_str())));
    }
    programs.into_values().flat_map(|commands| of_program(strictest(commands))).collect()
}

/// Each command line once: where it was decided about differently, the strictest counts.
fn strictest<'o>(commands: Vec<(Vec<String>, Answered<'o>)>) -> BTreeMap<Vec<String>, Answered<'o>> {
    let mut once: BTreeMap<Vec<String>, Answered<'o>> = BTreeMap::new();
    for (words, answered) in commands {
        let known = once.entry(words).or_insert(answered);
        if answered.0 > known.0 {
            *known = answered;
        }
    }
    once
}

/// A beginning, whether nothing may follow it, and the command lines that it stands for.
struct Beginning<'o> {
    words: Vec<String>,
    exact: bool,
    answered: Answered<'o>,
    examples: Vec<Vec<String>>,
}

fn of_program(commands: BTreeMap<Vec<String>, Answered<'_>>) -> Vec<String> {
    let mut beginnings: Vec<Beginning<'_>> = Vec::new();
    for (words, answered) in &commands {
        if let Some(known) = beginnings.iter_mut().find(|known| known.stands_for(words, *answered)) {
            known.examples.push(words.clone());
            continue;
        }
        let alike = |length: &usize| {
            let beginning = words.get(..*length).unwrap_or_default();
            let others = commands.iter().filter(|(other, _)| other.starts_with(beginning));
            others.into_iter().all(|(_, other)| other == answered)
        };
        let is_alone = |length: usize| {
            let beginning = words.get(..length).unwrap_or_default();
            commands.keys().filter(|other| other.starts_with(beginning)).nth(1).is_none()
        };
        let shortest = (least(words)..=words.len()).find(|length| {
            let beginning = words.get(..*length).unwrap_or_default();
            let is_beginning = *length < words.len() || !is_alone(*length);
            is_beginning && alike(length) && (answered.0 > Decision::Allow || too_broad(beginning).is_none())
        });
        let length = shortest.map_or(words.len(), |length| narrowed(words, length, &commands));
        let beginning = words.get(..length).unwrap_or_default();
        beginnings.push(Beginning {
            words: beginning.to_vec(),
            exact: shortest.is_none() || length == words.len() && is_alone(length),
            answered: *answered,
            examples: vec![words.clone()],
        });
    }
    joined(beginnings).iter().map(Joined::line).collect()
}

impl Beginning<'_> {
    fn stands_for(&self, words: &[String], answered: Answered<'_>) -> bool {
        !self.exact && self.answered == answered && words.starts_with(&self.words)
    }
}

/// The fewest words that say what a program does: with its sub-command, if that is what follows its name.
fn least(words: &[String]) -> usize {
    if words.get(1).is_some_and(|word| is_word(word)) { 2 } else { words.len() }
}

/// Whether a word may be a sub-command.
fn is_word(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_lowercase())
        && word.chars().all(|character| character.is_ascii_alphanumeric() || "-_:".contains(character))
}

/// The length of a beginning that has as many words as all commands that begin so have sub-commands there, few enough to
/// be listed.
fn narrowed(words: &[String], shortest: usize, commands: &BTreeMap<Vec<String>, Answered<'_>>) -> usize {
    let lists_the_next = |length: &usize| {
        let beginning = words.get(..*length).unwrap_or_default();
        let alike = commands.keys().filter(|other| other.starts_with(beginning));
        let next: Option<BTreeSet<&String>> =
            alike.map(|other| other.get(*length).filter(|word| is_word(word))).collect();
        next.is_some_and(|next| next.len() <= MOST_ALTERNATIVES)
    };
    (shortest..MOST_WORDS).find(|length| !lists_the_next(length)).unwrap_or(MOST_WORDS.max(shortest))
}

/// Beginnings that differ in their last word.
struct Joined<'o> {
    before: Vec<String>,
    last: BTreeSet<String>,
    exact: bool,
    answered: Answered<'o>,
    examples: Vec<Vec<String>>,
}

fn joined(beginnings: Vec<Beginning<'_>>) -> Vec<Joined<'_>> {
    let mut all: Vec<Joined<'_>> = Vec::new();
    for Beginning { mut words, exact, answered, examples } in beginnings {
        let last = words.pop().unwrap_or_default();
        let same = |known: &&mut Joined<'_>| {
            known.before == words && !words.is_empty() && known.exact == exact && known.answered == answered
        };
        match all.iter_mut().find(same) {
            Some(known) => {
                known.last.insert(last);
                known.examples.extend(examples);
            }
            None => {
                all.push(Joined { before: words, last: BTreeSet::from([last]), exact, answered, examples });
            }
        }
    }
    all
}

impl Joined<'_> {
    fn line(&self) -> String {
        let last: Vec<String> = self.last.iter().map(|word| quoted(word)).collect();
        let last = if last.len() == 1 { last.concat() } else { format!("[{}]", last.join(", ")) };
        let pattern: Vec<String> =
            self.before.iter().map(|word| quoted(word)).chain(std::iter::once(last)).collect();
        let (decision, rights) = self.answered;
        let mut line = format!("prefix_rule([{}], \"{decision}\"", pattern.join(", "));
        if self.exact {
            line.push_str(", exact=True");
        }
        if decision < Decision::Forbidden && !rights.is_empty() {
            line.push_str(&format!(", {rights}"));
        }
        let examples: Vec<String> = self.shown_examples().iter().map(|text| quoted(text)).collect();
        if !examples.is_empty() {
            line.push_str(&format!(", match=[{}]", examples.join(", ")));
        }
        line.push(')');
        match self.broad().filter(|_| decision == Decision::Allow) {
            Some(why) => format!("# broad: {why}\n{line}"),
            None => line,
        }
    }

    /// One example of each alternative, then others.
    fn shown_examples(&self) -> Vec<String> {
        let is_short = |text: &String| text.chars().count() <= LONGEST_EXAMPLE && !text.contains('\n');
        let mut alternatives = self.last.clone();
        let at = self.before.len();
        let is_first = |words: &&Vec<String>| words.get(at).is_some_and(|word| alternatives.remove(word));
        let (first, others): (Vec<_>, Vec<_>) = self.examples.iter().partition(is_first);
        let most = MOST_EXAMPLES.max(first.len());
        first.into_iter().chain(others).map(|words| typed(words)).filter(is_short).take(most).collect()
    }

    /// Why the rule allows more than was seen.
    fn broad(&self) -> Option<String> {
        let beginning = |last: &String| self.before.iter().cloned().chain([last.clone()]).collect::<Vec<_>>();
        let by_nature =
            self.last.iter().map(beginning).find_map(|words| too_broad(&words).or_else(|| hands_on(&words)));
        by_nature.map(str::to_owned).or_else(|| {
            let next = self.examples.iter().filter_map(|words| words.get(self.before.len() + 1));
            let next: BTreeSet<&String> = next.filter(|word| is_word(word)).collect();
            let stands_for_more = !self.exact && self.before.len() + 1 < MOST_WORDS && !next.is_empty();
            stands_for_more
                .then(|| format!("allows every sub-command that may follow (seen: {})", next.len()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Command, Options, Policy};

    fn observed(line: &str, decision: Decision, rights: &str) -> Observed {
        let words = line.split(' ').map(str::to_owned).collect();
        Observed { words, decision, rights: rights.to_owned() }
    }

    #[test]
    fn what_is_learned_decides_as_it_was_decided() {
        const GIT: &str = "run=\"confined\", profile=\"git\"";
        let all = [
            observed("git push origin main", Decision::Allow, GIT),
            observed("git push origin next", Decision::Allow, GIT),
            observed("git fetch", Decision::Allow, GIT),
            observed("git push --force", Decision::Forbidden, ""),
            observed("npm ci", Decision::Prompt, "run=\"inside\", grants=\"npm\""),
            observed("make -j4 all", Decision::Allow, "run=\"outside\""),
            observed("./tool", Decision::Allow, ""),
        ];
        let lines = learn(&all);
        let text = lines.join("\n");
        let policy =
            Policy::from_text(Path::new("x.rules"), &text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        for one in &all {
            let evaluation = policy.evaluate(&Command::from_words(&one.words).unwrap(), &Options::default());
            assert_eq!(evaluation.decision(), one.decision, "{:?} by\n{text}", one.words);
            assert!(evaluation.deciding_rule().is_some(), "{:?} by\n{text}", one.words);
        }
        assert!(
            text.contains("prefix_rule([\"git\", \"push\", \"origin\"], \"allow\", run=\"confined\""),
            "{text}"
        );
        assert!(text.contains("match=[\"git push origin main\", \"git push origin next\"]"), "{text}");
        assert!(text.contains("# broad: runs what the workspace says\nprefix_rule([\"make\", \"-j4\", \"all\"], \"allow\", exact=True, run=\"outside\""), "{text}");
        let words = ["git", "push", "elsewhere"];
        let other = policy.evaluate(&Command::from_words(&words).unwrap(), &Options::default());
        assert!(other.deciding_rule().is_none(), "{text}");
    }

    #[test]
    fn sub_commands_that_were_answered_alike_are_one_rule() {
        let allowed = |line| observed(line, Decision::Allow, "");
        let lines = learn(&[
            allowed("gh pr view 1"),
            allowed("gh pr view 2"),
            allowed("gh issue list"),
            allowed("ls -l"),
        ]);
        assert_eq!(
            lines,
            [
                "prefix_rule([\"gh\", \"issue\", \"list\"], \"allow\", exact=True, match=[\"gh issue list\"])",
                "prefix_rule([\"gh\", \"pr\", \"view\"], \"allow\", match=[\"gh pr view 1\", \"gh pr view 2\"])",
                "prefix_rule([\"ls\", \"-l\"], \"allow\", exact=True, match=[\"ls -l\"])",
            ]
        );
    }

    #[test]
    fn what_stands_for_more_than_was_seen_is_marked() {
        let allowed = |line: &str| observed(line, Decision::Allow, "");
        let many: Vec<Observed> = ["a", "b", "c", "d", "e", "f"]
            .iter()
            .map(|word| allowed(&format!("tool run {word} x")))
            .collect();
        let mark = |count| format!("# broad: allows every sub-command that may follow (seen: {count})\n");
        let rule = "prefix_rule([\"tool\", \"run\"], \"allow\", match=[\"tool run a x\", \"tool run b x\", \"tool run c x\"])";
        assert_eq!(learn(&many), [mark(6) + rule]);
        let few = learn(&many[..4]);
        assert_eq!(
            few,
            ["prefix_rule([\"tool\", \"run\", [\"a\", \"b\", \"c\", \"d\"]], \"allow\", \
              match=[\"tool run a x\", \"tool run b x\", \"tool run c x\", \"tool run d x\"])"]
        );
        let mixed = learn(&[allowed("tool run"), allowed("tool run x")]);
        let rule = "prefix_rule([\"tool\", \"run\"], \"allow\", match=[\"tool run\", \"tool run x\"])";
        assert_eq!(mixed, [mark(1) + rule]);
    }
}
