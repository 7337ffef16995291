//! What was typed and what the configuration file says, validated once.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use escalation_protocol::variables;
use execpolicy::{Heuristics, Options, ProgramToken};
use sandbox::Plan;
use sandbox::environment::is_private_to_a_client;

use super::agent;
use super::approvals::{ApprovalSettings, ChannelKind};
use super::door::DoorChoice;
use super::error::ConfigError;
use super::file::ConfigFile;
use super::limits::{self, Limits};
use super::network::Hosts;
use super::programs::{find_wrapper, usable};
use super::results::{self, Results};
use super::rights::{AllowMeans, RetryChoice};
use super::sandboxing::{Own, SandboxSettings, SandboxSettingsError, Sandboxing};
use super::settings::Settings;
use super::shell_program::{ShellKind, ShellProgram, find_shell};
use super::trusted::Trusted;
use super::variables::Variables;
use crate::private::{make_private, private_folders};
use crate::programs::{FileIdentity, Programs, offer, takes_command_by_descriptor};
use crate::rules::{AnswerFile, OWN, OWN_RULES, RuleFiles, RuleSettings, project_rules, started_in};
use crate::user_command::launcher;

/// How the server runs commands. Made by [`Config::new`] only, so its programs exist.
#[derive(Debug)]
pub struct Config {
    /// The shell that commands run in.
    pub shell: ShellProgram,
    pub(crate) bash_identity: FileIdentity,
    /// Whether it takes its command from a descriptor.
    pub(crate) bash_reads_command: bool,
    pub(crate) execve_wrapper: PathBuf,
    /// Where rules are.
    pub rules: RuleFiles,
    pub(crate) heuristics: Heuristics,
    /// What a rule gives that says nothing of rights.
    pub allow_means: AllowMeans,
    /// Whether what failed because of the sandbox becomes a question.
    pub(crate) retry: RetryChoice,
    /// The user's folder.
    pub codex_home: PathBuf,
    /// The folder that the server is for, where that is not the current one.
    started_in: Option<PathBuf>,
    /// The server's name among others.
    pub server_name: Option<String>,
    pub(crate) preserve_program_paths: bool,
    /// The sandbox that commands run in.
    pub sandboxing: Arc<Sandboxing>,
    /// Which hosts commands may reach by name, besides what rules say.
    pub hosts: Arc<Hosts>,
    /// A program that becomes a process of the sandbox; none: the running one.
    pub session_program: Option<PathBuf>,
    /// The bounds that calls keep.
    pub limits: Limits,
    /// How people are asked.
    pub approvals: ApprovalSettings,
    /// How results are written.
    pub results: Results,
    pub(crate) door: DoorChoice,
    /// The folder with the programs that commands find besides the user's.
    pub(crate) offered: Option<PathBuf>,
    /// Why there is none.
    pub(crate) no_offer: Option<String>,
    /// The environment that the user started the server with.
    pub(crate) environment: Arc<Variables>,
}

impl Config {
    /// Finds the programs and the rules; whether these are good is for [`Shell`](crate::Shell) to say.
    ///
    /// # Errors
    ///
    /// When something that the server needs is missing or wrong.
    pub fn new(settings: Settings) -> Result<Config, ConfigError> {
        // The next start follows the same links.
        let named = [&settings.bash, &settings.execve_wrapper, &settings.approvals.command];
        let named = named.into_iter().flatten().map(|path| absolute(path)).collect::<Vec<_>>();
        let shell = find_shell(settings.bash)?;
        let bash = shell.path.clone();
        let bash_identity =
            std::fs::File::open(&bash).ok().as_ref().and_then(FileIdentity::of).ok_or_else(|| {
                ConfigError::Program {
                    what: "Bash",
                    path: bash.clone(),
                    problem: "it cannot be opened".into(),
                }
            })?;
        let execve_wrapper = find_wrapper(settings.execve_wrapper)?;
        let codex_home = find_codex_home(settings.codex_home)?;
        let file = ConfigFile::read(settings.operator_home.as_deref().unwrap_or(&codex_home))?;
        let rules = RuleSettings {
            started_in: settings.started_in.clone(),
            operator_home: settings.operator_home.clone(),
            ..settings.rules.clone().trusting(file.trusted_projects())
        };
        let rules = rules.find(&codex_home)?;
        let approvals = approvals(settings.approvals, &file)?;
        let programs = [bash.clone(), execve_wrapper.clone()].into_iter().chain(approvals.command.clone());
        let programs = programs.chain(named);
        let own_program = settings.session_program.clone().or_else(|| std::env::current_exe().ok());
        let offered = own_program.as_deref().map_or_else(
            || Err(io::ErrorKind::NotFound.into()),
            |program| offer(&codex_home.join(OWN), program),
        );
        let no_offer = offered.as_ref().err().map(ToString::to_string);
        let programs = programs.chain(offered.iter().cloned());
        let key = approvals.webhook.as_ref().map(|webhook| webhook.key.clone());
        let own = OwnFiles { program: own_program, offered: offered.as_ref().ok().cloned(), key };
        let homes = Homes { user: &codex_home, operator: settings.operator_home.as_deref() };
        let started_in = settings.started_in.clone();
        let sandboxing = sandboxing(settings.sandbox, &file, &homes, started_in, &rules, programs, own)?;
        let door = settings.door.or(file.shell_tool.door);
        let door = match (shell.kind, door) {
            (ShellKind::Patched, door) => door.unwrap_or_default(),
            (ShellKind::SystemBash | ShellKind::SystemSh, Some(DoorChoice::Wrapper)) => {
                return Err(ConfigError::Unjudged(shell.why.unwrap_or_default()));
            }
            // Nothing else shows what it executes.
            (ShellKind::SystemBash | ShellKind::SystemSh, _) => DoorChoice::Kernel,
        };
        Ok(Config {
            bash_reads_command: shell.kind == ShellKind::Patched && takes_command_by_descriptor(&bash),
            shell,
            bash_identity,
            execve_wrapper,
            rules,
            heuristics: settings.rules.heuristics,
            allow_means: file.shell_tool.allow_means.unwrap_or_default(),
            retry: file.shell_tool.retry.unwrap_or_default(),
            codex_home,
            started_in: settings.started_in,
            server_name: settings.server_name,
            preserve_program_paths: settings.preserve_program_paths,
            sandboxing: Arc::new(sandboxing),
            hosts: Arc::new(Hosts::new(
                &settings.allowed_hosts,
                file.shell_tool.network.as_ref(),
                (&settings.published, &file.shell_tool.publish),
            )?),
            session_program: settings.session_program,
            limits: limits::limits(settings.limits, &file.shell_tool)?,
            approvals,
            offered: offered.ok(),
            no_offer,
            door,
            results: results::results(settings.results, file.shell_tool.result, file.shell_tool.result_links),
            environment: Arc::new(own_environment(file.shell_tool.for_agents())),
        })
    }

    /// Whether commands are to be behind the kernel's door, where there is one.
    #[must_use]
    pub fn is_behind_the_kernels_door(&self) -> bool {
        self.door.is_the_kernels(self.sandboxing.mode())
    }

    /// The program that applies patches, as commands find it.
    ///
    /// # Errors
    ///
    /// When there is none; the text says why.
    pub fn patch_program(&self) -> Result<PathBuf, String> {
        let name = patches::program::NAMES[0];
        self.offered.as_ref().map(|folder| folder.join(name)).ok_or_else(|| {
            let why = self.no_offer.as_deref().unwrap_or("it is not said why");
            format!(
                "{} cannot be made: {why}",
                self.codex_home.join(OWN).join("programs").join(name).display()
            )
        })
    }

    /// How rules are applied.
    #[must_use]
    pub fn policy_options(&self) -> Options {
        let program_token =
            if self.preserve_program_paths { ProgramToken::FullPath } else { ProgramToken::Basename };
        Options {
            program_token,
            heuristics: self.heuristics,
            plain: self.allow_means.plain(),
            ..Options::default()
        }
    }

    /// The folder of the user's rules that Codex reads, too.
    pub(crate) fn users_rules(&self) -> PathBuf {
        self.codex_home.join("rules")
    }

    /// The folder of the user's rules that Codex does not read.
    pub(crate) fn own_rules(&self) -> PathBuf {
        self.codex_home.join(OWN_RULES)
    }

    /// The project that the server was started in, and the file of what a person has answered for it.
    pub(crate) fn project(&self) -> Option<(PathBuf, AnswerFile)> {
        let root = started_in(self.started_in.as_deref())?;
        let file = project_rules(&self.codex_home, &root).join("answers.rules");
        Some((root, AnswerFile::new(file)))
    }

    /// The file into which what a person has answered for good goes.
    #[must_use]
    pub fn answers(&self) -> AnswerFile {
        AnswerFile::new(self.own_rules().join("answers.rules"))
    }

    /// Folders of the search path that programs outside the sandbox of a plan do not look in, one sentence each.
    #[must_use]
    pub fn search_path_doubts(&self, plan: &Plan) -> Vec<String> {
        let programs = Programs::new(&self.search_path());
        programs.doubts(|path| plan.mode.is_enforced() && plan.may_write(path))
    }

    /// The search path that the server was started with.
    pub(crate) fn search_path(&self) -> OsString {
        self.environment.get(OsStr::new("PATH")).cloned().unwrap_or_default()
    }
}

/// The environment that the server was started with, without what an interceptor around it and its client have left
/// there, and for agents without what would ask a person.
fn own_environment(for_agents: bool) -> Variables {
    let is_ours = |name: &OsString| variables::ALL.iter().any(|private| name == private);
    let asks = |name: &OsString| for_agents && agent::UNSET.iter().any(|asking| name == asking);
    std::env::vars_os()
        .filter(|(name, _)| !is_ours(name) && !asks(name) && !is_private_to_a_client(name))
        .collect()
}

/// Adds what the file says. The approval command must be one, and it and the webhook must be wanted.
fn approvals(mut settings: ApprovalSettings, file: &ConfigFile) -> Result<ApprovalSettings, ConfigError> {
    settings.reason = settings.reason.or(file.shell_tool.approval.reason);
    wanted(
        &settings,
        ChannelKind::Command,
        settings.command.is_some(),
        [
            "--approvals names command, but there is no --approval-command",
            "there is an --approval-command, but --approvals does not name command",
        ],
    )?;
    wanted(
        &settings,
        ChannelKind::Webhook,
        settings.webhook.is_some(),
        [
            "--approvals names webhook, but there is no --approval-webhook",
            "there is an --approval-webhook, but --approvals does not name webhook",
        ],
    )?;
    settings.command = settings.command.map(|path| usable("--approval-command", path)).transpose()?;
    if let Some(webhook) = &mut settings.webhook {
        webhook.key = absolute(&webhook.key);
    }
    Ok(settings)
}

/// Refuses a channel that is named and is not there, or the other way round, in the words for either.
fn wanted(
    settings: &ApprovalSettings,
    kind: ChannelKind,
    is_there: bool,
    [missing, unwanted]: [&'static str; 2],
) -> Result<(), ConfigError> {
    let Some(named) = &settings.channels else { return Ok(()) };
    match (named.contains(&kind), is_there) {
        (true, false) => Err(ConfigError::Approvals(missing)),
        (false, true) => Err(ConfigError::Approvals(unwanted)),
        (true, true) | (false, false) => Ok(()),
    }
}

/// The server's own program, the folder with what commands find of it, and the key that it signs questions with.
struct OwnFiles {
    program: Option<PathBuf>,
    offered: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// Whose folders count.
struct Homes<'h> {
    user: &'h Path,
    operator: Option<&'h Path>,
}

/// Puts the sandbox together: what the user asks for, and what must be kept from commands for the server's own sake.
fn sandboxing(
    settings: SandboxSettings,
    file: &ConfigFile,
    homes: &Homes<'_>,
    started_in: Option<PathBuf>,
    rules: &RuleFiles,
    programs: impl IntoIterator<Item = PathBuf>,
    OwnFiles { program, offered, key }: OwnFiles,
) -> Result<Sandboxing, ConfigError> {
    let mut private = private_folders(homes.user);
    for folder in &private {
        // What is not there when a sandbox is made cannot be hidden from it. One that cannot be made holds nothing.
        if let Err(error) = make_private(folder) {
            tracing::warn!(error = &error as &dyn std::error::Error, "a private folder is missing");
        }
    }
    // Whoever serves others has made his.
    private.extend(homes.operator.map(private_folders).into_iter().flatten());
    private.extend(key);
    // By its own name and by each that a link has for it.
    for path in settings.private.iter().filter_map(|path| std::path::absolute(path).ok()) {
        private.extend(path.canonicalize().ok().filter(|real| *real != path));
        private.push(path);
    }
    let own = Own {
        // Who may write rules may let himself out.
        trusted: Trusted {
            home: homes.user.to_owned(),
            rules: rules.places(),
            programs: programs.into_iter().chain(std::env::current_exe().ok()).collect(),
            launcher: launcher(),
        },
        private,
        program,
        offered,
    };
    let started_in =
        started_in.map_or_else(std::env::current_dir, Ok).map_err(SandboxSettingsError::NoStart)?;
    Ok(Sandboxing::new(settings, file, own, started_in)?)
}

/// A path as seen from the folder that the server starts in.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Folders of the projects that the user trusts, as `config.toml` in the user's folder has them.
///
/// # Errors
///
/// When the file cannot be read or is not understood.
pub fn trusted_projects(codex_home: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    Ok(ConfigFile::read(codex_home)?.trusted_projects())
}

/// The folder with the user's rules: `given`, else `$CODEX_HOME`, else `~/.codex`, which need not exist.
///
/// # Errors
///
/// When what was named is no folder, or nothing is known of a home.
pub fn find_codex_home(given: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let named =
        given.or_else(|| std::env::var_os("CODEX_HOME").filter(|path| !path.is_empty()).map(PathBuf::from));
    match named {
        Some(path) => {
            path.canonicalize().ok().filter(|path| path.is_dir()).ok_or(ConfigError::NoCodexHome(path))
        }
        None => Ok(home_folder::find().ok_or(ConfigError::NoHome)?.join(".codex")),
    }
}
