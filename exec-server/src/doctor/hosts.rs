//! Tries the way on which commands reach hosts by name.

use std::sync::Arc;

use sandbox::ExitStatus;
use shell_engine::config::Config;
use shell_engine::sandboxes::Sandbox;
use shell_engine::shell::{Ending, Shell};

use super::report::Check;
use super::trial::{TRIAL_TIMEOUT, run};

/// Looks a name up and connects to it, which the server accepts. The name is nobody's (RFC 2606), and nobody outside is asked
/// for it.
const TRIAL: &str = "exec 3<>/dev/tcp/doctor.invalid/443";

/// The same at a proxy, which answers that it is not allowed, or not to be had.
const PROXY_TRIAL: &str = "exec 3<>/dev/tcp/127.0.0.1/${HTTP_PROXY##*:}; printf 'CONNECT doctor.invalid:443 HTTP/1.1\\r\\n\\r\\n' >&3; \
                           read -r -t 10 -u 3 answer; [[ $answer == HTTP/1.1\\ [45]* ]]";

const THROUGH_PROXY: &str = "through a proxy, by programs that know of one (HTTP_PROXY, HTTPS_PROXY)";

/// Nothing where hosts are not reached by name, because there is no sandbox or it has the host's network.
pub(super) async fn hosts(config: Arc<Config>, sandbox: &Sandbox) -> Option<Check> {
    sandbox.plan().by_name.as_ref()?;
    let enforcement = sandbox.enforcement();
    let shell = Shell::unrecorded(config);
    let way = if enforcement.by_name { (TRIAL, "by name") } else { (PROXY_TRIAL, THROUGH_PROXY) };
    let found = tried(&shell, way).await;
    shell.close(TRIAL_TIMEOUT).await;
    if found.is_err() && !enforcement.by_name {
        let why = enforcement.no_gateway.as_deref().unwrap_or("it has no network namespace of its own");
        let found =
            format!("no host can be reached by name from this sandbox, only the whole network given: {why}");
        return Some(Check::welcome("hosts", Err(found)));
    }
    Some(Check::welcome("hosts", found))
}

async fn tried(shell: &Shell, (trial, way): (&str, &str)) -> Result<String, String> {
    match run(shell, trial).await {
        Ok(outcome) => match outcome.ending {
            Ending::Ended(ExitStatus::Exited(0)) => {
                Ok(format!("reached {way}, as far as rules or a person allow them"))
            }
            Ending::Ended(_) | Ending::TimedOut | Ending::Cancelled | Ending::Lost => {
                Err(String::from_utf8_lossy(&outcome.output.end(2000)).into_owned())
            }
        },
        Err(error) => Err(error),
    }
}
