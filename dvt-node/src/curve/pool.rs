//! The threads that curve work runs on, and nothing else: no file, no request of a client ever waits behind a pairing, and
//! no pairing behind them.
//!
//! Signing goes first: whatever others wait for, this operator's own partials are what everybody waits for. One thread does
//! nothing else, and the others take signing before anything else.
//!
//! Bound: what waits is bounded by who asks. The machine has at most one combination of a signature out at a time, and one
//! completion of a half.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// Threads beside the one that only signs, at most: a slot of some thousand validators is 10 ms of work, and more threads
/// than this would only wait.
pub(super) const THREADS_MAX: usize = 8;

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Own partials.
    Signing,
    /// Everything else.
    Rest,
}

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    signing: VecDeque<Work>,
    rest: VecDeque<Work>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    news: Condvar,
}

/// A handle on the threads; they end when it is dropped and their work is done.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts one thread for signing, and one for each of `cores`, at most [`THREADS_MAX`].
    pub(super) fn start(cores: usize) -> io::Result<Self> {
        let pool = Self { shared: Arc::default() };
        let spawn = |least: Urgency| {
            let shared = pool.shared.clone();
            let work = move || shared.work(least);
            thread::Builder::new().name("curve".into()).spawn(work).map(|_| ())
        };
        spawn(Urgency::Signing)?;
        (0..cores.clamp(1, THREADS_MAX)).try_for_each(|_| spawn(Urgency::Rest))?;
        Ok(pool)
    }

    /// Runs work on a thread of the pool. A panic there goes on here.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        urgency: Urgency,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (reply, result) = oneshot::channel();
        self.shared.put(
            urgency,
            Box::new(move || {
                // Who asked may be gone; then nobody misses the result.
                let _ = reply.send(catch_unwind(AssertUnwindSafe(work)));
            }),
        );
        match result.await.expect("work that was put is done, also after the pool was closed") {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.news.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        // Nothing that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, urgency: Urgency, work: Work) {
        let mut queue = self.lock();
        match urgency {
            Urgency::Signing => queue.signing.push_back(work),
            Urgency::Rest => queue.rest.push_back(work),
        }
        drop(queue);
        // All, for the one that is woken might be the one that only signs.
        self.news.notify_all();
    }

    /// A thread's life: it takes signing first, and the rest if it is not there for signing only.
    fn work(&self, least: Urgency) {
        loop {
            let work = {
                let mut queue = self.lock();
                loop {
                    if let Some(work) = queue.take(least) {
                        break work;
                    }
                    if queue.closed {
                        return;
                    }
                    queue = self.news.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            };
            work();
        }
    }
}

impl Queue {
    fn take(&mut self, least: Urgency) -> Option<Work> {
        let signing = self.signing.pop_front();
        match least {
            Urgency::Signing => signing,
            Urgency::Rest => signing.or_else(|| self.rest.pop_front()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn signing_does_not_wait_behind_combinations() {
        let pool = Arc::new(Pool::start(1).unwrap());
        let (release, held) = mpsc::channel::<()>();
        let slow = pool.clone();
        let combining = tokio::spawn(async move { slow.run(Urgency::Rest, move || held.recv()).await });
        let waiting = pool.clone();
        let behind = tokio::spawn(async move { waiting.run(Urgency::Rest, || "combined").await });
        assert_eq!(pool.run(Urgency::Signing, || "signed").await, "signed");
        assert!(!combining.is_finished() && !behind.is_finished());
        release.send(()).unwrap();
        assert_eq!(combining.await.unwrap(), Ok(()));
        assert_eq!(behind.await.unwrap(), "combined");
    }

    #[tokio::test]
    async fn a_panic_reaches_who_asked_and_the_thread_goes_on() {
        let pool = Arc::new(Pool::start(1).unwrap());
        let asked = pool.clone();
        let broken = tokio::spawn(async move { asked.run(Urgency::Rest, || panic!("on purpose")).await });
        assert!(broken.await.unwrap_err().is_panic());
        assert_eq!(pool.run(Urgency::Rest, || 7).await, 7);
    }

    #[test]
    fn what_was_asked_for_is_taken_with_signing_first() {
        let shared = Shared::default();
        let (said, heard) = mpsc::channel();
        for (urgency, word) in [(Urgency::Rest, 'b'), (Urgency::Signing, 'a'), (Urgency::Rest, 'c')] {
            let said = said.clone();
            shared.put(urgency, Box::new(move || said.send(word).unwrap()));
        }
        shared.lock().closed = true;
        shared.work(Urgency::Rest);
        assert_eq!(heard.try_iter().collect::<String>(), "abc");
    }
}
