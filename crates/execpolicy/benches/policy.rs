//! How long loading and judging take with a thousand rules. Run with `cargo bench -p execpolicy`.

use std::path::Path;

use divan::Bencher;
use execpolicy::{Command, Options, Policy};

fn main() {
    divan::main();
}

/// A thousand rules: as many programs, or one program.
fn text(one_program: bool) -> String {
    (0..1000)
        .map(|index| {
            let (program, argument) = if one_program { (0, index) } else { (index, 0) };
            format!(
                "prefix_rule(pattern = [\"tool{program}\", [\"sub{argument}\", \"alt{argument}\"], \"x\"], decision = \"prompt\", \
                 justification = \"because\", match = [\"tool{program} sub{argument} x y\"], not_match = [\"tool{program} y\"])\n"
            )
        })
        .collect()
}

fn policy(one_program: bool) -> Policy {
    Policy::from_text(Path::new("bench.rules"), &text(one_program)).unwrap_or_default()
}

#[divan::bench]
fn load_1000_rules(bencher: Bencher<'_, '_>) {
    let text = text(false);
    bencher.bench(|| Policy::from_text(Path::new("bench.rules"), divan::black_box(&text)).is_ok());
}

#[divan::bench(args = [false, true])]
fn evaluate_against_1000_rules(bencher: Bencher<'_, '_>, one_program: bool) {
    let policy = policy(one_program);
    let words = if one_program {
        ["/usr/bin/tool0", "sub999", "x", "y"]
    } else {
        ["/usr/bin/tool999", "sub0", "x", "y"]
    };
    bencher.bench(|| {
        policy.evaluate(&Command::new(words[0], divan::black_box(&words[1..])), &Options::default())
    });
}

#[divan::bench]
fn evaluate_a_program_without_rules(bencher: Bencher<'_, '_>) {
    let policy = policy(false);
    bencher
        .bench(|| policy.evaluate(&Command::new("/bin/true", divan::black_box(&["x"])), &Options::default()));
}

#[divan::bench]
fn evaluate_a_script_of_three_commands(bencher: Bencher<'_, '_>) {
    let policy = policy(false);
    let words = ["-lc", "cd x && tool1 sub0 x | grep y"];
    bencher
        .bench(|| policy.evaluate(&Command::new("/bin/bash", divan::black_box(&words)), &Options::default()));
}
