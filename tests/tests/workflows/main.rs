//! What developers do all day, in plain Bash and in the sandbox: the same exit code, the same files, the same state of
//! the repository. A workflow that cannot be the same says which file was refused.
//!
//! `make test-workflows` runs those that need a network, too, and prints a table.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "what a test stands on must break the test when it breaks; the table is for whoever asks for it"
)]

mod builds;
mod files;
mod git;
mod processes;
mod state;
mod workflow;

use end_to_end_tests::client::{Client, Person};
use workflow::{Expected, Twin, Workflow};

/// Runs workflows one after the other, and fails with all that is not as expected.
async fn compare(workflows: &[Workflow]) {
    let mut wrong = Vec::new();
    println!("{:<52} {:>9} {:>9} {:>6}", "workflow", "plain", "sandbox", "ratio");
    for workflow in workflows {
        if let Some(reason) = workflow.skipped() {
            println!("{:<52} skipped: {reason}", workflow.name);
            continue;
        }
        let (plain, inside) = (Twin::prepare(workflow), Twin::prepare(workflow));
        let plain = plain.run_plainly(workflow);
        let client = Client::start_command(inside.world(), &Person::absent(), inside.server(workflow)).await;
        let inside = inside.run_inside(workflow, &client).await;
        let difference = match workflow.expected {
            Expected::Same => plain.difference(&inside),
            Expected::Refused(named) => inside.not_refused(named),
        };
        let (before, after) = (plain.seconds, inside.seconds);
        let ratio = after / before;
        let verdict = if difference.is_some() { "WRONG" } else { workflow.expected.word() };
        println!("{:<52} {before:>8.3}s {after:>8.3}s {ratio:>6.2} {verdict}", workflow.name);
        wrong.extend(
            difference.map(|difference| format!("{}:\n{difference}\n{}", workflow.name, inside.result)),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn git_works() {
    compare(git::WORKFLOWS).await;
}

#[tokio::test]
async fn builds_work() {
    compare(builds::WORKFLOWS).await;
}

#[tokio::test]
async fn files_are_handled() {
    compare(files::WORKFLOWS).await;
}

#[tokio::test]
async fn processes_live_and_end() {
    compare(processes::WORKFLOWS).await;
}
