//! `shaper agent`: looks after many instances, driven over its API, until it is told to end.

mod check;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::args::{AgentArgs, OnExit, StatesAt};
use super::exit::{Code, Failure};
use super::{failure, output};
use crate::agent::{self, Agent, Registration, Strict, privileges};
use crate::api::{self, Listener, Token};
use crate::docker::Runtime;
use crate::init;
use crate::journal;
use crate::probe::{self, Cap};
use crate::states::States;
use crate::testground::remote::Remote;
use crate::testground::server::Server;

/// Threads that may block: orders wait for a processor anyway, and looking takes milliseconds.
const BLOCKING_THREADS: usize = 16;
/// How long what is under way may take when the agent is told to end.
const END_WITHIN: Duration = Duration::from_secs(20);

/// What `--json` prints when calls are answered.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    listen: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sync: Option<String>,
}

pub(super) fn run(args: AgentArgs) -> Result<(), Failure> {
    if args.check {
        return check::run(&args.listen);
    }
    init::leave_to_child()
        .map_err(|errno| Failure::new(Code::Failed, errno).context("cannot start a child of process 1"))?;
    probe::require(&Cap::ALL).map_err(failure::probe)?;
    let docker = args
        .docker
        .as_ref()
        .map(|path| path.clone().map(Runtime::at).map_or_else(Runtime::of_environment, Ok));
    let docker = docker.transpose().map_err(failure::docker)?;
    let token = args.token_file.as_deref().map(token).transpose()?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_target(false).init();
    let failed = |error: api::ListenError| Failure::new(Code::Failed, error);
    let unix = Listener::unix(&args.listen, args.group.as_deref()).map_err(failed)?;
    let tcp = args.http.map(Listener::tcp).transpose().map_err(failed)?;
    let sync = args.sync.map(api::bind).transpose().map_err(failed)?;
    // Before there is another thread: capabilities are a thread's own, and those it starts have the same.
    privileges::keep_what_is_used()
        .map_err(|error| Failure::new(Code::Failed, error).context("cannot give up privileges"))?;
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|error| Failure::new(Code::Failed, error).context("cannot start threads"))?;
    runtime.block_on(serve(&args, unix, tcp.zip(token), sync, docker))
}

/// Each connection and each namespace at work takes a descriptor, and the soft limit is 1,024 for the sake of select(2).
fn raise_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What is refused shows when descriptors run out, and then in words.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn token(path: &Path) -> Result<Token, Failure> {
    let usage = |error: anyhow::Error| {
        Failure::new(Code::Usage, error).context(format!("the token in `{}`", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.into()))?;
    Token::new(&text).map_err(|words| usage(anyhow::anyhow!(words)))
}

async fn serve(
    args: &AgentArgs,
    unix: Listener,
    tcp: Option<(Listener, Token)>,
    sync: Option<TcpListener>,
    docker: Option<Runtime>,
) -> Result<(), Failure> {
    let states = match &args.states {
        StatesAt::Memory => States::journalled(&kept(args, "states")).map_err(unwritten)?,
        StatesAt::Server(url) => {
            let unreachable = |error| Failure::new(Code::Unreachable, anyhow::Error::from(error));
            States::redis(url).await.map_err(unreachable)?
        }
    };
    let agent = match &args.sync_connect {
        None => Agent::new(states),
        Some(address) => {
            let unreachable =
                |error| Failure::new(Code::Unreachable, anyhow::Error::from(error)).context(address.clone());
            Agent::beside(states, States::elsewhere(Remote::connect(address).await.map_err(unreachable)?))
        }
    };
    if let Some(docker) = &docker {
        agent.use_containers_of(docker.clone());
    }
    agent.remember(&kept(args, "instances")).await.map_err(unwritten)?;
    let listen =
        std::iter::once(&unix).chain(tcp.iter().map(|(tcp, _)| tcp)).map(Listener::address).collect();
    let mut servers = JoinSet::new();
    servers.spawn(api::serve(unix, api::router(agent.clone()), None));
    if let Some((tcp, token)) = tcp {
        servers.spawn(api::serve(tcp, api::router(agent.clone()), Some(token)));
    }
    let address = sync.as_ref().and_then(|sync| sync.local_addr().ok()).map(|address| address.to_string());
    if let Some(sync) = sync {
        let server = Server::new(agent.states().clone());
        let server = if args.strict { server.gate(Strict::new(agent.clone())) } else { server };
        servers.spawn(async move { Err(server.serve(tokio::net::TcpListener::from_std(sync)?).await) });
    }
    let watch = agent.clone().watch();
    servers.spawn(async {
        watch.await;
        Ok(())
    });
    if args.own {
        let registration = Registration { own: true, ..Registration::default() };
        let name = agent::Name::own();
        agent.register(name, registration).await.map_err(|error| Failure::new(Code::Failed, error))?;
    }
    if let Some(docker) = docker {
        let follow = agent.clone().follow_containers(docker);
        servers.spawn(async {
            follow.await;
            Ok(())
        });
    }
    let ready = Ready { ready: true, listen, sync: address };
    if args.json {
        output::stream(output::json_line(&ready)?.as_bytes())?;
    } else {
        let sync = ready.sync.iter().map(|address| format!(", sync {address}"));
        output::narrate(format_args!("ready: {}{}", ready.listen.join(", "), sync.collect::<String>()));
    }

    tokio::select! {
        told = told_to_end() => told?,
        ended = servers.join_next() => {
            let error = match ended {
                Some(Ok(Err(error))) => anyhow::Error::from(error),
                Some(Err(panic)) => panic.into(),
                Some(Ok(Ok(()))) | None => anyhow::anyhow!("nobody listens any more"),
            };
            return Err(Failure::new(Code::Failed, error).context("cannot answer calls"));
        }
    }
    // Calls are no longer taken; what was taken is carried out.
    servers.shutdown().await;
    if timeout(END_WITHIN, end(&agent, args.on_exit)).await.is_err() {
        let late = anyhow::anyhow!("not all that was under way ended in {} s", END_WITHIN.as_secs());
        return Err(Failure::new(Code::Failed, late));
    }
    if args.on_exit == OnExit::Clear {
        for what in ["states", "instances"] {
            // What stays is not wrong: of nothing that is there.
            let _ = std::fs::remove_file(kept(args, what));
        }
    }
    Ok(())
}

/// Where the agent keeps what outlives it: beside its socket, which no two agents have at once.
fn kept(args: &AgentArgs, what: &str) -> PathBuf {
    args.listen.with_extension(what)
}

fn unwritten(error: journal::Error) -> Failure {
    Failure::new(Code::Failed, error)
}

async fn told_to_end() -> Result<(), Failure> {
    let failed =
        |error| Failure::new(Code::Failed, anyhow::Error::from(error)).context("cannot wait for signals");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn end(agent: &Agent, on_exit: OnExit) {
    if on_exit == OnExit::Clear {
        for instance in agent.registered() {
            if let Err(error) = agent.remove(instance.name()).await {
                tracing::error!(instance = %instance.name(), %error, "cannot clear it");
            }
        }
    }
    agent.finish().await;
}
