//! A folder with the patched Bash, a program that records its arguments, and two ways to run a script: hooked and
//! plain.
//!
//! Plain is the same binary without the setting, so whatever differs is the hook's doing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};

use end_to_end_tests::waiting::PATIENCE;

/// One recorded execution: its strings, in order.
pub(crate) type Record = Vec<Vec<u8>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    Hooked,
}

/// What can be seen of a script's run from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The exit code, or minus the signal that ended the shell.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Each file under the working folder: its kind and permissions, and its content.
    pub(crate) files: BTreeMap<PathBuf, (u32, Vec<u8>)>,
}

pub(crate) struct Fixture {
    root: tempfile::TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let fixture = Self { root: tempfile::tempdir().expect("a temporary folder") };
        let bin = fixture.path("bin");
        fs::create_dir(&bin).expect("create bin");
        for name in ["show", "-dash"] {
            copy(Path::new(env!("CARGO_BIN_EXE_record-exec")), &bin.join(name));
        }
        fixture
    }

    /// Creates files (name, content, permissions) in the folder `originals`, for scripts to execute.
    pub(crate) fn write_originals(&self, files: &[(&str, Vec<u8>, u32)]) {
        let written = self.path("written");
        fs::create_dir(&written).expect("create a folder");
        for (name, content, mode) in files {
            let path = written.join(name);
            fs::write(&path, content).expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("set permissions");
        }
        copy(&written, &self.path("originals"));
    }

    /// A path beside the working folder, out of the way of the scripts' files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Where scripts run. It has the same path for each run, because error texts contain it.
    pub(crate) fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// Runs `bash -c script` in a fresh working folder.
    pub(crate) fn run(&self, mode: Mode, script: &str) -> Outcome {
        self.run_with(mode, &["-c", script], |_| {})
    }

    /// Runs Bash with these arguments; `adjust` may prepare files or change the command.
    pub(crate) fn run_with(
        &self,
        mode: Mode,
        arguments: &[&str],
        adjust: impl FnOnce(&mut Command),
    ) -> Outcome {
        let work = self.work();
        for stale in [&self.path("bin/argv.log"), &self.path("execs.log")] {
            // Absent before the first run.
            let _ = fs::remove_file(stale);
        }
        let _ = fs::remove_dir_all(&work);
        fs::create_dir(&work).expect("create the working folder");

        let stdout = self.path("stdout");
        let mut command = Command::new(patched_bash());
        command.args(arguments).current_dir(&work).process_group(0);
        command.env_clear().env("PATH", self.search_path()).env("HOME", &work).env("LANG", "C.UTF-8");
        command.stdin(Stdio::null());
        command.stdout(File::create(&stdout).expect("create stdout"));
        if mode == Mode::Hooked {
            command.env("BASH_EXEC_WRAPPER", env!("CARGO_BIN_EXE_record-exec"));
            command.env("CODEX_ESCALATE_SOCKET", self.path("execs.log"));
        }
        adjust(&mut command);
        let (status, stderr) = run_to_the_end(&mut command);
        let stdout = text(&fs::read(&stdout).expect("read stdout"));
        Outcome { status, stdout, stderr: text(&stderr), files: files_below(&work) }
    }

    fn search_path(&self) -> OsString {
        let mut path = self.path("bin").into_os_string();
        path.push(":/usr/bin:/bin");
        path
    }

    /// What the recording program wrote in the last run.
    pub(crate) fn programs(&self) -> Vec<Record> {
        records(&self.path("bin/argv.log"))
    }

    /// What went through the wrapper in the last run: FILE, ARGV0, ARG….
    pub(crate) fn execs(&self) -> Vec<Record> {
        records(&self.path("execs.log"))
    }

    /// The executions of `show` among [`Self::execs`], without FILE, comparable with [`Self::programs`].
    pub(crate) fn execs_of_show(&self) -> Vec<Record> {
        self.execs()
            .into_iter()
            .filter(|record| {
                record[0].ends_with(b"/show") || record[0].ends_with(b"/-dash") || record[0] == b"show"
            })
            .map(|record| record[1..].to_vec())
            .collect()
    }
}

/// The Bash that `bash-patches/build.sh` builds; it is built first if that has not happened.
pub(crate) fn patched_bash() -> &'static Path {
    static BASH: OnceLock<PathBuf> = OnceLock::new();
    BASH.get_or_init(|| {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let built = Command::new(repository.join("bash-patches/build.sh")).output().expect("run build.sh");
        assert!(built.status.success(), "build.sh failed:\n{}", String::from_utf8_lossy(&built.stderr));
        repository.join("target/bash/bash")
    })
}

/// Runs the command until it has ended and nothing that it started writes to its standard error any more: a process
/// substitution may outlive the shell. Returns its status, and its standard error.
fn run_to_the_end(command: &mut Command) -> (i32, Vec<u8>) {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("start Bash");
    let mut stderr = child.stderr.take().expect("a pipe");
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = stderr.read_to_end(&mut bytes).map(|_| bytes);
        // Nobody listens after a timeout.
        let _ = sender.send(result);
    });
    let Ok(read) = receiver.recv_timeout(PATIENCE) else {
        let group = nix::unistd::Pid::from_raw(child.id().try_into().expect("a pid"));
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        panic!("the script did not end within {PATIENCE:?}: {command:?}");
    };
    reader.join().expect("the reader");
    let status = child.wait().expect("wait for Bash");
    let status = status.code().unwrap_or_else(|| -status.signal().expect("code or signal"));
    (status, read.expect("read standard error"))
}

fn text(bytes: &[u8]) -> String {
    // Bytes that are not UTF-8 stay distinguishable enough: they are escaped, not dropped.
    bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        text
    })
}

fn records(log: &Path) -> Vec<Record> {
    let Ok(bytes) = fs::read(log) else { return Vec::new() };
    bytes
        .split(|byte| *byte == 0x1e)
        .filter(|record| !record.is_empty())
        .map(|record| record.split(|byte| *byte == 0x1f).map(<[u8]>::to_vec).collect())
        .collect()
}

/// Copies by another process. A file that this process writes may be open for writing in a child that another test
/// thread is just starting, and then it cannot be executed (ETXTBSY).
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg("--").args([from, to]).status().expect("run cp");
    assert!(status.success(), "cp failed");
}

/// Mode and content of each file below a folder; of a Git repository its folder alone, because its files name the time.
pub(crate) fn files_below(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if metadata.is_dir() && entry.file_name() != ".git" {
                folders.push(path.clone());
            }
            let content = if metadata.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
            files.insert(path.strip_prefix(folder).expect("below").to_path_buf(), (metadata.mode(), content));
        }
    }
    files
}

/// Creates a file in the folder where `command` will run.
pub(crate) fn place(command: &Command, name: &str, content: &[u8], mode: u32) {
    let path = command.get_current_dir().expect("a working folder").join(name);
    fs::write(&path, content).expect("write");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set permissions");
}

/// Shorthand for one record of text strings.
pub(crate) fn record(strings: &[&str]) -> Record {
    strings.iter().map(|string| string.as_bytes().to_vec()).collect()
}

pub(crate) fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort();
    records
}
