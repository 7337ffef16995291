//! `exec-server setup`: what it prints is meant for other programs, which must be able to read it.

use end_to_end_tests::{World, binaries, quoted};

fn printed(topic: &str) -> String {
    let output = World::with_rules("").server(&["setup", topic]).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_profile_names_the_program_that_prints_it() {
    let text = printed("apparmor");
    let program = binaries().join("exec-server");
    let attached =
        format!("profile shell-tool-mcp \"{}\" flags=(unconfined) {{\n  userns,\n}}\n", program.display());
    assert!(text.ends_with(&attached), "{text}");
    assert!(text.contains(&format!("{} setup apparmor | sudo ", quoted(&program))), "{text}");
}

#[test]
fn every_topic_says_what_it_opens_or_that_nothing_is_needed() {
    for (topic, said) in [
        ("sysctl", "namespaces"),
        ("container", "--sandbox external-sandbox\n"),
        ("kubernetes", "procMount: Unmasked"),
    ] {
        let text = printed(topic);
        assert!(text.contains(said), "{text}");
    }
}

/// AppArmor's own parser reads the profile. Skipped where there is none, or one older than the restriction.
#[test]
fn apparmor_reads_the_profile() {
    let parser = std::path::Path::new("/usr/sbin/apparmor_parser");
    if !parser.exists() || !std::path::Path::new("/etc/apparmor.d/abi/4.0").exists() {
        eprintln!("skipped: no AppArmor 4 here");
        return;
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), printed("apparmor")).expect("written");
    let read = std::process::Command::new(parser)
        .args(["--skip-kernel-load", "--skip-cache", "--names"])
        .arg(file.path())
        .output()
        .expect("it starts");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert!(String::from_utf8_lossy(&read.stdout).contains("shell-tool-mcp"));
}
