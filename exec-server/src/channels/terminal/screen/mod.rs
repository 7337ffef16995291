//! `approve` for a person: a full-screen view in a terminal, used by keyboard alone.

mod draw;
mod lines;
mod style;
mod view;
mod view_state;

pub use style::Look;
pub use view::{ScreenError, approve_on_screen};
