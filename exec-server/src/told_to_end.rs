//! The signals by which a program is told to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Listens for these signals; the future completes when one has come.
///
/// # Errors
///
/// When they cannot be heard.
pub(crate) fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
