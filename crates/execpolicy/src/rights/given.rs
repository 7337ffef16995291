//! What all rules that speak about one program give it together.

use std::fmt;
use std::sync::Arc;

use super::caps::Caps;
use super::grants::Grants;
use super::run::Run;
use crate::origin::Origin;

/// The name of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProfileName(String);

impl ProfileName {
    /// Reads what a rules file says.
    ///
    /// # Errors
    /// A text for the author.
    pub fn parse(text: &str) -> Result<ProfileName, String> {
        let is_good = |character: char| character.is_ascii_alphanumeric() || "._+-".contains(character);
        if text.starts_with(|character: char| character.is_ascii_alphanumeric())
            && text.chars().all(is_good)
            && text.len() <= 64
        {
            return Ok(ProfileName(text.to_owned()));
        }
        Err(format!("`{text}` is no name of a profile: letters, digits and `._+-`, 64 at most"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where rights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// No rule speaks.
    Nothing,
    /// The rule says so.
    Rule,
    /// The rule says nothing of it; a profile of the program's name does.
    ProfileOfProgram,
    /// The rule says nothing of it, and the program runs what it is given: this way.
    RunsWhatItIsGiven(&'static str),
    /// The rule says nothing of it, and nothing else is known of the program.
    PlainRule,
    /// What the rule names is not there.
    Missing,
}

/// How one program runs, and what it is granted for that.
#[must_use]
#[derive(Clone, Debug)]
pub struct Rights {
    /// How it runs.
    pub run: Run,
    /// The profile that says so, if one does.
    pub profile: Option<ProfileName>,
    /// What it is granted besides; of nothing more where it has the user's rights.
    pub grants: Grants,
    /// The rule that gives the rights; `None`: none does.
    pub origin: Option<Origin>,
    /// Where they come from.
    pub source: Source,
    /// Whether an administrator's bounds have made them smaller.
    pub is_capped: bool,
    /// What is granted and not given here, with the reason, each a phrase for people.
    pub withheld: Vec<String>,
    pub(crate) caps: Arc<Caps>,
}

impl Rights {
    /// What commands may do anyway.
    pub fn none() -> Rights {
        Rights {
            run: Run::Inside,
            profile: None,
            grants: Grants::default(),
            origin: None,
            source: Source::Nothing,
            is_capped: false,
            withheld: Vec::new(),
            caps: Arc::default(),
        }
    }

    /// Whether it is nothing but what commands may do anyway.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.run == Run::Inside && self.grants.is_empty()
    }

    /// Whether they give the same.
    #[must_use]
    pub fn are_those_of(&self, other: &Rights) -> bool {
        self.run == other.run && (self.run == Run::Unconfined || self.grants == other.grants)
    }

    /// What both give. With the user's rights everything that others grant is given, but to read what is hidden: that
    /// is for what runs unconfined, or is granted.
    pub fn common(self, other: Rights) -> Rights {
        let (small, large) = if self.run <= other.run { (self, other) } else { (other, self) };
        if large.run == Run::Unconfined && !small.run.has_the_users_rights() {
            return small;
        }
        if large.run == Run::Outside && !small.run.has_the_users_rights() {
            let read = small.grants.common(&large.grants).read;
            return Rights { grants: Grants { read, ..small.grants }, ..small };
        }
        let grants = small.grants.common(&large.grants);
        let profile = small.profile.clone().filter(|_| grants == small.grants);
        Rights { grants, profile, ..small }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights::HostPattern;

    #[test]
    fn of_two_rights_the_smaller_are_given() {
        let rights = |run, hosts: &[&str]| Rights {
            run,
            grants: Grants {
                hosts: hosts.iter().map(|host| HostPattern::parse(host).expect(host)).collect(),
                ..Grants::default()
            },
            ..Rights::none()
        };
        let inside = rights(Run::Inside, &["a.test"]);
        let both = |one: &Rights, other: &Rights| one.clone().common(other.clone());
        assert!(both(&rights(Run::Outside, &[]), &inside).are_those_of(&inside));
        assert!(both(&inside, &rights(Run::Unconfined, &[])).are_those_of(&inside));
        assert!(both(&inside, &rights(Run::Confined, &["b.test"])).is_none());
        assert!(both(&inside, &Rights::none()).is_none());
    }

    #[test]
    fn names_are_words() {
        assert!(["git", "g++", "npm.ci", "a-b_c"].into_iter().all(|name| ProfileName::parse(name).is_ok()));
        assert!(
            ["", "a b", "-x", "a/b", "a\"b", "ä"].into_iter().all(|name| ProfileName::parse(name).is_err())
        );
    }
}
