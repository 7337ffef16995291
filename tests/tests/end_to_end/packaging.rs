//! What is packaged for clusters: manifests that say what the server understands, and ask for no more than it needs.

use std::path::{Path, PathBuf};

use end_to_end_tests::World;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").join("packaging")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(packaging().join(name)).expect("there")
}

/// The arguments that a text begins the server with.
fn arguments(text: &str) -> Vec<&str> {
    let starts = |text: &str| text.starts_with("--") && text.len() > 3;
    let words = text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(|line| {
        line.split([' ', '"', ',']).map(str::trim).filter(|word| starts(word)).collect::<Vec<_>>()
    });
    words.map(|word| word.split('=').next().unwrap_or(word)).collect()
}

#[test]
fn what_pods_start_the_server_with_is_understood() {
    let world = World::with_rules("");
    let output = world.server(&["serve", "--help"]).output().expect("run");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in
        ["Containerfile", "Containerfile.scratch", "kubernetes/server.yaml", "kubernetes/agent-sandbox.yaml"]
    {
        let text = read(name);
        let given = arguments(&text);
        let ours: Vec<&&str> = given.iter().filter(|word| !word.starts_with("--no-install")).collect();
        assert!(ours.contains(&&"--http") && ours.contains(&&"--token-file"), "{name}: {ours:?}");
        for argument in ours {
            assert!(help.contains(&format!("{argument} <")), "{name}: {argument}");
        }
    }
}

#[test]
fn pods_keep_to_the_restricted_standard_and_are_probed() {
    for name in ["kubernetes/server.yaml", "kubernetes/agent-sandbox.yaml"] {
        let text = read(name);
        for wanted in [
            "runAsNonRoot: true",
            "allowPrivilegeEscalation: false",
            "readOnlyRootFilesystem: true",
            "capabilities: {drop: [ALL]}",
            "seccompProfile: {type: RuntimeDefault}",
            "automountServiceAccountToken: false",
            "path: /readyz",
            "limits:",
        ] {
            assert!(text.contains(wanted), "{name}: {wanted}");
        }
        // What is mounted is there, and the other way round.
        for volume in ["state", "workspaces", "tmp", "tokens"] {
            assert!(text.contains(&format!("- {{name: {volume}, mountPath: ")), "{name}: {volume}");
            let is_there =
                [format!("- {{name: {volume}, emptyDir"), format!("- name: {volume}\n          secret")];
            assert!(is_there.iter().any(|line| text.contains(line)), "{name}: {volume}");
        }
        for document in text.split("\n---\n") {
            let lines: Vec<&str> = document.lines().filter(|line| !line.starts_with('#')).collect();
            for begin in ["apiVersion: ", "kind: ", "metadata:", "  name: ", "spec:"] {
                assert!(lines.iter().any(|line| line.starts_with(begin)), "{name}: {begin} in\n{document}");
            }
        }
    }
    let text = read("kubernetes/server.yaml");
    let seconds = |after: &str| {
        let rest = text.split_once(after).expect("there").1;
        rest.lines().next().and_then(|line| line.trim().parse::<u64>().ok()).expect("a number")
    };
    assert!(seconds("terminationGracePeriodSeconds:") > seconds("--drain-timeout="));
}

#[test]
fn the_image_ends_with_the_signal_that_drains_and_is_nobodys() {
    for name in ["Containerfile", "Containerfile.scratch"] {
        let text = read(name);
        for line in
            ["STOPSIGNAL SIGTERM", "USER 65532:65532", "ENTRYPOINT [\"/opt/shell-tool-mcp/exec-server\"]"]
        {
            assert!(text.lines().any(|told| told == line), "{name}: {line}");
        }
    }
}
