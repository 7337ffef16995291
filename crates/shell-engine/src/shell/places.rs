//! Places for running commands that several users share. Whoever waits with many commands waits behind whoever waits with
//! few: the users take turns.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::sandboxes::Neighbours;

/// Places that are shared. Clones are the same.
#[derive(Clone, Debug)]
pub struct Places {
    state: Arc<Mutex<State>>,
    neighbours: Neighbours,
    turns: Option<Arc<dyn Turns>>,
}

/// Where a command's turn is asked for that has a place here, because other processes run commands, too.
pub trait Turns: Debug + Send + Sync {
    /// Waits for a turn, which is given back when what this gives is dropped. Dropping the future leaves the queue.
    fn enter(&self) -> Pin<Box<dyn Future<Output = Lent> + Send + '_>>;
}

/// A turn that is another process's to give.
pub type Lent = Box<dyn Debug + Send + Sync>;

#[derive(Debug)]
struct State {
    free: usize,
    users: u64,
    /// Those who wait, by their users, in the order of the users' turns.
    waiting: VecDeque<(u64, VecDeque<oneshot::Sender<TakenPlace>>)>,
}

/// One user of shared places.
#[derive(Clone, Debug)]
pub struct User {
    places: Places,
    number: u64,
}

/// A place to run a command; whoever is next gets it when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the place to the next command"]
pub struct TakenPlace {
    places: Option<Places>,
    turn: Option<Lent>,
}

impl Places {
    /// So many, and at least one.
    #[must_use]
    pub fn new(count: usize) -> Places {
        let state = State { free: count.max(1), users: 0, waiting: VecDeque::new() };
        Places { state: Arc::new(Mutex::new(state)), neighbours: Neighbours::new(count), turns: None }
    }

    /// The same, where whoever has a place waits for his turn among other processes besides.
    #[must_use]
    pub fn taking_turns(self, turns: Arc<dyn Turns>) -> Places {
        Places { turns: Some(turns), ..self }
    }

    /// One more user.
    #[must_use]
    pub fn user(&self) -> User {
        let mut state = self.state();
        state.users += 1;
        User { places: self.clone(), number: state.users }
    }

    /// How many commands wait for one.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state().waiting.iter().map(|(_, queue)| queue.len()).sum()
    }

    /// The users' sandboxes.
    pub(super) fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl User {
    /// Waits for a place. Dropping the future leaves the queue.
    pub async fn enter(&self) -> TakenPlace {
        let mut place = self.enter_here().await;
        if let Some(turns) = &self.places.turns {
            place.turn = Some(turns.enter().await);
        }
        place
    }

    async fn enter_here(&self) -> TakenPlace {
        let place = || TakenPlace { places: Some(self.places.clone()), turn: None };
        let receiver = {
            let mut state = self.places.state();
            if state.free > 0 {
                state.free -= 1;
                return place();
            }
            let (sender, receiver) = oneshot::channel();
            match state.waiting.iter_mut().find(|(number, _)| *number == self.number) {
                Some((_, queue)) => queue.push_back(sender),
                None => state.waiting.push_back((self.number, VecDeque::from([sender]))),
            }
            receiver
        };
        // Those who wait are never forgotten; if they were, nobody would be held up.
        receiver.await.unwrap_or(TakenPlace { places: None, turn: None })
    }
}

impl State {
    /// Who is next. The user's others wait until all other users had their turn.
    fn next(&mut self) -> Option<oneshot::Sender<TakenPlace>> {
        let (user, mut queue) = self.waiting.pop_front()?;
        let sender = queue.pop_front();
        if !queue.is_empty() {
            self.waiting.push_back((user, queue));
        }
        sender
    }
}

impl Drop for TakenPlace {
    fn drop(&mut self) {
        // Whoever is next here waits for a turn of his own.
        self.turn = None;
        let Some(places) = self.places.take() else { return };
        let mut place = TakenPlace { places: Some(places.clone()), turn: None };
        loop {
            let sender = {
                let mut state = places.state();
                let sender = state.next();
                if sender.is_none() {
                    state.free += 1;
                }
                sender
            };
            let Some(sender) = sender else {
                place.places = None;
                return;
            };
            match sender.send(place) {
                Ok(()) => return,
                // He waits no longer.
                Err(back) => place = back,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[tokio::test]
    async fn users_take_turns_however_many_commands_each_has() {
        let places = Places::new(1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let (many, few) = (places.user(), places.user());
        let first = many.enter().await;
        let mut tasks = Vec::new();
        for (name, user) in [("many", &many), ("many", &many), ("many", &many), ("few", &few)] {
            let (user, order) = (user.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _place = user.enter().await;
                order.lock().unwrap().push(name);
            }));
            tokio::task::yield_now().await;
        }
        assert_eq!(places.waiting(), 4);
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["many", "few", "many", "many"]);
    }

    #[tokio::test]
    async fn who_stops_waiting_loses_no_place() {
        let places = Places::new(1);
        let user = places.user();
        let first = user.enter().await;
        let waiting = tokio::spawn({
            let user = user.clone();
            async move { user.enter().await }
        });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.is_err());
        drop(first);
        let second = user.enter().await;
        drop(second);
        assert_eq!(places.state().free, 1);
    }
}
