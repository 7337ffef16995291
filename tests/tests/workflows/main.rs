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
mod outside;
mod processes;
mod remedy;
mod state;
mod workflow;

use end_to_end_tests::client::{Answer, Client, Person};
use remedy::Remedy;
use workflow::{Expected, Ran, Twin, Workflow};

/// How one workflow went.
#[derive(Default)]
struct Row {
    default: &'static str,
    network: &'static str,
    remedy: &'static str,
    remedied: &'static str,
    wrong: Option<String>,
}

/// Runs workflows one after the other, and fails with all that is not as expected.
async fn compare(workflows: &[Workflow]) {
    let mut wrong = Vec::new();
    println!(
        "{:<46} {:>8} {:>9} {:>9} {:>10} {:>12} {:>6}",
        "workflow", "plain", "default", "network", "remedy", "remedy works", "ratio"
    );
    for workflow in workflows {
        if let Some(reason) = workflow.skipped() {
            println!("{:<46} skipped: {reason}", workflow.name);
            continue;
        }
        let plain = Twin::prepare(workflow).run_plainly(workflow);
        let (row, ratio) = row(workflow, &plain).await;
        let Row { default, network, remedy, remedied, wrong: found } = row;
        println!(
            "{:<46} {:>7.3}s {default:>9} {network:>9} {remedy:>10} {remedied:>12} {ratio:>6.2}",
            workflow.name, plain.seconds
        );
        wrong.extend(found.map(|found| format!("{}:\n{found}", workflow.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

async fn row(workflow: &Workflow, plain: &Ran) -> (Row, f64) {
    let twin = Twin::prepare(workflow);
    let (inside, difference) = run(workflow, &twin, &Remedy::default(), plain).await;
    let ratio = inside.seconds / plain.seconds;
    let failed = |wrong: String| format!("{wrong}\n{}", inside.result);
    let mut row = Row { default: workflow.expected.word(), ..Row::default() };
    let named = match workflow.expected {
        Expected::Same if !workflow.network => {
            row.wrong = difference.map(failed);
            return (row, ratio);
        }
        // Offline, it is the network that is named.
        Expected::Same if difference.is_none() => return (row, ratio),
        Expected::Same => {
            row.default = "refused";
            "network"
        }
        Expected::Refused(named) | Expected::Kept(named) => named,
    };
    row.wrong = inside.not_refused(named).map(failed);
    let remedy = Remedy::named(&inside.denials, &inside.notes);
    if matches!(workflow.expected, Expected::Kept(_)) || row.wrong.is_some() {
        return (row, ratio);
    }
    row.remedy = remedy.word();
    if remedy.is_none() {
        row.wrong = Some(failed("no remedy is named".to_owned()));
        return (row, ratio);
    }
    let again = Twin::prepare(workflow);
    let remedy = remedy.moved(twin.world().home(), again.world().home());
    let (remedied, difference) = run(workflow, &again, &remedy, plain).await;
    let works = if difference.is_none() { "yes" } else { "NO" };
    *(if workflow.network { &mut row.network } else { &mut row.remedied }) = works;
    row.wrong = difference.map(|difference| format!("with {remedy:?}: {difference}\n{}", remedied.result));
    (row, if workflow.network { remedied.seconds / plain.seconds } else { ratio })
}

/// Runs it in the sandbox, and says how it differs from plain Bash.
async fn run(workflow: &Workflow, twin: &Twin, remedy: &Remedy, plain: &Ran) -> (Ran, Option<String>) {
    remedy.write(twin.world());
    let arguments: Vec<&str> = remedy.arguments().collect();
    let server = twin.server(workflow, &arguments);
    // The person whom the rule has asked.
    let person = Person::answering(std::iter::repeat_n(Answer::Accept, 16));
    let client = Client::start_command(twin.world(), &person, server).await;
    let ran = twin.run_inside(workflow, &remedy.script(workflow), &client).await;
    let difference = plain.difference(&ran);
    (ran, difference)
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

#[tokio::test]
async fn remedies_work() {
    compare(outside::WORKFLOWS).await;
}
