//! The rights that a program had, as records and results have them.

use std::path::PathBuf;

use execpolicy::Run;
use execpolicy::rights::{Granted, ProfileName};
use serde::{Deserialize, Serialize};

use crate::visible::visible;

/// How a program ran, and what it was granted; what is empty is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RightsRecord {
    /// `inside`, `confined`, `outside` or `unconfined`.
    pub run: String,
    /// The profile that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What it could reach over the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// What it could read besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// What it could write besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// Sockets that it could connect to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<String>,
    /// Devices that it could use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Variables that it got from the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Protected names that it could write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<String>,
    /// Programs that it could execute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_run: Vec<String>,
    /// Whether it had the command's terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tty: bool,
    /// Whether it had the command's standard input.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stdin: bool,
}

impl RightsRecord {
    /// What commands may do anyway.
    #[must_use]
    pub fn inside() -> RightsRecord {
        RightsRecord::new(Run::Inside, None, &Granted::default())
    }

    /// A way to run, the profile that says so, and what was granted. With everything nothing is granted.
    #[must_use]
    pub fn new(run: Run, profile: Option<&ProfileName>, granted: &Granted) -> RightsRecord {
        let nothing = Granted::default();
        let granted = if run == Run::Unconfined { &nothing } else { granted };
        let texts = |paths: &[PathBuf]| {
            paths.iter().map(|path| visible(path.as_os_str().as_encoded_bytes())).collect()
        };
        RightsRecord {
            run: run.word().to_owned(),
            profile: profile.map(ToString::to_string),
            hosts: granted.hosts.iter().map(ToString::to_string).collect(),
            read: texts(&granted.read),
            write: texts(&granted.write),
            sockets: texts(&granted.sockets),
            devices: granted.devices.clone(),
            env: granted.env.clone(),
            protected: granted.protected.clone(),
            may_run: granted.may_run.clone(),
            tty: granted.tty,
            stdin: granted.stdin,
        }
    }

    /// The arguments of a rule that gives the same.
    #[must_use]
    pub fn as_arguments(&self) -> String {
        let quoted = |text: &String| execpolicy::amend::quoted(text);
        let run = format!("run={}", quoted(&self.run));
        if let Some(profile) = &self.profile {
            return format!("{run}, profile={}", quoted(profile));
        }
        if Run::from_word(&self.run).is_none_or(Run::has_the_users_rights) {
            return run;
        }
        let lists = [
            ("hosts", &self.hosts),
            ("read", &self.read),
            ("write", &self.write),
            ("sockets", &self.sockets),
            ("devices", &self.devices),
            ("env", &self.env),
            ("protected", &self.protected),
            ("may_run", &self.may_run),
        ];
        let lists = lists.into_iter().filter(|(_, values)| !values.is_empty());
        let lists = lists.map(|(name, values)| {
            let values: Vec<String> = values.iter().map(quoted).collect();
            format!("\"{name}\": [{}]", values.join(", "))
        });
        let flags = [("tty", self.tty), ("stdin", self.stdin)];
        let flags =
            flags.into_iter().filter(|(_, given)| *given).map(|(name, _)| format!("\"{name}\": True"));
        let members: Vec<String> = lists.chain(flags).collect();
        match members.is_empty() {
            true => run,
            false => format!("{run}, grants={{{}}}", members.join(", ")),
        }
    }

    /// What was given besides the way to run, a phrase each.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        let profile = self.profile.iter().map(|profile| format!("profile {profile}"));
        let lists = [
            ("network to", &self.hosts),
            ("reading", &self.read),
            ("writing", &self.write),
            ("sockets", &self.sockets),
            ("devices", &self.devices),
            ("protected", &self.protected),
        ];
        let lists = lists.into_iter().filter(|(_, values)| !values.is_empty());
        profile.chain(lists.map(|(what, values)| format!("{what} {}", values.join(", ")))).collect()
    }
}
