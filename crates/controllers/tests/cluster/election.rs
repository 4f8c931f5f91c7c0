//! Candidates on one API server.

use crate::harness::{Cluster, resource};
use controllers::Clock;
use controllers::election::{BeginTerm, Election, EndTerm, Rules};
use futures::FutureExt;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Duration, Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(120);

type Told = (&'static str, &'static str);

/// A leader that only says when its terms begin and end.
fn begin(who: &'static str, told: UnboundedSender<Told>) -> BeginTerm {
    Box::new(move || {
        let told = told.clone();
        async move {
            told.send((who, "begins")).unwrap();
            let end: EndTerm = Box::new(move || async move { told.send((who, "ends")).unwrap() }.boxed());
            Ok(end)
        }
        .boxed()
    })
}

fn stand(cluster: &Cluster, who: &'static str, told: &UnboundedSender<Told>) -> Election {
    Election::start(cluster.client.clone(), Clock::wall(), Rules::new(who), begin(who, told.clone()))
}

async fn next(said: &mut UnboundedReceiver<Told>) -> Told {
    timeout(PATIENCE, said.recv()).await.unwrap().unwrap()
}

async fn lease(cluster: &Cluster) -> Value {
    let leases = resource("coordination.k8s.io", "v1", "leases");
    cluster.client.get(&leases, "kube-system", "kube-controller-manager").await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_another_follows_when_it_is_gone() {
    let cluster = Cluster::start().await;
    let (told, mut said) = unbounded_channel();
    let one = stand(&cluster, "one", &told);
    assert_eq!(next(&mut said).await, ("one", "begins"));
    let two = stand(&cluster, "two", &told);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(said.try_recv().is_err(), "it renews, and nobody else begins");
    assert_eq!(lease(&cluster).await["spec"]["leaseTransitions"], 0);

    // It dies, and gives nothing up.
    drop(one);
    let died = Instant::now();
    assert_eq!(next(&mut said).await, ("two", "begins"));
    let after = died.elapsed();
    assert!(after > Duration::from_secs(12) && after < Duration::from_secs(21), "{after:?}");
    let held = lease(&cluster).await;
    assert_eq!(
        (&held["spec"]["holderIdentity"], &held["spec"]["leaseTransitions"]),
        (&"two".into(), &1.into())
    );

    // One that is stopped lets the next begin at once.
    let three = stand(&cluster, "three", &told);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let stopped = Instant::now();
    two.stop().await;
    assert_eq!(next(&mut said).await, ("two", "ends"));
    assert_eq!(next(&mut said).await, ("three", "begins"));
    assert!(stopped.elapsed() < Duration::from_secs(6), "{:?}", stopped.elapsed());

    // One whose Lease is taken stops.
    let leases = resource("coordination.k8s.io", "v1", "leases");
    let patch = serde_json::json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 3600}});
    let patch = client::Patch::Merge(patch);
    cluster.client.patch(&leases, "kube-system", "kube-controller-manager", "", &patch).await.unwrap();
    assert_eq!(next(&mut said).await, ("three", "ends"));
    assert_eq!(lease(&cluster).await["spec"]["holderIdentity"], "somebody", "it is not given up for others");

    let events =
        cluster.client.list_all(&resource("", "v1", "events"), "", &Default::default()).await.unwrap();
    let told: Vec<_> = events
        .items
        .iter()
        .filter(|e| e["reason"] == "LeaderElection")
        .map(|e| e["message"].clone())
        .collect();
    for message in ["one became leader", "two became leader", "two stopped leading", "three stopped leading"]
    {
        assert!(told.iter().any(|m| m == message), "{told:?}");
    }
    three.stop().await;
}
