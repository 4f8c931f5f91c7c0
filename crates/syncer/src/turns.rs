//! Turns at the host, shared out fairly among virtual clusters.
//!
//! At most [`AT_ONCE`] objects are worked on at a time, however many virtual clusters there are: a host that is flooded serves
//! nobody. Who waits is served in rounds, each virtual cluster as many times a round as its weight says, so one with thousands
//! of objects to carry holds up another by one round at most. Waiting costs nothing but its place.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Objects of all virtual clusters worked on at a time.
const AT_ONCE: usize = 64;

/// Who may work now, and who waits.
pub(crate) struct Turns(Mutex<Inner>);

struct Inner {
    free: usize,
    /// In the order of the round; none is empty.
    lines: VecDeque<Line>,
}

/// The waiting ones of one virtual cluster. Bounded by its workers.
struct Line {
    /// The virtual cluster, by the address of its queue.
    of: usize,
    weight: u32,
    /// Turns left in this round.
    left: u32,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The right to work; given back when dropped.
pub(crate) struct Turn(Option<Arc<Turns>>);

impl Turns {
    pub fn new() -> Arc<Self> {
        Self::with(AT_ONCE)
    }

    fn with(free: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner { free, lines: VecDeque::new() })))
    }

    /// Waits for a turn of the virtual cluster `of`.
    pub async fn take(self: &Arc<Self>, of: usize, weight: u32) -> Turn {
        let waiting = {
            let mut inner = self.0.lock();
            if inner.free > 0 {
                inner.free -= 1;
                return Turn(Some(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            match inner.lines.iter_mut().find(|line| line.of == of) {
                Some(line) => line.waiting.push_back(sender),
                None => {
                    let weight = weight.max(1);
                    inner.lines.push_back(Line { of, weight, left: weight, waiting: [sender].into() });
                }
            }
            receiver
        };
        // The sender is only ever dropped together with this value.
        waiting.await.unwrap_or(Turn(None))
    }

    /// Hands a turn on, or keeps it for whoever comes.
    fn give_back(self: Arc<Self>) {
        loop {
            let next = {
                let mut inner = self.0.lock();
                match inner.next() {
                    Some(next) => next,
                    None => {
                        inner.free += 1;
                        return;
                    }
                }
            };
            // Whoever stopped waiting is passed over, outside of the lock.
            match next.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                Err(mut turn) => drop(turn.0.take()),
            }
        }
    }
}

impl Inner {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let line = self.lines.front_mut()?;
        let next = line.waiting.pop_front();
        line.left -= 1;
        if line.waiting.is_empty() {
            self.lines.pop_front();
        } else if line.left == 0 {
            line.left = line.weight;
            self.lines.rotate_left(1);
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::{FutureExt, join_all};
    use futures::stream::{FuturesUnordered, StreamExt};

    /// The order in which waiting virtual clusters are served.
    async fn served(wanted: &[(usize, u32, usize)]) -> String {
        let turns = Turns::with(1);
        let first = turns.take(0, 1).await;
        let mut all = FuturesUnordered::new();
        for (of, weight, count) in wanted {
            for _ in 0..*count {
                let mut waiting = Box::pin(turns.take(*of, *weight));
                assert!((&mut waiting).now_or_never().is_none(), "there is one turn");
                all.push(async move {
                    drop(waiting.await);
                    of.to_string()
                });
            }
        }
        drop(first);
        let mut order = String::new();
        while let Some(of) = all.next().await {
            order += &of;
        }
        order
    }

    #[tokio::test]
    async fn a_loud_one_waits_for_its_round() {
        assert_eq!(served(&[(1, 1, 6), (2, 1, 1)]).await, "1211111");
        assert_eq!(served(&[(1, 3, 6), (2, 1, 3)]).await, "111211122");
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_no_turn_along() {
        let turns = Turns::with(2);
        let held = [turns.take(1, 1).await, turns.take(1, 1).await];
        let mut gone = Box::pin(turns.take(2, 1));
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        drop(held);
        join_all([turns.take(3, 1), turns.take(3, 1)]).await;
        assert_eq!(turns.0.lock().free, 2);
    }
}
