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

/// Variables by which widely used programs are led to run something else. Others do the same.
const LEADING: &[&str] = &[
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "DYLD_INSERT_LIBRARIES",
    "PATH",
    "BASH_ENV",
    "ENV",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYLIB",
    "RUBYOPT",
    "JAVA_TOOL_OPTIONS",
    "CLASSPATH",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "GIT_SSH_COMMAND",
    "GIT_SSH",
    "GIT_EDITOR",
    "GIT_PAGER",
    "GIT_CONFIG_COUNT",
    "GIT_EXEC_PATH",
    "SSH_ASKPASS",
    "RUSTC_WRAPPER",
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
        for pattern in self.env.iter().filter(|pattern| *pattern != "*") {
            let led = LEADING.iter().find(|name| fits(pattern, name));
            found.extend(led.map(|name| {
                let named = if name == pattern { String::new() } else { format!(", {name} among them,") };
                format!(
                    "env `{pattern}`{named} lets a command lead it to run anything, with what is granted here"
                )
            }));
        }
        for name in &self.protected {
            found.push(format!(
                "protected `{name}` can be written: what stands there may be run by you later, with all your rights"
            ));
        }
        found
    }
}

/// Whether a variable is one that a pattern stands for.
fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}
