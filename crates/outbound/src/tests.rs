use super::*;

#[tokio::test]
async fn says_who_did_not_answer() {
    // Port 1 of the loopback: nothing listens there.
    let to = Destination { url: "https://127.0.0.1:1/hook?timeout=2s".into(), ..Default::default() };
    let error = Https.post(to, Bytes::new(), Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(
        error,
        "Post \"https://127.0.0.1:1/hook?timeout=2s\": dial tcp 127.0.0.1:1: connect: connection refused"
    );
}
