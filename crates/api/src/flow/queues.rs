//! The seats of one priority level and the queues in front of them. Pure: no clock, no tasks; what waits is a `W`.
//!
//! A request takes as many seats as it is wide, for as long as it runs. When none are free, it waits in the shortest queue
//! of the hand that its flow is dealt, so that one flow fills few queues and another's hand most likely has an empty one.
//! Queues take turns by virtual start times: each request pushes its queue back by what it really cost (seats × seconds),
//! and the queue that is furthest behind is served next. A queue that is not used takes no memory.
//!
//! Invariants: seats taken never exceed the limit; as long as something waits, the next one to run did not fit.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What a request is taken to last until it is known how long it did.
const GUESS: Duration = Duration::from_millis(3);

/// How the queues of a level are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queuing {
    pub queues: u32,
    /// Queues that one flow may use.
    pub hand: u32,
    /// Requests that one queue holds.
    pub length: usize,
}

/// See the module.
pub(super) struct Queues<W> {
    limit: u32,
    /// Without, requests that find no seat are refused.
    queuing: Option<Queuing>,
    taken: u32,
    used: BTreeMap<u32, Queue<W>>,
    /// The virtual start time of what ran last.
    now: f64,
    tickets: u64,
    waiting: usize,
}

struct Queue<W> {
    waiting: VecDeque<Waiting<W>>,
    running: u32,
    /// When the next request starts, in virtual time.
    start: f64,
}

struct Waiting<W> {
    ticket: u64,
    width: u32,
    who: W,
}

/// Seats that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seats {
    width: u32,
    /// The queue it came through, if it had to wait.
    queue: Option<u32>,
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    queue: u32,
    number: u64,
}

/// What a request that came is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Run(Seats),
    Wait(Ticket),
    /// No seat, and nobody waits here.
    NoSeat,
    /// Every queue it may use is full.
    Full,
}

impl<W> Queues<W> {
    pub fn new(limit: u32, queuing: Option<Queuing>) -> Self {
        let used = BTreeMap::new();
        Self { limit: limit.max(1), queuing, taken: 0, used, now: 0.0, tickets: 0, waiting: 0 }
    }

    /// What runs and waits stays; who waits in a queue that is no more is still served.
    pub fn configure(&mut self, limit: u32, queuing: Option<Queuing>) {
        self.limit = limit.max(1);
        self.queuing = queuing;
    }

    pub fn limit(&self) -> u32 {
        self.limit
    }

    pub fn taken(&self) -> u32 {
        self.taken
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// A request of this width, of the flow with this hash. `who` is kept when it has to wait.
    pub fn ask(&mut self, flow: u64, width: u32, who: W) -> Answer {
        let width = width.clamp(1, self.limit);
        if self.waiting == 0 && self.taken + width <= self.limit {
            self.taken += width;
            return Answer::Run(Seats { width, queue: None });
        }
        let Some(queuing) = self.queuing else { return Answer::NoSeat };
        let load = |queue: &u32| {
            let used = self.used.get(queue);
            used.map_or(0, |q| q.running + q.waiting.iter().map(|w| w.width).sum::<u32>())
        };
        let Some(chosen) = hand(flow, queuing).min_by_key(load) else { return Answer::NoSeat };
        if self.used.get(&chosen).is_some_and(|q| q.waiting.len() >= queuing.length) {
            return Answer::Full;
        }
        let start = self.now;
        let empty = || Queue { waiting: VecDeque::new(), running: 0, start };
        let queue = self.used.entry(chosen).or_insert_with(empty);
        if queue.waiting.is_empty() {
            // What was idle does not save up turns.
            queue.start = queue.start.max(start);
        }
        self.tickets += 1;
        self.waiting += 1;
        queue.waiting.push_back(Waiting { ticket: self.tickets, width, who });
        Answer::Wait(Ticket { queue: chosen, number: self.tickets })
    }

    /// The next that may run, when there is one and its seats are free.
    pub fn next(&mut self) -> Option<(W, Seats)> {
        let waits = self.used.iter_mut().filter_map(|(number, queue)| {
            let first = queue.waiting.front()?;
            Some((queue.start, first.ticket, *number))
        });
        let (_, _, number) = waits.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))?;
        let queue = self.used.get_mut(&number)?;
        let width = queue.waiting.front()?.width.min(self.limit);
        if self.taken + width > self.limit {
            return None;
        }
        let first = queue.waiting.pop_front()?;
        self.waiting -= 1;
        self.taken += width;
        self.now = queue.start;
        queue.running += width;
        queue.start += f64::from(width) * GUESS.as_secs_f64();
        Some((first.who, Seats { width, queue: Some(number) }))
    }

    /// A request ended after this long. Ask for [`Self::next`] until there is none.
    pub fn done(&mut self, seats: Seats, took: Duration) {
        self.taken -= seats.width;
        if let Some(number) = seats.queue
            && let Some(queue) = self.used.get_mut(&number)
        {
            queue.running -= seats.width;
            queue.start += f64::from(seats.width) * (took.as_secs_f64() - GUESS.as_secs_f64());
        }
        self.tidy(seats.queue);
    }

    /// A request does not want to wait any longer.
    pub fn leave(&mut self, ticket: Ticket) {
        let Some(queue) = self.used.get_mut(&ticket.queue) else { return };
        if let Some(place) = queue.waiting.iter().position(|w| w.ticket == ticket.number) {
            queue.waiting.remove(place);
            self.waiting -= 1;
        }
        self.tidy(Some(ticket.queue));
    }

    /// Forgets a queue that nothing is known of but that it is empty and not ahead of its turn; all, when nothing waits.
    fn tidy(&mut self, queue: Option<u32>) {
        let now = self.now;
        let idle = |q: &Queue<W>| q.waiting.is_empty() && q.running == 0;
        if self.waiting == 0 {
            self.used.retain(|_, queue| !idle(queue));
        } else if let Some(number) = queue
            && self.used.get(&number).is_some_and(|q| idle(q) && q.start <= now)
        {
            self.used.remove(&number);
        }
    }
}

/// The queues that a flow may use: a hand dealt from all of them by its hash.
fn hand(mut flow: u64, queuing: Queuing) -> impl Iterator<Item = u32> {
    let queues = queuing.queues.max(1);
    let mut dealt: Vec<u32> = Vec::with_capacity(queuing.hand as usize);
    for number in 0..queuing.hand.clamp(1, queues) {
        let left = u64::from(queues - number);
        let mut card = (flow % left) as u32;
        flow /= left;
        // The card's place among those that are left.
        let place = dealt.iter().position(|taken| {
            let passed = *taken <= card;
            card += u32::from(passed);
            !passed
        });
        dealt.insert(place.unwrap_or(dealt.len()), card);
    }
    dealt.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn queues(limit: u32) -> Queues<&'static str> {
        Queues::new(limit, Some(Queuing { queues: 8, hand: 2, length: 3 }))
    }

    fn run(answer: Answer) -> Seats {
        match answer {
            Answer::Run(seats) => seats,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_hand_holds_different_queues() {
        let queuing = Queuing { queues: 64, hand: 6, length: 50 };
        for flow in [0, 1, 63, 64, u64::MAX, 0x1234_5678_9abc_def0] {
            let mut dealt: Vec<u32> = hand(flow, queuing).collect();
            dealt.dedup();
            assert!(dealt.len() == 6 && dealt.iter().all(|card| *card < 64), "{dealt:?}");
        }
        assert_eq!(hand(9, Queuing { queues: 3, hand: 3, length: 1 }).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn nothing_waits_while_there_are_seats() {
        let mut queues = queues(3);
        let one = run(queues.ask(1, 1, "a"));
        run(queues.ask(1, 2, "b"));
        assert!(matches!(queues.ask(1, 1, "c"), Answer::Wait(_)));
        assert!(queues.next().is_none());
        queues.done(one, MS);
        assert_eq!(queues.next().map(|(who, _)| who), Some("c"));
        assert_eq!((queues.taken(), queues.waiting()), (3, 0));
    }

    #[test]
    fn a_flood_waits_behind_itself() {
        let mut queues = queues(1);
        let first = run(queues.ask(7, 1, "flood"));
        for _ in 0..6 {
            assert!(matches!(queues.ask(7, 1, "flood"), Answer::Wait(_)));
        }
        assert_eq!(queues.ask(7, 1, "flood"), Answer::Full, "two queues of three");
        let other =
            (0..).find(|flow| hand(*flow, queues.queuing.unwrap()).all(|q| !queues.used.contains_key(&q)));
        assert!(matches!(queues.ask(other.unwrap(), 1, "victim"), Answer::Wait(_)));
        queues.done(first, 100 * MS);
        let mut order = vec![];
        while let Some((who, seats)) = queues.next() {
            order.push(who);
            queues.done(seats, 100 * MS);
        }
        assert_eq!(order.iter().position(|who| *who == "victim"), Some(2), "{order:?}");
        assert_eq!((queues.taken(), queues.waiting(), queues.used.len()), (0, 0, 0), "nothing is kept");
    }

    #[test]
    fn wide_requests_are_not_overtaken_for_ever() {
        let mut queues = queues(4);
        let running: Vec<Seats> = (0..4).map(|_| run(queues.ask(1, 1, "small"))).collect();
        assert!(matches!(queues.ask(2, 9, "wide"), Answer::Wait(_)), "as wide as the level at most");
        assert!(matches!(queues.ask(3, 1, "late"), Answer::Wait(_)));
        queues.done(running[0], MS);
        assert!(queues.next().is_none(), "the wide one is next and does not fit");
        running[1..].iter().for_each(|seats| queues.done(*seats, MS));
        let (who, seats) = queues.next().unwrap();
        assert_eq!((who, queues.taken()), ("wide", 4));
        queues.done(seats, MS);
        assert_eq!(queues.next().unwrap().0, "late");
    }

    #[test]
    fn who_leaves_makes_room() {
        let mut queues = queues(1);
        run(queues.ask(1, 1, "a"));
        let Answer::Wait(ticket) = queues.ask(1, 1, "b") else { panic!() };
        queues.leave(ticket);
        assert_eq!((queues.waiting(), queues.used.len()), (0, 0));
        let mut none: Queues<()> = Queues::new(1, None);
        run(none.ask(1, 1, ()));
        assert_eq!(none.ask(1, 1, ()), Answer::NoSeat);
    }
}
