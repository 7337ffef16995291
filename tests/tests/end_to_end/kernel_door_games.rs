//! The kernel's door and programs that play games with it (`programs/execs.c`): from every one of them what is forbidden
//! does not run, nothing hangs, and what may run, leaves or is asked about does so wherever the game lets it.

use std::time::Duration;

use end_to_end_tests::World;
use end_to_end_tests::client::Answer::Accept;
use end_to_end_tests::client::{Client, Person};

/// `id` may leave, `touch` is forbidden, `uname` is asked about; all else runs.
const RULES: &str = r#"
prefix_rule(["id"], decision="allow")
prefix_rule(["touch"], decision="forbidden", justification="nothing is touched")
prefix_rule(["uname"], decision="prompt")
"#;

/// Children of each game.
const TRIES: usize = 8;

/// A way, and how children may end that execute what runs, what is refused, and what leaves or is asked about.
type Game = (&'static str, &'static [i32], &'static [i32], &'static [i32]);

const KILLED: i32 = -libc::SIGKILL;
const NO_SUCH_CALL: i32 = -libc::SIGSYS;
const REFUSED: i32 = 100 + libc::EPERM;

const GAMES: &[Game] = &[
    // Somebody replaces what the process is to become, or takes its connection: it is ended, or refused.
    ("shared-descriptors", &[0], &[1, KILLED], &[0, 1, KILLED]),
    ("leader-gone", &[0], &[1], &[0]),
    ("threads", &[0], &[1], &[0]),
    // It is what the descriptor was in the end, or fails while that is replaced (EBADF, ENOENT).
    ("moving-descriptor", &[0, 1, 102, 109, KILLED], &[0, 1, 102, 109, KILLED], &[0, 1, 102, 109, KILLED]),
    ("undumpable", &[0], &[1], &[0]),
    ("jump", &[0, 1, -libc::SIGALRM], &[1, -libc::SIGALRM], &[0, 1, -libc::SIGALRM]),
    // Filters of its own: what they answer, or nobody, when it is to become the wrapper.
    ("filter-errno", &[0], &[100 + libc::EACCES], &[100 + libc::EACCES]),
    ("filter-zero", &[0], &[100], &[100]),
    ("filter-trap", &[0], &[NO_SUCH_CALL], &[NO_SUCH_CALL]),
    ("filter-trace", &[0], &[1], &[0]),
    // It has no room for the wrapper's descriptors, so what may leave runs inside; nor for its own libraries (127).
    ("full", &[127], &[REFUSED], &[127]),
    ("small-stack", &[0], &[1], &[0]),
    ("stops", &[0], &[1], &[0]),
    ("signals", &[0], &[1], &[0]),
    ("killed", &[0, KILLED], &[1, KILLED], &[0, 1, KILLED]),
    ("32-bit", &[NO_SUCH_CALL], &[NO_SUCH_CALL], &[NO_SUCH_CALL]),
    ("x32", &[NO_SUCH_CALL], &[NO_SUCH_CALL], &[NO_SUCH_CALL]),
];

/// Compiles the program that plays them.
pub(super) fn build(world: &World) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/execs.c");
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-O1", "-static", "-pthread", "-o"]).arg(world.workdir().join("execs")).arg(source);
    assert!(compiler.status().expect("a C compiler").success());
}

async fn play(client: &Client, game: &str, program: &str) -> Vec<i32> {
    let command =
        format!("./execs {game} {TRIES} {program} 2>&1 | grep ^{game}: | cut -d: -f2; ls evil 2> /dev/null");
    let outcome = client.run_within(&command, Duration::from_secs(60)).await;
    let ends: Result<Vec<i32>, _> = outcome.ran().1.split_ascii_whitespace().map(str::parse).collect();
    ends.unwrap_or_else(|_| panic!("{game}: {outcome:?}"))
}

#[tokio::test]
async fn whatever_a_process_plays_it_executes_what_it_may_and_nothing_else() {
    let world = World::with_rules(RULES);
    build(&world);
    let person = Person::answering(std::iter::repeat_n(Accept, 4 * GAMES.len() * TRIES));
    let client = Client::start_with(&world, &person, &["--door", "kernel"]).await;
    for (game, runs, refused, other) in GAMES {
        if cfg!(not(target_arch = "x86_64")) && matches!(*game, "x32" | "32-bit") {
            continue;
        }
        let programs = [
            ("/usr/bin/true x", runs),
            ("/usr/bin/touch evil", refused),
            ("/usr/bin/id -u", other),
            ("/usr/bin/uname -s", other),
        ];
        for (program, may) in programs {
            let ends = play(&client, game, program).await;
            assert!(
                !ends.is_empty() && ends.iter().all(|end| may.contains(end)),
                "{game} {program}: {ends:?}"
            );
        }
    }
    assert!(!world.workdir().join("evil").exists());
    assert_eq!(client.run("/bin/echo over").await.ran(), (0, "over\n"), "other calls are unharmed");
}

/// Interpreters ask so before they read a script (`AT_EXECVE_CHECK`, Linux 6.14): whoever asks stays what it is.
#[tokio::test]
async fn who_only_asks_whether_a_file_could_be_executed_executes_nothing() {
    let world = World::with_rules(RULES);
    build(&world);
    let client = Client::start_with(&world, &Person::absent(), &["--door", "kernel"]).await;
    let outcome = client
        .run("for it in true touch id uname; do ./execs check 1 /usr/bin/$it evil; done; ls evil")
        .await;
    assert_eq!(outcome.ran().1.matches("check: nothing\n").count(), 4, "{outcome:?}");
    assert_eq!(outcome.json()["decisions"].as_array().map_or(0, Vec::len), 0, "{outcome:?}");
    assert!(!world.workdir().join("evil").exists());
}
