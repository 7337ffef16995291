//! What grants open that their author may not have meant.

use super::grants::Grants;
use super::place::Place;

/// Places with all that a user keeps secret in them.
const WIDE: &[(&str, &str)] = &[
    ("/", "shows every secret of this machine that you may read"),
    ("~", "shows every secret in your home: keys, tokens, histories"),
    ("$HOME", "shows every secret in your home: keys, tokens, histories"),
    ("~/.codex", "shows what the server keeps, and tokens of yours"),
    ("$CODEX_HOME", "shows what the server keeps, and tokens of yours"),
];

/// Sockets of services that do what they are told with rights of their own.
const SERVICES: &[(&str, &str)] = &[
    ("docker.sock", "does what it is told with root's rights, outside of every sandbox"),
    ("podman.sock", "runs any program, outside of every sandbox"),
    ("containerd.sock", "does what it is told with root's rights, outside of every sandbox"),
    ("system_bus_socket", "leads to services with root's rights"),
    ("bus", "leads to services that start programs outside of every sandbox"),
];

/// Where rules, and what the server keeps, are.
const OURS: &[&str] = &["$CODEX_HOME", "~/.codex", "$HOME/.codex"];

impl Grants {
    /// Refuses what would be another way to run.
    ///
    /// # Errors
    /// A text for the author.
    pub fn refused(&self) -> Result<(), String> {
        if let Some(place) = self.write.iter().find(|place| ["/", "~", "$HOME"].contains(&place.as_str())) {
            return Err(format!(
                "write `{place}` gives all that is there; name what the program needs, or say run=\"outside\""
            ));
        }
        let ours =
            |place: &&Place| OURS.iter().any(|ours| Place::parse(ours).is_ok_and(|ours| ours.holds(place)));
        match self.write.iter().find(ours) {
            Some(place) => Err(format!("write `{place}`: the rules are there, so it would give everything")),
            None => Ok(()),
        }
    }

    /// What they open, a phrase each.
    #[must_use]
    pub fn opens(&self) -> Vec<String> {
        let mut found = Vec::new();
        for host in self.hosts.iter().filter(|host| host.is_everything()) {
            found.push(format!("hosts `{host}` opens the whole network: what is read can be sent anywhere"));
        }
        for place in &self.read {
            let wide = WIDE.iter().find(|(wide, _)| Place::parse(wide).is_ok_and(|wide| wide == *place));
            found.extend(wide.map(|(_, what)| format!("read `{place}` {what}")));
        }
        for socket in &self.sockets {
            let name = socket.as_str().rsplit('/').next().unwrap_or_default();
            let service = SERVICES.iter().find(|(known, _)| *known == name);
            found.extend(service.map(|(_, what)| format!("the service behind `{socket}` {what}")));
        }
        for name in &self.protected {
            found.push(format!(
                "protected `{name}` can be written: what stands there may be run by you later, with all your rights"
            ));
        }
        found
    }
}
