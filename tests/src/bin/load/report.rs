//! What was found, beside its goals.

/// Rows of the table, and whether all goals hold that must.
#[derive(Debug, Default)]
pub(super) struct Report {
    missed: usize,
}

impl Report {
    /// A part begins.
    pub(super) fn part(&mut self, title: &str) {
        println!("\n{title}");
    }

    /// A figure that is only shown.
    pub(super) fn show(&mut self, what: &str, figure: &str) {
        println!("  {what:<58} {figure}");
    }

    /// A figure with a goal that a slow or busy machine may miss.
    pub(super) fn aims(&mut self, what: &str, figure: &str, goal: &str, holds: bool) {
        let mark = if holds { "" } else { "  MISSED" };
        println!("  {what:<58} {figure}  ({goal}){mark}");
    }

    /// A figure with a goal that holds on every machine.
    pub(super) fn must(&mut self, what: &str, figure: &str, goal: &str, holds: bool) {
        let mark = if holds { "" } else { "  FAILED" };
        println!("  {what:<58} {figure}  ({goal}){mark}");
        self.missed += usize::from(!holds);
    }

    /// Whether all holds that must.
    pub(super) fn holds(&self) -> bool {
        self.missed == 0
    }
}
