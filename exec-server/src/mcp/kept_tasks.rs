//! The tasks that there are. Those that have ended can be asked for as long as they say, unless there are too many of them:
//! the one that ended first makes room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmcp::model::{CallToolResult, DetailedTask, ErrorData, InputResponses, Task};
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};

/// The most that go on at a time.
const MOST_GOING: usize = 256;

/// The most that have ended.
const MOST_ENDED: usize = 256;

/// What those that have ended hold together, in bytes of their results.
const MOST_BYTES: usize = 16 << 20;

/// How long a task can be asked for after its end.
pub(super) const KEPT: Duration = Duration::from_secs(60 * 60);

/// One user's tasks. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct KeptTasks(Arc<Mutex<Vec<Kept>>>);

/// A task, in a manager of its own: rmcp's forget none before its time.
struct Kept {
    id: String,
    manager: TaskManager,
    ended: Option<Ended>,
}

struct Ended {
    when: Instant,
    bytes: usize,
}

impl KeptTasks {
    /// Whether one more may begin.
    pub(super) fn has_room(&self) -> bool {
        self.list().iter().filter(|task| task.ended.is_none()).count() < MOST_GOING
    }

    /// Begins one.
    pub(super) fn spawn<F>(&self, options: TaskOptions, attend: impl FnOnce(TaskContext) -> F) -> Task
    where
        F: Future<Output = Result<CallToolResult, TaskExit>> + Send + 'static,
    {
        let manager = TaskManager::new();
        let kept = |context: TaskContext| {
            let id = context.task_id().to_owned();
            self.list().push(Kept { id: id.clone(), manager: manager.clone(), ended: None });
            let going = Going { tasks: self.clone(), id, bytes: 0 };
            let attending = attend(context);
            async move {
                let mut going = going;
                let result = attending.await;
                going.bytes = result.as_ref().map_or(0, length);
                result
            }
        };
        let task = manager.spawn(options, |context| Box::pin(kept(context)));
        self.make_room();
        task
    }

    /// How one is.
    pub(super) fn get_task(&self, id: &str) -> Result<DetailedTask, ErrorData> {
        self.manager(id).get_task(id)
    }

    /// Takes answers to what one asks.
    pub(super) fn update_task(&self, id: &str, answers: InputResponses) -> Result<(), ErrorData> {
        self.manager(id).update_task(id, answers)
    }

    /// Has one end.
    pub(super) fn cancel_task(&self, id: &str) -> Result<(), ErrorData> {
        self.manager(id).cancel_task(id)
    }

    /// Who knows a task by that name; an unknown one is known to nobody.
    fn manager(&self, id: &str) -> TaskManager {
        self.make_room();
        self.list().iter().find(|task| task.id == id).map(|task| task.manager.clone()).unwrap_or_default()
    }

    /// Forgets those that have ended long ago, and those that are too many.
    fn make_room(&self) {
        let going: Vec<TaskManager> =
            self.list().iter().filter(|task| task.ended.is_none()).map(|task| task.manager.clone()).collect();
        // What takes longer than it may ends when it is looked at.
        for manager in going {
            manager.running_task_count();
        }
        let mut list = self.list();
        let mut ended: Vec<(Instant, usize, String)> = list
            .iter()
            .filter_map(|task| task.ended.as_ref().map(|ended| (ended.when, ended.bytes, task.id.clone())))
            .collect();
        ended.sort_by_key(|(when, ..)| std::cmp::Reverse(*when));
        let mut bytes = 0_usize;
        let stays = |(at, (when, own, _)): &(usize, &(Instant, usize, String))| {
            bytes = bytes.saturating_add(*own);
            *at < MOST_ENDED && bytes <= MOST_BYTES && when.elapsed() < KEPT
        };
        let staying = ended.iter().enumerate().take_while(stays).count();
        let forgotten: Vec<&String> = ended.iter().skip(staying).map(|(.., id)| id).collect();
        list.retain(|task| !forgotten.contains(&&task.id));
    }

    fn list(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a task has ended, when it is dropped.
struct Going {
    tasks: KeptTasks,
    id: String,
    bytes: usize,
}

impl Drop for Going {
    fn drop(&mut self) {
        let ended = Ended { when: Instant::now(), bytes: self.bytes };
        if let Some(task) = self.tasks.list().iter_mut().find(|task| task.id == self.id) {
            task.ended = Some(ended);
        }
        self.tasks.make_room();
    }
}

/// How long a result is, in bytes.
fn length(result: &CallToolResult) -> usize {
    serde_json::to_vec(result).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::model::{ContentBlock, TaskStatus};

    /// Ends at once, with so much text.
    async fn one(tasks: &KeptTasks, length: usize) -> String {
        let task = tasks.spawn(TaskOptions::new(), move |_| async move {
            Ok(CallToolResult::success(vec![ContentBlock::text("x".repeat(length))]))
        });
        while tasks.get_task(&task.task_id).is_ok_and(|task| task.status() == TaskStatus::Working) {
            tokio::task::yield_now().await;
        }
        task.task_id
    }

    #[tokio::test]
    async fn those_that_ended_first_make_room_for_others() {
        let tasks = KeptTasks::default();
        let first = one(&tasks, 1).await;
        for _ in 1..MOST_ENDED {
            one(&tasks, 1).await;
        }
        assert!(tasks.get_task(&first).is_ok());
        let last = one(&tasks, 1).await;
        assert!(tasks.get_task(&first).is_err() && tasks.get_task(&last).is_ok());
        one(&tasks, MOST_BYTES / 2).await;
        let large = one(&tasks, MOST_BYTES / 2).await;
        assert!(tasks.get_task(&last).is_err() && tasks.get_task(&large).is_ok());
    }

    #[tokio::test]
    async fn those_that_go_on_are_counted_and_not_forgotten() {
        let tasks = KeptTasks::default();
        let begin = || {
            tasks.spawn(TaskOptions::new(), |context| async move {
                context.cancelled().await;
                Err(TaskExit::Cancelled)
            })
        };
        let going: Vec<Task> = (0..MOST_GOING).map(|_| begin()).collect();
        assert!(!tasks.has_room());
        let (first, rest) = going.split_first().unwrap();
        tasks.cancel_task(&first.task_id).unwrap();
        while !tasks.has_room() {
            tokio::task::yield_now().await;
        }
        assert!(rest.iter().all(|task| tasks.get_task(&task.task_id).is_ok()));
    }
}
