//! Counters and topics in a Redis or Valkey server, shared by agents on many hosts; no cluster.
//!
//! | key | what it holds |
//! |---|---|
//! | `shaper:state:NAME` | the count |
//! | `shaper:refused:NAME`, `shaper:why:NAME` | how often it was refused, and the first reasons |
//! | `shaper:topic:NAME` | the items, a list |
//! | `shaper:request:ID` | what came of a request, for ten minutes |
//! | `shaper:once:NAME:ID` | what came of a signal that is to be given once |
//!
//! A change is one script, which also tells the channel `shaper:changes`. It carries a number of its own, so that it can be sent again when the
//! connection was lost before its answer came: what was done is not done twice, and what was acknowledged is there, as far as the server
//! keeps what it acknowledged (`appendfsync always`). Who waits reads again whenever the channel tells of what it waits for, and
//! whenever the connection came back. All keys expire a day after they were last written.

mod wakes;

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, RedisError, cmd};
use serde::Deserialize;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{CHANGES, Change, Error, Held, Item, MAX_NAME_BYTES, MAX_REFUSALS, MAX_WHY_BYTES, Reading};
use wakes::{Enlisted, Wakes, What};

/// How long keys are kept after they were last written: a day.
const KEPT_SECS: u64 = 24 * 3_600;
/// How long what came of a request is kept, for who asks again: far longer than [`TRIED_FOR`].
const REQUEST_KEPT_SECS: u64 = 600;
/// How long it is tried to reach the server for what changes something; who waits, waits on.
const TRIED_FOR: Duration = Duration::from_secs(30);
/// Between two attempts.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// For an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How often who waits looks by itself.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Items that are read at once, of up to a MiB each.
const ITEMS_AT_ONCE: u64 = 64;
/// Keys that a scan looks at, at once.
const SCANNED_AT_ONCE: u64 = 1_000;

const CHANNEL: &str = "shaper:changes";

/// Counts one more. Keys: the count, the request; arguments: the name, seconds that it is kept, seconds that the request is.
const SIGNAL: &str = "
local done = redis.call('GET', KEYS[2])
if done then return tonumber(done) end
local count = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], count, 'EX', ARGV[3])
redis.call('PUBLISH', 'shaper:changes', cjson.encode({is = 'count', name = ARGV[1], count = count}))
return count";

/// Appends an item. Keys: the topic, the request; arguments: the name, seconds that it is kept, seconds that the
/// request is, the item.
const PUBLISH: &str = "
local done = redis.call('GET', KEYS[2])
if done then return tonumber(done) end
local seq = redis.call('RPUSH', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], seq, 'EX', ARGV[3])
redis.call('PUBLISH', 'shaper:changes', cjson.encode({is = 'item', name = ARGV[1]}))
return seq";

/// Refuses. Keys: how often, the reasons, the request; arguments: the name, seconds that it is
/// kept, seconds that the request is, the reason, how many are kept.
const REFUSE: &str = "
if redis.call('GET', KEYS[3]) then return 0 end
redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
if redis.call('LLEN', KEYS[2]) < tonumber(ARGV[5]) then redis.call('RPUSH', KEYS[2], ARGV[4]) end
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('SET', KEYS[3], 1, 'EX', ARGV[3])
redis.call('PUBLISH', 'shaper:changes', cjson.encode({is = 'refused', name = ARGV[1], why = ARGV[4]}))
return 1";

/// What is known of a state, at one moment. Keys: the count, how often it was refused, the reasons.
const READ: &str = "
return {tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(redis.call('GET', KEYS[2]) or 0), redis.call('LRANGE', KEYS[3], 0, -1)}";

/// What the channel tells.
#[derive(Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
enum Told {
    Count { name: Arc<str>, count: u64 },
    Refused { name: Arc<str>, why: Arc<str> },
    Item { name: Arc<str> },
    Forgotten { prefix: Arc<str> },
}

/// A connection to the server, and who waits for what it tells.
pub(super) struct Redis {
    connection: ConnectionManager,
    wakes: Arc<Wakes>,
    changes: broadcast::Sender<Change>,
    listener: AbortHandle,
    /// How the numbers of this process's requests begin.
    own: String,
    requests: AtomicU64,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("own", &self.own).finish_non_exhaustive()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Redis {
    /// Connects to a server, which must answer.
    pub(super) async fn connect(url: &str) -> Result<Self, Error> {
        let client = Client::open(url).map_err(failed("read the address of"))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN))
            .set_number_of_retries(1);
        let connected = ConnectionManager::new_with_config(client.clone(), config);
        let connection = match timeout(ANSWER_WITHIN, connected).await {
            Ok(connected) => connected.map_err(failed("connect to"))?,
            Err(_elapsed) => return Err(unreachable("connect to", "it does not answer")),
        };
        let (wakes, changes) = (Arc::new(Wakes::default()), broadcast::Sender::new(CHANGES));
        let listener = tokio::spawn(listen(client, Arc::clone(&wakes), changes.clone())).abort_handle();
        let random = || RandomState::new().build_hasher().finish();
        let own = format!("{:016x}{:016x}", random(), random());
        Ok(Self { connection, wakes, changes, listener, own, requests: AtomicU64::new(0) })
    }

    /// Counts one more; where `once` is given, only the first time that it is, whoever gives it.
    pub(super) async fn signal(&self, state: &str, once: Option<&str>) -> Result<u64, Error> {
        legal(state)?;
        let request = once.map_or_else(|| self.request(), |once| key("once", &format!("{state}:{once}")));
        let keys = [key("state", state), request];
        let request_kept = if once.is_some() { KEPT_SECS } else { REQUEST_KEPT_SECS };
        self.at_once("signal in", script(SIGNAL, &keys).arg(state).arg(KEPT_SECS).arg(request_kept)).await
    }

    pub(super) async fn publish(&self, topic: &str, payload: &str) -> Result<u64, Error> {
        legal(topic)?;
        let keys = [key("topic", topic), self.request()];
        let mut command = script(PUBLISH, &keys);
        self.at_once("publish in", command.arg(topic).arg(KEPT_SECS).arg(REQUEST_KEPT_SECS).arg(payload))
            .await
    }

    pub(super) async fn refuse(&self, state: &str, why: &str) -> Result<(), Error> {
        legal(state)?;
        let why = &why[..why.floor_char_boundary(MAX_WHY_BYTES)];
        let keys = [key("refused", state), key("why", state), self.request()];
        let mut command = script(REFUSE, &keys);
        command.arg(state).arg(KEPT_SECS).arg(REQUEST_KEPT_SECS).arg(why).arg(MAX_REFUSALS);
        self.at_once("refuse in", &command).await
    }

    pub(super) async fn reading(&self, state: &str) -> Result<Reading, Error> {
        self.at_once("read from", &read(state)).await.map(reading)
    }

    pub(super) async fn readings(&self, prefix: &str) -> Result<Vec<(Arc<str>, Reading)>, Error> {
        let mut names = self.names("state", prefix).await?;
        names.extend(self.names("refused", prefix).await?);
        names.sort();
        names.dedup();
        let mut readings = Vec::with_capacity(names.len());
        for name in names {
            let reading = self.reading(&name).await?;
            readings.push((name.into(), reading));
        }
        Ok(readings)
    }

    pub(super) async fn reached(&self, state: &str, target: u64) -> Result<u64, Error> {
        legal(state)?;
        let enlisted = self.wakes.enlist(What::State(state.into()));
        loop {
            // Before it is read: what happens afterwards wakes.
            let woken = enlisted.woken();
            let Reading { count, refused, refusals } = self.wait_for(&read(state)).await.map(reading)?;
            if count >= target {
                return Ok(count);
            }
            if refused > 0 {
                let why = refusals.first().cloned().unwrap_or_default();
                return Err(Error::Refused { state: state.into(), why });
            }
            if enlisted.is_forgotten() {
                return Err(Error::Forgotten { name: state.into() });
            }
            sleep_until(woken).await;
        }
    }

    pub(super) fn subscribe(self: &Arc<Self>, topic: &str) -> Result<Reader, Error> {
        legal(topic)?;
        let enlisted = self.wakes.enlist(What::Topic(topic.into()));
        Ok(Reader { redis: Arc::clone(self), topic: topic.into(), enlisted, seen: 0, read: VecDeque::new() })
    }

    pub(super) fn watch(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    pub(super) async fn forget(&self, prefix: &str) -> Result<u64, Error> {
        let mut forgotten = Vec::new();
        for kind in ["state", "refused", "why", "topic", "once"] {
            for name in self.names(kind, prefix).await? {
                self.at_once::<u64>("forget in", cmd("DEL").arg(key(kind, &name))).await?;
                if kind != "once" {
                    forgotten.push((kind == "topic", name));
                }
            }
        }
        let told = serde_json::json!({ "is": "forgotten", "prefix": prefix }).to_string();
        self.at_once::<u64>("tell", cmd("PUBLISH").arg(CHANNEL).arg(told)).await?;
        forgotten.sort();
        forgotten.dedup();
        Ok(forgotten.len() as u64)
    }

    /// What of it is in this process; of the server's nothing is known without looking at all of it.
    pub(super) fn held(&self) -> Held {
        Held { waiters: self.wakes.len(), ..Held::default() }
    }

    fn request(&self) -> String {
        format!("shaper:request:{}:{}", self.own, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    async fn names(&self, kind: &str, prefix: &str) -> Result<Vec<String>, Error> {
        let begin = key(kind, "");
        let (pattern, mut cursor, mut names) = (format!("{begin}{}*", escaped(prefix)), 0_u64, Vec::new());
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCANNED_AT_ONCE);
            let (next, keys): (u64, Vec<String>) = self.at_once("look into", &scan).await?;
            names.extend(keys.iter().filter_map(|key| key.strip_prefix(&begin)).map(str::to_owned));
            cursor = next;
            if cursor == 0 {
                return Ok(names);
            }
        }
    }

    /// Sends a command for who does not wait: until it is answered, or it was tried for long enough.
    async fn at_once<T: FromRedisValue>(&self, operation: &'static str, command: &Cmd) -> Result<T, Error> {
        self.ask(operation, command, Some(Instant::now() + TRIED_FOR)).await
    }

    /// Sends a command for who waits: until it is answered.
    async fn wait_for<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.ask("read from", command, None).await
    }

    async fn ask<T: FromRedisValue>(
        &self,
        operation: &'static str,
        command: &Cmd,
        end: Option<Instant>,
    ) -> Result<T, Error> {
        loop {
            match command.query_async(&mut self.connection.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) if is_of_the_moment(&error) && end.is_none_or(|end| Instant::now() < end) => {
                    sleep(AGAIN_AFTER).await;
                }
                Err(error) => return Err(failed(operation)(error)),
            }
        }
    }
}

/// One who reads a topic, and how far it is.
#[derive(Debug)]
pub(super) struct Reader {
    redis: Arc<Redis>,
    topic: Arc<str>,
    enlisted: Enlisted,
    seen: u64,
    /// Items that were read and not given yet.
    read: VecDeque<Arc<str>>,
}

impl Reader {
    pub(super) async fn next(&mut self) -> Result<Item, Error> {
        while self.read.is_empty() {
            let woken = self.enlisted.woken();
            let mut range = cmd("LRANGE");
            range.arg(key("topic", &self.topic)).arg(self.seen).arg(self.seen + ITEMS_AT_ONCE - 1);
            let items: Vec<String> = self.redis.wait_for(&range).await?;
            if items.is_empty() {
                if self.enlisted.is_forgotten() {
                    return Err(Error::Forgotten { name: self.topic.clone() });
                }
                sleep_until(woken).await;
            }
            self.read.extend(items.into_iter().map(Arc::from));
        }
        let payload = self.read.pop_front().unwrap_or_default();
        self.seen += 1;
        // What is still to be given was read from behind this one.
        Ok(Item { seq: self.seen, payload })
    }
}

/// Sleeps until something happened, but not for ever: a channel whose other end vanished without a word tells nothing any more.
async fn sleep_until(woken: impl Future<Output = ()>) {
    let _ = timeout(LOOK_EVERY, woken).await;
}

/// Wakes those who wait for what the channel tells, for as long as it runs.
async fn listen(client: Client, wakes: Arc<Wakes>, changes: broadcast::Sender<Change>) {
    let mut is_first = true;
    loop {
        if let Ok(mut channel) = client.get_async_pubsub().await
            && channel.subscribe(CHANNEL).await.is_ok()
        {
            // Something may have happened while nobody listened.
            wakes.wake_all();
            if !is_first {
                tell(&changes, Change::Missed(1));
                tracing::info!("connected to the states again");
            }
            is_first = false;
            let mut messages = channel.on_message();
            while let Some(message) = messages.next().await {
                let told = message.get_payload::<String>().ok();
                match told.and_then(|told| serde_json::from_str(&told).ok()) {
                    Some(told) => pass_on(told, &wakes, &changes),
                    None => tracing::warn!("the channel {CHANNEL} tells what is none of shaper's"),
                }
            }
            tracing::warn!("lost the connection to the states");
        }
        sleep(AGAIN_AFTER).await;
    }
}

fn pass_on(told: Told, wakes: &Wakes, changes: &broadcast::Sender<Change>) {
    match told {
        Told::Count { name, count } => {
            wakes.wake(&What::State(name.clone()));
            tell(changes, Change::Count { state: name, count });
        }
        Told::Refused { name, why } => {
            wakes.wake(&What::State(name.clone()));
            tell(changes, Change::Refused { state: name, why });
        }
        Told::Item { name } => wakes.wake(&What::Topic(name)),
        Told::Forgotten { prefix } => {
            wakes.forget(&prefix);
            tell(changes, Change::Forgotten { prefix });
        }
    }
}

fn tell(changes: &broadcast::Sender<Change>, change: Change) {
    // Fails where nobody watches.
    let _ = changes.send(change);
}

fn script(text: &str, keys: &[String]) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(text).arg(keys.len()).arg(keys);
    command
}

fn read(state: &str) -> Cmd {
    script(READ, &["state", "refused", "why"].map(|kind| key(kind, state)))
}

fn reading((count, refused, reasons): (u64, u64, Vec<String>)) -> Reading {
    Reading { count, refused, refusals: reasons.into_iter().map(Arc::from).collect() }
}

fn key(kind: &str, name: &str) -> String {
    format!("shaper:{kind}:{name}")
}

/// As a pattern that matches itself alone.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

fn legal(name: &str) -> Result<(), Error> {
    if name.len() > MAX_NAME_BYTES {
        return Err(Error::Name { bytes: name.len(), limit: MAX_NAME_BYTES });
    }
    Ok(())
}

/// Whether it may be another time: the server is not there, does not answer, or has not read its files yet.
fn is_of_the_moment(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || matches!(error.code(), Some("LOADING" | "TRYAGAIN" | "MASTERDOWN"))
}

fn failed(operation: &'static str) -> impl Fn(RedisError) -> Error {
    move |error| unreachable(operation, &error.to_string())
}

fn unreachable(operation: &'static str, why: &str) -> Error {
    Error::Server { operation, why: why.into() }
}
