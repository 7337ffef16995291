//! The remedy that a refusal names, applied as the person would whom it is for.

use std::fs;
use std::path::Path;

use end_to_end_tests::World;

use crate::workflow::Workflow;

/// One thing that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Words for the server's arguments.
    Arguments(Vec<String>),
    /// A line below `[shell_tool]`.
    Setting(String),
    /// A rule that asks.
    Rule(String),
    /// Code before the command's own.
    Before(String),
    /// A folder to be made.
    Folder(String),
}

/// All that the refusals of one command name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remedy {
    steps: Vec<Step>,
}

impl Remedy {
    /// Reads it from a result's refusals; where they name nothing, from its notes.
    pub(crate) fn named(denials: &[String], notes: &[String]) -> Remedy {
        let read = |texts: &[String]| texts.iter().flat_map(|text| steps(text)).collect::<Vec<_>>();
        let named = read(denials);
        let mut steps = if named.is_empty() { read(notes) } else { named };
        steps.dedup();
        Remedy { steps }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.steps.is_empty()
    }

    /// In a word, for the table.
    pub(crate) fn word(&self) -> &'static str {
        match self.steps.first() {
            None => "none",
            Some(Step::Folder(_)) => "root, made",
            Some(Step::Arguments(words)) if words.len() == 1 => "network",
            Some(Step::Arguments(_)) => "root",
            Some(Step::Setting(_)) => "setting",
            Some(Step::Rule(_)) => "rule",
            Some(Step::Before(_)) => "variable",
        }
    }

    /// The same for another world with the same folders.
    pub(crate) fn moved(&self, from: &Path, to: &Path) -> Remedy {
        let (from, to) = (from.to_string_lossy(), to.to_string_lossy());
        let moved = |text: &String| text.replace(&*from, &to);
        let steps = self.steps.iter().map(|step| match step {
            Step::Arguments(words) => Step::Arguments(words.iter().map(moved).collect()),
            Step::Setting(line) => Step::Setting(moved(line)),
            Step::Rule(rule) => Step::Rule(moved(rule)),
            Step::Before(code) => Step::Before(moved(code)),
            Step::Folder(folder) => Step::Folder(moved(folder)),
        });
        Remedy { steps: steps.collect() }
    }

    /// Writes into a world's files what belongs there, before its server starts.
    /// What fails inside is not asked about: it is the remedy that shall help.
    pub(crate) fn write(&self, world: &World) {
        let settings = world.codex_home().join("config.toml");
        append(&settings, "[shell_tool]\nretry = \"never\"");
        for step in &self.steps {
            match step {
                Step::Rule(rule) => append(&world.rules_file(), rule),
                Step::Setting(line) => append(&settings, line),
                Step::Folder(folder) => fs::create_dir_all(folder).expect("a folder that can be made"),
                Step::Arguments(_) | Step::Before(_) => {}
            }
        }
    }

    /// The server's arguments.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &str> {
        let words = self.steps.iter().filter_map(|step| match step {
            Step::Arguments(words) => Some(words),
            Step::Setting(_) | Step::Rule(_) | Step::Before(_) | Step::Folder(_) => None,
        });
        words.flatten().map(String::as_str)
    }

    /// What is run then.
    pub(crate) fn script(&self, workflow: &Workflow) -> String {
        let before = self.steps.iter().filter_map(|step| match step {
            Step::Before(code) => Some(code.as_str()),
            Step::Arguments(_) | Step::Setting(_) | Step::Rule(_) | Step::Folder(_) => None,
        });
        before.chain([workflow.script]).collect::<Vec<_>>().join(" ")
    }
}

fn append(file: &Path, line: &str) {
    let known = fs::read_to_string(file).unwrap_or_default();
    fs::write(file, format!("{known}{line}\n")).expect("a file that can be written");
}

fn steps(text: &str) -> Vec<Step> {
    let between = |from: &str, to: &str| {
        let (_, rest) = text.split_once(from)?;
        Some(rest.split_once(to)?.0.to_owned())
    };
    let mut steps = Vec::new();
    steps.extend(between("(mkdir ", ")").map(Step::Folder));
    if let Some(root) = between("\"--writable-root\", \"", "\"") {
        steps.push(Step::Arguments(vec!["--writable-root".to_owned(), root]));
    }
    if text.contains("\"--network\"") {
        steps.push(Step::Arguments(vec!["--network".to_owned()]));
    }
    steps.extend(between("begin it with `", "`").map(Step::Before));
    steps.extend(between("add debug = ", " below").map(|value| Step::Setting(format!("debug = {value}"))));
    if let Some(name) = between("\"--protected\", \"", "\"") {
        steps.push(Step::Arguments(vec!["--protected".to_owned(), name]));
    }
    steps.extend(between("prefix_rule(", ")").map(|rule| Step::Rule(format!("prefix_rule({rule})"))));
    steps
}

#[test]
fn a_remedy_is_read_from_the_words_of_a_refusal() {
    let read = |text: &str| Remedy::named(&[text.to_owned()], &[]).steps;
    assert_eq!(
        read(
            "… a person can allow it: make the folder /h/x (mkdir /h/x), then add \"--writable-root\", \"/h/x\" to …"
        ),
        [Step::Folder("/h/x".into()), Step::Arguments(vec!["--writable-root".into(), "/h/x".into()])]
    );
    assert_eq!(
        read("… begin it with `export GOCACHE=/tmp/go-build;`"),
        [Step::Before("export GOCACHE=/tmp/go-build;".into())]
    );
    assert_eq!(
        read("… prefix_rule([\"git\", [\"config\", \"remote\"]], decision=\"prompt\")"),
        [Step::Rule("prefix_rule([\"git\", [\"config\", \"remote\"]], decision=\"prompt\")".into())]
    );
    assert!(Remedy::named(&["nothing".into()], &[]).is_none());
}
