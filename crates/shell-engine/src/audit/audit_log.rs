//! The way to the log: a bounded queue and the thread that writes it down.
//!
//! What happens often (programs that run inside the sandbox) costs its caller microseconds: it is queued and written
//! within moments. What gives rights waits until its line is in the file.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::append::{Appender, LogLimits, Written};
use super::error::AuditError;
use super::event::Event;
use super::files::{Folder, Log};

/// Events that may wait to be written. One of them has a few hundred bytes, rarely more than some thousands.
const WAITING: usize = 8192;

/// How long events that nobody waits for are gathered, so that many are written at once.
const GATHERING: Duration = Duration::from_millis(20);

/// How long somebody waits for a line: a disk or another server that holds it up for longer is as good as broken.
const WRITE_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 5 });

/// Hears every event, to count it; called on the way, so that it must return at once.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// The audit log. Clones are the same log.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
    /// Ends the thread with the last clone.
    _closing: Arc<Closing>,
}

struct Shared {
    /// Nothing is written.
    forgets: bool,
    listener: OnceLock<Listener>,
    /// Calls so far.
    calls: AtomicU64,
    queue: Mutex<Queue>,
    /// Something came into the queue that should be looked at.
    came: Condvar,
    /// Everything was written, or was tried.
    settled: Condvar,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Queued>,
    /// What found no room or could not be written, since that was last recorded.
    lost: Lost,
    /// Somebody waits for a line.
    urgent: bool,
    /// The thread has taken events and not yet settled them.
    writing: bool,
    running: bool,
    closing: bool,
}

/// Events that are missing in each log.
#[derive(Clone, Copy, Default)]
struct Lost {
    decisions: u64,
    runs: u64,
}

impl Lost {
    fn count(&mut self, log: Log, events: u64) {
        match log {
            Log::Decisions => self.decisions += events,
            Log::Runs => self.runs += events,
        }
    }

    /// What the logs say about it.
    fn notes(self) -> impl Iterator<Item = Event> {
        let decisions = (self.decisions > 0).then_some(Event::Lost { decisions: self.decisions });
        let runs = (self.runs > 0).then_some(Event::LostRuns { runs: self.runs });
        decisions.into_iter().chain(runs)
    }
}

struct Queued {
    time: SystemTime,
    event: Event,
    /// Who waits for it.
    told: Option<oneshot::Sender<Result<(), Arc<AuditError>>>>,
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Audit").finish_non_exhaustive()
    }
}

impl Audit {
    /// The log of the user whose rules are below `codex_home`. Nothing is touched before the first event.
    #[must_use]
    pub fn new(codex_home: &Path) -> Audit {
        Audit::with(Folder::of(codex_home), LogLimits::default())
    }

    /// A log that forgets what it is told, for an examination: what it tries is nobody's decision.
    pub(crate) fn forgetful() -> Audit {
        let shared = Arc::new(Shared::new(true, false));
        Audit { _closing: Arc::new(Closing(Arc::clone(&shared))), shared }
    }

    pub(super) fn with(folder: Folder, limits: LogLimits) -> Audit {
        let shared = Arc::new(Shared::new(false, true));
        let appender = Appender::new(folder, limits);
        let thread = std::thread::Builder::new().name("audit".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.write_down(appender)
        });
        if let Err(error) = thread {
            tracing::error!(%error, "the audit log's thread did not start; nothing will run outside the sandbox");
            shared.lock().running = false;
        }
        let closing = Arc::new(Closing(Arc::clone(&shared)));
        Audit { shared, _closing: closing }
    }

    /// Tells `listener` from now on what is recorded. There is one; another one hears nothing.
    pub(crate) fn heard_by(&self, listener: Listener) {
        let _ = self.shared.listener.set(listener);
    }

    /// The number of a new call.
    pub(super) fn next_call(&self) -> u64 {
        self.shared.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Records an event that gives no rights. Returns at once; when it cannot be written, a later line says that
    /// something is missing.
    pub fn record(&self, event: Event) {
        if self.shared.forgets {
            return;
        }
        self.shared.tell(&event);
        let mut queue = self.shared.lock();
        // A flood of runs must not keep out what was decided.
        let room = match event.log() {
            Log::Decisions => 2 * WAITING,
            Log::Runs => WAITING,
        };
        if queue.events.len() >= room || !queue.running {
            queue.lost.count(event.log(), 1);
            return;
        }
        queue.events.push_back(Queued { time: SystemTime::now(), event, told: None });
        if queue.events.len() == 1 && !queue.writing {
            self.shared.came.notify_one();
        }
    }

    /// Records an event, and waits until its line is in the log.
    ///
    /// # Errors
    ///
    /// When it is not: what it stands for must not happen.
    pub async fn record_and_wait(&self, event: Event) -> Result<(), Arc<AuditError>> {
        if self.shared.forgets {
            return Ok(());
        }
        self.shared.tell(&event);
        let (told, written) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            if !queue.running {
                return Err(Arc::new(AuditError::NoThread));
            }
            // Room of its own: a flood of what gives no rights must not keep out what does.
            if queue.events.len() >= 3 * WAITING {
                return Err(Arc::new(AuditError::Full));
            }
            queue.events.push_back(Queued { time: SystemTime::now(), event, told: Some(told) });
            queue.urgent = true;
            self.shared.came.notify_one();
        }
        match tokio::time::timeout(WRITE_TIMEOUT, written).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err(Arc::new(AuditError::NoThread)),
            Err(_) => Err(Arc::new(AuditError::TooSlow)),
        }
    }

    /// Waits until everything so far is written or has failed; at most for `timeout`. For the server's end.
    pub fn settle(&self, timeout: Duration) {
        let until = Instant::now() + timeout;
        let mut queue = self.shared.lock();
        queue.urgent = true;
        self.shared.came.notify_one();
        while queue.running && (queue.writing || !queue.events.is_empty()) {
            let Some(rest) = until.checked_duration_since(Instant::now()) else { return };
            queue = self.shared.settled.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.lock().closing = true;
        self.0.came.notify_one();
    }
}

impl Shared {
    fn new(forgets: bool, running: bool) -> Shared {
        Shared {
            forgets,
            listener: OnceLock::new(),
            calls: AtomicU64::new(0),
            queue: Mutex::new(Queue { running, ..Queue::default() }),
            came: Condvar::new(),
            settled: Condvar::new(),
        }
    }

    fn tell(&self, event: &Event) {
        if let Some(listener) = self.listener.get() {
            listener(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's life.
    fn write_down(&self, mut appender: Appender) {
        let mut broken = false;
        while let Some((batch, lost)) = self.next() {
            let notes: Vec<Event> = lost.notes().collect();
            let now = SystemTime::now();
            let events = batch.iter().map(|queued| (queued.time, &queued.event));
            let appended = appender.append(events.chain(notes.iter().map(|note| (now, note))));
            let (written, runs) = match appended {
                Ok(Written { decisions, runs }) => (decisions.map_err(Arc::new), runs.map_err(Arc::new)),
                Err(error) => {
                    let error = Arc::new(error);
                    (Err(Arc::clone(&error)), Err(error))
                }
            };
            match written.as_ref().and(runs.as_ref()) {
                Ok(()) if broken => tracing::warn!("the audit log can be written again"),
                Err(error) if !broken => tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the audit log cannot be written; until it can, nothing runs outside the sandbox"
                ),
                Ok(()) | Err(_) => {}
            }
            broken = written.is_err() || runs.is_err();
            let mut queue = self.lock();
            queue.writing = false;
            // Whoever waits for an event is told; what nobody waits for is missing.
            for (log, before, is_missing) in
                [(Log::Decisions, lost.decisions, written.is_err()), (Log::Runs, lost.runs, runs.is_err())]
            {
                let unheard = |queued: &&Queued| queued.told.is_none() && queued.event.log() == log;
                if is_missing {
                    queue.lost.count(log, before + batch.iter().filter(unheard).count() as u64);
                }
            }
            self.settled.notify_all();
            drop(queue);
            for told in batch.into_iter().filter_map(|queued| queued.told) {
                let _ = told.send(written.clone());
            }
        }
    }

    /// The next events; `None` when there will be none.
    fn next(&self) -> Option<(Vec<Queued>, Lost)> {
        let mut queue = self.lock();
        while queue.events.is_empty() {
            if queue.closing {
                return None;
            }
            queue = self.came.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + GATHERING;
        while !queue.urgent && !queue.closing {
            let Some(rest) = until.checked_duration_since(Instant::now()) else { break };
            queue = self.came.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.urgent = false;
        queue.writing = true;
        Some((queue.events.drain(..).collect(), std::mem::take(&mut queue.lost)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::ActionKind;
    use crate::audit::verify::verify_folder;

    fn event(version: impl Into<String>) -> Event {
        Event::Started { version: version.into(), sandbox: None }
    }

    fn text(folder: &Folder) -> String {
        std::fs::read_to_string(folder.newest(Log::Decisions)).expect("a log")
    }

    #[tokio::test]
    async fn who_waits_finds_its_line_and_all_before_it() {
        let home = tempfile::tempdir().expect("a folder");
        let audit = Audit::new(home.path());
        let folder = Folder::of(home.path());
        for round in 0..100 {
            audit.record(event(format!("early {round}")));
        }
        audit.record_and_wait(event("waited for")).await.expect("written");
        assert_eq!(verify_folder(&folder).expect("intact").decisions.lines, 101);
        assert!(text(&folder).contains("waited for"));
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_an_error_for_who_waits_and_a_gap_that_is_named_for_the_rest() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(home.path());
        crate::private::make_private(folder.path().parent().expect("has one")).expect("made");
        std::fs::write(folder.path(), "in the way").expect("written");
        let audit = Audit::new(home.path());
        audit.record(event("lost"));
        let error = audit.record_and_wait(event("refused")).await.expect_err("not written");
        assert!(error.to_string().ends_with("audit is not a folder"), "{error}");
        std::fs::remove_file(folder.path()).expect("removed");
        audit.record_and_wait(event("again")).await.expect("written");
        assert!(!text(&folder).contains("refused"));
        assert!(text(&folder).contains("\"event\":\"lost\",\"decisions\":1}"), "{}", text(&folder));
        assert_eq!(verify_folder(&folder).expect("intact").decisions.lines, 2);
    }

    #[tokio::test]
    async fn a_flood_is_counted_and_does_not_keep_out_who_waits() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(home.path());
        crate::private::make_private(folder.path()).expect("made");
        let lock = folder.lock().expect("locked");
        let audit = Audit::new(home.path());
        let flood = 3 * WAITING;
        for _ in 0..flood {
            audit.record(event("flood"));
        }
        drop(lock);
        audit.record_and_wait(event("waited for")).await.expect("written");
        audit.settle(Duration::from_secs(60));
        let text = text(&folder);
        let lost: usize = text
            .lines()
            .filter_map(|line| {
                line.split_once("\"decisions\":")?.1.trim_end_matches('}').parse::<usize>().ok()
            })
            .sum();
        assert!(lost > 0);
        assert_eq!(text.matches("flood").count() + lost, flood);
    }

    #[test]
    fn settling_and_dropping_write_everything() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(home.path());
        let audit = Audit::new(home.path());
        audit.record(event("one"));
        audit.settle(Duration::from_secs(60));
        assert_eq!(verify_folder(&folder).expect("intact").decisions.lines, 1);
    }

    /// What programs of one call say to the log.
    fn decide(call: &crate::audit::CallRecord, kind: ActionKind, argument: &str) {
        let record = call.program(None);
        let argv = ["x".into(), argument.into()];
        record.decided(record.decision(kind, Path::new("/bin/x"), &argv, Path::new("/")));
    }

    #[tokio::test]
    async fn runs_rotate_runs_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(home.path());
        let audit = Audit::with(folder.clone(), LogLimits { file: 100_000, files: 2 });
        audit.record_and_wait(event("a server")).await.expect("written");
        let call = audit.call();
        let record = call.program(None);
        let decision = record.decision(ActionKind::Escalate, Path::new("/bin/push"), &[], Path::new("/"));
        record.escalates(decision).await.expect("written");
        for _ in 0..20 {
            let call = audit.call();
            (0..100).for_each(|_| decide(&call, ActionKind::Run, &"\u{1}".repeat(5000)));
            audit.settle(Duration::from_secs(60));
        }
        let intact = verify_folder(&folder).expect("unbroken");
        assert!(intact.runs.first > 1 && intact.runs.files == 3, "{intact:?}");
        assert_eq!((intact.decisions.first, intact.decisions.lines, intact.missing), (1, 2, vec![]));
        assert!(text(&folder).contains("/bin/push"));
    }

    #[tokio::test]
    async fn what_one_call_may_say_is_bounded_and_the_rest_is_counted() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(home.path());
        let audit = Audit::new(home.path());
        let call = audit.call();
        for round in 0..5000 {
            decide(&call, ActionKind::Deny, &"\u{1}".repeat(5000));
            decide(&call, ActionKind::Run, &"y".repeat(5000));
            if round % 1000 == 0 {
                audit.settle(Duration::from_secs(60));
            }
        }
        drop(call);
        audit.settle(Duration::from_secs(60));
        assert!(text(&folder).contains("\"event\":\"more_refusals\",\"call\":\"1\",\"refusals\":4744}"));
        let size = |log| std::fs::metadata(folder.newest(log)).expect("there").len();
        let (decisions, runs) = (size(Log::Decisions), size(Log::Runs));
        assert!(decisions < 8 << 20 && runs < 5 << 20, "{decisions} and {runs} bytes");
        let intact = verify_folder(&folder).expect("unbroken");
        assert_eq!((intact.runs.lines, intact.missing), (5000, vec![]));
    }
}
