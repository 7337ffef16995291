//! What the tests share: sessions, shells in them, and what lies around.

mod launchers;
mod place;
mod processes;
mod server;
mod shell;

pub(crate) use eventually::{PATIENCE, until};
pub(crate) use launchers::{
    Form, TRY, User, can_sandbox, is_older_than, launcher, launcher_of, launcher_without,
    launcher_without_subreapers,
};
pub(crate) use place::Place;
pub(crate) use processes::{process_exists, processes_with};
pub(crate) use server::server;
pub(crate) use shell::{Shell, Started};
