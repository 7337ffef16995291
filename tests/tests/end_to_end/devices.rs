//! Devices of the host: those that the user grants are there, and no others.

use end_to_end_tests::World;
use end_to_end_tests::client::{Client, Person};
use end_to_end_tests::machine::skip;

/// What a machine may have that answers whoever opens it, and how it is asked: the version of the interface of virtual machines
/// (`KVM_GET_API_VERSION`), a byte by chance, nothing.
const DEVICES: &[(&str, &str)] = &[
    ("/dev/kvm", "fcntl.ioctl(device, 0xae00) == 12"),
    ("/dev/hwrng", "True"),
    ("/dev/fuse", "True"),
    ("/dev/net/tun", "True"),
];

/// A device that whoever runs the tests can open.
fn device() -> Option<(&'static str, &'static str)> {
    let found = DEVICES
        .iter()
        .find(|(path, _)| std::fs::OpenOptions::new().read(true).write(true).open(path).is_ok());
    if found.is_none() {
        skip("there is no device to be opened");
    }
    found.copied()
}

fn asks((path, answer): (&str, &str)) -> String {
    format!(
        "python3 -c 'import fcntl, os; device = os.open(\"{path}\", os.O_RDWR); print({answer})' 2>&1 | tail -1"
    )
}

#[tokio::test]
async fn a_device_is_there_where_the_user_grants_it() {
    let Some(device) = device() else { return };
    let (path, _) = device;
    let said = async |settings: &str, rules: &str| {
        let world = World::with_rules(rules).configured(settings);
        let client = Client::start_with(&world, &Person::absent(), &[]).await;
        let outcome = client.run(&format!("{}; ls /dev/mem /dev/loop0 2>/dev/null", asks(device))).await;
        outcome.ran().1.to_owned()
    };
    let without = said("", "").await;
    assert!(without.contains("No such file") || without.contains("Permission denied"), "{without}");
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let pattern =
        format!("{folder}/{}*", path.trim_start_matches(folder).trim_start_matches('/').split_at(2).0);
    for granted in [path, &pattern] {
        assert_eq!(
            said(&format!("[shell_tool]\ndevices = [\"{granted}\"]\n"), "").await,
            "True\n",
            "{granted}"
        );
    }
    let rule = format!(
        "prefix_rule([\"python3\"], decision=\"allow\", run=\"inside\", grants={{\"devices\": [\"{path}\"]}})\n"
    );
    assert_eq!(said("", &rule).await, "True\n", "by a rule");
}

#[tokio::test]
async fn what_a_device_opens_is_said_and_disks_and_memory_are_never_granted() {
    let Some((path, _)) = device() else { return };
    let doctor = |settings: &str| {
        let world = World::with_rules("").configured(settings);
        let output = world.server(&["doctor"]).output().expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let said = doctor(&format!("[shell_tool]\ndevices = [\"{path}\"]\n"));
    assert!(said.contains(&format!("commands may use {path}, which opens")), "{said}");
    for never in ["/dev/mem", "/dev/loop0", "/dev/tty", "/dev/shm", "/etc/passwd"] {
        if std::path::Path::new(never).exists() {
            let said = doctor(&format!("[shell_tool]\ndevices = [\"{never}\"]\n"));
            assert!(said.contains(never) && !said.contains("commands may use"), "{never}: {said}");
        }
    }
}

/// A node that somebody has made elsewhere is no device inside, not even in a folder that commands may write.
#[tokio::test]
async fn a_node_in_the_workspace_is_no_device() {
    let world = World::with_rules("").configured("");
    let node = world.workdir().join("null");
    let made = std::process::Command::new("mknod").arg(&node).args(["c", "1", "3"]).status();
    if !made.is_ok_and(|made| made.success()) {
        skip("no node can be made here");
        return;
    }
    let client = Client::start_with(&world, &Person::absent(), &[]).await;
    let outcome = client.run("echo x > null; mknod mine c 1 3; echo x > /dev/null && echo own").await;
    let said = outcome.ran().1;
    assert!(said.contains("null: Permission denied") && said.ends_with("own\n"), "{outcome:?}");
    assert!(!world.workdir().join("mine").exists(), "{outcome:?}");
}
