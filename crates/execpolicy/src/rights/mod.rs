//! What a program gets that a rule lets run: how it runs, and what it is granted for that.
//!
//! # Layout
//!
//! * `run`: the four ways to run. `place`, `host`: paths and hosts as rules name them.
//! * `grants`: what a rule or a profile gives besides; `granted`: the same on one machine, in one folder.
//! * `opening`: what they open that may not be meant. `profile`: grants with a name. `tool`: whose configuration names hosts. `caps`: what nobody may give.
//! * `given`: what all rules together give to one program. `words`: rights for people, and as a rule writes them.
//!
//! Nothing here looks at a file or a variable: who enforces the grants says what is around them ([`Surroundings`]).

mod caps;
mod given;
mod granted;
mod grants;
mod host;
mod opening;
mod place;
mod profile;
mod run;
mod tool;
mod words;

pub use caps::Caps;
pub use given::{ProfileName, Rights, Source};
pub use granted::{Granted, Surroundings};
pub use grants::Grants;
pub use host::HostPattern;
pub use place::Place;
pub use profile::{Profile, WholeProfile};
pub use run::Run;
pub use tool::Tool;
