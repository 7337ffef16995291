//! What each sandbox's login shells get, and when the start-up files run again.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::capture;
use super::files::Versions;
use super::prelude::Prelude;
use crate::sandboxes::{Sandbox, SandboxPool};

/// After this time the start-up files run again: they may depend on more than themselves.
const GOOD_FOR: Duration = Duration::from_secs(600);

/// What a login shell gets.
#[derive(Clone, Debug)]
pub(in crate::shell) enum Login {
    /// What the start-up files do.
    Prelude(Arc<Prelude>),
    /// Nothing; the text says why, for the call's result.
    Without(String),
}

/// What the start-up files do, for each sandbox.
#[derive(Clone, Debug, Default)]
pub(in crate::shell) struct Logins {
    sandboxes: Arc<Mutex<Vec<Known>>>,
}

#[derive(Debug)]
struct Known {
    sandbox: Weak<Sandbox>,
    login: OfSandbox,
}

/// Whoever holds the lock runs the files; others wait for what comes of it.
type OfSandbox = Arc<Mutex<Option<Taken>>>;

#[derive(Debug)]
struct Taken {
    at: Instant,
    files: Versions,
    login: Login,
}

impl Login {
    /// The strings that the start-up files export, `NAME=value` each.
    pub(in crate::shell) fn exported(&self) -> &[OsString] {
        match self {
            Login::Prelude(prelude) => &prelude.exported,
            Login::Without(_) => &[],
        }
    }
}

impl Logins {
    /// What a login shell in this sandbox gets; runs the start-up files if that is due.
    pub(in crate::shell) async fn login(
        &self,
        bash: &Path,
        sandbox: &Arc<Sandbox>,
        sandboxes: &SandboxPool,
    ) -> Login {
        let of_sandbox = self.of_sandbox(sandbox).await;
        let mut taken = of_sandbox.lock().await;
        // Before they run: a change meanwhile is noticed the next time.
        let files = Versions::now(capture::home(sandbox).as_deref());
        if let Some(taken) = &*taken
            && taken.at.elapsed() < GOOD_FOR
            && taken.files == files
        {
            return taken.login.clone();
        }
        let login = match capture::prelude(bash, sandbox, sandboxes).await {
            Ok(prelude) => Login::Prelude(Arc::new(prelude)),
            Err(error) => {
                tracing::warn!(%error, "login shells run without the start-up files");
                Login::Without(format!(
                    "{error}; the command ran in a login shell without them (/etc/profile, ~/.bash_profile and the like)"
                ))
            }
        };
        *taken = Some(Taken { at: Instant::now(), files, login: login.clone() });
        login
    }

    async fn of_sandbox(&self, sandbox: &Arc<Sandbox>) -> OfSandbox {
        let mut sandboxes = self.sandboxes.lock().await;
        sandboxes.retain(|known| known.sandbox.strong_count() > 0);
        if let Some(known) = sandboxes.iter().find(|known| known.sandbox.as_ptr() == Arc::as_ptr(sandbox)) {
            return Arc::clone(&known.login);
        }
        let login = OfSandbox::default();
        sandboxes.push(Known { sandbox: Arc::downgrade(sandbox), login: Arc::clone(&login) });
        login
    }
}
