//! `/v1/instances/NAME/links/LINK`: the rules of a link, in the schema of `apply -f`.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};

use super::Refusal;
use super::body::{InPath, Text};
use super::callback::Said;
use super::instances::{blocking, make};
use crate::agent::{Agent, Callback, Done, Name};
use crate::attachment::{Attachment, Survey};
use crate::failure;
use crate::measure::clock;
use crate::netlink::Socket;
use crate::plan::set::Wish;
use crate::report;
use crate::rules::file::{Document, Format};
use crate::rules::{File, RuleSet};
use crate::shape::Direction;
use crate::target::link::is_link_name;
use crate::wanted::Wanted;

type Link = InPath<(Name, String)>;

/// The rules that a body tells, and what is signalled when they are in force.
struct Config {
    file: File,
    callback: Callback,
}

impl Config {
    fn read(text: &str, link: &str) -> Result<Self, Refusal> {
        let (document, said) = split(text)?;
        let callback = said.read()?;
        let document = Document::parse(&document, Format::Json).map_err(Refusal::usage)?;
        if let Some(dev) = document.dev.as_deref().filter(|dev| *dev != link) {
            return Err(Refusal::usage(format!(
                "dev: the path says link `{link}`, and the body says {dev:?}"
            )));
        }
        let document = Document { dev: Some(link.to_owned()), ..document };
        let file = File::new(document).map_err(Refusal::usage)?;
        Ok(Self { file, callback })
    }
}

/// Parts the callback from the rules, which have a schema of their own.
fn split(text: &str) -> Result<(String, Said), Refusal> {
    let usage = |error: serde_json::Error| Refusal::usage(format!("the body: {error}"));
    // Where nothing is said of a callback, a document of thousands of rules is not read twice.
    if !text.contains("callback_") {
        return Ok((text.to_owned(), Said::default()));
    }
    let Value::Object(mut all) = serde_json::from_str(text).map_err(usage)? else {
        return Err(Refusal::usage("the body is not an object: write `{\"rules\": [...]}`"));
    };
    let said: Map<_, _> = Said::MEMBERS.iter().filter_map(|key| all.remove_entry(*key)).collect();
    let said = serde_json::from_value(Value::Object(said)).map_err(usage)?;
    Ok((Value::Object(all).to_string(), said))
}

pub(super) async fn put(
    State(agent): State<Agent>,
    InPath((name, link)): Link,
    Text(text): Text,
) -> Result<Json<Done>, Refusal> {
    let Config { file, callback } = Config::read(&text, &link)?;
    let wanted = Wanted::of_file(&file).map_err(Refusal::usage)?;
    make(&agent, &name, wanted, callback).await
}

pub(super) async fn patch(
    State(agent): State<Agent>,
    InPath((name, link)): Link,
    Text(text): Text,
) -> Result<Json<Done>, Refusal> {
    let Config { file, callback } = Config::read(&text, &link)?;
    let wanted = Wanted::beside(&file).map_err(Refusal::usage)?;
    make(&agent, &name, wanted, callback).await
}

pub(super) async fn clear(
    State(agent): State<Agent>,
    InPath((name, link)): Link,
) -> Result<Json<Done>, Refusal> {
    is_legal(&link)?;
    let nothing = |direction: &_| (*direction, Wish::Whole(RuleSet::default()));
    let wishes = Direction::Both.each().iter().map(nothing).collect();
    let wanted = Wanted { dev: Some(link), wishes, ..Wanted::default() };
    make(&agent, &name, wanted, Callback::default()).await
}

pub(super) async fn show(
    State(agent): State<Agent>,
    InPath((name, link)): Link,
) -> Result<Json<Document>, Refusal> {
    is_legal(&link)?;
    let instance = agent.instance(&name)?;
    let target = instance.target().clone();
    let document = blocking(move || {
        let netns = target.open().map_err(failure::netns)?;
        let mut socket = netns.run(Socket::open).map_err(failure::netns)?.map_err(failure::netlink)?;
        let survey = Survey::take(&mut socket).map_err(failure::netlink)?;
        let is_it = |found: &&Attachment| found.link.name == link;
        let found: Vec<_> = survey.attachments.iter().filter(is_it).collect();
        let document = report::file::of_link(&found, clock::now_ns());
        Ok(Document { dev: Some(link), ..document })
    });
    Ok(Json(document.await?))
}

fn is_legal(link: &str) -> Result<(), Refusal> {
    if is_link_name(link) {
        return Ok(());
    }
    Err(Refusal::usage(format!("{link:?} cannot be the name of a link")))
}
