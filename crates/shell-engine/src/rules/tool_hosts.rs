//! The hosts that tools are set up for by the user: registries, indexes, proxies, servers.
//!
//! Read from the configuration of the user and of the machine, and from the server's own environment. A project's own
//! files are not looked at, and none that commands can write: an agent would choose the hosts. What a tool does not
//! find there, its built-in default, is not known here.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use execpolicy::rights::{HostPattern, Tool};

/// Largest configuration file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Hosts of one tool; nobody has as many.
const MOST_HOSTS: usize = 64;

/// What tools' configuration is found by.
pub(crate) struct ToolConfiguration<'a> {
    /// The user's home.
    pub(crate) home: Option<&'a Path>,
    /// A variable of the server's own environment.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Whether commands can write a file, so that it says nothing about what the user wants.
    pub(crate) may_be_written: &'a dyn Fn(&Path) -> bool,
}

impl ToolConfiguration<'_> {
    /// The hosts that a tool is set up for.
    pub(crate) fn hosts(&self, tool: Tool) -> Vec<HostPattern> {
        let mut found = match tool {
            Tool::Npm => self.npm(),
            Tool::Cargo => self.cargo(),
            Tool::Pip => self.pip(),
            Tool::Go => self.go(),
            Tool::Gh => self.gh(),
            Tool::Kubectl => self.kubectl(),
        };
        found.sort();
        found.dedup();
        found.truncate(MOST_HOSTS);
        found.iter().filter_map(|host| HostPattern::parse(host).ok()).collect()
    }

    /// What tells a tool where to fetch from whose configuration is hidden from commands, because it may hold tokens: the
    /// addresses alone, as variables.
    pub(crate) fn addresses(&self, tool: Tool, workdir: &Path) -> Vec<(&'static str, String)> {
        let found = match tool {
            // A variable would count more than the project's file.
            Tool::Npm if workdir.join(".npmrc").exists() => Vec::new(),
            Tool::Npm => {
                let user = self.named("NPM_CONFIG_USERCONFIG").unwrap_or_else(|| self.in_home(".npmrc"));
                vec![("npm_config_registry", self.value_in(&[user], "registry"))]
            }
            Tool::Pip => {
                let files = [self.in_config("pip/pip.conf"), self.in_home(".pip/pip.conf")];
                vec![
                    ("PIP_INDEX_URL", self.value_in(&files, "index-url")),
                    ("PIP_EXTRA_INDEX_URL", self.value_in(&files, "extra-index-url")),
                ]
            }
            Tool::Cargo | Tool::Go | Tool::Gh | Tool::Kubectl => Vec::new(),
        };
        found.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The one address that a key has in the first of these files that has it, without what logs in.
    fn value_in(&self, files: &[PathBuf], key: &str) -> Option<String> {
        let texts = files.iter().filter_map(|file| self.text(file));
        let value = texts.filter_map(|text| {
            let mut pairs = text.lines().filter_map(|line| key_and_value(line.trim()));
            pairs.find(|(name, _)| *name == key).map(|(_, value)| value.trim().to_owned())
        });
        let value = value.into_iter().next()?;
        let (scheme, rest) = value.split_once("://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.rsplit('@').next()?;
        let is_plain = !value.contains(['$', '"', '\'']) && !value.contains(char::is_whitespace);
        is_plain.then(|| format!("{scheme}://{host}/{path}"))
    }

    /// npmrc(5), and the files of pnpm and Yarn.
    fn npm(&self) -> Vec<String> {
        let user = self.named("NPM_CONFIG_USERCONFIG").unwrap_or_else(|| self.in_home(".npmrc"));
        let global = self.named("NPM_CONFIG_GLOBALCONFIG").unwrap_or_default();
        let machine = ["/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc"].map(PathBuf::from);
        let more = [self.in_config("pnpm/rc"), self.in_home(".yarnrc"), self.in_home(".yarnrc.yml")];
        let files = [user, global].into_iter().chain(machine).chain(more);
        let is_registry = |key: &str| {
            key == "registry"
                || key.ends_with(":registry")
                || key == "npmRegistryServer"
                || key.ends_with("proxy")
        };
        let mut found = self.urls_in(files, is_registry);
        found.extend(self.urls_of(&[
            "npm_config_registry",
            "NPM_CONFIG_REGISTRY",
            "YARN_NPM_REGISTRY_SERVER",
        ]));
        found
    }

    /// The Cargo Book, "Configuration": of Cargo's own folder alone.
    fn cargo(&self) -> Vec<String> {
        let folder = self.named("CARGO_HOME").unwrap_or_else(|| self.in_home(".cargo"));
        let files = [folder.join("config.toml"), folder.join("config")];
        self.urls_in_toml(files, &["registry", "index", "git"])
    }

    /// pip's "Configuration Files", and uv's files and variables.
    fn pip(&self) -> Vec<String> {
        let files = [
            self.named("PIP_CONFIG_FILE").unwrap_or_default(),
            self.in_config("pip/pip.conf"),
            self.in_home(".pip/pip.conf"),
            "/etc/pip.conf".into(),
            "/etc/xdg/pip/pip.conf".into(),
        ];
        let is_index = |key: &str| ["index-url", "extra-index-url", "find-links", "proxy"].contains(&key);
        let mut found = self.urls_in(files, is_index);
        let of_uv = [self.in_config("uv/uv.toml"), "/etc/uv/uv.toml".into()];
        found.extend(self.urls_in_toml(of_uv, &["url", "index-url", "extra-index-url", "find-links"]));
        found.extend(self.urls_of(&[
            "PIP_INDEX_URL",
            "PIP_EXTRA_INDEX_URL",
            "UV_INDEX_URL",
            "UV_EXTRA_INDEX_URL",
            "UV_DEFAULT_INDEX",
            "UV_INDEX",
        ]));
        found
    }

    /// `GOPROXY` and `GOSUMDB`, of the environment and of `go env -w`.
    fn go(&self) -> Vec<String> {
        let mut found = self.urls_in([self.in_config("go/env")], |key| ["GOPROXY", "GOSUMDB"].contains(&key));
        found.extend(self.urls_of(&["GOPROXY", "GOSUMDB"]));
        found
    }

    /// The hosts that `gh auth login` has written down; of some the interface is at `api.` before the name.
    fn gh(&self) -> Vec<String> {
        let folder = self.named("GH_CONFIG_DIR").unwrap_or_else(|| self.in_config("gh"));
        let text = self.text(&folder.join("hosts.yml")).unwrap_or_default();
        let hosts = text.lines().filter(|line| !line.starts_with([' ', '\t', '#', '-']));
        let hosts = hosts.filter_map(|line| line.trim_end().strip_suffix(':').map(str::to_owned));
        let of_variable = (self.variable)("GH_HOST").and_then(|host| host.into_string().ok());
        hosts.chain(of_variable).flat_map(|host| [format!("api.{host}"), host]).collect()
    }

    /// The servers of `$KUBECONFIG`, else of `~/.kube/config`.
    fn kubectl(&self) -> Vec<String> {
        let files: Vec<PathBuf> = match (self.variable)("KUBECONFIG").filter(|list| !list.is_empty()) {
            Some(list) => std::env::split_paths(&list).collect(),
            None => vec![self.in_home(".kube/config")],
        };
        self.urls_in(files, |key| ["server", "proxy-url"].contains(&key))
    }

    fn in_home(&self, name: &str) -> PathBuf {
        self.home.map(|home| home.join(name)).unwrap_or_default()
    }

    fn in_config(&self, name: &str) -> PathBuf {
        match self.named("XDG_CONFIG_HOME") {
            Some(folder) => folder.join(name),
            None => self.in_home(".config").join(name),
        }
    }

    /// The absolute path that a variable names.
    fn named(&self, variable: &str) -> Option<PathBuf> {
        let small = || (self.variable)(&variable.to_lowercase());
        (self.variable)(variable).or_else(small).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    fn urls_of(&self, variables: &[&str]) -> Vec<String> {
        let values = variables.iter().filter_map(|name| (self.variable)(name)?.into_string().ok());
        values.flat_map(|value| hosts_in(&value)).collect()
    }

    /// The hosts of the addresses that these keys have in files of `key = value`, `key: value` or `key value` lines;
    /// values may go on in lines that begin with a blank.
    fn urls_in(
        &self,
        files: impl IntoIterator<Item = PathBuf>,
        is_key: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut found = Vec::new();
        for text in files.into_iter().filter_map(|file| self.text(&file)) {
            let mut counts = false;
            for line in text.lines() {
                let trimmed = line.trim();
                if trimmed.starts_with(['#', ';']) {
                    continue;
                }
                if let Some((key, value)) = key_and_value(trimmed) {
                    counts = is_key(key);
                    if counts {
                        found.extend(hosts_in(value));
                    }
                } else if counts && line.starts_with([' ', '\t']) {
                    found.extend(hosts_in(trimmed));
                } else {
                    counts = false;
                }
            }
        }
        found
    }

    /// The same in TOML, wherever these keys stand.
    fn urls_in_toml(&self, files: impl IntoIterator<Item = PathBuf>, keys: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for text in files.into_iter().filter_map(|file| self.text(&file)) {
            let table: toml::Table = text.parse().unwrap_or_default();
            collect(&toml::Value::Table(table), false, keys, &mut found);
        }
        found
    }

    fn text(&self, file: &Path) -> Option<String> {
        let real = file.canonicalize().ok()?;
        if (self.may_be_written)(&real) || !real.is_file() {
            return None;
        }
        let mut text = String::new();
        std::fs::File::open(&real).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

/// Adds the hosts of all strings that stand below one of these keys.
fn collect(value: &toml::Value, counts: bool, keys: &[&str], found: &mut Vec<String>) {
    match value {
        toml::Value::String(text) if counts => found.extend(hosts_in(text)),
        toml::Value::Array(values) => values.iter().for_each(|value| collect(value, counts, keys, found)),
        toml::Value::Table(table) => {
            for (key, value) in table {
                collect(value, keys.contains(&key.as_str()), keys, found);
            }
        }
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => {}
    }
}

/// Takes a line of a configuration apart; the key without quotes and what stands before it in YAML.
fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let is_key = |character: char| character.is_alphanumeric() || "_-@/.:\"".contains(character);
    let line = line.trim_start_matches("- ").trim_start_matches('{').trim_start();
    let end = line.find(|character: char| character == '=' || character.is_whitespace())?;
    let (key, rest) = line.split_at(end);
    if key.is_empty() || !key.chars().all(is_key) || key.contains("://") {
        return None;
    }
    let value = rest.trim_start().strip_prefix('=').unwrap_or(rest);
    Some((key.trim_end_matches(':').trim_matches('"'), value))
}

/// The hosts of all addresses in a text, with their ports.
fn hosts_in(text: &str) -> Vec<String> {
    let addresses = text.match_indices("://").filter_map(|(at, separator)| {
        let scheme = text.get(..at)?.rsplit(|character: char| !character.is_ascii_alphanumeric()).next()?;
        let rest = text.get(at + separator.len()..)?;
        let end = rest.find(|character: char| "/?#\"',|<> \t`)]}".contains(character) && character != ']');
        let authority = rest.get(..end.unwrap_or(rest.len()))?;
        // Names and passwords before the host.
        let host = authority.rsplit('@').next()?;
        let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        match (scheme, has_port) {
            _ if host.is_empty() => None,
            (_, true) => Some(host.to_owned()),
            ("https", false) => Some(format!("{host}:443")),
            ("http", false) => Some(format!("{host}:80")),
            ("ssh", false) => Some(format!("{host}:22")),
            _ => Some(host.to_owned()),
        }
    });
    addresses.take(MOST_HOSTS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(tool: Tool, files: &[(&str, &str)], variables: &[(&str, &str)]) -> Vec<String> {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = home.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let written = home.path().join("work").canonicalize().unwrap_or_default();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(found.1.replace("HOME", home.path().to_str().unwrap())))
        };
        let configuration = ToolConfiguration {
            home: Some(home.path()),
            variable: &variable,
            may_be_written: &|path| !written.as_os_str().is_empty() && path.starts_with(&written),
        };
        configuration.hosts(tool).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn registries_of_the_user_are_found_and_none_of_a_project() {
        let npmrc = "; a comment http://no.test\nregistry=https://npm.test/a/\n@x:registry = \"http://x.test:8080\"\n\
                     //npm.test/:_authToken=secret\ncafile=/x\n";
        assert_eq!(hosts(Tool::Npm, &[(".npmrc", npmrc)], &[]), ["npm.test:443", "x.test:8080"]);
        let of_project = [("work/.npmrc", "registry=https://evil.test")];
        assert_eq!(hosts(Tool::Npm, &of_project, &[]), [""; 0]);
        let named =
            [("NPM_CONFIG_USERCONFIG", "HOME/work/.npmrc"), ("npm_config_registry", "https://own.test")];
        assert_eq!(hosts(Tool::Npm, &of_project, &named), ["own.test:443"]);
        let yarn = "npmRegistryServer: \"https://yarn.test\"\n";
        assert_eq!(hosts(Tool::Npm, &[(".yarnrc.yml", yarn)], &[]), ["yarn.test:443"]);
    }

    #[test]
    fn each_tool_is_read_as_it_is_set_up() {
        let cargo = "[source.crates-io]\nreplace-with = \"m\"\n[source.m]\nregistry = \"sparse+https://c.test/i/\"\n\
                     [registries]\nown = { index = \"https://u:p@d.test/git\" }\n[registries.x]\nindex = \"https://e.test\"\n";
        assert_eq!(
            hosts(Tool::Cargo, &[(".cargo/config.toml", cargo)], &[]),
            ["c.test:443", "d.test:443", "e.test:443"]
        );
        let pip = "[global]\nindex-url = https://p.test/simple\nextra-index-url =\n    https://q.test/s\n    https://r.test\n\
                   [install]\nno-index = https://no.test\n";
        let expected = ["p.test:443", "q.test:443", "r.test:443"];
        assert_eq!(hosts(Tool::Pip, &[(".config/pip/pip.conf", pip)], &[]), expected);
        let uv = "[[index]]\nname = \"a\"\nurl = \"https://uv.test/simple\"\n";
        assert_eq!(hosts(Tool::Pip, &[(".config/uv/uv.toml", uv)], &[]), ["uv.test:443"]);
        let go = [("GOPROXY", "https://g.test|direct,https://h.test"), ("GOSUMDB", "off")];
        assert_eq!(hosts(Tool::Go, &[], &go), ["g.test:443", "h.test:443"]);
        let gh = "forge.test:\n    user: me\n    oauth_token: x\n";
        assert_eq!(hosts(Tool::Gh, &[(".config/gh/hosts.yml", gh)], &[]), ["api.forge.test", "forge.test"]);
        let kube = "clusters:\n- cluster:\n    server: https://[::1]:6443\n- cluster: \n    server: https://k.test\n";
        assert_eq!(hosts(Tool::Kubectl, &[(".kube/config", kube)], &[]), ["[::1]:6443", "k.test:443"]);
    }
}
