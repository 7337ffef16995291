//! One sandbox: a plan, and what enforces it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};

use escalation_protocol::variables;
#[cfg(target_os = "linux")]
use sandbox::Enforcement;
use sandbox::Plan;
use sandbox::environment::{EnvironmentPolicy, command_environment};

/// Where programs run. Dropping the last reference ends everything in it.
#[derive(Debug)]
pub struct Sandbox {
    plan: Arc<Plan>,
    environment: Vec<OsString>,
    told: Told,
    #[cfg(target_os = "linux")]
    session: sandbox::Session,
}

/// What a server has said already about its sandboxes, to the log and to callers: each thing is told once, not once per policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<Mutex<HashSet<String>>>);

impl Told {
    /// Tells whether these words are new, and takes note of them.
    fn is_news(&self, words: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(words.to_owned())
    }
}

impl Sandbox {
    /// Sets the sandbox up; blocks for some milliseconds.
    #[cfg(target_os = "linux")]
    pub(super) fn set_up(
        launcher: &sandbox::Launcher,
        plan: Plan,
        environment: &EnvironmentPolicy,
        told: Told,
    ) -> Result<Sandbox, sandbox::SessionError> {
        let session = sandbox::Session::start(launcher, &plan)?;
        let enforcement = session.enforcement();
        for reason in enforcement.fallbacks.iter().filter(|reason| told.is_news(reason)) {
            tracing::warn!("the sandbox is {enforcement} only: {reason}");
        }
        for gap in enforcement.gaps.iter().filter(|gap| told.is_news(gap)) {
            // What the whole sandbox leaves open is in the manual; that it is not the whole one is news.
            if enforcement.has(sandbox::Namespace::Mount) {
                tracing::info!("not protected by the sandbox ({enforcement}): {gap}");
            } else {
                tracing::warn!("not protected by the sandbox ({enforcement}): {gap}");
            }
        }
        let environment = command_variables(&plan, environment);
        let plan = match plan.mode.is_enforced() && !enforcement.has(sandbox::Namespace::Mount) {
            true => plan.without_protected_places(),
            false => plan,
        };
        Ok(Sandbox { plan: Arc::new(plan), environment, told, session })
    }

    /// Sets the sandbox up.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn set_up(plan: Plan, environment: &EnvironmentPolicy, told: Told) -> Sandbox {
        let environment = command_variables(&plan, environment);
        Sandbox { plan: Arc::new(plan), environment, told }
    }

    /// What is enforced: a protected place that nothing here protects is not in it.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The environment that commands in here start with, `NAME=value` each.
    pub(crate) fn environment(&self) -> &[OsString] {
        &self.environment
    }

    /// What is really in force.
    #[cfg(target_os = "linux")]
    pub fn enforcement(&self) -> &Enforcement {
        self.session.enforcement()
    }

    /// What this sandbox does not protect although it should, unless a caller has been told before.
    pub(crate) fn shortcomings(&self) -> Option<String> {
        if !self.plan.mode.is_enforced() || self.is_whole() {
            return None;
        }
        #[cfg(not(target_os = "linux"))]
        let words: Option<String> = None;
        #[cfg(target_os = "linux")]
        let words = Some(format!(
            "{}, so the sandbox protects less (`{} doctor` says why): {}",
            if self.enforcement().namespaces.is_empty() {
                "there are no namespaces"
            } else {
                "some namespaces could not be had"
            },
            crate::user_command::user_command(),
            self.enforcement().gaps.join("; ")
        ));
        words.filter(|words| self.told.is_news(words))
    }

    /// Whether the sandbox has all that it is made for.
    fn is_whole(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.has_mounts() && self.enforcement().missing.is_empty();
        #[cfg(not(target_os = "linux"))]
        return true;
    }

    /// Whether what lies protected in a writable folder is protected by mounts. Elsewhere the system's own sandbox does it.
    pub(super) fn has_mounts(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.enforcement().has(sandbox::Namespace::Mount);
        #[cfg(not(target_os = "linux"))]
        return true;
    }

    /// The session that starts programs in here.
    #[cfg(target_os = "linux")]
    pub(crate) fn session(&self) -> &sandbox::Session {
        &self.session
    }

    /// Whether programs can still be started in here.
    pub(super) fn is_usable(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.session.is_alive();
        #[cfg(not(target_os = "linux"))]
        return true;
    }

    /// The level in force, in one word, such as `namespaces+landlock-7+seccomp`.
    pub fn level(&self) -> String {
        #[cfg(target_os = "linux")]
        return self.enforcement().to_string();
        #[cfg(not(target_os = "linux"))]
        return if self.plan.mode.is_enforced() { "seatbelt" } else { "none" }.to_owned();
    }

    /// The command line that runs a program in here.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn command(
        &self,
        program: std::path::PathBuf,
        argv: Vec<OsString>,
    ) -> (std::path::PathBuf, Vec<OsString>) {
        if !self.plan.mode.is_enforced() {
            return (program, argv);
        }
        let command = sandbox::macos::seatbelt_command(&self.plan, &program, &argv);
        (command.program, command.arguments)
    }
}

fn command_variables(plan: &Plan, policy: &EnvironmentPolicy) -> Vec<OsString> {
    let own = std::env::vars_os().filter(|(name, _)| !variables::ALL.iter().any(|private| name == private));
    let made = command_environment(own, policy, plan.mode.is_enforced(), plan.network);
    // The policy's patterns were checked when the server started.
    made.unwrap_or_default().to_list()
}
