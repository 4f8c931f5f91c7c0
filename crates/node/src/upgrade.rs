//! A client's connection that is about to stop being HTTP.

use crate::kubelet::Io;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Who owns the tasks that serve upgraded connections: one per listener.
#[derive(Clone, Debug, Default)]
pub struct Upgrader {
    /// Every serving task, so that the listener can wait for them.
    pub tasks: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
}

type Connection = BoxFuture<'static, io::Result<Box<dyn Io>>>;

/// The right to take over a request's connection once it was answered with `101 Switching Protocols`. Lives in the
/// request's extensions (hence `Clone`); the first to [`serve`](Self::serve) gets it.
#[derive(Clone)]
pub struct Upgrade {
    connection: Arc<Mutex<Option<Connection>>>,
    upgrader: Upgrader,
}

impl Upgrade {
    /// `connection` resolves after the `101` was sent.
    pub fn new(upgrader: Upgrader, connection: Connection) -> Self {
        Self { connection: Arc::new(Mutex::new(Some(connection))), upgrader }
    }

    /// Takes the upgrade out of a request's extensions.
    pub fn take(extensions: &mut http::Extensions) -> Option<Self> {
        extensions.remove()
    }

    /// Runs `serve` on the connection in a task of the listener, until it is done, the client is gone or the listener
    /// shuts down. Does nothing when the connection was taken before.
    pub fn serve<F, Fut>(self, serve: F)
    where
        F: FnOnce(Box<dyn Io>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let Some(connection) = self.connection.lock().take() else { return };
        let Upgrader { tasks, shutdown } = self.upgrader;
        tasks.spawn(async move {
            let work = async {
                match connection.await {
                    Ok(io) => serve(io).await,
                    Err(error) => tracing::debug!(%error, "connection not upgraded"),
                }
            };
            let _ = shutdown.run_until_cancelled(work).await;
        });
    }
}
