//! Who a user is and where a host is: the patched Bash and the server on a machine whose `nsswitch.conf`
//! names plug-ins. A static glibc would load them, and crash: `~nosuchuser` was a segmentation fault, and a
//! user without an entry had no shell.
//!
//! Each test has an `/etc` of its own, in a mount namespace, and most a `getent` that writes down what it is
//! asked.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use end_to_end_tests::binaries;
use end_to_end_tests::machine::is_here;

use crate::bash_hook::fixture::patched_bash;

const NSSWITCH: &str =
    "passwd: files systemd sss\ngroup: files systemd sss\nhosts: files dns\nservices: db files\n";
const PASSWD: &str = "root:x:0:0:root:/the/root:/bin/sh\nsomeone:x:1000:1000::/the/someone:/bin/sh\n";

/// A user whom only `getent` knows.
const FOREIGN: &str = "4242";

/// What the machine's own name service would say; `/the` stands for a folder of the test. And a record of
/// what it is asked, with how many variables it has. A number is a user ID also where a name is meant.
const GETENT: &str = r#"
echo "$* ($(/usr/bin/env | /bin/grep -Evc '^(PWD|OLDPWD|SHLVL|_)='))" >> '/the/log'
case "$1 $2" in
'passwd ldap' | 'passwd 4242') echo 'ldap:x:4242:4242:From LDAP:/the/ldap:/bin/sh' ;;
'passwd 77') echo 'seven:x:77:77::/the/seven:/bin/sh' ;;
'ahosts elsewhere') printf '127.0.0.1       STREAM elsewhere\n127.0.0.1       DGRAM  \n127.0.0.1       RAW    \n' ;;
*) exit 2 ;;
esac
"#;

struct Machine {
    root: tempfile::TempDir,
    /// Who runs the program; by default whoever runs the test, who is root in there.
    user: Option<&'static str>,
}

impl Machine {
    fn new() -> Machine {
        let machine = Machine { root: tempfile::tempdir().expect("a temporary folder"), user: None };
        for folder in ["etc", "the"] {
            fs::create_dir(machine.path(folder)).expect("a folder");
        }
        for (name, text) in [
            ("etc/nsswitch.conf", NSSWITCH),
            ("etc/passwd", PASSWD),
            ("etc/group", "root:x:0:\nstaff:x:50:\n"),
            ("etc/hosts", "# here\n127.0.0.1 localhost here.example here # 127.0.0.2 nowhere\n"),
        ] {
            fs::write(machine.path(name), machine.placed(text)).expect("written");
        }
        // Another process writes it: a file that is open for writing in a child of this one cannot be
        // executed.
        let script = machine.placed(&format!("#!/bin/sh{GETENT}"));
        let written = Command::new("sh")
            .args(["-c", "printf %s \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
            .args([machine.path("getent").as_os_str(), script.as_ref()])
            .status();
        assert!(written.expect("a shell").success());
        machine
    }

    fn of_a_foreign_user() -> Machine {
        Machine { user: Some(FOREIGN), ..Machine::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The text with the test's folder for `/the`.
    fn placed(&self, text: &str) -> String {
        text.replace("/the/", &format!("{}/", self.path("the").display()))
    }

    /// What has been asked of `getent`.
    fn asked(&self) -> String {
        fs::read_to_string(self.path("the/log")).unwrap_or_default()
    }

    /// The program in this machine, with no variables at all.
    fn program(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-ec", r#"
            mount --bind "$1/etc" /etc
            for program in /usr/bin/getent /bin/getent; do [ ! -e "$program" ] || mount --bind "$1/getent" "$program"; done
            user=$2
            shift 2
            ${user:+unshare --user --map-user="$user" --map-group="$user"} env -i "$@"
        "#]);
        command.arg("sh").arg(self.root.path()).arg(self.user.unwrap_or("")).arg(program);
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    fn bash(&self, shell: &Path, script: &str) -> String {
        self.told(self.program(shell).args(["-c", script]).output().expect("it runs"))
    }

    /// The output, with `/the` for the test's folder, and what went wrong.
    fn told(&self, output: Output) -> String {
        let mut told = String::from_utf8_lossy(&output.stdout).into_owned();
        told.push_str(&String::from_utf8_lossy(&output.stderr));
        if let Some(signal) = output.status.signal() {
            told.push_str(&format!("died of signal {signal}\n"));
        }
        told.replace(&self.path("the").display().to_string(), "/the")
    }
}

/// Both builds: with musl, where there is its compiler, and with glibc, as `make` does without one.
fn shells() -> [&'static Path; 2] {
    static GLIBC: OnceLock<PathBuf> = OnceLock::new();
    let glibc = GLIBC.get_or_init(|| {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let built = Command::new(repository.join("bash-patches/build.sh")).env("BASH_CC", "cc").output();
        let built = built.expect("run build.sh");
        assert!(built.status.success(), "build.sh failed:\n{}", String::from_utf8_lossy(&built.stderr));
        repository.join("target/bash/cc/bash")
    });
    [patched_bash(), glibc]
}

/// Tells whether namespaces can be had, for an `/etc` of one's own.
fn is_possible() -> bool {
    is_here("a machine of its own", try_namespaces())
}

fn try_namespaces() -> Result<(), String> {
    let said = Machine::of_a_foreign_user().bash(Path::new("/bin/echo"), "yes");
    if said == "-c yes\n" { Ok(()) } else { Err(said) }
}

#[test]
fn users_are_those_of_passwd_and_for_others_getent_is_asked() {
    if !is_possible() {
        return;
    }
    for shell in shells() {
        let machine = Machine::new();
        assert_eq!(machine.bash(shell, "echo ~someone ~root ~"), "/the/someone /the/root /the/root\n");
        assert_eq!(machine.asked(), "", "for nothing");
        assert_eq!(
            machine.bash(shell, "echo ~ldap ~nosuchuser; : ~77 ~-s; echo ~77"),
            "/the/ldap ~nosuchuser\n~77\n"
        );
        assert_eq!(
            machine.asked(),
            "passwd ldap (0)\npasswd nosuchuser (0)\npasswd 77 (0)\npasswd 77 (0)\n",
            "{}",
            shell.display()
        );
        assert_eq!(machine.bash(shell, r"P='\u'; echo ${P@P} $SHELL"), "root /bin/sh\n");
    }
}

#[test]
fn a_user_without_an_entry_has_a_shell() {
    if !is_possible() {
        return;
    }
    let prompt = r#"P='\u \h'; echo "${P@P}" ~ $SHELL $UID; printf '%(%F)T\n' 0"#;
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let host = host.trim_end().split('.').next().expect("one word");
    for shell in shells() {
        let machine = Machine::of_a_foreign_user();
        assert_eq!(machine.bash(shell, prompt), format!("ldap {host} /the/ldap /bin/sh 4242\n1970-01-01\n"));
        assert_eq!(machine.asked(), "passwd 4242 (0)\n", "once");

        let machine = Machine { user: Some("4243"), ..Machine::new() };
        let nobody = format!("I have no name! {host} / /bin/sh 4243\n1970-01-01\n");
        assert_eq!(machine.bash(shell, prompt), nobody);
    }
}

/// On this machine's own `nsswitch.conf` plug-ins, where `libnss-systemd` is installed.
#[test]
fn the_machines_own_getent_is_asked() {
    if !is_possible() {
        return;
    }
    for shell in shells() {
        let machine = Machine::new();
        fs::remove_file(machine.path("getent")).expect("removed");
        fs::copy("/usr/bin/getent", machine.path("getent")).expect("the machine's own");
        assert_eq!(machine.bash(shell, "echo ~nosuchuser ~someone"), "~nosuchuser /the/someone\n");
        let said = machine.bash(shell, "exec 3<>/dev/tcp/no-such-host.invalid/80");
        assert!(said.contains("no-such-host.invalid: ") && !said.contains("died"), "{said}");
    }
}

#[test]
fn getent_is_no_job_of_the_shell() {
    if !is_possible() {
        return;
    }
    let script = r#"
        trap 'echo child' CHLD
        x=~ldap; echo "$x $? [$!] [$(jobs)]"
        trap - CHLD
        (exit 3) & last=$!
        x=~ldap; [ $! = $last ] && wait $last; echo $?
        (exec 3>&1 <&- >&- 2>&-; x=~ldap; echo "$x" >&3)
        wait -n 2>/dev/null; echo $?
    "#;
    for shell in shells() {
        let machine = Machine::new();
        let output = machine
            .program(Path::new("BASH_EXEC_WRAPPER=/nonexistent/wrapper"))
            .arg(shell)
            .args(["-c", script])
            .output()
            .expect("it runs");
        // The substitution is a child, too, whose end the trap tells.
        let said = machine.told(output).replace("child\n", "");
        assert_eq!(said, "/the/ldap 0 [] []\n3\n/the/ldap\n127\n", "{}", shell.display());
        assert_eq!(machine.asked().lines().count(), 3);
    }
}

#[test]
fn completion_offers_what_the_files_have() {
    if !is_possible() {
        return;
    }
    for shell in shells() {
        let machine = Machine::new();
        let said = machine.bash(shell, "compgen -u; compgen -g s; compgen -s; compgen -A user l");
        assert_eq!(said, "root\nsomeone\nstaff\n");
        assert_eq!(machine.asked(), "");
    }
}

#[test]
fn sockets_are_connected_by_address_by_the_hosts_file_and_by_getent() {
    if !is_possible() {
        return;
    }
    let [musl, glibc] = shells();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let connects = |machine: &Machine, shell: &Path, host: &str, service: &str| {
        let script = format!("exec 3<>/dev/tcp/{host}/{service} && echo {host} >&3");
        assert_eq!(machine.bash(shell, &script), "", "{host} {service} {}", shell.display());
        let mut said = String::new();
        listener.accept().expect("a connection").0.read_to_string(&mut said).expect("text");
        assert_eq!(said, format!("{host}\n"));
    };
    let machine = Machine::new();
    fs::write(machine.path("etc/services"), format!("other 1/tcp\nours 1/udp\nours {port}/tcp alias # x\n"))
        .expect("written");
    for shell in [musl, glibc] {
        for host in ["127.0.0.1", "localhost", "here.example", "here"] {
            connects(&machine, shell, host, &port.to_string());
        }
        connects(&machine, shell, "127.0.0.1", "ours");
        connects(&machine, shell, "127.0.0.1", "alias");
    }
    assert_eq!(machine.asked(), "", "for nothing");
    // musl has a resolver of its own.
    connects(&machine, glibc, "elsewhere", &port.to_string());
    assert_eq!(machine.asked(), "ahosts elsewhere (0)\n");
    let said = machine.bash(glibc, "exec 3<>/dev/tcp/nowhere/1");
    assert!(said.contains("nowhere: Name or service not known"), "{said}");
    let said = machine.bash(glibc, "exec 3<>/dev/tcp/127.0.0.1/nothing");
    assert!(said.contains("nothing: Servname not supported"), "{said}");
}

#[test]
fn the_server_finds_the_home_of_its_user() {
    if !is_possible() {
        return;
    }
    let server = binaries().join("exec-server");
    let rules = |machine: &Machine, variables: &[&str]| {
        for (home, rules) in [("root", 1), ("ldap", 2), ("named", 3)] {
            let folder = machine.path("the").join(home).join(".codex/rules");
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("default.rules"), "prefix_rule([\"a\"])\n".repeat(rules)).expect("rules");
        }
        let mut command = machine.program(Path::new("LANG=C.UTF-8"));
        let output = command.args(variables).arg(&server).arg("doctor").output().expect("it runs");
        machine.told(output)
    };
    let machine = Machine::new();
    let said = rules(&machine, &[]);
    assert!(said.contains("1 rules in 1 files"), "{said}");
    let said = rules(&machine, &[&machine.placed("HOME=/the/named")]);
    assert!(said.contains("3 rules in 1 files"), "{said}");
    assert_eq!(machine.asked(), "", "for nothing");

    let machine = Machine::of_a_foreign_user();
    let said = rules(&machine, &[]);
    assert!(said.contains("2 rules in 1 files"), "{said}");
    assert_eq!(machine.asked().lines().next(), Some("passwd 4242 (0)"));
}
