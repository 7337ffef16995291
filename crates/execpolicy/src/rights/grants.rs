//! What a rule or a profile gives besides the way to run, as it is written.

use super::host::HostPattern;
use super::place::Place;
use super::tool::Tool;

/// Grants by kind. A member that is empty, or false, gives nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// What may be read, with all below it.
    pub read: Vec<Place>,
    /// What may be read and written, with all below it; made when missing.
    pub write: Vec<Place>,
    /// What may be reached over the network.
    pub hosts: Vec<HostPattern>,
    /// The same, as the configuration of these tools names it.
    pub configured_hosts: Vec<Tool>,
    /// Sockets that it may connect to.
    pub sockets: Vec<Place>,
    /// Devices that it may use, as `/dev/NAME`, where `*` stands for any text in a name.
    pub devices: Vec<String>,
    /// Variables that it gets as the command has set them; `*` at the end stands for any text, and alone, in built-in profiles, for all.
    pub env: Vec<String>,
    /// Protected names that it may write, as `.git/config`.
    pub protected: Vec<String>,
    /// Programs that a confined one may execute, by name or full path.
    pub may_run: Vec<String>,
    /// Whether it gets the command's terminal.
    pub tty: bool,
    /// Whether it gets the command's standard input.
    pub stdin: bool,
}

impl Grants {
    /// Whether nothing is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Grants::default()
    }

    /// These and others.
    #[must_use]
    pub fn and(&self, other: &Grants) -> Grants {
        let Grants {
            read,
            write,
            hosts,
            configured_hosts,
            sockets,
            devices,
            env,
            protected,
            may_run,
            tty,
            stdin,
        } = other;
        Grants {
            read: joined(&self.read, read),
            write: joined(&self.write, write),
            hosts: joined(&self.hosts, hosts),
            configured_hosts: joined(&self.configured_hosts, configured_hosts),
            sockets: joined(&self.sockets, sockets),
            devices: joined(&self.devices, devices),
            env: joined(&self.env, env),
            protected: joined(&self.protected, protected),
            may_run: joined(&self.may_run, may_run),
            tty: self.tty || *tty,
            stdin: self.stdin || *stdin,
        }
    }

    /// What both give.
    #[must_use]
    pub fn common(&self, other: &Grants) -> Grants {
        let readable = |grants: &Grants| joined(&grants.read, &grants.write);
        let write = common(&self.write, &other.write, Place::holds);
        let read = common(&readable(self), &readable(other), Place::holds);
        let is_written = |place: &Place| write.iter().any(|written| written.holds(place));
        let same = |one: &String, other: &String| one == other;
        let same_tool = |one: &Tool, other: &Tool| one == other;
        Grants {
            read: read.into_iter().filter(|place| !is_written(place)).collect(),
            hosts: common(&self.hosts, &other.hosts, HostPattern::holds),
            configured_hosts: common(&self.configured_hosts, &other.configured_hosts, same_tool),
            sockets: common(&self.sockets, &other.sockets, Place::holds),
            devices: common(&self.devices, &other.devices, same),
            env: common(&self.env, &other.env, |one, other| one == "*" || one == other),
            protected: common(&self.protected, &other.protected, same),
            may_run: common(&self.may_run, &other.may_run, same),
            tty: self.tty && other.tty,
            stdin: self.stdin && other.stdin,
            write,
        }
    }
}

/// All of both, each once.
fn joined<T: Clone + PartialEq>(one: &[T], other: &[T]) -> Vec<T> {
    let mut all = one.to_vec();
    for new in other {
        if !all.contains(new) {
            all.push(new.clone());
        }
    }
    all
}

/// What lies in one of each.
fn common<T: Clone + PartialEq>(one: &[T], other: &[T], holds: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let in_any = |all: &[T], inner: &T| all.iter().any(|outer| holds(outer, inner));
    let of_one: Vec<T> = one.iter().filter(|inner| in_any(other, inner)).cloned().collect();
    let of_other: Vec<T> = other.iter().filter(|inner| in_any(one, inner)).cloned().collect();
    joined(&of_one, &of_other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(read: &[&str], write: &[&str], hosts: &[&str]) -> Grants {
        let places = |all: &[&str]| all.iter().map(|text| Place::parse(text).expect(text)).collect();
        Grants {
            read: places(read),
            write: places(write),
            hosts: hosts.iter().map(|text| HostPattern::parse(text).expect(text)).collect(),
            ..Grants::default()
        }
    }

    #[test]
    fn what_two_give_is_what_lies_in_both() {
        let one = grants(&["~/.config"], &["~/.npm", "/srv"], &["*.example.org", "a.test:22"]);
        let other =
            grants(&["/srv/x"], &["~/.npm/_cacache", "~/.config/gh"], &["r.example.org:443", "a.test"]);
        let both =
            grants(&["~/.config/gh", "/srv/x"], &["~/.npm/_cacache"], &["a.test:22", "r.example.org:443"]);
        let found = one.common(&other);
        assert_eq!(found.write, both.write);
        assert_eq!(found.hosts, both.hosts);
        assert_eq!(found, Grants { read: found.read.clone(), ..both.clone() });
        assert!(
            both.read.iter().all(|place| found.read.contains(place)) && found.read.len() == 2,
            "{found:?}"
        );
        assert!(one.common(&Grants::default()).is_empty());
        assert_eq!(one.and(&one), one);
    }
}
