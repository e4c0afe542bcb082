//! `/v1/apply`, `/v1/clear`, `/v1/show` and `/v1/rules`: what the commands do, for namespaces by whatever name.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use super::body::{self, Asked};
use super::instances::blocking;
use super::{Place, Refusal};
use crate::agent::{Agent, Cleared, Done, Order};
use crate::failure::{self, Code, Failure};
use crate::json;
use crate::report::{self, Shown};
use crate::rules::To;
use crate::rules::file::Format;
use crate::shape::Named;
use crate::wanted::Wanted;

/// What `POST /v1/apply` takes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// Where.
    pub namespace: Place,
    /// What.
    pub wanted: Wanted,
    /// Whether what would be done is to be told, and nothing to be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What `POST /v1/clear` takes.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clear {
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Place>,
    /// In every namespace that can be found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Only the rule for these peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<To>,
}

#[derive(Serialize)]
pub(super) struct Told {
    #[serde(flatten)]
    cleared: Cleared,
    /// The first that could not be cleared; the others are all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Refusal>,
}

/// For people, or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As `show` prints it.
    Text,
    /// As `show --json` prints it.
    Json,
}

impl Named for Form {
    const WHAT: &'static str = "a form";
    const ALL: &'static [Self] = &[Self::Text, Self::Json];

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// What stands behind the question mark of `GET /v1/show` and `GET /v1/rules`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Look {
    /// As in [`Place`], and the next four; every namespace that can be found when nothing is said, for `show` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns: Option<String>,
    /// Of a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Of a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What the caller sees there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Where the caller looks from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_from: Option<String>,
    /// The link whose rules are asked for; the one that is shaped when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    /// How it is to be told: the name of a [`Form`], or of rules' [`Format`]; JSON when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
}

impl Look {
    /// A look at a namespace, or at all that can be found.
    #[must_use]
    pub fn at(place: Option<Place>) -> Self {
        let Place { ns, pid, container, seen, seen_from } = place.unwrap_or_default();
        Self { ns, pid, container, seen, seen_from, ..Self::default() }
    }

    fn place(&self) -> Option<Place> {
        let Self { ns, pid, container, seen, seen_from, .. } = self;
        let (container, seen, seen_from) = (container.clone(), seen.clone(), seen_from.clone());
        let place = Place { ns: ns.clone(), pid: *pid, container, seen, seen_from };
        Some(place).filter(|place| *place != Place::default())
    }

    fn form<T: Named>(&self, unsaid: T) -> Result<T, Refusal> {
        let form = self.form.as_ref().map_or(Ok(unsaid), |word| T::from_name(word));
        form.map_err(|error| Refusal::usage(format!("form: {error}")))
    }
}

pub(super) async fn apply(
    State(agent): State<Agent>,
    body::Json(Apply { namespace, wanted, dry_run }): body::Json<Apply>,
) -> Result<Json<Done>, Refusal> {
    let order = if dry_run { Order::Try } else { Order::Make };
    Ok(Json(agent.carry_out(namespace.target(&agent).await?, order(Box::new(wanted))).await?))
}

pub(super) async fn clear(
    State(agent): State<Agent>,
    body::Json(Clear { namespace, all, to }): body::Json<Clear>,
) -> Result<Json<Told>, Refusal> {
    // What takes everything away is said, not left out.
    if namespace.is_some() == all {
        return Err(Refusal::usage("say which namespace, or `all`"));
    }
    if all && to.is_some() {
        return Err(Refusal::usage("to: that is for one namespace: say which"));
    }
    let target = match &namespace {
        Some(place) => Some(place.target(&agent).await?),
        None => None,
    };
    let (mut cleared, mut failed) = (Cleared::default(), None);
    for (name, target) in blocking(|| Cleared::whose(target)).await? {
        let done = agent.carry_out(target.clone(), to.map_or(Order::Clear, Order::Remove)).await;
        if let Err(error) = cleared.add(&name, &target, done.map_err(Failure::from)) {
            failed = failed.or(Some(error.into()));
        }
    }
    Ok(Json(Told { cleared, failed }))
}

pub(super) async fn show(
    State(agent): State<Agent>,
    Asked(look): Asked<Look>,
) -> Result<impl IntoResponse, Refusal> {
    if look.dev.is_some() {
        return Err(Refusal::usage("dev: that is for `/v1/rules`, which tells the rules of one link"));
    }
    let form = look.form(Form::Json)?;
    let target = match look.place() {
        Some(place) => Some(place.target(&agent).await?),
        None => None,
    };
    let told = blocking(move || {
        let shown = Shown::of(target.as_ref()).map_err(failure::report)?;
        match form {
            Form::Text => Ok(shown.text()),
            Form::Json => json::pretty(&shown).map_err(|error| Failure::new(Code::Failed, error)),
        }
    });
    let kind = match form {
        Form::Text => "text/plain; charset=utf-8",
        Form::Json => "application/json",
    };
    Ok(([(header::CONTENT_TYPE, kind)], told.await?))
}

pub(super) async fn rules(
    State(agent): State<Agent>,
    Asked(look): Asked<Look>,
) -> Result<impl IntoResponse, Refusal> {
    let form = look.form(Format::Json)?;
    let target = look.place().unwrap_or_default().target(&agent).await?;
    let told = blocking(move || {
        let file = report::file::of_target(&target, look.dev.as_deref()).map_err(failure::report)?;
        Ok(file.to_text(form))
    });
    let kind = match form {
        Format::Toml => "application/toml",
        Format::Yaml => "application/yaml",
        Format::Json => "application/json",
    };
    Ok(([(header::CONTENT_TYPE, kind)], told.await?))
}
