//! Who asks, and what he may do.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::secret::Sealed;

/// The longest name of somebody, in bytes.
const MAX_NAME: usize = 256;

/// Letters of a name that its folder's name begins with.
const NAME_LETTERS: usize = 24;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Run commands, in a place of his own.
    Run,
    /// Answer the questions of everybody's commands.
    Approve,
    /// See how the server does.
    Admin,
}

/// What somebody may do, all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scopes(u8);

/// By which way it is known who somebody is: the same name by another way is somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Way {
    /// Who has started the server; there is nobody else.
    Owner,
    /// A token of the file.
    Token,
    /// A token that an authorization server has signed.
    OAuth,
    /// A proxy's word.
    Proxy,
}

/// Somebody, whatever he may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) way: Way,
    pub(super) name: String,
}

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Principal {
    pub(super) identity: Identity,
    pub(super) scopes: Scopes,
}

impl Scope {
    /// All of them.
    pub(super) const ALL: [Scope; 3] = [Scope::Run, Scope::Approve, Scope::Admin];

    /// As it is written in tokens.
    pub(super) fn name(self) -> &'static str {
        match self {
            Scope::Run => "shell:run",
            Scope::Approve => "shell:approve",
            Scope::Admin => "shell:admin",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Scope::Run => 1,
            Scope::Approve => 2,
            Scope::Admin => 4,
        }
    }
}

impl Scopes {
    /// None.
    pub(super) const NONE: Scopes = Scopes(0);

    /// These words; those of others mean nothing here.
    pub(super) fn of_words<'w>(words: impl IntoIterator<Item = &'w str>) -> Scopes {
        words
            .into_iter()
            .filter_map(|word| Scope::ALL.into_iter().find(|scope| scope.name() == word))
            .collect()
    }

    /// The same and one more.
    #[must_use]
    pub(super) fn with(self, scope: Scope) -> Scopes {
        Scopes(self.0 | scope.bit())
    }

    /// Whether it is among them.
    pub(super) fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Scopes {
        scopes.into_iter().fold(Scopes::NONE, Scopes::with)
    }
}

impl Identity {
    /// The user who has started the server.
    pub(super) fn owner() -> Identity {
        Identity { way: Way::Owner, name: "owner".into() }
    }

    /// Somebody with this name; `None`: it is no name.
    pub(super) fn new(way: Way, name: &str) -> Option<Identity> {
        let is_one = !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
        is_one.then(|| Identity { way, name: name.to_owned() })
    }

    /// What his folder is called: beginning like his name, and as no other's; with a secret, as nobody guesses.
    pub(super) fn folder_name(&self, secret: &str) -> String {
        let way = match self.way {
            Way::Owner => "owner",
            Way::Token => "token",
            Way::OAuth => "oauth",
            Way::Proxy => "proxy",
        };
        let letters = self.name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-');
        let begin: String = letters.take(NAME_LETTERS).collect();
        let sealed = Sealed::of(format!("{secret}{way}:{}", self.name).as_bytes());
        format!("{begin}-{}", sealed.long())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_words_and_others_mean_nothing() {
        let scopes = Scopes::of_words(["shell:run", "openid", "shell:admin", "SHELL:APPROVE"]);
        assert_eq!(Scope::ALL.map(|scope| scopes.has(scope)), [true, false, true]);
        assert_eq!(Scopes::of_words([]), Scopes::NONE);
    }

    #[test]
    fn names_can_be_shown() {
        assert!(Identity::new(Way::Proxy, "CN=Ann, O=Example").is_some());
        for name in ["", "a\nb", "\u{1b}[2J", &"x".repeat(MAX_NAME + 1)] {
            assert!(Identity::new(Way::Proxy, name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn folders_are_named_for_one_alone_and_lead_nowhere() {
        let named = |way, name: &str| Identity::new(way, name).unwrap().folder_name("");
        let names = [
            named(Way::Token, "ann"),
            named(Way::OAuth, "ann"),
            named(Way::OAuth, "an n"),
            named(Way::OAuth, "../../etc"),
            named(Way::OAuth, "/"),
            named(Way::OAuth, &"x".repeat(200)),
        ];
        for name in &names {
            assert!(!name.contains(['/', '.']) && name.len() < 64, "{name}");
        }
        let mut distinct = names.to_vec();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), names.len());
        let ann = Identity::new(Way::Token, "ann").unwrap();
        assert_ne!(ann.folder_name("a secret"), names[0]);
    }
}
