//! Where a program stands among those of its call, as far as the door that reports it knows.

use execpolicy::Ancestry;

use crate::audit::Place;

/// Where a program stands among those of its call. The default: nothing is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lineage {
    /// Below which programs it is executed; found out only where a rule asks.
    pub(crate) ancestry: Ancestry,
    /// Its place in the record, where it has one already.
    pub(crate) place: Option<Place>,
    /// The process that executes it, as seen from here.
    pub(crate) process: Option<i32>,
}
