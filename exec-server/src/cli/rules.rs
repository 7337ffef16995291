//! The server's options about rules.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use execpolicy::Heuristics;
use shell_engine::RuleSettings;

/// Which rules the server goes by.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rules")]
pub(super) struct RuleArguments {
    /// A rules file, or a folder of them, besides those of /etc/codex and $CODEX_HOME; may be repeated
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,

    /// Also go by the rules of the project that the server starts in (.codex/rules, from the repository's root down),
    /// as with trust_level = "trusted" for it in config.toml. Whoever writes the project writes them
    #[arg(long)]
    trust_project_rules: bool,

    /// Run commands although rule files are broken, and ask about every program until they are mended
    #[arg(long)]
    keep_going: bool,

    #[command(flatten)]
    heuristics: HeuristicArguments,

    /// A .policy file: what it knows to be safe runs in the sandbox unasked, what it forbids never runs
    #[arg(long, value_name = "PATH")]
    legacy_policy: Option<PathBuf>,
}

/// What is asked about although no rule mentions it.
#[derive(Clone, Debug, Args)]
pub(super) struct HeuristicArguments {
    /// What to ask about although no rule mentions it; may be repeated
    #[arg(long, value_name = "LIST")]
    heuristics: Vec<List>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum List {
    /// Forced removal, and what Windows' shells do of the kind (the default)
    Dangerous,
    /// Git's commands that lose work, besides the default
    Git,
    /// Nothing but what is named beside it
    None,
}

impl RuleArguments {
    pub(super) fn settings(self) -> RuleSettings {
        RuleSettings {
            system_folder: None,
            named: self.rules,
            trust_project: self.trust_project_rules,
            trusted_projects: Vec::new(),
            keep_going: self.keep_going,
            heuristics: self.heuristics.lists(),
            legacy_policy: self.legacy_policy,
            started_in: None,
            operator_home: None,
        }
    }
}

impl HeuristicArguments {
    pub(super) fn lists(&self) -> Heuristics {
        let without_default = self.heuristics.contains(&List::None);
        let mut lists = if without_default { Heuristics::NONE } else { Heuristics::default() };
        for list in &self.heuristics {
            match list {
                List::Dangerous => lists.dangerous = true,
                List::Git => lists.git = true,
                List::None => {}
            }
        }
        lists
    }
}
