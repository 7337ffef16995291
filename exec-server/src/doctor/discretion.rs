//! Takes out of a report what is nobody's business but the user's: people paste it into public places.

use std::path::PathBuf;

/// Names that say nothing about anybody, and words of ours.
const NOBODYS: &[&str] = &["root", "nobody", "user"];

/// What must not be read in a report.
#[derive(Debug, Default)]
pub(super) struct Discretion {
    homes: Vec<PathBuf>,
    /// Names, and what is shown in their place.
    names: Vec<(String, &'static str)>,
}

impl Discretion {
    /// Finds the user's names and homes, and the host's name.
    pub(super) fn new() -> Discretion {
        let variable = |name| std::env::var(name).ok();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let uid = rustix::process::getuid().as_raw().to_string();
        let entry = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let entry = entry.into_iter().find(|fields| fields.get(2) == Some(&uid.as_str())).unwrap_or_default();
        let homes: Vec<PathBuf> = std::env::var_os("HOME")
            .map(PathBuf::from)
            .into_iter()
            .chain(entry.get(5).map(PathBuf::from))
            .flat_map(|home| [home.canonicalize().ok(), Some(home)])
            .flatten()
            .filter(|home| home.parent().is_some())
            .collect();
        let of_homes = homes.iter().filter_map(|home| Some(home.file_name()?.to_str()?.to_owned()));
        let users: Vec<String> = ["USER", "LOGNAME"]
            .into_iter()
            .filter_map(variable)
            .chain(entry.first().map(|name| (*name).to_owned()))
            .chain(of_homes)
            .collect();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let short = host.split('.').next().unwrap_or_default().to_owned();
        let names = users.into_iter().map(|name| (name, "USER"));
        let names =
            names.chain([host, short, variable("HOSTNAME").unwrap_or_default()].map(|name| (name, "HOST")));
        Discretion {
            homes: homes.clone(),
            names: names.filter(|(name, _)| name.len() > 2 && !NOBODYS.contains(&name.as_str())).collect(),
        }
    }

    /// Writes homes as `~`, and names as `USER` and `HOST`.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for home in &self.homes {
            text = replace_words(&text, &home.to_string_lossy(), "~");
        }
        for (name, shown) in &self.names {
            text = replace_words(&text, name, shown);
        }
        text
    }
}

/// Replaces a word where it is not a part of a longer one.
fn replace_words(text: &str, word: &str, by: &str) -> String {
    let continues = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut made = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let whole = !continues(before.chars().next_back().or(made.chars().next_back()))
            && !continues(after.chars().next());
        made.push_str(before);
        made.push_str(if whole { by } else { word });
        rest = after;
    }
    made + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_and_names_are_not_told() {
        let discretion = Discretion {
            homes: vec!["/home/alice".into()],
            names: vec![("alice".into(), "USER"), ("tower".into(), "HOST")],
        };
        for (text, shown) in [
            ("/home/alice/work, /home/alice", "~/work, ~"),
            ("/home/alice2/x", "/home/alice2/x"),
            ("/srv/alice-data on tower.example", "/srv/USER-data on HOST.example"),
            ("malice", "malice"),
        ] {
            assert_eq!(discretion.apply(text), shown);
        }
    }
}
