//! Tools whose own configuration says which hosts they need.

use std::fmt;

/// A tool that a user has told which hosts to use: package managers their registries, clients their servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tool {
    /// npm, pnpm and Yarn: `registry` of the user's and the machine's `npmrc`.
    Npm,
    /// Cargo: the sources and registries of its own folder's configuration.
    Cargo,
    /// pip and uv: the indexes of the user's and the machine's configuration.
    Pip,
    /// Go: `GOPROXY` and `GOSUMDB`.
    Go,
    /// The hosts that `gh` is logged in at.
    Gh,
    /// The servers of the user's `kubeconfig`.
    Kubectl,
}

impl Tool {
    /// All of them.
    pub const ALL: [Tool; 6] = [Tool::Npm, Tool::Cargo, Tool::Pip, Tool::Go, Tool::Gh, Tool::Kubectl];

    /// Reads the word of rule files; `None` for any other word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Tool> {
        Tool::ALL.into_iter().find(|tool| tool.word() == word)
    }

    /// The word of rule files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Tool::Npm => "npm",
            Tool::Cargo => "cargo",
            Tool::Pip => "pip",
            Tool::Go => "go",
            Tool::Gh => "gh",
            Tool::Kubectl => "kubectl",
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}
