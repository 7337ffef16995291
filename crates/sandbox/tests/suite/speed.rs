//! What hosts by name add to the making of a session: printed, and never asserted. `make bench-network`.

use crate::support::{Form, Place, Shell, User, can_sandbox};
use sandbox::{ByName, Mode, Plan};
use std::time::{Duration, Instant};

const ROUNDS: usize = 60;

#[test]
#[ignore = "a measurement"]
fn speed() {
    let user = User::Root;
    if !can_sandbox(user, Form::Everything) {
        return;
    }
    let place = Place::new(user);
    let without = place.plan(Mode::WorkspaceWrite, Form::Everything);
    let with = Plan { by_name: Some(ByName::default()), ..without.clone() };
    let time = |plan: &Plan| {
        let begin = Instant::now();
        let shell = Shell::for_user(user, plan);
        let took = begin.elapsed();
        assert_eq!(shell.session.enforcement().by_name, plan.by_name.is_some());
        took
    };
    let times: Vec<(Duration, Duration)> = (0..ROUNDS).map(|_| (time(&without), time(&with))).collect();
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2] * 1e3
    };
    let seconds = |time: &Duration| time.as_secs_f64();
    let [plain, by_name] = [
        median(times.iter().map(|(plain, _)| seconds(plain)).collect()),
        median(times.iter().map(|(_, by_name)| seconds(by_name)).collect()),
    ];
    let added = median(times.iter().map(|(plain, by_name)| seconds(by_name) - seconds(plain)).collect());
    tell!(
        "a session: {plain:.2} ms without hosts, {by_name:.2} ms with; median of the differences {added:.2} ms"
    );
}
