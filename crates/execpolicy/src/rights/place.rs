//! A path as a rule names it: absolute, in the user's home, or below a variable of the server's environment.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::granted::Surroundings;

/// A path that may begin with `~`, `$NAME` or `$REPO`, as it was written but for slashes too many.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place(String);

impl Place {
    /// The Git directory that the working directory belongs to.
    pub const REPOSITORY: &str = "$REPO";

    /// Reads what a rules file says.
    ///
    /// # Errors
    /// A text for the author.
    pub fn parse(text: &str) -> Result<Place, String> {
        let wrong = |what: &str| Err(format!("`{text}` {what}"));
        if text.contains(['\0', '\n', '\r']) {
            return wrong("has a control character");
        }
        let (start, rest) = text.split_once('/').unwrap_or((text, ""));
        match start {
            "" if text.starts_with('/') => {}
            "~" => {}
            _ => match start.strip_prefix('$') {
                Some(name) if is_variable(name) => {}
                Some(_) => return wrong("does not begin with the name of a variable"),
                None => return wrong("is no absolute path; it begins with `/`, `~/` or `$NAME`"),
            },
        }
        if rest.split('/').any(|part| part == "..") {
            return wrong("goes up by `..`");
        }
        if rest.contains(['*', '?', '[']) {
            return wrong("is a pattern; name the folder, which stands for all below it");
        }
        let rest: Vec<&str> = rest.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let slash = if rest.is_empty() && !start.is_empty() { "" } else { "/" };
        Ok(Place(format!("{start}{slash}{}", rest.join("/"))))
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all of another place lies in this one, as far as their texts say.
    #[must_use]
    pub fn holds(&self, other: &Place) -> bool {
        let rest = other.0.strip_prefix(self.0.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.0 == "/")
    }

    /// The path on this machine, without looking at it; `None` where what it begins with is not known or no absolute
    /// path, or leads up.
    #[must_use]
    pub fn expand(&self, around: &Surroundings<'_>) -> Option<PathBuf> {
        let (start, rest) = self.0.split_once('/').unwrap_or((&self.0, ""));
        let start: PathBuf = match start.strip_prefix('$') {
            _ if start.is_empty() => PathBuf::from("/"),
            None => around.home?.to_owned(),
            Some("REPO") => around.repository?.to_owned(),
            Some("HOME") => around.home?.to_owned(),
            Some(name) => PathBuf::from((around.variable)(name)?),
        };
        let path = if rest.is_empty() { start } else { start.join(rest) };
        (path.is_absolute() && is_straight(&path)).then(|| path.components().collect())
    }
}

fn is_variable(name: &str) -> bool {
    let is_letter = |character: char| character.is_ascii_alphabetic() || character == '_';
    name.starts_with(is_letter)
        && name.chars().all(|character| is_letter(character) || character.is_ascii_digit())
}

fn is_straight(path: &Path) -> bool {
    path.components().all(|part| match part {
        Component::RootDir | Component::Normal(_) | Component::CurDir => true,
        Component::ParentDir | Component::Prefix(_) => false,
    })
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_or_begin_with_what_stands_for_one() {
        for (text, expected) in [
            ("/", "/"),
            ("//srv//x/", "/srv/x"),
            ("/srv/./x", "/srv/x"),
            ("~", "~"),
            ("~/.npm/", "~/.npm"),
            ("$CARGO_HOME/registry", "$CARGO_HOME/registry"),
            ("$REPO", "$REPO"),
            ("/a..b", "/a..b"),
        ] {
            assert_eq!(Place::parse(text).map(|place| place.0).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "", "x", "./x", "~x/y", "$", "$1", "$A-B/c", "${A}/b", "/a/../b", "~/..", "/a/*.rs", "/a\nb",
            "/a\0",
        ] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_place_holds_what_lies_below_it() {
        let place = |text| Place::parse(text).expect(text);
        for (outer, inner, expected) in [
            ("/", "/srv", true),
            ("/srv", "/srv", true),
            ("/srv", "/srv/x", true),
            ("/srv", "/srvx", false),
            ("/srv/x", "/srv", false),
            ("~", "~/.npm", true),
            ("/", "~", false),
        ] {
            assert_eq!(place(outer).holds(&place(inner)), expected, "{outer} {inner}");
        }
    }

    #[test]
    fn what_is_not_known_or_leads_elsewhere_is_no_path() {
        let variable = |name: &str| match name {
            "GOOD" => Some("/good".into()),
            "RELATIVE" => Some("x".into()),
            "UP" => Some("/x/../etc".into()),
            _ => None,
        };
        let around = Surroundings {
            variable: &variable,
            home: Some(Path::new("/home/u")),
            repository: None,
            configured: &|_| Vec::new(),
        };
        for (text, expected) in [
            ("~", Some("/home/u")),
            ("$HOME/.npm", Some("/home/u/.npm")),
            ("~/.npm", Some("/home/u/.npm")),
            ("$GOOD/x", Some("/good/x")),
            ("$GOOD", Some("/good")),
            ("/", Some("/")),
            ("/srv/x", Some("/srv/x")),
            ("$RELATIVE/x", None),
            ("$UP/x", None),
            ("$MISSING", None),
            ("$REPO", None),
        ] {
            let expanded = Place::parse(text).expect(text).expand(&around);
            assert_eq!(expanded.as_deref(), expected.map(Path::new), "{text}");
        }
    }
}
