//! The three programs in root file systems that lack what the system here has: nothing at all, another C
//! library, an old one.
//!
//! `$OLD_GLIBC_ROOT` may name the root of a real old distribution (`tests/machines/old-glibc.sh`); without,
//! one is imitated.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use end_to_end_tests::binaries;
use end_to_end_tests::lines::Lines;
use end_to_end_tests::machine::is_here;
use serde_json::json;

const PROGRAMS: [&str; 3] = ["exec-server", "execve-wrapper", "bash"];

/// What only the look-ups of glibc that load plug-ins have in them.
const PLUG_INS: [&str; 2] = ["nsswitch.conf", "libnss_"];

/// A root file system; our programs are in its `/opt`.
struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    fn new() -> Root {
        let root = Root { folder: tempfile::tempdir().expect("a temporary folder") };
        root.take(PROGRAMS.map(|name| binaries().join(name)), "opt");
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Copies files into a folder of this root. Another process does: a file that is open for writing in a
    /// child of this one cannot be executed.
    fn take(&self, files: impl IntoIterator<Item = PathBuf>, folder: &str) {
        let folder = self.path(folder);
        fs::create_dir_all(&folder).expect("a folder");
        let copied = Command::new("cp").arg("-L").args(files).arg(&folder).status().expect("cp");
        assert!(copied.success());
    }

    /// What every machine and container has, whatever else it lacks.
    fn with_proc_and_devices(self) -> Root {
        fs::create_dir_all(self.path("proc")).expect("a folder");
        fs::create_dir_all(self.path("dev")).expect("a folder");
        for device in ["null", "urandom"] {
            fs::write(self.path("dev").join(device), "").expect("a file to mount on");
        }
        self
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args([
            "sh",
            "-ec",
            "cd \"$1\"
            if [ -d proc ]; then mount --rbind /proc proc; for device in dev/*; do mount --bind /$device $device; done; fi
            shift
            PATH=$PATH:/usr/sbin:/sbin exec chroot . \"$@\"",
            "sh",
        ]);
        command.arg(self.folder.path()).arg(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/").stdin(Stdio::null());
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> (Option<i32>, String) {
        told(&self.command(program).args(arguments).output().expect("it runs"))
    }

    /// What a call of the `shell` tool prints, with how it ended, in the isolation that this root is itself.
    fn call(&self, script: &str) -> (i64, String) {
        let mut command = self.command("/opt/exec-server");
        command.args(["--sandbox", "external-sandbox"]);
        let mut server = Lines::start_command(command);
        server.initialize();
        let call = json!({"name": "shell", "arguments": {"command": script, "workdir": "/", "login": false}});
        let answer = server.request("tools/call", call);
        let result = &answer["result"]["structuredContent"];
        let code = result["exit_code"].as_i64().unwrap_or_else(|| panic!("no result: {answer}"));
        (code, result["output"].as_str().unwrap_or_default().to_owned())
    }
}

fn told(output: &Output) -> (Option<i32>, String) {
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn can_change_root() -> bool {
    let (code, said) = Root::new().run("/opt/bash", &["-c", "exit 7"]);
    is_here("no root file system of its own", if code == Some(7) { Ok(()) } else { Err(said) })
}

#[test]
fn the_programs_name_no_linker_no_library_and_no_plug_in() {
    for name in PROGRAMS {
        let program = binaries().join(name);
        let (code, headers) = told(
            &Command::new("readelf")
                .args(["--wide", "--program-headers", "--dynamic"])
                .arg(&program)
                .env("LC_ALL", "C")
                .output()
                .expect("readelf"),
        );
        assert!(code == Some(0) && headers.contains("LOAD"), "{headers}");
        assert!(!headers.contains("INTERP") && !headers.contains("(NEEDED)"), "{name} is dynamic: {headers}");
        let bytes = fs::read(&program).expect("a program");
        let has = |text: &&str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        if has(&".symtab") {
            assert!(std::env::var_os("CI").is_none(), "{name} is no release, so it cannot be examined");
            println!("{name} is no release: what of the C library is never called is still in it");
            continue;
        }
        let plug_in = PLUG_INS.iter().find(|text| has(text));
        assert_eq!(plug_in, None, "{name} would load plug-ins");
    }
}

#[test]
fn in_an_empty_root_they_start_and_say_what_is_missing() {
    if !can_change_root() {
        return;
    }
    let root = Root::new();
    let (code, said) = root.run("/opt/exec-server", &["--version"]);
    assert!(code == Some(0) && said.starts_with("exec-server "), "{said}");
    assert_eq!(root.run("/opt/bash", &["-c", "echo ~ ~nosuchuser"]), (Some(0), "/ ~nosuchuser\n".to_owned()));
    let (code, said) = root.run("/opt/execve-wrapper", &[]);
    assert!(code == Some(2) && said.starts_with("usage: execve-wrapper"), "{said}");
    let named = ["--bash", "/opt/bash", "--execve", "/opt/execve-wrapper"];
    let (code, said) = root.run("/opt/exec-server", &[&["doctor"][..], &named].concat());
    assert!(code == Some(1) && said.contains("there is no /dev/null here"), "{said}");
    let (code, said) = root.run("/opt/exec-server", &named);
    assert!(code == Some(1) && said.contains("there is no /dev/null here"), "{said}");
}

#[test]
fn with_proc_and_devices_alone_commands_run() {
    if !can_change_root() {
        return;
    }
    let root = Root::new().with_proc_and_devices();
    let (_, said) = root.run("/opt/exec-server", &["doctor", "--sandbox", "external-sandbox"]);
    assert!(!said.contains("FAIL"), "{said}");
    let script = "cd /; echo * ~ ~nosuchuser; \"$BASH\" -c 'echo inner'; /opt/bash -c 'exit 3'";
    assert_eq!(root.call(script), (3, "dev opt proc / ~nosuchuser\ninner\n".to_owned()));
}

/// musl's loader and a program for it, as on Alpine.
#[test]
fn in_a_root_with_musl_its_programs_run() {
    if !can_change_root() {
        return;
    }
    let root = Root::new().with_proc_and_devices();
    let source = root.path("show.c");
    fs::write(
        &source,
        "#include <stdio.h>\nint main(int n, char **a) { return !printf(\"musl %s\\n\", a[n - 1]); }\n",
    )
    .expect("written");
    let built = Command::new("musl-gcc").arg("-o").args([root.path("opt/show"), source]).output();
    let built = match built {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(told(&output).1),
        Err(error) => Err(error.to_string()),
    };
    if !is_here("no musl-gcc (Debian: apt-get install musl-tools)", built) {
        return;
    }
    let machine = std::env::consts::ARCH;
    // Not there yet: the same program does not start.
    assert_eq!(root.run("/opt/show", &["x"]).0, Some(127));
    root.take([PathBuf::from(format!("/lib/ld-musl-{machine}.so.1"))], "lib");
    assert_eq!(root.call("/opt/show well"), (0, "musl well\n".to_owned()));
}

#[test]
fn in_an_old_root_with_glibc_its_programs_run() {
    if !can_change_root() {
        return;
    }
    let mut root = Root::new().with_proc_and_devices();
    if let Some(old) = std::env::var_os("OLD_GLIBC_ROOT") {
        let copied = Command::new("cp").arg("-a").arg(Path::new(&old).join(".")).arg(root.path("")).status();
        assert!(copied.expect("cp").success());
    } else {
        root = imitation(root);
    }
    fs::create_dir_all(root.path("etc")).expect("a folder");
    fs::write(root.path("etc/passwd"), "old:x:1000:1000::/the/old:/bin/sh\n").expect("written");
    fs::write(root.path("etc/nsswitch.conf"), "passwd: files systemd sss\n").expect("written");
    let (code, said) = root.call("cat /etc/passwd | cat; echo ~old ~nosuchuser; ls /opt/bash");
    assert_eq!(
        (code, said.as_str()),
        (0, "old:x:1000:1000::/the/old:/bin/sh\n/the/old ~nosuchuser\n/opt/bash\n")
    );
}

/// As much of glibc as `cat` and `ls` need: no `libgcc_s`, no plug-ins, no locales.
fn imitation(root: Root) -> Root {
    for program in ["/bin/cat", "/bin/ls"] {
        root.take([PathBuf::from(program)], "bin");
        let libraries = told(&Command::new("ldd").arg(program).output().expect("ldd")).1;
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new) {
            let folder = library.parent().expect("absolute").strip_prefix("/").expect("absolute");
            root.take([library.to_owned()], folder.to_str().expect("UTF-8"));
        }
    }
    root
}
