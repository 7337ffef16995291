//! What end-to-end tests stand on: the real binaries, a private rules folder, an MCP client, a person who answers.
//!
//! The binaries come from `$SHELL_TOOL_MCP_BIN_DIR` (`make test` sets it), else from `dist/bin` of this checkout.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what a test stands on must break the test when it breaks"
)]

pub mod asking;
pub mod client;
pub mod holdings;
pub mod http;
pub mod lines;
pub mod machine;
pub mod waiting;

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The folder with `exec-server`, `execve-wrapper` and `bash`.
///
/// # Panics
///
/// When a binary is missing: a test that cannot run must not pass.
#[must_use]
pub fn binaries() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder =
        std::env::var_os("SHELL_TOOL_MCP_BIN_DIR").map_or_else(|| checkout.join("dist/bin"), PathBuf::from);
    let folder = checkout.join(folder); // A relative setting is meant from the checkout.
    for name in ["exec-server", "execve-wrapper", "bash"] {
        let path = folder.join(name);
        assert!(path.is_file(), "{} is missing; `make build` makes it", path.display());
    }
    folder.canonicalize().expect("the folder exists")
}

/// A path as a word of a command, also within one pair of quotes of an inner shell's command. Whoever runs the tests
/// may keep temporary files and programs in folders with blanks in their names.
#[must_use]
pub fn word(path: &Path) -> String {
    path.display().to_string().replace(' ', "\\ ")
}

/// A path as the server writes it into the command lines that it advises.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let path = path.display();
    if path.to_string().contains(' ') { format!("'{path}'") } else { path.to_string() }
}

/// A user's world: a home with rules, and a folder to work in.
#[derive(Debug)]
pub struct World {
    root: TempDir,
}

impl World {
    /// A world whose `default.rules` is `rules`.
    ///
    /// # Panics
    ///
    /// When the temporary folder cannot be made.
    #[must_use]
    pub fn with_rules(rules: &str) -> World {
        World::below(&std::env::temp_dir(), rules)
    }

    /// As [`with_rules`](Self::with_rules), below a folder that is not the one for temporary files.
    ///
    /// # Panics
    ///
    /// When the folder cannot be made.
    #[must_use]
    pub fn below(folder: &Path, rules: &str) -> World {
        let root = tempfile::Builder::new().prefix("shell-tool-test-").tempdir_in(folder);
        let world = World { root: root.expect("a temporary folder") };
        std::fs::create_dir_all(world.codex_home().join("rules")).expect("a folder for rules");
        std::fs::create_dir(world.workdir()).expect("a folder to work in");
        std::fs::write(world.rules_file(), rules).expect("a rules file");
        world
    }

    /// The same, with the user's `config.toml`. `/tmp` is not writable in the sandbox, so that what a test calls
    /// outside is.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    #[must_use]
    pub fn configured(self, more: &str) -> World {
        let text = format!("[sandbox_workspace_write]\nexclude_slash_tmp = true\n{more}");
        std::fs::write(self.codex_home().join("config.toml"), text).expect("a configuration file");
        self
    }

    /// The home folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.root.path()
    }

    /// The folder that stands for `~/.codex`.
    #[must_use]
    pub fn codex_home(&self) -> PathBuf {
        self.root.path().join("codex-home")
    }

    /// The user's rules.
    #[must_use]
    pub fn rules_file(&self) -> PathBuf {
        self.codex_home().join("rules/default.rules")
    }

    /// What was answered for good.
    #[must_use]
    pub fn answers_file(&self) -> PathBuf {
        self.codex_home().join("shell-tool/rules/answers.rules")
    }

    /// The folder to work in.
    #[must_use]
    pub fn workdir(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// A script of the user's beside the rules, and its path. Another process writes it: a server that is started
    /// meanwhile would inherit our open file, and a file that is open for writing cannot be executed.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    #[must_use]
    pub fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.codex_home().join(name);
        let mut writer = std::process::Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\"", path.to_str().expect("UTF-8")])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut input = writer.stdin.take().expect("a pipe");
        writeln!(input, "#!/bin/sh\n{script}").expect("written");
        drop(input);
        assert!(writer.wait().expect("it ends").success());
        path
    }

    /// The server, ready to be started with `arguments`: only `PATH` and a few harmless variables around it.
    #[must_use]
    pub fn server(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(binaries().join("exec-server"));
        self.surround(&mut command);
        command.args(arguments);
        // Every test that starts a server can be run behind another door: `SHELL_TOOL_MCP_TEST_DOOR=kernel`.
        let serves = arguments.first().is_none_or(|first| first.starts_with('-'));
        let has_one = arguments.contains(&"--door");
        if let Some(door) = std::env::var_os("SHELL_TOOL_MCP_TEST_DOOR").filter(|_| serves && !has_one) {
            command.arg("--door").arg(door);
        }
        command
    }

    /// Gives a program that becomes the server its folder and its environment.
    pub fn surround(&self, command: &mut std::process::Command) {
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.root.path())
            .env("CODEX_HOME", self.codex_home())
            .env("XDG_RUNTIME_DIR", self.root.path().join("runtime"))
            .env("LANG", "C.UTF-8")
            .current_dir(self.workdir());
    }
}
