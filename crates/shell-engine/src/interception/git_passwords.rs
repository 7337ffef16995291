//! Whether a confined Git may be told passwords: not where a command may have said how it connects.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use super::git_filters::answer;
use crate::judgement::{
    Exec, GIT_CONNECTIONS, Outside, Trust, git_may_talk, git_subcommand, in_arguments, in_configuration,
};
use crate::sandboxes::Sandbox;
use crate::visible::{code, shortened, visible};

/// Finds out, and writes it down with the program.
pub(super) async fn settle(exec: &Exec, program: &mut Outside, trust: &Trust, sandbox: &Arc<Sandbox>) {
    let arguments = program.argv.get(1..).unwrap_or_default();
    if program.program.path.file_name() != Path::new("git").file_name() || !git_may_talk(arguments) {
        return;
    }
    let Some((options, _)) = git_subcommand(arguments) else { return };
    if let Some(setting) = in_arguments(arguments) {
        let setting = code(&shortened(&visible(setting.as_bytes()), 200));
        program.no_password = Some(format!("its arguments say {setting}"));
        return;
    }
    let name = program.argv.first().cloned().unwrap_or_default();
    let words = options.into_iter().chain(GIT_CONNECTIONS.map(OsString::from));
    let asked: Vec<OsString> = std::iter::once(name).chain(words).collect();
    let (path, env) = (program.program.path.clone(), program.env.clone());
    let said = answer(path, asked, env, exec.workdir.clone(), sandbox).await;
    program.no_password = match in_configuration(&said, trust) {
        Ok(None) => None,
        Ok(Some(key)) => {
            let key = code(&shortened(&visible(key.as_bytes()), 200));
            Some(format!("a file of its configuration that commands can write says {key}"))
        }
        Err(()) => Some("it does not say what its configuration is".to_owned()),
    };
}
