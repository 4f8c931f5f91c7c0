//! Memory with objects in it, and how long a server takes to start on them.

use super::connection::Connection;
use super::load;
use super::scenarios::creation;
use super::target::{Joey, Target};
use std::time::Duration;

/// Time for garbage and buffers to go.
const SETTLE: Duration = Duration::from_secs(10);
/// The first of the two sizes.
const FEW: u64 = 10_000;
const MEGABYTE: f64 = 1e6;

/// Fills each server and prints its resident memory. `empty` was taken before the first request.
pub(crate) async fn measure(
    targets: &[Target],
    empty: &[f64],
    objects: u64,
    salt: &str,
) -> Result<(), String> {
    println!("\n| memory (RSS, MB) | server | at first | {FEW} objects | {objects} objects |");
    println!("|---|---|---:|---:|---:|");
    for (target, empty) in targets.iter().zip(empty) {
        let namespace = format!("fill-{salt}");
        super::make_namespace(&Connection::open(&target.address).await?, &namespace).await?;
        let fill = creation(&namespace, "object");
        let mut after = vec![];
        let mut from = 0;
        for to in [FEW.min(objects), objects] {
            load::range(target, &fill, from, to).await?;
            from = to;
            tokio::time::sleep(SETTLE).await;
            after.push(target.memory()? / MEGABYTE);
        }
        println!("| | {} | {:.1} | {:.1} | {:.1} |", target.name, empty / MEGABYTE, after[0], after[1]);
    }
    Ok(())
}

/// Prints how long a joey with so many objects takes from its start to being ready.
pub(crate) async fn start(joey: &mut Joey, objects: u64) -> Result<(), String> {
    joey.stop();
    *joey = Joey::new()?;
    let (target, fresh) = joey.start().await?;
    let namespace = "fill";
    super::make_namespace(&Connection::open(&target.address).await?, namespace).await?;
    load::range(&target, &creation(namespace, "object"), 0, objects).await?;
    joey.stop();
    let (target, full) = joey.start().await?;
    let memory = target.memory()? / MEGABYTE;
    println!(
        "\nstart of joey: {:.0} ms in an empty folder, {:.0} ms on {objects} objects ({memory:.1} MB then)",
        fresh * 1e3,
        full * 1e3
    );
    Ok(())
}
