//! Passing a request on, and its connection when it becomes something else than HTTP.

use crate::{Reach, authority_of, broken, connect, path_of};
use api::Destination;
use bytes::Bytes;
use client::{Body, TransportError};
use futures::StreamExt;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::pin::Pin;
use tokio::io::AsyncWriteExt;

/// Drives a connection; done when it is closed or has become something else than HTTP, and not polled after that.
type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// The answer of a destination to `request`, whose body streams.
pub(crate) async fn forward(
    to: Destination,
    request: Request<Bytes>,
    upgrade: Option<node::Upgrade>,
    reach: Reach<'_>,
) -> Result<Response<Body>, String> {
    let (mut sender, connection, uri) = connect(&to, reach).await?;
    let mut running: Driver = Box::pin(connection.with_upgrades());
    let (parts, body) = request.into_parts();
    let mut onward = Request::new(Full::new(body));
    *onward.method_mut() = parts.method;
    *onward.uri_mut() = path_of(&uri).parse().map_err(|e: http::uri::InvalidUri| e.to_string())?;
    *onward.headers_mut() = parts.headers;
    let host = authority_of(&uri).parse().map_err(|_| "bad host".to_owned())?;
    onward.headers_mut().insert(header::HOST, host);
    let sent = sender.send_request(onward);
    tokio::pin!(sent);
    let (answer, driver) = tokio::select! {
        answer = &mut sent => (answer.map_err(|e| broken(&e))?, Some(running)),
        ended = &mut running => match ended {
            Ok(()) => (sent.await.map_err(|e| broken(&e))?, None),
            Err(e) => return Err(broken(&e)),
        },
    };
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(upgrade) = upgrade
    {
        return Ok(joined(answer, driver, upgrade));
    }
    let (mut parts, body) = answer.into_parts();
    drop_hop_headers(&mut parts.headers);
    Ok(Response::from_parts(parts, streamed(body, driver)))
}

/// Two connections that are one from here on.
fn joined(mut answer: Response<Incoming>, driver: Option<Driver>, upgrade: node::Upgrade) -> Response<Body> {
    let switched = hyper::upgrade::on(&mut answer);
    upgrade.serve(move |mut client| async move {
        let theirs = async {
            if let Some(running) = driver {
                // It ends when the connection is switched, or else never will be.
                let _ = running.await;
            }
            switched.await
        };
        match theirs.await {
            Ok(server) => {
                // Either side may end it at any time.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut TokioIo::new(server)).await;
                // What came before an end without a farewell is still on its way.
                let _ = client.shutdown().await;
            }
            Err(error) => tracing::debug!(%error, "connection to the extension API server was not upgraded"),
        }
    });
    let (parts, _) = answer.into_parts();
    Response::from_parts(parts, Body::Full(Bytes::new()))
}

/// A body that drives the connection it comes from.
fn streamed(body: Incoming, driver: Option<Driver>) -> Body {
    let frames = futures::stream::unfold((body, driver), |(mut body, mut driver)| async move {
        loop {
            let frame = match &mut driver {
                Some(running) => tokio::select! {
                    biased;
                    frame = body.frame() => frame,
                    // What came before the end is still to be read.
                    _ = running => {
                        driver = None;
                        continue;
                    }
                },
                None => body.frame().await,
            };
            let piece = match frame? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    Err(_trailers) => continue,
                },
                Err(error) => Err(TransportError(broken(&error))),
            };
            return Some((piece, (body, driver)));
        }
    });
    Body::Stream(frames.boxed())
}

fn drop_hop_headers(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::CONTENT_LENGTH,
    ] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}
