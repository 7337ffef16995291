//! What a request writes to a session. A person may have to be asked first, so it is done beside the request, which can
//! return with the question meanwhile.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;

use shell_engine::shell::{Session, Typed, WriteError};

/// Something that is being written. Dropped before that, it is not.
pub(super) struct Writing(Mutex<Option<JoinHandle<Written>>>);

/// What is to be said about what was written, or why it was not.
type Written = Result<Vec<String>, String>;

impl Writing {
    /// Begins to write.
    pub(super) fn begin(session: &Arc<Session>, typed: &Typed<'_>) -> Arc<Writing> {
        let (Typed::Text(shown) | Typed::Keys(shown) | Typed::Paste(shown)) = *typed;
        let bytes = session.call().keyboard(typed);
        let (session, shown) = (Arc::clone(session), shown.to_owned());
        let writing = tokio::spawn(async move { write(&session, &shown, bytes).await });
        Arc::new(Writing(Mutex::new(Some(writing))))
    }

    /// Waits until it is done; for one request at a time.
    async fn done(&self) -> Written {
        std::future::poll_fn(|context| {
            let mut writing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(handle) = &mut *writing else { return std::task::Poll::Ready(Ok(Vec::new())) };
            let done = std::task::ready!(std::pin::Pin::new(handle).poll(context));
            *writing = None;
            std::task::Poll::Ready(done.unwrap_or_else(|error| Err(error.to_string())))
        })
        .await
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let writing = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(writing) = writing {
            writing.abort();
        }
    }
}

/// Completes when what the request writes is written, with what is to be said about it, or is not to be, with the reason; never
/// where it writes nothing.
pub(super) async fn written(writing: Option<&Arc<Writing>>) -> Written {
    match writing {
        Some(writing) => writing.done().await,
        None => std::future::pending().await,
    }
}

async fn write(session: &Session, shown: &str, bytes: Vec<u8>) -> Written {
    let number = session.number();
    match session.call().write(shown, bytes).await {
        Ok(()) => Ok(Vec::new()),
        Err(WriteError::Ended) => Ok(vec![UNWRITTEN.to_owned()]),
        Err(WriteError::Closed) => Err(format!(
            "stdin of session {number} is closed; start the command with tty=true, or stdin=true, to write to it"
        )),
        Err(error @ WriteError::Full { .. }) => {
            Err(format!("nothing was written to session {number}: {error}"))
        }
        Err(WriteError::Refused(refused)) => Err(format!("session {number}: {refused}")),
    }
}

/// What is said when the command was quicker.
pub(super) const UNWRITTEN: &str = "it had ended before this was written";
