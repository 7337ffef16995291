//! Which programs the processes of one call are, and below which of them each stands.
//!
//! Goes by what was seen to be executed, not by what a process calls itself. Whose parent has ended stands below the
//! session's own process: what was above it is then not known.

use std::collections::HashMap;
use std::sync::Arc;

use execpolicy::{Ancestor, Ancestry};

use super::family::{Stat, stat};
use crate::judgement::Lineage;

/// Longest chain of processes that is followed.
const MOST_PARENTS: usize = 64;

/// Processes that are remembered before those that are gone are looked for.
const MANY: usize = 1024;

/// The processes of one call.
#[derive(Debug, Default)]
pub(super) struct Descent {
    /// The one that was the shell at first.
    root: i32,
    /// Names of programs matter to a rule. When that is so only later, it is not known what was executed before.
    goes_by_names: bool,
    /// What they have executed last.
    programs: HashMap<i32, Ran>,
    /// What they are about to execute.
    becoming: HashMap<i32, Ran>,
    /// Below what the first of them was started, where that is not the command's shell.
    above: Option<Ancestry>,
}

/// What a process has executed.
#[derive(Clone, Debug)]
struct Ran {
    /// Its number among the programs of the call.
    number: u64,
    /// Its names, and when the process began: another one may get its number later.
    named: Option<(Arc<Ancestor>, u64)>,
}

impl Descent {
    /// Of a call whose shell is this process.
    pub(super) fn of(root: i32, goes_by_names: bool) -> Descent {
        Descent { root, goes_by_names, ..Descent::default() }
    }

    /// Of what a program starts that stands among those of its call already, and has these names.
    pub(super) fn of_program(
        root: i32,
        goes_by_names: bool,
        lineage: &Lineage,
        names: Arc<Ancestor>,
    ) -> Descent {
        let mut descent = Descent::of(root, goes_by_names);
        if let Some(place) = lineage.place {
            descent.becomes(root, place.number, || Arc::clone(&names));
            descent.has_become(root);
        }
        descent.above = Some(lineage.ancestry.clone());
        descent
    }

    /// Whether it matters to a rule what its processes have executed.
    pub(super) fn goes_by_names(&self) -> bool {
        self.goes_by_names
    }

    /// The number of the program that a process is, or else its nearest parent; and all of these programs.
    pub(super) fn of_process(&self, process: i32) -> (Option<u64>, Ancestry) {
        let mut parent = None;
        let mut programs = Vec::new();
        let mut next = process;
        for _ in 0..MOST_PARENTS {
            let ran = self.programs.get(&next);
            if next == self.root && ran.is_none() {
                return (parent, self.known(programs));
            }
            let Some(Stat { parent: above, began }) = stat(next) else { break };
            let is_it = |ran: &&Ran| ran.named.as_ref().is_none_or(|(_, known)| *known == began);
            if let Some(ran) = ran.filter(is_it) {
                parent.get_or_insert(ran.number);
                programs.extend(ran.named.as_ref().map(|(names, _)| Arc::clone(names)));
            }
            if next == self.root {
                return (parent, self.known(programs));
            }
            if above <= 1 || !self.goes_by_names && parent.is_some() {
                break;
            }
            next = above;
        }
        (parent, if self.goes_by_names { Ancestry::partly(programs) } else { Ancestry::default() })
    }

    fn known(&self, programs: Vec<Arc<Ancestor>>) -> Ancestry {
        match (self.goes_by_names, &self.above) {
            (false, _) => Ancestry::default(),
            (true, None) => Ancestry::whole(programs),
            (true, Some(above)) => above.above(programs),
        }
    }

    /// A process is about to execute the program of this number and these names.
    pub(super) fn becomes(&mut self, process: i32, number: u64, names: impl FnOnce() -> Arc<Ancestor>) {
        let named = self.goes_by_names.then(|| stat(process)).flatten().map(|stat| (names(), stat.began));
        self.becoming.insert(process, Ran { number, named });
    }

    /// It has.
    pub(super) fn has_become(&mut self, process: i32) {
        let Some(ran) = self.becoming.remove(&process) else { return };
        if self.programs.len() + self.becoming.len() >= MANY && self.programs.len().is_multiple_of(MANY) {
            let is_there = |process: &mut i32| std::path::Path::new(&format!("/proc/{process}")).exists();
            self.programs.retain(|process, _| is_there(&mut process.clone()));
            self.becoming.retain(|process, _| is_there(&mut process.clone()));
        }
        self.programs.insert(process, ran);
    }
}
