//! Turns to run a command, which one process gives to others: each says by one byte what it wants, and is told by one byte
//! that it may. Whoever speaks otherwise, or wants more at a time than he may have, is not listened to any more.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shell_engine::shell::{Lent, TakenPlace, Turns, User};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// A worker wants a turn.
const WANTED: u8 = b'w';

/// A worker gives one back.
const DONE: u8 = b'd';

/// A worker has had nothing to do for long, and would end.
const IDLE: u8 = b'i';

/// A worker has one more turn.
const GIVEN: u8 = b'g';

/// The worker's end of turns.
#[derive(Debug)]
pub(in crate::http) struct Asked {
    said: mpsc::UnboundedSender<u8>,
    waiting: Mutex<VecDeque<oneshot::Sender<Taken>>>,
}

/// A turn that was given, until it is dropped.
struct Taken(mpsc::UnboundedSender<u8>);

impl fmt::Debug for Taken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Taken")
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // When nobody listens, this process ends.
        let _ = self.0.send(DONE);
    }
}

impl Asked {
    /// Asks over this connection. The future completes when the other end is gone.
    pub(in crate::http) fn over<S>(link: S) -> (Arc<Asked>, impl Future<Output = ()> + Send + use<S>)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (said, mut to_say) = mpsc::unbounded_channel();
        let asked = Arc::new(Asked { said, waiting: Mutex::default() });
        let heard = Arc::clone(&asked);
        let (mut reader, mut writer) = tokio::io::split(link);
        let speaking = async move {
            while let Some(byte) = to_say.recv().await {
                if writer.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
        };
        let hearing = async move {
            while matches!(reader.read_u8().await, Ok(GIVEN)) {
                let next = heard.waiting().pop_front();
                let taken = Taken(heard.said.clone());
                // Who waits no longer gives it back by not taking it.
                drop(next.map(|next| next.send(taken)));
            }
        };
        (asked, async move {
            tokio::select! {
                () = speaking => {}
                () = hearing => {}
            }
        })
    }

    /// Says that nothing has been done for long.
    pub(in crate::http) fn idle(&self) {
        let _ = self.said.send(IDLE);
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<Taken>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns for Asked {
    fn enter(&self) -> Pin<Box<dyn Future<Output = Lent> + Send + '_>> {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            {
                let mut waiting = self.waiting();
                // A turn that was asked for and is not waited for any more is as good.
                let given_up = waiting.iter().position(oneshot::Sender::is_closed);
                drop(given_up.and_then(|at| waiting.remove(at)));
                waiting.push_back(sender);
                if given_up.is_none() {
                    let _ = self.said.send(WANTED);
                }
            }
            match receiver.await {
                Ok(taken) => Box::new(taken) as Lent,
                // The other end is gone, and so will be this process: nothing begins any more.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// Gives a worker turns as they become free, `most` at a time, until it is gone, and calls `idle` when it says that it is.
pub(super) async fn give(
    link: impl AsyncRead + AsyncWrite,
    user: User,
    most: usize,
    mut idle: impl FnMut(),
) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(link);
    let mut held: Vec<TakenPlace> = Vec::new();
    let mut wanted = 0;
    // Kept while bytes come, as the place in the queue is.
    let mut next = None;
    loop {
        if wanted > 0 && next.is_none() {
            next = Some(Box::pin(user.enter()));
        }
        let entering = async {
            match &mut next {
                Some(next) => next.await,
                None => std::future::pending().await,
            }
        };
        let byte = tokio::select! {
            byte = reader.read_u8() => byte?,
            place = entering => {
                next = None;
                wanted -= 1;
                held.push(place);
                writer.write_all(&[GIVEN]).await?;
                continue;
            }
        };
        match byte {
            // One that is given back may be on its way, and another one wanted meanwhile.
            WANTED if held.len() + wanted < most.saturating_mul(2) => wanted += 1,
            DONE if held.pop().is_some() => {}
            IDLE => idle(),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shell_engine::shell::Places;

    #[tokio::test]
    async fn turns_are_given_one_after_another_and_those_of_the_gone_to_others() {
        let places = Places::new(1);
        let (near, far) = tokio::io::duplex(64);
        tokio::spawn(give(near, places.user(), 8, || {}));
        let (asked, link) = Asked::over(far);
        let link = tokio::spawn(link);
        let first = asked.enter().await;
        let other = places.user();
        let mut second = std::pin::pin!(async { drop(asked.enter().await) });
        let mut third = std::pin::pin!(async { drop(other.enter().await) });
        tokio::select! {
            biased;
            () = &mut second => panic!("there is one place"),
            () = &mut third => panic!("there is one place"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        tokio::join!(second, third);
        // A turn that somebody has when he dies is given back.
        let _fourth = asked.enter().await;
        link.abort();
        let _ = link.await;
        drop(places.user().enter().await);
    }

    #[tokio::test]
    async fn who_waits_no_longer_leaves_what_he_asked_for_to_whoever_comes() {
        let places = Places::new(1);
        let taken = places.user().enter().await;
        let (near, far) = tokio::io::duplex(64);
        let giving = tokio::spawn(give(near, places.user(), 1, || {}));
        let (asked, link) = Asked::over(far);
        let link = tokio::spawn(link);
        for _ in 0..100 {
            let mut waits = asked.enter();
            tokio::select! {
                biased;
                _ = &mut waits => panic!("there is none"),
                () = tokio::task::yield_now() => {}
            }
        }
        drop(taken);
        drop(asked.enter().await);
        assert!(!giving.is_finished());
        link.abort();
    }

    #[tokio::test]
    async fn who_wants_too_much_or_gives_what_he_has_not_is_not_listened_to() {
        for said in [&b"wwwww"[..], b"d", b"wdd", b"x"] {
            let (near, mut far) = tokio::io::duplex(64);
            far.write_all(said).await.unwrap();
            let ended = give(near, Places::new(8).user(), 2, || {}).await;
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::InvalidData, "{said:?}");
        }
    }
}
