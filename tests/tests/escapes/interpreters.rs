//! Programs that run programs or write files by themselves: no rule judges what they do, so only the sandbox holds
//! them.

use std::path::Path;

use end_to_end_tests::word;

use crate::attempts::{Attempt, attempt};
use crate::place::Place;
use crate::walls::OUTSIDE;

/// Number, name, the program that must be there, and the command, in which TRY is the helper and FILE what is written.
#[rustfmt::skip]
const WAYS: &[(&str, &str, &str, &str)] = &[
    ("16", "env", "env", "env TRY write FILE"),
    ("16", "nice, timeout, nohup, setsid, stdbuf", "stdbuf", "nice timeout 20 nohup setsid -w stdbuf -o0 TRY write FILE 2>&1"),
    ("16", "xargs", "xargs", "printf '%s\\0' FILE | xargs -0 TRY write"),
    ("17", "sh -c", "sh", "sh -c 'TRY write FILE'"),
    ("17", "bash -c", "bash", "/bin/bash -c 'TRY write FILE'"),
    ("17", "here-string", "bash", "/bin/bash <<< 'TRY write FILE'"),
    ("17", "script with a first line", "sh", "printf '#!/bin/sh\\nexec TRY write FILE\\n' > script17; chmod +x script17; ./script17"),
    ("18", "python", "python3", "python3 -c 'import os, sys; os.execv(sys.argv[1], sys.argv[1:])' TRY write FILE"),
    ("18", "perl", "perl", "perl -e 'exec @ARGV' TRY write FILE"),
    ("18", "node", "node", "node -e \"console.log(require('child_process').execFileSync(process.argv[1], process.argv.slice(2)).toString().trim())\" TRY write FILE"),
    ("18", "awk system()", "awk", "LINE='TRY write FILE' awk 'BEGIN { system(ENVIRON[\"LINE\"]) }'"),
    ("19", "find -exec", "find", "find file -exec TRY write FILE ';'"),
    ("19", "find -fls", "find", "find file -fls FILE"),
    ("20", "tar --checkpoint-action", "tar", "tar cf /dev/null --checkpoint=1 --checkpoint-action=exec='TRY write FILE' file"),
    ("20", "tar --to-command", "tar", "tar cf a.tar file && tar xf a.tar --to-command='TRY write FILE'"),
    ("21", "sort -o", "sort", "sort file -o FILE"),
    ("22", "sed w", "sed", "sed -n 'w 'FILE file"),
    ("22", "sed e", "sed", "LINE='TRY write FILE' sed -n '1e eval \"$LINE\"' file"),
    ("23", "rg --pre", "rg", "rg --pre TRY x file; TRY write FILE"),
    ("24", "pager with a preprocessor", "less", "LESSOPEN=\"|sh -c 'TRY write FILE' %s\" less file"),
];

/// All that are installed; others are told.
pub(crate) fn attempts(place: &Place) -> Vec<Attempt> {
    let helper = word(&place.helper());
    let at = |file: &Path, command: &str| command.replace("TRY", &helper).replace("FILE", &word(file));
    let mut attempts = Vec::new();
    for (number, name, program, command) in WAYS {
        let folders = ["/usr/local/bin", "/usr/bin", "/bin"];
        if !folders.iter().any(|folder| Path::new(folder).join(program).exists()) {
            tell!("skipped: {name}: no {program}");
            continue;
        }
        // The twin writes a file of the workspace that nothing else needs.
        let twin = format!("echo x > target; {}", at(&place.world.workdir().join("target"), command));
        attempts.push(attempt(number, name, twin, at(&place.outside.join("file"), command), OUTSIDE));
    }
    attempts
}
