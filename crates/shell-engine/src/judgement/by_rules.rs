//! From what the rules say to what is to be done about it. No clock, no socket; nobody is asked here.
//!
//! A rule that allows speaks about one file, so it counts only for the name that was called and only if that is the
//! program it means (`trust`). A rule that asks or forbids speaks about the file under every name that it has.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use execpolicy::rights::{Granted, Source};
use execpolicy::rule::Origin;
use execpolicy::{Command, DecidedBy, Decision, Evaluation, Options, Policy, Rights, RuleMatch, Run};

use super::asked_for;
use super::credentials;
use super::environment::{self, Environment, Prepared};
use super::exec::Exec;
use super::executes::{self, Executed, Executes};
use super::git_helpers::{self, Helper};
use super::git_settings;
use super::granted;
use super::legacy::Legacy;
use super::let_run::LetRun;
use super::removal;
use super::ssh_configuration;
use super::trust::{OtherName, Trust, Untrusted};
use super::verdict::{Concerns, Judgement, Outside, Verdict};
use super::wording::{NamedEvaluation, ask, cautious, cautious_below, forbidden, tell_rights};
use super::written_code;
use crate::programs::look_at;
use crate::visible::{code, shortened, visible};

/// Commands inside one command whose programs are looked at as files; a longer script is judged by its words.
const MOST_NESTED: usize = 32;

/// What a program is judged by.
pub(super) struct Grounds<'j> {
    pub(super) policy: &'j Policy,
    pub(super) options: &'j Options,
    /// What speaks where the rules are silent, if there is such a thing.
    pub(super) legacy: Option<Legacy<'j>>,
    pub(super) trust: &'j Trust,
    pub(super) environment: &'j Environment,
    /// What was let run.
    pub(super) let_run: &'j LetRun,
    /// What confined programs execute.
    pub(super) executed: &'j Executed,
}

/// Judges one program.
pub(super) fn judge(grounds: &Grounds<'_>, exec: &Exec) -> Judgement {
    let variables = exec.variables();
    let own = evaluate(grounds, exec, exec.file.as_os_str(), exec.arguments(), &variables);
    let Ok(other) = strictest_of_other_names(grounds, exec, &own, &variables) else {
        let verdict = Verdict::Deny { reason: TOO_MANY_NAMES.into() };
        return Judgement { verdict, rule: None, patch_rule: None, about_input: None };
    };
    let own = NamedEvaluation { name: None, evaluation: own };
    let stricter = other.filter(|other| other.evaluation.decision() > own.evaluation.decision());
    let named = stricter.as_ref().unwrap_or(&own);
    let rule = named.evaluation.deciding_rule().cloned();
    let by_rule = own.evaluation.decided_by() == DecidedBy::Rule;
    let removes_its_own = |named: &NamedEvaluation| {
        named.evaluation.decided_by() == DecidedBy::Heuristic
            && removal::is_of_the_commands_own(&named.evaluation, exec, grounds.trust)
    };
    let is_part = |named: &NamedEvaluation| named.evaluation.decided_by() == DecidedBy::Parts;
    let rights = rights(&own, named);
    let verdict = match (named.evaluation.decision(), by_rule) {
        (Decision::Forbidden, _) => Verdict::Deny { reason: forbidden(exec, named) },
        // It is Git by name, and has what Git has not.
        (Decision::Allow | Decision::Prompt, true) if git_helpers::is_credential_store(exec) => {
            below_confined(grounds, exec, &variables)
        }
        // Only a rule about the program itself, by the name that it was called, lets it out: a script or wrapper whose
        // parts are allowed looks their names up later, where the asker decides what is found.
        (Decision::Prompt, true) if stays(grounds, exec, &rights) || is_script(exec, &rights) => {
            ask(exec, named, None)
        }
        (Decision::Prompt, true) => {
            let rights = with_a_yes(rights.clone());
            ask(exec, named, Some(outside(grounds, exec, own.evaluation.matches(), &rights, &variables)))
        }
        (Decision::Prompt, false) if removes_its_own(named) => Verdict::Run { why_inside: None },
        (Decision::Prompt, false) if is_part(named) && grounds.let_run.goes_on(exec) => {
            Verdict::Run { why_inside: None }
        }
        (Decision::Prompt, false) => ask(exec, named, None),
        (Decision::Allow, true) if exec.outside().is_some() => runs_outside(grounds, exec, named),
        (Decision::Allow, true) if stays(grounds, exec, &rights) => {
            inside(grounds, exec, &rights, &variables)
        }
        (Decision::Allow, true) if is_script(exec, &rights) && grounds.trust.is_enforced() => {
            Verdict::Run { why_inside: Some(IS_SCRIPT.into()) }
        }
        (Decision::Allow, true) => {
            match outside(grounds, exec, own.evaluation.matches(), &rights, &variables) {
                Err(why) => Verdict::Run { why_inside: Some(why.to_string()) },
                Ok((outside, concerns)) if concerns.cautions.is_empty() => {
                    Verdict::Escalate(Box::new(outside))
                }
                Ok((outside, concerns)) => cautious(exec, &own, outside, &concerns),
            }
        }
        (Decision::Allow, false) if exec.outside().is_some() => runs_outside(grounds, exec, named),
        (Decision::Allow, false) if exec.below.is_some() => below_confined(grounds, exec, &variables),
        (Decision::Allow, false) => {
            let why = kept_back(grounds, exec, &variables).or_else(|| wrapped(&own.evaluation));
            Verdict::Run { why_inside: why }
        }
    };
    let rights = if named.evaluation.decision() == Decision::Prompt { with_a_yes(rights) } else { rights };
    let bounded = |rights: &Rights| {
        let variable = |name: &str| grounds.environment.of_server(name);
        granted::bounded(rights, grounds.trust, &variable, &exec.workdir, grounds.policy)
    };
    let verdict = tell_rights(verdict, &rights, grounds.trust.is_enforced(), bounded);
    let verdict = match &grounds.legacy {
        Some(legacy) => legacy.complete(verdict, &own.evaluation, exec, &variables),
        None => verdict,
    };
    Judgement { verdict, rule, patch_rule: None, about_input: None }
}

/// What a program has that a person says yes to: what `git` is told changes what is protected, and a person who is asked sees what
/// that is.
pub(super) fn with_a_yes(mut rights: Rights) -> Rights {
    let is_git =
        rights.run == Run::Confined && rights.profile.as_ref().is_some_and(|name| name.as_str() == "git");
    if is_git && rights.grants.protected.is_empty() {
        rights.grants.protected = sandbox::resolve::changed_by_git().map(str::to_owned).collect();
    }
    rights
}

/// Why a subcommand of Git's runs inside that its rule would confine.
const IS_SCRIPT: &str = "this command of Git's is a script of a shell, which nothing that is confined executes; it runs inside, and the \
    git that it starts is judged by itself (a rule for `git submodule--helper` is one for what `git submodule` does)";

/// Whether it is a subcommand of Git's that is a script, and confined: it would not start there.
fn is_script(exec: &Exec, rights: &Rights) -> bool {
    let is_git = exec.file.file_name() == Some(OsStr::new("git"));
    let has_shell = rights.grants.may_run.iter().any(|name| ["sh", "/bin/sh"].contains(&name.as_str()));
    let subcommand = git_settings::subcommand(exec.arguments());
    rights.run == Run::Confined
        && is_git
        && !has_shell
        && subcommand.is_some_and(|(_, name)| {
            executes::is_script_of_git(&exec.file.canonicalize().unwrap_or_default(), name)
        })
}

/// Whether it runs where it is, whatever a rule gives: that is nothing more, or what started it has more already.
fn stays(grounds: &Grounds<'_>, exec: &Exec, rights: &Rights) -> bool {
    exec.outside().is_some()
        || exec.below.as_ref().is_some_and(|below| below.has(rights))
        || rights.is_none()
        || rights.run == Run::Inside && !grounds.trust.is_enforced()
}

/// What runs with the user's rights, because what starts it does: asked about where it would run a command's code. A program
/// that has a profile of its own is confined by that.
fn runs_outside(grounds: &Grounds<'_>, exec: &Exec, named: &NamedEvaluation) -> Verdict {
    let Some(top) = exec.outside() else { return Verdict::Run { why_inside: None } };
    let Some(what) = written_code::found(exec, top, grounds.trust) else {
        return Verdict::Run { why_inside: None };
    };
    cautious_below(exec, named, &what)
}

/// What a confined program starts that no rule speaks about. Where its profile names it, and it has a confined profile of
/// its own, it runs by that: so Git needs no keys for what ssh does with them.
fn below_confined(grounds: &Grounds<'_>, exec: &Exec, variables: &[(OsString, OsString)]) -> Verdict {
    let here = Verdict::Run { why_inside: None };
    let Some(below) = exec.confined() else { return here };
    let Some(name) = exec.file.file_name().and_then(OsStr::to_str) else { return here };
    let name = match git_helpers::helper(below, exec, name, grounds.trust) {
        Helper::By(profile) => profile,
        Helper::Other => name,
        Helper::Refused(reason) => return Verdict::Deny { reason },
    };
    let Some(origin) = below.origin.as_ref().filter(|_| below.may_run.iter().any(|known| known == name))
    else {
        return here;
    };
    let rights = grounds.policy.rights_by_profile(name, origin);
    let Some(rights) = rights.filter(|rights| rights.run == Run::Confined) else { return here };
    match outside(grounds, exec, &[], &rights, variables) {
        Ok((outside, _)) => Verdict::Escalate(Box::new(outside)),
        Err(_) => here,
    }
}

/// What a program gets, if it runs: where it is judged by another of its names, what the rules for both give.
fn rights(own: &NamedEvaluation, named: &NamedEvaluation) -> Rights {
    let own = own.evaluation.rights().clone();
    match named.evaluation.decided_by() {
        DecidedBy::Rule => own.common(named.evaluation.rights().clone()),
        DecidedBy::Parts | DecidedBy::Heuristic | DecidedBy::IncompleteRules | DecidedBy::Nothing => own,
    }
}

fn evaluate<A: AsRef<OsStr>>(
    grounds: &Grounds<'_>,
    exec: &Exec,
    program: &OsStr,
    arguments: &[A],
    variables: &[(OsString, OsString)],
) -> Evaluation {
    let command = command(exec, program, arguments, variables);
    grounds.policy.evaluate(&command, grounds.options)
}

pub(super) fn command<'c, A: AsRef<OsStr>>(
    exec: &'c Exec,
    program: &'c OsStr,
    arguments: &'c [A],
    variables: &'c [(OsString, OsString)],
) -> Command<'c> {
    let command = Command::new(program, arguments).with_cwd(&exec.workdir);
    command.with_environment(variables).with_ancestry(&exec.lineage.ancestry).at(SystemTime::now())
}

/// Why it stays inside although a rule would let it out, if it were known what has started it.
fn kept_back(grounds: &Grounds<'_>, exec: &Exec, variables: &[(OsString, OsString)]) -> Option<String> {
    let command = command(exec, exec.file.as_os_str(), exec.arguments(), variables);
    let rule = grounds.policy.kept_back_by_ancestry(&command, grounds.options)?;
    Some(format!("the rule {} allows it by what has started it, which is not known here", rule.origin))
}

/// What a rule allows inside. Where no sandbox keeps it there the rule says nothing, so what looks dangerous is asked
/// about.
fn inside(
    grounds: &Grounds<'_>,
    exec: &Exec,
    rights: &Rights,
    variables: &[(OsString, OsString)],
) -> Verdict {
    let command = command(exec, exec.file.as_os_str(), exec.arguments(), variables);
    let evaluation = Policy::empty().evaluate(&command, grounds.options);
    if grounds.trust.is_enforced() || evaluation.decision() == Decision::Allow {
        return Verdict::Run { why_inside: why_nothing(rights) };
    }
    ask(exec, &NamedEvaluation { name: None, evaluation }, None)
}

/// Why a rule that lets a program run gives it nothing, where it says nothing of that.
fn why_nothing(rights: &Rights) -> Option<String> {
    match (rights.source, &rights.origin, rights.why()) {
        (Source::RunsWhatItIsGiven(_) | Source::Missing, Some(origin), Some(why)) => {
            Some(format!("the rule {origin} {why}"))
        }
        _ => None,
    }
}

/// Why a program that a rule lets out stays inside, where another one runs it that is all that is seen here.
fn wrapped(own: &Evaluation) -> Option<String> {
    // A script's commands are executed by its shell: whatever they are, it is not they that are started here.
    let [outer, inner, ..] = own.commands() else { return None };
    let outer = Path::new(outer.first()?).file_name()?.to_string_lossy();
    if outer.ends_with("sh") && outer != "ssh" {
        return None;
    }
    let lets_out = |one: &RuleMatch| {
        one.part == 1 && one.rule.decision == Decision::Allow && one.rule.run != Some(Run::Inside)
    };
    let rule = own.matches().iter().find(|one| lets_out(one))?;
    let inner = inner.first().map(|word| code(&shortened(&visible(word.as_encoded_bytes()), 200)))?;
    Some(format!(
        "the rule {} lets {inner} out, but it is started by a program that stays inside, which only the kernel's door sees",
        rule.rule.origin
    ))
}

/// Evaluates what runs under its other names, and the files that its parts name under theirs; returns the strictest
/// that asks or forbids.
fn strictest_of_other_names(
    grounds: &Grounds<'_>,
    exec: &Exec,
    own: &Evaluation,
    variables: &[(OsString, OsString)],
) -> Result<Option<NamedEvaluation>, TooManyNames> {
    let covered = own.decided_by() == DecidedBy::Rule;
    let mut strictest: Option<NamedEvaluation> = None;
    let mut hear = |name: &OtherName, arguments: &[OsString]| {
        let arguments: Vec<&OsStr> = name.before.iter().chain(arguments).map(OsString::as_os_str).collect();
        let evaluation = evaluate(grounds, exec, name.program.as_os_str(), &arguments, variables);
        let counts = match evaluation.decided_by() {
            DecidedBy::Rule | DecidedBy::Parts => true,
            // A rule speaks about the program already.
            DecidedBy::Heuristic => !covered,
            DecidedBy::IncompleteRules | DecidedBy::Nothing => false,
        };
        let before = strictest.as_ref().map_or(Decision::Allow, |named| named.evaluation.decision());
        if counts && evaluation.decision() > before {
            let name = visible(name.shown().as_encoded_bytes()).chars().take(200).collect();
            strictest = Some(NamedEvaluation { name: Some(name), evaluation });
        }
    };
    for name in grounds.trust.other_names(exec).ok_or(TooManyNames)? {
        hear(&name, exec.arguments());
    }
    for words in own.commands().iter().skip(1).take(MOST_NESTED) {
        let Some((program, arguments)) = words.split_first() else { continue };
        for name in grounds.trust.other_names_of_nested(program, &exec.workdir).ok_or(TooManyNames)? {
            hear(&name, arguments);
        }
    }
    Ok(strictest)
}

/// A file goes by more names than can be judged.
struct TooManyNames;

const GAINS_RIGHTS: &str = "it gains rights by being executed (set-user-ID or file capabilities), which nothing that holds it \
                            would let it, so it would run with all that you may do";

const TOO_MANY_NAMES: &str = "the file goes by more names (links and interpreters) than can be judged";

/// Prepares what would run outside, if it is the program that the rules which speak for it mean; and says what in it
/// needs a person's eye.
pub(super) fn outside(
    grounds: &Grounds<'_>,
    exec: &Exec,
    matches: &[RuleMatch],
    rights: &Rights,
    variables: &[(OsString, OsString)],
) -> Result<(Outside, Concerns), Untrusted> {
    let speaking = || {
        let of_the_program =
            |matched: &&RuleMatch| matched.part == 0 && matched.rule.decision < Decision::Forbidden;
        matches.iter().filter(of_the_program)
    };
    let program = grounds.trust.vouch(exec, speaking(), grounds.policy.host_executables())?;
    // Without a sandbox there is none to be left, nor anything that commands cannot write.
    let wanted = if grounds.trust.is_enforced() { rights.run } else { Run::Unconfined };
    let gains = wanted != Run::Unconfined && program.gains_rights();
    let cannot = grounds.trust.cannot_hold(wanted).or_else(|| gains.then(|| GAINS_RIGHTS.to_owned()));
    let run = if cannot.is_some() { Run::Unconfined } else { wanted };
    if let Some(file) = ssh_configuration::shows_keys(exec, grounds.trust).filter(|_| run == Run::Confined) {
        return Err(Untrusted::ShowsKeys(file));
    }
    let mut granted = granted(grounds, exec, rights);
    let (origin, profile) = (rights.origin.clone(), rights.profile.clone());
    let (mut argv, renamed) = called_as_judged(exec);
    if run == Run::Inside {
        let prepared = inside_environment(grounds, variables, speaking(), &granted, origin.as_ref());
        let mut env = environment::entries(&prepared.variables);
        let (dropped, changed) = (prepared.dropped, prepared.changed);
        let variable = |name: &str| grounds.environment.of_server(name);
        granted::add_addresses(rights, grounds.trust, &variable, (&exec.workdir, &mut env));
        let executes = Executes::default();
        let outside = Outside {
            program,
            argv,
            env,
            run,
            granted,
            origin,
            profile,
            executes,
            no_password: None,
            dropped,
            changed,
        };
        return Ok((outside, Concerns { cautions: Vec::new(), reads: Vec::new() }));
    }
    let mut prepared = match exec.confined() {
        // What a confined program gives its helpers is its own, as what it was given is the user's.
        Some(_) => Prepared { variables: variables.iter().cloned().collect(), ..Prepared::default() },
        None => {
            let search_path = grounds.trust.search_path();
            grounds.environment.prepare(variables, speaking(), &granted.env, search_path)
        }
    };
    let executes = match run {
        Run::Confined => {
            git_settings::apply(&program, &granted.may_run, &mut prepared.variables);
            if git_settings::talks_to_nobody(&program, exec.arguments(), &granted.may_run) {
                granted.read.clear();
                granted.hosts.clear();
            }
            argv = git_settings::without_guesses(&program, &argv).unwrap_or(argv);
            let runs_apart = |name: &str| {
                let rights =
                    origin.as_ref().and_then(|origin| grounds.policy.rights_by_profile(name, origin));
                rights.is_some_and(|rights| rights.run == Run::Confined)
            };
            let executes =
                Executes::of(&program, &granted.may_run, grounds.trust, grounds.executed, runs_apart);
            if !executes.shell {
                // Programs start others by it (ssh its ProxyCommand).
                prepared.variables.insert("SHELL".into(), "/bin/sh".into());
            }
            executes
        }
        Run::Outside => {
            let home = grounds.environment.of_server("HOME").map(PathBuf::from);
            granted.read.extend(credentials::of(&program.canonical, home.as_deref()));
            Executes::default()
        }
        Run::Inside | Run::Unconfined => Executes::default(),
    };
    let env = environment::entries(&prepared.variables);
    let (dropped, changed) = (prepared.dropped, prepared.changed);
    let outside = Outside {
        program,
        argv,
        env,
        run,
        granted,
        origin,
        profile,
        executes,
        no_password: None,
        dropped,
        changed,
    };
    let written = (run == Run::Outside).then(|| written_code::found(exec, exec, grounds.trust)).flatten();
    let cautions = renamed.into_iter().chain(cannot).chain(written).collect();
    Ok((outside, Concerns { cautions, reads: reads(exec, grounds.trust) }))
}

/// What a program with grants inside gets of the command's environment. What the caller has asked for as a whole is the whole
/// command's.
fn inside_environment<'r>(
    grounds: &Grounds<'_>,
    variables: &[(OsString, OsString)],
    rules: impl Iterator<Item = &'r RuleMatch> + Clone,
    granted: &Granted,
    origin: Option<&Origin>,
) -> Prepared {
    let is_asked_for = origin.is_some_and(asked_for::is_origin);
    let demanded = rules.flat_map(environment::demanded);
    let free = granted.env.iter().cloned().chain(demanded).chain(is_asked_for.then(|| "*".to_owned()));
    let free: Vec<String> = free.collect();
    let mut prepared =
        grounds.environment.prepare_inside(variables, &free, |path| grounds.trust.without_written(path));
    if is_asked_for {
        prepared.changed.clear();
    }
    prepared
}

/// What a rule grants, here.
fn granted(grounds: &Grounds<'_>, exec: &Exec, rights: &Rights) -> Granted {
    let variable = |name: &str| grounds.environment.of_server(name);
    let mut granted = granted::granted(rights, grounds.trust, &variable, &exec.workdir, grounds.policy);
    // What commands write anyway is protected as it is for them.
    granted.write.retain(|place| !grounds.trust.may_be_written(place));
    granted
}

/// What it would read that a command may have written, one sentence each.
fn reads(exec: &Exec, trust: &Trust) -> Vec<String> {
    let mut sentences = Vec::new();
    if exec.reads_input {
        sentences.push("It reads input from the command.".to_owned());
    }
    let files: Vec<&OsStr> =
        exec.arguments().iter().filter_map(|argument| file_in(argument, exec, trust)).collect();
    let shown: Vec<String> =
        files.iter().take(3).map(|file| code(&shortened(&visible(file.as_bytes()), 200))).collect();
    if !files.is_empty() {
        let more = if files.len() > 3 { format!(" and {} more", files.len() - 3) } else { String::new() };
        sentences.push(format!("It is given {}{more}, which commands can write.", shown.join(", ")));
    }
    sentences
}

/// The file that commands can write in an argument (`FILE`, `--option=FILE`, `@FILE`, `-oFILE`).
fn file_in<'a>(argument: &'a OsStr, exec: &Exec, trust: &Trust) -> Option<&'a OsStr> {
    let bytes = argument.as_bytes();
    let after = |byte: u8| bytes.iter().position(|other| *other == byte).and_then(|at| bytes.get(at + 1..));
    let attached = bytes.get(2..).filter(|_| bytes.starts_with(b"-"));
    let parts = [Some(bytes), after(b'='), after(b'@'), attached];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).map(OsStr::from_bytes).find(|part| {
        let path = exec.workdir.join(part);
        look_at(&path).is_some_and(|state| state.is_regular())
            && path.canonicalize().is_ok_and(|real| trust.may_be_written(&real))
    })
}

/// The argument vector with the name that was judged, for which one file may be many programs; and a caution where the
/// command has called it otherwise.
fn called_as_judged(exec: &Exec) -> (Vec<OsString>, Option<String>) {
    let name = exec.file.file_name().unwrap_or(exec.file.as_os_str());
    let called = exec.argv.first().map(OsString::as_os_str).unwrap_or_default();
    if Path::new(called).file_name() == Some(name) {
        return (exec.argv.clone(), None);
    }
    let argv = std::iter::once(name.to_owned()).chain(exec.arguments().iter().cloned()).collect();
    let shown = |name: &OsStr| code(&shortened(&visible(name.as_encoded_bytes()), 200));
    (argv, Some(format!("the command calls it {}; outside it is called {}", shown(called), shown(name))))
}

#[cfg(test)]
mod tests;
