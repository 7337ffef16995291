//! One command → the commands nested in it.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

use super::options::{self, CommandStart};
use super::shells::Task;
use super::table::{Runs, Wrapper};
use super::{find, shells, table};
use crate::ancestry::Ancestry;
use crate::command::{Command, Environment};
use crate::shell::{self, Doubt, ScriptCommand};
use crate::sys::os_string;

/// What a command would run.
#[derive(Debug, Default)]
pub(crate) struct Nested<'c> {
    /// The nested commands, in the order of the text.
    pub(crate) commands: Vec<Command<'c>>,
    /// Why allowing each of them would not allow the whole; `None` when it would.
    pub(crate) doubt: Option<Doubt>,
}

/// Bytes of scripts that are read to judge one command, those in scripts included. Twice the longest single
/// script: a text that repeats its parts at every level of nesting ends here rather than after minutes.
const MAX_READ: usize = 2 * shell::MAX_SCRIPT;

/// How much more may be read to judge one command.
#[derive(Debug)]
pub(crate) struct ReadBudget {
    bytes: usize,
}

impl Default for ReadBudget {
    fn default() -> Self {
        Self { bytes: MAX_READ }
    }
}

impl ReadBudget {
    /// Takes what reading a script costs; `false` when not so much is left.
    fn take(&mut self, script: &[u8]) -> bool {
        match self.bytes.checked_sub(script.len()) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => false,
        }
    }
}

/// Whether a program of this base name runs the programs in its arguments.
pub(crate) fn runs_commands(name: &[u8]) -> bool {
    let built_apart: &[&[u8]] =
        &[b"eval", b"find", b"gfind", b"gwatch", b"runuser", b"script", b"source", b"su", b"trap", b"watch"];
    let is_wrapper = table::row(name).is_some_and(|wrapper| wrapper.runs != Runs::File);
    shells::is_shell(name) || built_apart.contains(&name) || is_wrapper
}

/// Tells whether a program of this base name runs others on what it finds or reads, which its arguments do not show.
pub(crate) fn finds_operands(name: &[u8]) -> bool {
    [&b"find"[..], b"fd", b"fdfind", b"xargs", b"parallel"].contains(&name)
}

/// Whether what a command runs is never executed: it becomes that itself, or reads it.
pub(crate) fn runs_in_its_own_process(command: &Command<'_>) -> bool {
    let name = command.basename();
    let reads = || shells::is_shell(name) && matches!(shells::task(command), Task::File(_));
    table::runs_in_its_own_process(name) || reads()
}

/// What a command would run; `None` when it is not known to run others. `input` is what a script feeds it to
/// read.
pub(crate) fn nested<'c>(
    command: &'c Command<'_>,
    input: Option<&[u8]>,
    budget: &mut ReadBudget,
) -> Option<Nested<'c>> {
    let name = command.basename();
    if shells::is_shell(name) {
        return Some(match (shells::task(command), input) {
            (Task::Script(script), _) => script_commands(script, command, budget),
            (Task::Input, Some(input)) => script_commands(input, command, budget),
            // What the file holds is not known, so allowing its name allows nothing.
            (Task::File(index), _) => Nested {
                commands: tail(command, index, &CommandStart::at(index)).into_iter().map(as_file).collect(),
                doubt: Some(Doubt::MoreThanSeen),
            },
            (Task::Input, None) => Nested { commands: Vec::new(), doubt: Some(Doubt::MoreThanSeen) },
        });
    }
    match name {
        b"eval" => Some(script_commands(&joined(command, 0), command, budget)),
        b"watch" | b"gwatch" => {
            Some(in_doubt(script_commands(&joined(command, watch_start(command)), command, budget)))
        }
        b"trap" => command.arg_bytes(0).map(|script| in_doubt(script_commands(script, command, budget))),
        b"su" | b"runuser" | b"script" => script_option(command, budget),
        b"find" | b"gfind" => Some(found(command)).filter(|nested| !nested.commands.is_empty()),
        b"." | b"source" | b"alias" => {
            Some(Nested { commands: Vec::new(), doubt: Some(Doubt::MoreThanSeen) })
        }
        _ => table::row(name).and_then(|wrapper| wrapped(wrapper, command, budget)),
    }
}

fn in_doubt(mut nested: Nested<'_>) -> Nested<'_> {
    nested.doubt.get_or_insert(Doubt::MoreThanSeen);
    nested
}

/// The command behind a wrapper's own arguments.
fn wrapped<'c>(wrapper: &Wrapper, command: &'c Command<'_>, budget: &mut ReadBudget) -> Option<Nested<'c>> {
    let arguments = command.args_as_bytes();
    if wrapper.names.contains(&"env")
        && let Some(nested) = split_string(command, &arguments, budget)
    {
        return Some(nested);
    }
    let start = options::command_start(wrapper, &arguments)?;
    let computed = command.certain.is_some_and(|certain| certain <= start.index);
    // A value of an unknown option, or a script's variable, may stand where the command seems to begin; then
    // it begins one later.
    let starts =
        if start.certain && !computed { start.index..start.index + 1 } else { start.index..start.index + 2 };
    let commands = starts.filter_map(|index| tail(command, index, &start));
    let commands: Vec<Command<'c>> = match wrapper.runs {
        Runs::File => commands.map(as_file).collect(),
        Runs::AsItIs | Runs::Otherwise => commands.collect(),
    };
    let doubt = match wrapper.runs {
        Runs::AsItIs if computed => Some(Doubt::DynamicProgram),
        Runs::Otherwise | Runs::File => Some(Doubt::MoreThanSeen),
        Runs::AsItIs if !start.certain => Some(Doubt::UnknownOption),
        Runs::AsItIs if !start.harmless => Some(Doubt::SetsVariables),
        Runs::AsItIs => None,
    };
    (!commands.is_empty()).then_some(Nested { commands, doubt })
}

/// The command that begins at one of the arguments.
fn tail<'c>(command: &'c Command<'_>, index: usize, start: &CommandStart) -> Option<Command<'c>> {
    let (program, args) = command.args.get(index..)?.split_first()?;
    let mut nested = Command::new::<OsStr, _>(program, args);
    nested.certain = command.certain.map(|certain| certain.saturating_sub(index + 1));
    if command.certain.is_some_and(|certain| certain <= index) {
        // The program itself is not known; its text is judged all the same, by rules that ask or forbid.
        nested.certain = Some(0);
    }
    if !start.changes_environment {
        inherit(&mut nested, command);
    }
    Some(nested)
}

/// The same for a file that is read: a bare name is no program to be looked up.
fn as_file(mut command: Command<'_>) -> Command<'_> {
    if !command.program.as_encoded_bytes().contains(&b'/') {
        let mut path = OsString::from("./");
        path.push(&command.program);
        command.program = Cow::Owned(path);
    }
    command
}

fn inherit<'c>(nested: &mut Command<'c>, outer: &'c Command<'_>) {
    nested.cwd = outer.cwd.as_deref().map(Cow::Borrowed);
    if let Environment::Known(variables) = outer.environment {
        nested.environment = Environment::Known(variables);
    }
}

/// `env -S 'command and arguments'`.
fn split_string<'c>(
    command: &'c Command<'_>,
    arguments: &[&[u8]],
    budget: &mut ReadBudget,
) -> Option<Nested<'c>> {
    let (index, text) = arguments.iter().enumerate().find_map(|(index, argument)| {
        if let Some(text) = argument.strip_prefix(b"--split-string=") {
            return Some((index, text));
        }
        let group = argument.strip_prefix(b"-").filter(|group| !group.starts_with(b"-"))?;
        let letter = group.iter().position(|letter| *letter == b'S')?;
        match group.get(letter + 1..) {
            Some(text) if !text.is_empty() => Some((index, text)),
            Some(_) | None => arguments.get(index + 1).map(|text| (index + 1, *text)),
        }
    })?;
    let before_command = |index: &usize| {
        let argument = arguments.get(*index).copied().unwrap_or_default();
        argument.starts_with(b"-") || options::assigned_name(argument).is_some()
    };
    if !(0..index).all(|index| before_command(&index)) {
        return None;
    }
    let mut script = text.to_vec();
    for argument in command.args.get(index + 1..).unwrap_or_default() {
        script.push(b' ');
        script.extend(quoted(argument));
    }
    Some(in_doubt(script_commands(&script, command, budget)))
}

/// A word in quotes, for a text that is read as a script again.
fn quoted(word: &OsStr) -> Vec<u8> {
    shlex::bytes::try_quote(word.as_encoded_bytes()).map_or_else(|_| Vec::new(), Cow::into_owned)
}

/// `su -c SCRIPT` and its like: the script runs with other rights.
fn script_option<'c>(command: &'c Command<'_>, budget: &mut ReadBudget) -> Option<Nested<'c>> {
    let arguments = command.args_as_bytes();
    let script = arguments.iter().enumerate().find_map(|(index, argument)| match *argument {
        b"-c" | b"--command" | b"--session-command" => arguments.get(index + 1).copied(),
        other => other.strip_prefix(b"--command=").or_else(|| other.strip_prefix(b"--session-command=")),
    })?;
    Some(in_doubt(script_commands(script, command, budget)))
}

/// The commands in find's arguments; what is found becomes part of them.
fn found<'c>(command: &'c Command<'_>) -> Nested<'c> {
    let arguments = command.args_as_bytes();
    let commands = find::commands(&arguments).into_iter().filter_map(|range| {
        let (program, args) = command.args.get(range)?.split_first()?;
        let mut nested = Command::new::<OsStr, _>(program, args);
        let has_name = |arg: &Cow<'_, OsStr>| arg.as_encoded_bytes().windows(2).any(|pair| pair == b"{}");
        nested.certain = args.iter().position(has_name);
        inherit(&mut nested, command);
        nested.cwd = None;
        Some(nested)
    });
    Nested { commands: commands.collect(), doubt: Some(Doubt::MoreThanSeen) }
}

/// The commands of a script, which inherit nothing: earlier lines may have changed folder and environment.
fn script_commands(script: &[u8], shell: &Command<'_>, budget: &mut ReadBudget) -> Nested<'static> {
    if !budget.take(script) {
        return Nested { commands: Vec::new(), doubt: Some(Doubt::TooLarge) };
    }
    let script = shell::read(script);
    let doubt = match shell.certain {
        Some(_) => Some(Doubt::DynamicProgram),
        None => script.doubt,
    };
    let mut nested = Nested { commands: Vec::new(), doubt };
    for command in script.commands {
        nested.commands.extend(script_command(command));
    }
    nested
}

fn script_command(command: ScriptCommand) -> Option<Command<'static>> {
    let certain = command.words.iter().position(|word| !word.certain);
    let mut words = command.words.into_iter().map(|word| Cow::Owned(os_string(word.bytes)));
    let program = words.next()?;
    Some(Command {
        program,
        args: words.collect(),
        cwd: None,
        environment: Environment::Unknown,
        ancestry: Cow::Owned(Ancestry::default()),
        time: None,
        certain: certain.map(|index| index.saturating_sub(1)),
        input: command.input,
    })
}

/// The arguments from one on, joined by spaces, as `eval` reads them.
fn joined(command: &Command<'_>, from: usize) -> Vec<u8> {
    command.args_as_bytes().get(from..).unwrap_or_default().join(&b' ')
}

/// Index of the command in watch's arguments.
fn watch_start(command: &Command<'_>) -> usize {
    let takes_value = |option: &[u8]| {
        matches!(option, b"-n" | b"-q" | b"-s" | b"--interval" | b"--equexit" | b"--shotsdir")
    };
    let mut index = 0;
    while let Some(argument) = command.arg_bytes(index).filter(|argument| argument.starts_with(b"-")) {
        index += if takes_value(argument) { 2 } else { 1 };
    }
    index
}
