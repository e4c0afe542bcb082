//! The states and topics of a sync service elsewhere.
//!
//! A connection that ends is made anew. A subscription then goes on where it was; who waits, waits on. A signal or publish that was not
//! answered is not sent again: whether it was done is not known, and done twice it would be wrong.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::client::{self, Client};
use crate::states::{Elsewhere, Error, Items};

/// How long it is tried to connect for what changes something; who waits, waits on.
const TRIED_FOR: Duration = Duration::from_secs(30);
/// Between two attempts.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A sync service; its clones share the connection.
#[derive(Clone, Debug)]
pub struct Remote {
    address: Arc<str>,
    client: Arc<Mutex<Option<Client>>>,
}

impl Remote {
    /// Connects to `HOST:PORT`. Fails when there is no sync service.
    pub async fn connect(address: &str) -> Result<Self, client::Error> {
        let client = Client::connect(address).await?;
        Ok(Self { address: address.into(), client: Arc::new(Mutex::new(Some(client))) })
    }

    /// The connection that is there, or another one.
    async fn client(&self) -> Result<Client, client::Error> {
        let mut there = self.client.lock().await;
        if let Some(client) = &*there {
            return Ok(client.clone());
        }
        let client = Client::connect(&*self.address).await?;
        tracing::info!(address = %self.address, "connected to the sync service again");
        Ok(there.insert(client).clone())
    }

    /// The same, tried until a time.
    async fn client_until(&self, end: Option<Instant>) -> Result<Client, Error> {
        loop {
            match self.client().await {
                Ok(client) => return Ok(client),
                Err(error) if end.is_some_and(|end| Instant::now() >= end) => {
                    return Err(failed("connect to", &error));
                }
                Err(_) => sleep(AGAIN_AFTER).await,
            }
        }
    }

    /// Forgets the connection where it has ended.
    async fn look_at(&self, error: &client::Error) {
        if matches!(error, client::Error::Closed(_)) {
            // Another one that was made meanwhile ends in vain, and is made again.
            self.client.lock().await.take();
        }
    }
}

impl Elsewhere for Remote {
    fn signal<'a>(&'a self, state: &'a str) -> BoxFuture<'a, Result<u64, Error>> {
        async move {
            let client = self.client_until(Some(Instant::now() + TRIED_FOR)).await?;
            match client.signal(state).await {
                Ok(count) => Ok(count),
                Err(error) => {
                    self.look_at(&error).await;
                    Err(failed("signal in", &error))
                }
            }
        }
        .boxed()
    }

    fn reached<'a>(&'a self, state: &'a str, target: u64) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            loop {
                match self.client_until(None).await?.barrier(state, target).await {
                    Ok(()) => return Ok(()),
                    Err(error @ client::Error::Closed(_)) => self.look_at(&error).await,
                    Err(error) => return Err(failed("wait in", &error)),
                }
            }
        }
        .boxed()
    }

    fn publish<'a>(&'a self, topic: &'a str, payload: &'a str) -> BoxFuture<'a, Result<u64, Error>> {
        async move {
            let payload: &RawValue =
                serde_json::from_str(payload).map_err(|error| failed("publish in", &error))?;
            let client = self.client_until(Some(Instant::now() + TRIED_FOR)).await?;
            match client.publish(topic, payload).await {
                Ok(seq) => Ok(seq),
                Err(error) => {
                    self.look_at(&error).await;
                    Err(failed("publish in", &error))
                }
            }
        }
        .boxed()
    }

    fn subscribe(&self, topic: &str) -> Box<dyn Items> {
        Box::new(Topic { remote: self.clone(), topic: topic.into(), subscription: None, seen: 0, to_skip: 0 })
    }
}

/// A subscription that outlives its connection.
#[derive(Debug)]
struct Topic {
    remote: Remote,
    topic: Arc<str>,
    subscription: Option<client::Subscription>,
    seen: u64,
    /// Items that come again, because the connection is another one.
    to_skip: u64,
}

impl Items for Topic {
    fn next(&mut self) -> BoxFuture<'_, Result<Arc<str>, Error>> {
        async move {
            loop {
                let subscription = match &mut self.subscription {
                    Some(subscription) => subscription,
                    None => {
                        let client = self.remote.client_until(None).await?;
                        match client.subscribe(&self.topic).await {
                            Ok(subscription) => {
                                self.to_skip = self.seen;
                                self.subscription.insert(subscription)
                            }
                            Err(error) => {
                                self.remote.look_at(&error).await;
                                continue;
                            }
                        }
                    }
                };
                match subscription.next().await {
                    Ok(_) if self.to_skip > 0 => self.to_skip -= 1,
                    Ok(item) => {
                        self.seen += 1;
                        return Ok(item);
                    }
                    Err(error @ (client::Error::Closed(_) | client::Error::Slow)) => {
                        self.subscription = None;
                        self.remote.look_at(&error).await;
                    }
                    Err(error) => return Err(failed("read from", &error)),
                }
            }
        }
        .boxed()
    }
}

fn failed(operation: &'static str, error: &(impl std::error::Error + ?Sized)) -> Error {
    Error::Server { operation, why: error.to_string().into() }
}
