//! Fan-out: many watches of one collection, and one object that changes as soon as all of them have seen its last change.

use super::connection::{Address, Asked, Connection};
use super::load::Taken;
use super::scenarios::config_map;
use super::target::Target;
use futures::future::try_join_all;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Watches that share a connection.
const SHARED: usize = 20;
/// Holds nothing else.
pub(crate) const NAMESPACE: &str = "fan-out";
/// A change that a watch does not show by then counts as missed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before a watch that was not let in tries again.
const AGAIN: Duration = Duration::from_millis(100);
/// Stands before the number of a change.
const MARK: &str = "\"stamp\":\"";

/// A watch has seen the change of this number.
struct Seen(u64, Instant);

/// Changes an object for as long as `lasting` in front of `watchers` watches. An operation is one event delivered to one.
pub(crate) async fn fan_out(target: &Target, watchers: usize, lasting: Duration) -> Result<Taken, String> {
    let writer = Connection::open(&target.address).await?;
    let path = format!("{}/fan-out", super::scenarios::collection(NAMESPACE));
    let _ = writer.ask(Asked::send(Method::DELETE, &path, "")).await;
    let collection = path.trim_end_matches("/fan-out");
    writer.ask(Asked::send(Method::POST, collection, body(0))).await?;
    let (seen, mut arrivals) = mpsc::unbounded_channel();
    let tasks = open(target, collection, watchers, &seen).await?;
    wait(&mut arrivals, watchers, 0).await;

    let (before, began) = (target.processor()?, Instant::now());
    let mut taken = Taken::default();
    let mut number = 0;
    while began.elapsed() < lasting {
        number += 1;
        let asked = Instant::now();
        let put = Asked::send(Method::PUT, &path, body(number));
        let (written, seen) = tokio::join!(writer.ask(put), wait(&mut arrivals, watchers, number));
        written?;
        taken.missed += (watchers - seen.len()) as f64;
        taken.latencies.extend(seen.into_iter().map(|at| (at - asked).as_secs_f64() * 1e3));
    }
    taken.operations = taken.latencies.len() as f64;
    taken.seconds = began.elapsed().as_secs_f64();
    taken.processor = target.processor()? - before;
    tasks.into_iter().for_each(|task| task.abort());
    Ok(taken)
}

fn body(number: u64) -> String {
    let mut object = config_map("fan-out");
    object["data"]["stamp"] = number.to_string().into();
    object.to_string()
}

async fn open(
    target: &Target,
    collection: &str,
    watchers: usize,
    seen: &mpsc::UnboundedSender<Seen>,
) -> Result<Vec<tokio::task::JoinHandle<()>>, String> {
    let mut tasks = vec![];
    let path = format!("{collection}?watch=true");
    for first in (0..watchers).step_by(SHARED) {
        let connection = Connection::open(&target.address).await?;
        let opened = (first..watchers.min(first + SHARED)).map(|_| begin(&connection, &path));
        for body in try_join_all(opened).await? {
            let address = target.address.clone();
            tasks.push(tokio::spawn(follow(body, connection.clone(), address, path.clone(), seen.clone())));
        }
    }
    Ok(tasks)
}

async fn begin(connection: &Connection, path: &str) -> Result<Incoming, String> {
    match connection.begin(Asked::get(path)).await? {
        (status, body) if status.is_success() => Ok(body),
        (status, _) => Err(format!("watch: {status}")),
    }
}

/// Reads a watch. kube-apiserver ends those that it finds too slow; clients open them again, and so does this.
async fn follow(
    mut body: Incoming,
    mut connection: Connection,
    address: Address,
    path: String,
    seen: mpsc::UnboundedSender<Seen>,
) {
    let mut last = None;
    while read(body, &mut last, &seen).await {
        body = loop {
            match begin(&connection, &path).await {
                Ok(opened) => break opened,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
            if let Ok(fresh) = Connection::open(&address).await {
                connection = fresh;
            }
        };
    }
}

/// Tells of every change that a watch shows and that is newer than the `last`, until the watch ends; false when nobody
/// listens.
async fn read(mut body: Incoming, last: &mut Option<u64>, seen: &mpsc::UnboundedSender<Seen>) -> bool {
    let mut line: Vec<u8> = vec![];
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        line.extend_from_slice(&data);
        while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let event: Vec<u8> = line.drain(..=end).collect();
            let text = String::from_utf8_lossy(&event);
            let number = text.split_once(MARK).and_then(|(_, rest)| rest.split('"').next()?.parse().ok());
            if number > *last {
                *last = number;
                if number.is_some_and(|number| seen.send(Seen(number, Instant::now())).is_err()) {
                    return false;
                }
            }
        }
    }
    true
}

/// When each watch saw the change of this number; fewer than there are watches when some did not in time.
async fn wait(arrivals: &mut mpsc::UnboundedReceiver<Seen>, watchers: usize, number: u64) -> Vec<Instant> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut all = Vec::with_capacity(watchers);
    while all.len() < watchers {
        match tokio::time::timeout_at(deadline, arrivals.recv()).await {
            Ok(Some(Seen(seen, at))) if seen == number => all.push(at),
            Ok(Some(_)) => {}
            _ => break,
        }
    }
    all
}
