//! Random scripts: every program gets the same arguments, and every execution goes through the wrapper.
//!
//! A patch that shifts argv in place corrupts a few percent of executions, depending on the number and the length of
//! the arguments and on what was allocated before. Only many different scripts find that.
//!
//! `RANDOM_SCRIPTS_SEED` repeats a run, `RANDOM_SCRIPTS` sets how many there are.

use super::fixture::{Fixture, Mode, sorted};

const SCRIPTS: u64 = 1_000;
const COMMANDS_IN_A_SCRIPT: u64 = 4;

/// SplitMix64: enough randomness for tests, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.below(choices.len() as u64)).expect("an index");
        choices[index]
    }
}

const WORDS: &[&str] = &[
    "a",
    "-x",
    "--",
    "''",
    "' '",
    "'two words'",
    "\"$v\"",
    "$v",
    "\"${a[@]}\"",
    "${a[*]}",
    "\"$@\"",
    "$#",
    "{x,y}{1,2}",
    "*.none",
    "no-?-match",
    "~",
    "$'\\n'",
    "$'\\xff\\xfe'",
    "'é – 字'",
    "$(printf %s sub)",
    "\"$(printf '%05d' 7)\"",
    "$((1 << 20))",
    "'#'",
    "\\;",
    "'$v'",
    "\"a\\\"b\"",
    "x=y",
    "${v/o/0}",
    "${none}",
    "\"${none}\"",
    "${none:-default}",
    "`printf b`",
];

const FORMS: &[&str] = &[
    "CALL",
    "CALL",
    "T_ONE=1 CALL",
    "T_ONE=$v T_TWO='a b' CALL",
    "( CALL )",
    "{ CALL; }",
    "x=$(CALL)",
    ": \"`CALL`\"",
    "CALL | CALL",
    "CALL | CALL | CALL",
    "CALL & wait",
    "CALL & CALL & wait",
    "(exec CALL)",
    "(exec -a name CALL)",
    "(exec -l CALL)",
    "(exec -c CALL)",
    "command CALL",
    "time -p CALL",
    "! CALL",
    "CALL && CALL || CALL",
    "if CALL; then CALL; fi",
    "for i in 1 2; do CALL \"$i\"; done",
    "f() { CALL \"$@\"; }; f 1 '' 3",
    "eval CALL",
    "CALL < <(CALL)",
    "CALL > >(cat > /dev/null)",
    "CALL <<< \"$(CALL)\"",
    "coproc { CALL; }; wait",
    "hash -p \"$s\" other; other x",
    "\"$BASH\" -c 'show \"$@\"' zero \"${a[@]}\" ''",
    "printf 'show %s \"$@\"\\n' in > t; chmod +x t; ./t ARGS",
    "(trap 'CALL' EXIT)",
    "while CALL; do break; done",
    "case $(CALL) in *) CALL;; esac",
    "[[ $(CALL) ]] && CALL",
    "(cd /; CALL)",
    "(set -- ARGS; show \"$#\" \"${@:2}\")",
    "export T_E=\"$v$i\"; CALL",
    "v+=more; a+=(\"$v\" '')",
];

fn arguments(random: &mut Random) -> String {
    let count = match random.below(20) {
        0 => random.below(200),
        1..=4 => random.below(20),
        _ => random.below(6),
    };
    let mut text = String::new();
    for _ in 0..count {
        text.push(' ');
        match random.below(12) {
            // Every length around the sizes that allocators round to.
            0 => text.push_str(&"w".repeat(usize::try_from(random.below(300)).expect("small"))),
            1 => text.push_str(&format!(
                "{:0width$}",
                0,
                width = 1 + usize::try_from(random.below(64)).expect("small")
            )),
            2 if random.below(8) == 0 => {
                text.push_str(&format!("\"$(printf %0{}d 0)\"", 1 + random.below(20_000)))
            }
            _ => text.push_str(random.pick(WORDS)),
        }
    }
    text
}

fn script(random: &mut Random) -> String {
    let mut script =
        String::from("v='o p' a=('' 'q r' s '*') s=\"$HOME/../bin/show\" i=0\nset -- 1 '2 3' ''\n");
    for _ in 0..=random.below(COMMANDS_IN_A_SCRIPT) {
        let mut form = random.pick(FORMS).to_owned();
        while form.contains("CALL") {
            let program = random.pick(&["show", "show", "\"$s\"", "$s", "\\show"]);
            form = form.replacen("CALL", &format!("{program}{}", arguments(random)), 1);
        }
        script.push_str(&form.replace("ARGS", &arguments(random)));
        script.push('\n');
    }
    if random.below(4) == 0 {
        script.push_str(&format!("exec show{}\n", arguments(random)));
    }
    script
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

#[test]
fn programs_of_random_scripts_get_the_arguments_they_get_from_plain_bash() {
    let seed = setting("RANDOM_SCRIPTS_SEED", 20_261_122);
    let count = setting("RANDOM_SCRIPTS", SCRIPTS);
    println!("RANDOM_SCRIPTS_SEED={seed} RANDOM_SCRIPTS={count}");
    let fixture = Fixture::new();
    let mut random = Random(seed);
    let (mut programs, mut wrong) = (0, Vec::new());
    for number in 0..count {
        let script = script(&mut random);
        let plain = fixture.run(Mode::Plain, &script);
        let expected = sorted(fixture.programs());
        let hooked = fixture.run(Mode::Hooked, &script);
        let got = sorted(fixture.programs());
        programs += expected.len();
        if got != expected || fixture.execs_of_show().len() > got.len() || hooked.status != plain.status {
            wrong.push(format!("script {number}:\n{script}\n{plain:?}\n{hooked:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} of {count} scripts differ; the first:\n{}",
        wrong.len(),
        wrong[0]
    );
    assert!(programs as u64 > count, "the scripts ran only {programs} programs");
    println!("{programs} programs, each with the same arguments");
}
