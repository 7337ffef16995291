//! What is typed about results.

use shell_engine::{ResultFormat, ResultSettings};

/// How results are written.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Results")]
pub(super) struct ResultArguments {
    /// How results are written: json (text and structured content, the default), or text (the output, and a line about
    /// how it ended where there is something to say)
    #[arg(long, value_name = "WORD")]
    result: Option<ResultFormat>,

    /// Add a link to the whole output where a result does not show all of it; some clients fail at that
    #[arg(long)]
    result_links: bool,
}

impl ResultArguments {
    pub(super) fn settings(&self) -> ResultSettings {
        ResultSettings { format: self.result, links: self.result_links }
    }
}
