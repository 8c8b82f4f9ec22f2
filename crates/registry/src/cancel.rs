//! Stopping at once: what waits for a registry notices neither a flag nor another thread's failure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::Error;

/// How often the user's flag is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Ends all connections when the user asks for it, or when a part of the work has failed.
pub(crate) struct Cancel<'a> {
    interrupt: &'a AtomicBool,
    stopped: AtomicBool,
    finished: AtomicBool,
    agents: Mutex<Vec<Agent>>,
}

/// Does `work` and watches `interrupt` meanwhile.
pub(crate) fn watching<T>(
    interrupt: &AtomicBool,
    work: impl FnOnce(&Cancel<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let cancel = Cancel {
        interrupt,
        stopped: AtomicBool::new(false),
        finished: AtomicBool::new(false),
        agents: Mutex::default(),
    };
    let result = thread::scope(|scope| {
        let watcher = scope.spawn(|| cancel.watch());
        let _finish = Finish(&cancel, watcher.thread().clone());
        work(&cancel)
    });
    // Whatever broke then, broke because the connections were ended.
    if interrupt.load(Ordering::Relaxed) { result.map_err(|_| Error::Interrupted) } else { result }
}

/// Ends the watch, after a panic too.
struct Finish<'a, 'b>(&'a Cancel<'b>, thread::Thread);

impl Drop for Finish<'_, '_> {
    fn drop(&mut self) {
        self.0.finished.store(true, Ordering::Relaxed);
        self.1.unpark();
    }
}

impl Cancel<'_> {
    /// Ends the agent's connections, too, when it comes to that.
    pub(crate) fn include(&self, agent: &Agent) {
        self.lock().push(agent.clone());
    }

    /// Ends all connections; what is tried from now on fails.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        for agent in self.lock().drain(..) {
            agent.shutdown();
        }
    }

    /// Whether there is no point in going on.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.interrupt.load(Ordering::Relaxed)
    }

    /// Waits, or less when it is stopped.
    pub(crate) fn pause(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while let Some(left) =
            end.checked_duration_since(Instant::now()).filter(|_| !self.is_stopped())
        {
            thread::sleep(left.min(LOOK));
        }
    }

    fn watch(&self) {
        while !self.finished.load(Ordering::Relaxed) {
            if self.interrupt.load(Ordering::Relaxed) {
                return self.stop();
            }
            thread::park_timeout(LOOK);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Agent>> {
        lock(&self.agents)
    }
}

/// What several threads share. One that panicked while it held it leaves nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
