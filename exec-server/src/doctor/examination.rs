//! Tries every stage of a call.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::{Bounds, ExitStatus, Group, SessionError};

use super::discretion::Discretion;
use super::hosts::hosts;
use super::program::linkage;
use super::report::{Check, Report};
use super::trial::{TRIAL_TIMEOUT, run};
use shell_engine::audit::check_writable;
use shell_engine::config::{self, Config, DoorChoice, Settings, ShellProgram};
use shell_engine::rules::Rules;
use shell_engine::sandboxes::{Sandbox, SandboxError, SandboxPool};
use shell_engine::shell::{Ending, Shell};
use shell_engine::user_command::user_command;

/// Examines this machine for a server that would be started with these settings. Must be called within the runtime.
pub async fn examine(settings: Settings) -> Report {
    let mut examination =
        Examination { layers: layers(settings.session_program.clone()).await, ..Default::default() };
    examination.programs(&settings);
    let behind_the_kernels = Settings { door: Some(DoorChoice::Kernel), ..settings.clone() };
    match Config::new(settings) {
        Ok(config) => {
            let is_behind_it = config.is_behind_the_kernels_door();
            examination.configured(Arc::new(config)).await;
            examination.door(behind_the_kernels, is_behind_it).await;
        }
        // Not twice, when it is about a program.
        Err(_) if examination.checks.iter().any(|check| !check.ok) => {
            examination.checks.append(&mut examination.layers.checks);
        }
        Err(error) => {
            examination.checks.push(Check::needed("start", Err(error.without_excerpts())));
            examination.checks.append(&mut examination.layers.checks);
        }
    }
    examination.conclude()
}

/// What was found so far.
#[derive(Default)]
struct Examination {
    layers: Tried,
    checks: Vec<Check>,
    sandbox: Option<String>,
}

impl Examination {
    fn programs(&mut self, settings: &Settings) {
        let shell = config::find_shell(settings.bash.clone());
        let explained = shell.as_ref().ok().and_then(ShellProgram::explain);
        for (name, found) in [
            ("server", Ok(std::env::current_exe().unwrap_or_default())),
            ("bash", shell.map(|shell| shell.path)),
            ("wrapper", config::find_wrapper(settings.execve_wrapper.clone())),
        ] {
            let shown = |path: PathBuf| match linkage(&path) {
                Some(linkage) => format!("{} ({linkage})", path.display()),
                None => path.display().to_string(),
            };
            let hints = explained.clone().filter(|_| name == "bash");
            let check = Check::needed(name, found.map(shown).map_err(|error| error.to_string()));
            self.checks.push(check.with_hints(hints));
        }
    }

    /// Goes on with a server that could start.
    async fn configured(&mut self, config: Arc<Config>) {
        self.checks.push(record(&config.codex_home));
        let patches = config.patch_program().map(|path| path.display().to_string());
        self.checks.push(Check::welcome("patches", patches));
        self.checks.push(rules(&config).await);
        self.checks.push(limits(config.limits.bounds));
        self.checks.append(&mut self.layers.checks);
        let sandboxes = SandboxPool::new(Arc::clone(&config.sandboxing), config.session_program.clone());
        match sandboxes.sandbox(&config.sandboxing.wanted(&[], None)).await {
            Ok(sandbox) => {
                self.sandbox = Some(sandbox.level());
                let policy = policy(&sandbox, &self.checks);
                self.checks.push(policy.with_hints(config.search_path_doubts(sandbox.plan())));
                // With wrong rules no command would run, and the reason has been told.
                if self.checks.iter().all(|check| check.ok || check.optional) {
                    self.checks.push(trial(Arc::clone(&config)).await);
                    self.checks.extend(hosts(config, &sandbox).await);
                }
            }
            Err(error) => {
                let refused = self.checks.iter().any(|check| !check.ok && check.optional);
                self.checks.push(Check::needed("sandbox", Err(words(&error, refused))));
                let elsewhere = "when a container or virtual machine isolates the server already, start it with --sandbox external-sandbox";
                if !self.layers.to_do.iter().any(|advice| advice.contains("external-sandbox")) {
                    self.layers.to_do.push(elsewhere.to_owned());
                }
            }
        }
    }

    /// Tries the kernel's door, where commands can run at all.
    async fn door(&mut self, settings: Settings, is_behind_it: bool) {
        let runs = self.checks.iter().any(|check| check.name == "trial" && check.ok);
        if let (true, Ok(config)) = (runs, Config::new(settings)) {
            self.checks.push(door(Arc::new(config), is_behind_it).await);
        }
    }

    fn conclude(self) -> Report {
        let usable = self.checks.iter().all(|check| check.ok || check.optional);
        let discretion = Discretion::new();
        let discreet = |text: String| discretion.apply(&text);
        let checks = self.checks.into_iter().map(|check| Check {
            found: discreet(check.found),
            hints: check.hints.into_iter().map(discreet).collect(),
            ..check
        });
        Report {
            version: env!("CARGO_PKG_VERSION"),
            usable,
            sandbox: self.sandbox,
            machine: self.layers.machine,
            facts: self.layers.facts,
            checks: checks.collect(),
            to_do: self.layers.to_do,
        }
    }
}

/// Why there is no sandbox, without what the layers have said already.
fn words(error: &SandboxError, said: bool) -> String {
    match error {
        SandboxError::Session { reason: SessionError::NotEnforceable(_), .. } if said => {
            "cannot be set up as asked for, for the reasons above".to_owned()
        }
        SandboxError::Session { reason, .. } => reason.to_string(),
        SandboxError::Broken | SandboxError::Share(_) => error.to_string(),
        SandboxError::Resolve(_) | SandboxError::Trusted(_) => error.to_string(),
    }
}

/// Where decisions are recorded, and answers kept.
fn record(codex_home: &Path) -> Check {
    let written = check_writable(codex_home).map(|folder| folder.display().to_string());
    let words = |error| {
        let home = codex_home.display();
        format!(
            "{home} cannot be written: {:#}\nSo nothing can be put on record and nothing runs outside the sandbox, and no answer holds for good. Give {home} to \
             your user, or start the server with CODEX_HOME set to a folder that you can write",
            anyhow::Error::new(error)
        )
    };
    Check::needed("record", written.map_err(words))
}

async fn rules(config: &Config) -> Check {
    let rules = Arc::new(Rules::start(config.rules.clone()));
    let policy = rules.current().await;
    let files = rules.files();
    if let Some(trouble) = rules.obstacle().await.or_else(|| rules.trouble().map(|text| text.to_string())) {
        return Check::needed("rules", Err(where_rules_are_wrong(&trouble)));
    }
    let mut text = format!("{} rules in {} files", policy.rules().len(), files.len());
    let doubts = rules.doubts().len();
    if doubts > 0 {
        text.push_str(&format!("; {doubts} remarks, see `{} policy check`", user_command()));
    }
    // Places and programs of a public list: what else is in rules is nobody's business.
    let broad = policy.handing_on();
    let broad = broad.iter().filter_map(|line| line.split(", so ").next().map(str::to_owned));
    let much = policy.giving_the_users_rights(&config.policy_options());
    let unsaid = policy.letting_out_unsaid();
    let much = much.iter().map(|(origin, run)| {
        let is_unsaid = unsaid.iter().any(|line| line.starts_with(&format!("{origin}: ")));
        format!("{origin}: gives {run}{}", if is_unsaid { " without saying so" } else { "" })
    });
    Check::needed("rules", Ok(text)).with_hints(broad.chain(much))
}

/// Keeps the places of errors, and nothing of what is written there.
fn where_rules_are_wrong(trouble: &str) -> String {
    let places: Vec<&str> = trouble.lines().filter_map(|line| line.trim().strip_prefix("--> ")).collect();
    let places = if places.is_empty() { "some files".to_owned() } else { places.join(", ") };
    format!("{places}: wrong; `{} policy check` shows how", user_command())
}

/// What trying the forms of the sandbox has shown.
#[derive(Default)]
struct Tried {
    machine: serde_json::Value,
    facts: Vec<(&'static str, String)>,
    checks: Vec<Check>,
    to_do: Vec<String>,
}

/// The forms of the sandbox, each tried, and the machine.
async fn layers(program: Option<PathBuf>) -> Tried {
    let launcher = shell_engine::sandboxes::session_launcher(program);
    let probed = tokio::task::spawn_blocking(move || sandbox::probe::probe(&launcher)).await;
    let Ok(mut probe) = probed else {
        let broken = Check::welcome("layers", Err("trying them broke; see the log".into()));
        return Tried { checks: vec![broken], ..Tried::default() };
    };
    // Named by whoever administrates the machine.
    let discretion = Discretion::new();
    probe.machine.apparmor = probe.machine.apparmor.map(|profile| discretion.apply(&profile));
    let forms = probe.forms.iter().filter(|form| form.name != "best");
    let checks = forms.map(|form| match (&form.enforcement, &form.refusal) {
        (Some(enforcement), _) => Check::welcome(form.name, Ok(enforcement.to_string())),
        (None, refusal) => Check::welcome(form.name, Err(refusal.clone().unwrap_or_default())),
    });
    let mut machine = serde_json::to_value(&probe.machine).unwrap_or_default();
    if let (Some(machine), Ok(kinds)) = (machine.as_object_mut(), serde_json::to_value(&probe.namespaces)) {
        machine.insert("namespaces".to_owned(), kinds);
    }
    Tried {
        machine,
        facts: super::facts::lines(&probe.machine, &probe.namespaces),
        checks: checks.collect(),
        to_do: probe.hints.iter().map(ToString::to_string).collect(),
    }
}

/// Whether memory and processor time of commands can be bounded; where they should be, whether they are.
fn limits(bounds: Bounds) -> Check {
    let is_wanted = !bounds.is_none();
    let any = Bounds { memory: Some(1 << 30), processor: Some(1000), processes: Some(1000) };
    let made = Group::make(if is_wanted { bounds } else { any });
    let said = if is_wanted {
        "in force: memory_max, cpu_max"
    } else {
        "memory_max and cpu_max can be had; none is set"
    };
    let found =
        made.map(|_| said.to_owned()).map_err(|why| format!("memory_max and cpu_max cannot be had: {why}"));
    Check::welcome("limits", found)
}

/// What is enforced for a call of a client that says nothing about the sandbox. What the checks before it have said is
/// not said again.
fn policy(sandbox: &Sandbox, before: &[Check]) -> Check {
    let plan = sandbox.plan();
    let mut text = format!("{}, network {}: {}", plan.mode, plan.network, sandbox.level());
    if plan.mode.is_enforced() {
        let writable: Vec<String> = plan.writable.iter().map(|path| path.display().to_string()).collect();
        let nowhere = || "nowhere".to_owned();
        let writable = if writable.is_empty() { nowhere() } else { writable.join(", ") };
        text.push_str(&format!(
            "\nwritable: {writable}\n{} places in them stay read-only, {} places cannot be read",
            plan.read_only.len() + plan.reserved.len(),
            plan.hidden.len()
        ));
    }
    let hints = plan.notes.iter().cloned().chain(shortcomings(sandbox, before));
    Check::needed("sandbox", Ok(text)).with_hints(hints)
}

/// What the sandbox does not do here, as far as the checks before have not said it.
fn shortcomings(sandbox: &Sandbox, before: &[Check]) -> Vec<String> {
    let enforcement = sandbox.enforcement();
    let said = |why: &&String| before.iter().any(|check| check.found.contains(why.as_str()));
    let news = enforcement.fallbacks.iter().filter(|why| !said(why));
    let gaps = enforcement.gaps.iter().map(|gap| format!("not enforced: {gap}"));
    gaps.chain(news.map(|why| format!("a better form was not possible: {why}"))).collect()
}

/// A command that executes a program.
const TRIAL: &str = "\"${BASH:-/bin/sh}\" -c 'exit 0'";

/// A command that goes through all of it: shell, wrapper, rules.
async fn trial(config: Arc<Config>) -> Check {
    let shell = Shell::unrecorded(config);
    let text = match run(&shell, TRIAL).await {
        Ok(outcome) => match outcome.ending {
            Ending::Ended(ExitStatus::Exited(0)) => {
                Ok("a command ran, and its program was judged".to_owned())
            }
            ending @ (Ending::Ended(_) | Ending::TimedOut | Ending::Cancelled | Ending::Lost) => {
                let output = outcome.output.end(2000);
                Err(format!("exit code {}: {}", ending.exit_code(), String::from_utf8_lossy(&output)))
            }
        },
        Err(error) => Err(error),
    };
    shell.close(TRIAL_TIMEOUT).await;
    Check::needed("trial", text)
}

/// Whether the kernel reports what every process of a command executes, and if not, why.
async fn door(config: Arc<Config>, is_behind_it: bool) -> Check {
    let shell = Shell::unrecorded(config);
    let found = match run(&shell, TRIAL).await {
        Ok(outcome) if outcome.sandbox.contains("+door") => {
            let rules = if is_behind_it { "rules bind" } else { "with --door kernel, rules would bind" };
            Ok(format!("{rules} what every process of a command executes"))
        }
        Ok(outcome) => Err(outcome.notes.join("; ")),
        Err(error) => Err(error),
    };
    shell.close(TRIAL_TIMEOUT).await;
    Check::welcome("door", found)
}
