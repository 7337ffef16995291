//! Tries every stage of a call.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::report::{Check, Report};
use crate::approval::{Answer, Approver, Question};
use crate::audit::check_writable;
use crate::config::{self, Config, Settings};
use crate::confinement::{Place, Places};
use crate::shell::{CallRequest, Ending, Shell};

/// How long the trial command may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Examines this machine for a server that would be started with these settings. Must be called within the runtime.
pub async fn examine(settings: Settings) -> Report {
    let mut checks = vec![platform()];
    let shown = |error: &dyn std::error::Error| error.to_string();
    for (name, found) in [
        ("bash", config::find_bash(settings.bash.clone())),
        ("wrapper", config::find_wrapper(settings.execve_wrapper.clone())),
    ] {
        checks.push(Check::needed(
            name,
            found.map(|path| path.display().to_string()).map_err(|error| shown(&error)),
        ));
    }
    let session_program = settings.session_program.clone();
    let config = match Config::new(settings) {
        Ok(config) => Arc::new(config),
        Err(error) => {
            // Not twice, when it is about a program.
            if checks.iter().all(|check| check.ok) {
                checks.push(Check::needed("start", Err(error.to_string())));
            }
            checks.extend(layers(session_program).await);
            return conclude(checks, None);
        }
    };
    checks.push(record(&config.codex_home));
    checks.push(rules(&config).await);
    checks.extend(layers(session_program).await);
    let places = Places::new(Arc::clone(&config.sandboxing), config.session_program.clone());
    let place = places.place(&config.sandboxing.wanted(&[], None)).await;
    let sandbox = place.as_ref().ok().map(|place| place.level());
    checks.push(match &place {
        Ok(place) => policy(place),
        Err(error) => Check::needed("sandbox", Err(error.to_string())),
    });
    if place.is_ok() {
        checks.push(trial(config).await);
    }
    conclude(checks, sandbox)
}

fn conclude(checks: Vec<Check>, sandbox: Option<String>) -> Report {
    let usable = checks.iter().all(|check| check.ok || check.optional);
    Report { version: env!("CARGO_PKG_VERSION"), usable, sandbox, checks }
}

fn platform() -> Check {
    let system = rustix::system::uname();
    let text = format!(
        "{} {} {}",
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy()
    );
    Check::needed("platform", Ok(text))
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
    let policy = config.rules.current().await;
    let files = config.rules.files();
    let names = files.iter().map(|file| file.display().to_string());
    let trouble =
        config.rules.obstacle().await.or_else(|| config.rules.trouble().map(|text| text.to_string()));
    match trouble {
        Some(trouble) => Check::needed("rules", Err(trouble)),
        None => {
            let text = format!("{} rules in {} files", policy.rules().len(), files.len());
            Check::needed("rules", Ok(text))
                .with_hints(names)
                .with_hints(config.rules.doubts().iter().cloned())
        }
    }
}

/// The forms of the sandbox, each tried.
#[cfg(target_os = "linux")]
async fn layers(program: Option<std::path::PathBuf>) -> Vec<Check> {
    let launcher = crate::confinement::session_launcher(program);
    let probed = tokio::task::spawn_blocking(move || sandbox::probe::probe(&launcher)).await;
    let Ok(probe) = probed else {
        return vec![Check::welcome("layers", Err("trying them broke; see the log".into()))];
    };
    let mut checks = Vec::new();
    for form in probe.forms.iter().filter(|form| form.name != "best") {
        let found = match (&form.enforcement, &form.refusal) {
            (Some(enforcement), _) => Ok(enforcement.to_string()),
            (None, refusal) => Err(refusal.clone().unwrap_or_default()),
        };
        checks.push(Check::welcome(form.name, found));
    }
    let hints = probe.hints.iter();
    let hints: Vec<String> =
        hints.map(|hint| format!("{}: {}; {}", hint.found, hint.effect, hint.remedy)).collect();
    if let Some(last) = checks.last_mut().filter(|_| !hints.is_empty()) {
        last.hints.extend(hints);
    }
    checks
}

/// The only form of the sandbox here.
#[cfg(not(target_os = "linux"))]
async fn layers(_: Option<std::path::PathBuf>) -> Vec<Check> {
    let there = std::path::Path::new("/usr/bin/sandbox-exec").exists();
    let found =
        if there { Ok("/usr/bin/sandbox-exec".to_owned()) } else { Err("no sandbox-exec".to_owned()) };
    vec![Check::welcome("seatbelt", found)]
}

/// What is enforced for a call of a client that says nothing about the sandbox.
fn policy(place: &Place) -> Check {
    let plan = place.plan();
    let mut text = format!("{}, network {}: {}", plan.mode, plan.network, place.level());
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
    let mut hints = plan.notes.clone();
    #[cfg(target_os = "linux")]
    {
        let enforcement = place.enforcement();
        hints.extend(enforcement.gaps.iter().map(|gap| format!("not enforced: {gap}")));
        hints
            .extend(enforcement.fallbacks.iter().map(|why| format!("a better form was not possible: {why}")));
    }
    Check::needed("sandbox", Ok(text)).with_hints(hints)
}

/// Nobody is asked by an examination.
struct Nobody;

impl Approver for Nobody {
    fn ask(&self, _: Question) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
        Box::pin(async { Answer::Unanswered("the examination asks nobody".into()) })
    }
}

/// A command that goes through all of it: shell, wrapper, rules.
async fn trial(config: Arc<Config>) -> Check {
    let shell = Shell::unrecorded(config);
    let text = match run(&shell).await {
        Ok((Ending::Exited(0), _)) => Ok("a command ran, and its program was judged".to_owned()),
        Ok((ending, output)) => Err(format!("exit code {}: {output}", ending.exit_code())),
        Err(error) => Err(error),
    };
    shell.close(PATIENCE).await;
    Check::needed("trial", text)
}

async fn run(shell: &Shell) -> Result<(Ending, String), String> {
    let request =
        CallRequest::new("\"$BASH\" -c 'exit 0'", "/", PATIENCE, false).map_err(|error| error.to_string())?;
    let turn = shell.turn().await;
    let started = shell.start(request, Arc::new(Nobody), turn).await;
    let mut call = started.map_err(|error| format!("{:#}", anyhow::Error::new(error)))?;
    let outcome = call.finished().await.ok_or("the call broke; see the log")?;
    Ok((outcome.ending, String::from_utf8_lossy(&outcome.output.end(2000)).into_owned()))
}
