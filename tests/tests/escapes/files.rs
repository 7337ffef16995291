//! Attempts on files: outside the workspace, protected inside of it, hidden, the kernel's.

use end_to_end_tests::word;

use crate::attempts::{Attempt, attempt};
use crate::place::Place;
use crate::walls::{
    ACROSS, DEVICES, HELD, HIDDEN, KERNEL_FILES, MODES, OUTSIDE, PINNED, PIPES, PROTECTED, REFUSED,
};

#[rustfmt::skip]
pub(crate) fn attempts(place: &Place) -> Vec<Attempt> {
    let t = word(&place.helper());
    let ws = word(&place.world.workdir());
    let out = word(&place.outside);
    let home = word(place.world.home());
    let codex = word(&place.codex_home());
    let disk = ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/xvda", "/dev/mem"].into_iter()
        .find(|path| std::path::Path::new(path).exists()).unwrap_or("/dev/mem");
    let shared = word(&place.shared);
    vec![
        attempt("2", "hard link to a file outside, written through", format!("{t} link {ws}/file {ws}/link"), format!("{t} link {out}/file {ws}/link2"), ACROSS),
        attempt("2", "symbolic link to a file outside, written through", format!("ln -s file soft; {t} write soft"), format!("ln -s {out}/file out; {t} write out"), OUTSIDE),
        attempt("41", "redirection, without a program", "echo x > new41", format!("echo x > {out}/file"), OUTSIDE),
        attempt("41", "printf and mapfile built-ins", "printf x > new41b", format!("mapfile lines < file; printf x >> {out}/file"), OUTSIDE),
        attempt("44", "workdir outside", format!("{t} write file"), format!("{t} write file"), OUTSIDE).from(place.outside.clone()),
        attempt("44", "workdir outside, new file", format!("{t} create made"), format!("{t} create made"), OUTSIDE).from(place.outside.clone()),
        attempt("44", "workdir /", "", format!("{t} create made"), OUTSIDE).from("/".into()),
        attempt("44", "write by path", format!("{t} write {ws}/file"), format!("{t} write {out}/file"), OUTSIDE),
        attempt("44", "make a folder", format!("{t} mkdir {ws}/folder"), format!("{t} mkdir {out}/folder"), OUTSIDE),
        attempt("44", "truncate", format!("{t} truncate {ws}/made"), format!("{t} truncate {out}/file"), OUTSIDE),
        attempt("44", "remove", format!("{t} remove {ws}/made"), format!("{t} remove {out}/file"), OUTSIDE),
        attempt("44", "rename out", format!("{t} rename {ws}/folder {ws}/folder2"), format!("{t} rename {ws}/folder2 {out}/folder2"), ACROSS),
        attempt("44", "change a mode", format!("{t} chmod {ws}/file"), format!("{t} chmod {out}/file"), MODES),
        attempt("45", "cd outside, then write", format!("cd {ws} && {t} write file"), format!("cd {out} && {t} write file"), OUTSIDE),
        attempt("46", "write through a link", format!("{t} write {ws}/inner-link"), format!("{t} write {ws}/outer-link"), OUTSIDE),
        attempt("46", "write through /proc/self/root", format!("{t} write /proc/self/root{ws}/file"), format!("{t} write /proc/self/root{out}/file"), OUTSIDE),
        attempt("46", "write through /proc/self/cwd", format!("{t} write /proc/self/cwd/file"), format!("cd {out}; {t} write /proc/self/cwd/file"), OUTSIDE),
        attempt("46", "write through ..", format!("{t} write {ws}/.git/../file"), format!("{t} write {ws}/../outside/file"), OUTSIDE),
        attempt("47", "write the user's rules", format!("{t} read {codex}/rules/default.rules"), format!("{t} write {codex}/rules/default.rules"), OUTSIDE),
        attempt("47", "add a rules file", format!("{t} create {ws}/more.rules"), format!("{t} create {codex}/rules/more.rules"), OUTSIDE),
        attempt("47", "write config.toml", format!("{t} read {codex}/config.toml"), format!("{t} write {codex}/config.toml"), OUTSIDE),
        attempt("47", "write a shell start-up file", format!("{t} create {ws}/.bashrc"), format!("{t} create {home}/.bashrc"), OUTSIDE),
        attempt("47", "replace the server's program", format!("{t} read {}", word(&place.server_program())), format!("{t} remove {}", word(&place.server_program())), OUTSIDE),
        attempt("-", "read a private key", format!("{t} read {home}/notes"), format!("{t} read {home}/.ssh/id_ed25519"), HIDDEN),
        attempt("-", "read a password file", "", format!("{t} read {home}/.netrc"), HIDDEN),
        attempt("-", "read the server's records", "", format!("{t} read {codex}/shell-tool-mcp/kept"), HIDDEN),
        attempt("56", "write a named pipe outside", format!("mkfifo pipe; exec 8<>pipe; {t} write pipe"), format!("{t} write {out}/pipe"), PIPES),
        attempt("56", "write /proc/sys", format!("{t} read /proc/sys/kernel/ostype"), format!("{t} write /proc/sys/kernel/core_pattern"), KERNEL_FILES),
        attempt("56", "write /sys", format!("{t} list /sys"), format!("{t} write /sys/kernel/mm/transparent_hugepage/enabled"), KERNEL_FILES),
        attempt("56", "write a disk", format!("{t} write /dev/null"), format!("{t} write {disk}"), DEVICES),
        attempt("56", "read a disk", format!("{t} read /dev/null"), format!("{t} read {disk}"), DEVICES),
        attempt("56", "read shared memory outside", format!("{t} list /dev"), format!("{t} read {shared}"), DEVICES),
        attempt("56", "write shared memory outside", "", format!("{t} write {shared}"), DEVICES),
    ]
}

/// What programs outside trust and run later.
#[rustfmt::skip]
pub(crate) fn attempts_on_protected_places(place: &Place) -> Vec<Attempt> {
    let t = word(&place.helper());
    let ws = word(&place.world.workdir());
    // Where the folder is missing, it is what must be made first.
    let in_folder = |folder: &str, name: &str| {
        format!("r=$({t} create {folder}/{name}); [ \"$r\" = ENOENT ] && r=$({t} mkdir {folder}); echo \"$r\"")
    };
    vec![
        attempt("31", "write .git/config", format!("{t} create {ws}/.git/index.lock"), format!("{t} write {ws}/.git/config"), PROTECTED),
        attempt("31", "make a hook", format!("{t} mkdir {ws}/.git/objects/aa"), in_folder(&format!("{ws}/.git/hooks"), "pre-commit"), HELD),
        attempt("45", "cd into .git, then make a hook", format!("cd {ws}/.git && {t} create objects/x"), format!("cd {ws}/.git && {}", in_folder("hooks", "post-commit")), HELD),
        attempt("-", "a set-user-ID bit", format!("chmod 755 {ws}/file"), format!("chmod 4755 {ws}/file"), REFUSED),
        attempt("-", "a new file with a set-user-ID bit", "", format!("install -m 4755 {ws}/file {ws}/spare3"), REFUSED),
        attempt("-", "the mode of a device", "echo > /dev/null", "chmod 666 /dev/null", MODES),
        attempt("31", "replace .git/config", format!("{t} create {ws}/spare"), format!("{t} rename {ws}/spare {ws}/.git/config"), PINNED),
        attempt("31", "redirect .git's settings", format!("{t} create {ws}/spare2"), format!("{t} rename {ws}/spare2 {ws}/.git/commondir"), PINNED),
        attempt("31", "replace .git", format!("{t} mkdir {ws}/other"), format!("{t} rename {ws}/.git {ws}/git"), PINNED),
        attempt("47", "make rules for agents", format!("{t} create {ws}/rules"), in_folder(&format!("{ws}/.codex"), "default.rules"), HELD),
        attempt("47", "make .mcp.json", format!("{t} create {ws}/mcp.json"), format!("{t} create {ws}/.mcp.json"), HELD),
        attempt("47", "put .mcp.json in place", "", format!("{t} rename {ws}/.mcp.json {ws}/mcp2.json"), PINNED),
        attempt("47", "write .vscode/tasks.json", "", format!("{t} write {ws}/.vscode/tasks.json"), PROTECTED),
    ]
}
