//! Which rules a subcommand is about: those that are named, else those that a server started here would go
//! by.

use std::path::{Path, PathBuf};

use clap::Args;
use execpolicy::Policy;
use shell_engine::{
    Config, RuleSettings, RuleSource, Settings, doubts, find_codex_home, load_rules, trusted_projects,
};

#[derive(Debug, Args)]
pub(super) struct SourceArguments {
    /// A rules file, or a folder of them; may be repeated. Without it: the rules of /etc/codex and
    /// $CODEX_HOME
    #[arg(short, long, value_name = "PATH")]
    rules: Vec<PathBuf>,

    /// Also the rules of the project in this folder, as the server reads them with the same option
    #[arg(long, conflicts_with = "rules")]
    trust_project_rules: bool,
}

impl SourceArguments {
    fn sources(&self) -> anyhow::Result<Vec<RuleSource>> {
        if !self.rules.is_empty() {
            return Ok(self.rules.iter().cloned().map(RuleSource::Named).collect());
        }
        let codex_home = find_codex_home(None)?;
        Ok(self.settings(&codex_home)?.sources(&codex_home)?)
    }

    fn settings(&self, codex_home: &Path) -> anyhow::Result<RuleSettings> {
        let settings = RuleSettings { trust_project: self.trust_project_rules, ..RuleSettings::default() };
        Ok(settings.trusting(trusted_projects(codex_home)?))
    }

    /// Reads them.
    ///
    /// # Errors
    ///
    /// Every error of every file.
    pub(super) fn policy(&self) -> anyhow::Result<Policy> {
        Ok(load_rules(&self.sources()?)?)
    }

    /// Says on standard error what is probably a mistake in them.
    pub(super) fn warn(&self, policy: &Policy) -> anyhow::Result<()> {
        let left_out = match self.rules[..] {
            [] => {
                let codex_home = find_codex_home(None)?;
                self.settings(&codex_home)?.left_out(&codex_home)
            }
            [_, ..] => Vec::new(),
        };
        // Where the server would not start, it says so itself.
        let config = Config::new(Settings::default());
        let here = config.map(|config| config.grant_doubts(policy)).unwrap_or_default();
        let unsaid = policy.letting_out_unsaid();
        for doubt in doubts(policy, &self.sources()?, &left_out).iter().chain(&unsaid).chain(&here) {
            crate::say::warn(doubt);
        }
        Ok(())
    }
}
