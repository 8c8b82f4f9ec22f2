//! Work side by side: items that several threads take, each once, until none is left or one has failed.
//!
//! Never holds its lock while an item is worked on.

use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::cancel::lock;

/// Items that wait, and the first failure.
pub(crate) struct Queue<I, E> {
    items: Mutex<I>,
    failed: Mutex<Option<E>>,
}

impl<I: Iterator, E> Queue<I, E> {
    pub(crate) fn new(items: impl IntoIterator<IntoIter = I>) -> Self {
        Self { items: Mutex::new(items.into_iter()), failed: Mutex::new(None) }
    }

    /// Works on items, in as many threads as call this. `stop` is called after a failure, which is kept
    /// before: what breaks because the work was stopped is not its cause.
    pub(crate) fn work(&self, on: impl Fn(I::Item) -> Result<(), E>, stop: impl Fn()) {
        // Not in the loop's head: there the lock would be held for the work.
        let next = || lock(&self.items).next().filter(|_| lock(&self.failed).is_none());
        while let Some(item) = next() {
            if let Err(error) = on(item) {
                lock(&self.failed).get_or_insert(error);
                stop();
            }
        }
    }

    /// What came of it, when all threads are done.
    pub(crate) fn outcome(self) -> Result<(), E> {
        self.failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// Works on items in so many threads, of which this one is the first. `stop` is as for [`Queue::work`].
///
/// # Errors
/// The first failure, when what had begun has ended.
pub(crate) fn side_by_side<I, E>(
    items: impl IntoIterator<IntoIter = I>,
    threads: usize,
    work: impl Fn(I::Item) -> Result<(), E> + Sync,
    stop: impl Fn() + Sync,
) -> Result<(), E>
where
    I: Iterator + Send,
    E: Send,
{
    let queue = Queue::new(items);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| queue.work(&work, &stop));
        }
        queue.work(&work, &stop);
    });
    queue.outcome()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn items_are_worked_on_at_once() {
        // It ends only where two are in work at a time.
        let both = Barrier::new(2);
        let worked = AtomicUsize::new(0);
        let work = |number| {
            both.wait();
            worked.fetch_add(number, Ordering::Relaxed);
            Ok::<(), ()>(())
        };
        let outcome = side_by_side(0..4, 2, work, || ());
        assert_eq!((outcome, worked.into_inner()), (Ok(()), 6));
    }

    #[test]
    fn nothing_begins_after_a_failure() {
        let begun = AtomicUsize::new(0);
        let work = |number| {
            begun.fetch_add(1, Ordering::Relaxed);
            if number == 3 { Err(number) } else { Ok(()) }
        };
        let outcome = side_by_side(1..100, 1, work, || ());
        assert_eq!((outcome, begun.into_inner()), (Err(3), 3));
        assert_eq!(side_by_side(0..0, 0, |_| Err(()), || ()), Ok(()));
    }

    #[test]
    fn what_breaks_because_the_work_is_stopped_is_not_the_cause() {
        let (both, stopped) = (Barrier::new(2), Barrier::new(2));
        let work = |number| {
            both.wait();
            if number == 1 {
                stopped.wait();
            }
            Err(number)
        };
        let first = AtomicUsize::new(0);
        let stop = || {
            if first.fetch_add(1, Ordering::Relaxed) == 0 {
                stopped.wait();
            }
        };
        assert_eq!(side_by_side(0..2, 2, work, stop), Err(0));
    }
}
