//! Turns at the processor: the tasks of one listener run on so many threads at a time, however many there are.
//!
//! tokio runs tasks in the order in which they become ready. A client that makes thousands of them ready at once would have
//! all of them run before the next one of another listener. With turns, those wait here, among themselves, and what is ready
//! elsewhere runs in between. A turn is one poll: nobody has one while waiting for something, so that nobody waits for a
//! turn in vain.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;

/// The turns of a listener.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Option<Arc<Semaphore>>);

impl Turns {
    /// On so many threads at a time; `None`: on all there are.
    pub(crate) fn new(threads: Option<usize>) -> Self {
        Self(threads.map(|threads| Arc::new(Semaphore::new(threads.max(1)))))
    }

    /// Makes a task take turns.
    pub(crate) fn take<F: Future>(&self, task: F) -> Taking<F> {
        Taking { turns: self.0.clone().map(PollSemaphore::new), task: Box::pin(task) }
    }
}

impl<F> hyper::rt::Executor<F> for Turns
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        match &self.0 {
            None => drop(tokio::spawn(task)),
            Some(_) => drop(tokio::spawn(self.take(task))),
        }
    }
}

/// See [`Turns::take`].
pub(crate) struct Taking<F> {
    turns: Option<PollSemaphore>,
    task: Pin<Box<F>>,
}

impl<F: Future> Future for Taking<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _turn = match &mut self.turns {
            Some(turns) => ready!(turns.poll_acquire(cx)),
            None => None,
        };
        self.task.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};
    use tokio::task::JoinSet;

    /// Keeps a thread busy, as hard work does.
    fn work(running: &AtomicUsize) -> usize {
        let together = running.fetch_add(1, Ordering::SeqCst) + 1;
        let end = Instant::now() + Duration::from_millis(2);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        running.fetch_sub(1, Ordering::SeqCst);
        together
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_flood_leaves_a_thread_to_others() {
        let turns = Turns::new(Some(1));
        let running = Arc::new(AtomicUsize::new(0));
        let mut flood = JoinSet::new();
        for _ in 0..200 {
            let running = running.clone();
            flood.spawn(turns.take(async move {
                let mut most = 0;
                for _ in 0..3 {
                    most = work(&running).max(most);
                    tokio::task::yield_now().await;
                }
                most
            }));
        }
        // Somebody else, whose small task would wait for 200 others twenty times over.
        for _ in 0..20 {
            tokio::spawn(async {}).await.expect("it runs");
        }
        assert!(!flood.is_empty() && flood.try_join_next().is_none_or(|first| first.is_ok()));
        let left = flood.len();
        assert!(left > 100, "others ran between them: {left} of 200 are left");
        while let Some(most) = flood.join_next().await {
            assert_eq!(most.expect("it ran"), 1, "one at a time");
        }
    }
}
