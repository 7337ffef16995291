//! One command to be judged: the program's path, its arguments, and where it would run.
//!
//! Everything is bytes: arguments and paths need not be UTF-8. Nothing here looks at the file system.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::SystemTime;

use crate::ancestry::Ancestry;
use crate::pattern::normalised;
use crate::subcommands;

/// Options before a sub-command that are each looked behind; nobody needs as many.
const MOST_OPTIONS: usize = 500;

/// A command as the kernel would be asked to execute it, or as a script names it.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    pub(crate) program: Cow<'a, OsStr>,
    pub(crate) args: Vec<Cow<'a, OsStr>>,
    pub(crate) cwd: Option<Cow<'a, Path>>,
    pub(crate) environment: Environment<'a>,
    /// Below which programs it is executed.
    pub(crate) ancestry: Cow<'a, Ancestry>,
    /// When it would be executed.
    pub(crate) time: Option<SystemTime>,
    /// Number of leading arguments that are known; later ones stand as a script wrote them and may become any
    /// number of words.
    pub(crate) certain: Option<usize>,
    /// What a script gives it to read.
    pub(crate) input: Option<Vec<u8>>,
}

/// What is known of the environment that a command would get.
#[derive(Clone, Debug, Default)]
pub enum Environment<'a> {
    /// Nothing: a rule that allows only under a condition on the environment does not apply, a stricter one
    /// does.
    #[default]
    Unknown,
    /// All variables, name and value.
    Known(&'a [(OsString, OsString)]),
}

impl<'a> Command<'a> {
    /// A command with the executable's path (or bare name) and the arguments after `argv[0]`, which rules
    /// never look at.
    pub fn new<P, A>(program: &'a P, args: &'a [A]) -> Self
    where
        P: AsRef<OsStr> + ?Sized,
        A: AsRef<OsStr>,
    {
        Self {
            program: Cow::Borrowed(program.as_ref()),
            args: args.iter().map(|arg| Cow::Borrowed(arg.as_ref())).collect(),
            cwd: None,
            environment: Environment::Unknown,
            ancestry: Cow::Owned(Ancestry::default()),
            time: None,
            certain: None,
            input: None,
        }
    }

    /// A command as typed: the first word is the program. `None` when there is no word.
    #[must_use]
    pub fn from_words<A: AsRef<OsStr>>(words: &'a [A]) -> Option<Self> {
        let (program, args) = words.split_first()?;
        Some(Self::new(program.as_ref(), args))
    }

    /// The same command with the folder that it would start in.
    #[must_use]
    pub fn with_cwd(mut self, cwd: &'a Path) -> Self {
        self.cwd = Some(Cow::Borrowed(cwd));
        self
    }

    /// The same command with the environment that it would get.
    #[must_use]
    pub fn with_environment(mut self, variables: &'a [(OsString, OsString)]) -> Self {
        self.environment = Environment::Known(variables);
        self
    }

    /// The same command, executed below these programs.
    #[must_use]
    pub fn with_ancestry(mut self, ancestry: &'a Ancestry) -> Self {
        self.ancestry = Cow::Borrowed(ancestry);
        self
    }

    /// The same command, executed then.
    #[must_use]
    pub fn at(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// The executable's path or bare name.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The arguments after `argv[0]`.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &OsStr> {
        self.args.iter().map(AsRef::as_ref)
    }

    /// All words, the program first.
    pub(crate) fn words(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(self.program()).chain(self.args())
    }

    /// The arguments after `argv[0]` as bytes.
    pub(crate) fn args_as_bytes(&self) -> Vec<&[u8]> {
        self.args().map(OsStr::as_encoded_bytes).collect()
    }

    /// Number of leading arguments that are what the program would get.
    pub(crate) fn certain_args(&self) -> usize {
        self.certain.unwrap_or(self.args.len()).min(self.args.len())
    }

    pub(crate) fn arg_bytes(&self, index: usize) -> Option<&[u8]> {
        self.args.get(index).map(|arg| arg.as_encoded_bytes())
    }

    /// The arguments at which the command proper may begin for a rule that asks or forbids: the first, and each
    /// behind options before a sub-command (`git --no-pager push`, `git -C folder push`). Which options take a
    /// value is not known here, so a word behind one may be both.
    pub(crate) fn argument_starts(&self) -> Vec<usize> {
        let is_option = |index: usize| {
            let argument = self.arg_bytes(index).unwrap_or_default();
            argument.len() > 1 && argument != b"--" && matches!(argument.first(), Some(b'-' | b'+'))
        };
        let mut starts = vec![0];
        for index in 0..self.args.len() {
            let may_be_value = index > 0 && is_option(index - 1) && self.arg_bytes(index) != Some(b"--");
            if !is_option(index) && !may_be_value {
                break;
            }
            starts.push(index + 1);
        }
        let sub_command = starts.last().copied().unwrap_or_default();
        let is_group = |word| subcommands::is_group(self.basename(), word);
        if self.arg_bytes(sub_command).is_some_and(is_group) {
            starts.push(sub_command + 1);
        }
        // Behind all of them the sub-command stands; between so many nothing does.
        if let Some(last) = starts.len().checked_sub(2).filter(|last| *last > MOST_OPTIONS) {
            starts.drain(MOST_OPTIONS..last);
        }
        starts
    }

    /// The subcommands that the program takes the argument at an index for, besides the one that it is.
    pub(crate) fn meanings(&self, index: usize) -> Vec<&'static str> {
        let Some(word) = self.arg_bytes(index) else { return Vec::new() };
        let rest: Vec<&[u8]> =
            (index + 1..self.args.len()).filter_map(|index| self.arg_bytes(index)).collect();
        subcommands::meanings(self.basename(), word, &rest)
    }

    /// The program's absolute path in its plainest spelling; `None` when that is how it is given, or when it
    /// is relative.
    pub(crate) fn plain_program(&self) -> Option<Vec<u8>> {
        let given = self.program.as_encoded_bytes();
        if !given.starts_with(b"/") {
            return None;
        }
        let normal = normalised(given);
        let plain = without_proc_root(&normal);
        (plain != given).then(|| plain.to_vec())
    }

    /// The last component of the program's path.
    pub(crate) fn basename(&self) -> &[u8] {
        basename(self.program.as_encoded_bytes())
    }
}

/// A path without `/proc/PID/root` before it, which is the root folder by another name (proc(5)).
fn without_proc_root(mut path: &[u8]) -> &[u8] {
    let below = |path: &[u8]| {
        let name = path.strip_prefix(b"/proc/")?;
        let end = name.iter().position(|byte| *byte == b'/')?;
        let rest = path.get(b"/proc/".len() + end..)?;
        let is_root = rest.starts_with(b"/root/");
        is_root.then_some(b"/proc/".len() + end + b"/root".len())
    };
    while let Some(rest) = below(path).and_then(|start| path.get(start..)) {
        path = rest;
    }
    path
}

/// The last component of a path as bytes; the whole when there is no slash.
pub(crate) fn basename(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The name of a program as Windows sees it: in small letters, without its extension, behind either slash.
pub(crate) fn windows_name(path: &str) -> String {
    let path = path.to_lowercase();
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    name.strip_suffix(".exe").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Command, basename};

    #[test]
    fn basename_is_what_follows_the_last_slash() {
        assert_eq!(basename(b"/usr/bin/git"), b"git");
        assert_eq!(basename(b"git"), b"git");
        assert_eq!(basename(b"/usr/bin/"), b"");
    }

    #[test]
    fn plain_spellings_of_a_path_are_found() {
        for (given, plain) in [
            ("/usr/bin/git", None),
            ("git", None),
            ("./git", None),
            ("/usr//bin/./x/../git", Some("/usr/bin/git")),
            ("/proc/self/root/usr/bin/git", Some("/usr/bin/git")),
            ("/proc/1/root/proc/self/root/usr/bin/git", Some("/usr/bin/git")),
            ("/proc/self/rooted/git", None),
        ] {
            let command = Command::new::<str, &str>(given, &[]);
            assert_eq!(command.plain_program().as_deref(), plain.map(str::as_bytes), "{given}");
        }
    }

    #[test]
    fn a_command_may_begin_behind_each_option_and_its_value() {
        for (line, starts) in [
            ("git", vec![0]),
            ("git push -f origin", vec![0]),
            ("git --no-pager push", vec![0, 1, 2]),
            ("git -C a -c b push origin", vec![0, 1, 2, 3, 4]),
            ("git -P push origin main", vec![0, 1, 2]),
            ("cargo +nightly publish", vec![0, 1, 2]),
            ("cat - x", vec![0]),
            ("rm -v -- -f", vec![0, 1]),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(Command::from_words(&words).unwrap().argument_starts(), starts, "{line}");
        }
    }

    #[test]
    fn a_sub_command_behind_very_many_options_is_found() {
        let words: Vec<&str> = std::iter::once("git").chain(["-P"; 9000]).chain(["push", "x"]).collect();
        let starts = Command::from_words(&words).unwrap().argument_starts();
        assert!(starts.len() < 600 && starts.contains(&9000), "{}", starts.len());
    }

    #[test]
    fn no_words_are_no_command() {
        assert!(Command::from_words::<&str>(&[]).is_none());
    }
}
