//! Who may use the API over TCP: whoever has the token.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;

use super::Refusal;
use crate::seldom::Seldom;
use crate::units::quote;

/// The shortest token, in bytes: what cannot be guessed has 128 bits, which are 22 letters of base64.
const TOKEN_LEAST: usize = 16;

/// What who uses the API over TCP says in `Authorization: Bearer`.
#[derive(Clone)]
pub struct Token(Box<[u8]>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// Reads what a file says, without the space around it.
    ///
    /// # Errors
    ///
    /// When it is too short, or is not one word of what a header can say.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < TOKEN_LEAST {
            return Err(format!(
                "a token of {} bytes is too short: write at least {TOKEN_LEAST}, such as `openssl rand -hex 32` makes",
                text.len()
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token is one word of ASCII letters, digits and signs".to_owned());
        }
        Ok(Self(text.as_bytes().into()))
    }

    /// Whether a header says it; takes as long for a wrong one as for the right one.
    fn is_in(&self, header: Option<&[u8]>) -> bool {
        let said = header.and_then(|header| header.strip_prefix(b"Bearer ")).unwrap_or_default();
        self.0.ct_eq(said).into()
    }
}

/// Lets those pass who have a token, and tells of the others.
#[derive(Clone)]
pub(super) struct Door {
    token: Token,
    refused: Arc<Seldom>,
}

impl Door {
    pub(super) fn new(token: Token) -> Self {
        Self { token, refused: Arc::default() }
    }
}

/// Lets those pass who have the token.
pub(super) async fn require(State(door): State<Door>, request: Request, next: Next) -> Response {
    let said = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    if door.token.is_in(said) {
        return next.run(request).await;
    }
    if let Some(untold) = door.refused.untold() {
        let peer = request.extensions().get::<SocketAddr>().map(tracing::field::display);
        let (method, path) = (request.method(), quote(request.uri().path()));
        tracing::warn!(peer, %method, path, untold, "refused: wrong token");
    }
    Refusal::unauthorized("this takes the agent's token")
        .hint(
            "send the header `Authorization: Bearer TOKEN` with what is in the file that --token-file names",
        )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_passes() {
        let token = Token::new(" 0123456789abcdef\n").unwrap();
        for (header, passes) in [
            (Some("Bearer 0123456789abcdef"), true),
            (Some("Bearer 0123456789abcdeF"), false),
            (Some("Bearer 0123456789abcde"), false),
            (Some("Bearer 0123456789abcdef0"), false),
            (Some("Bearer "), false),
            (Some("Basic 0123456789abcdef"), false),
            (Some("0123456789abcdef"), false),
            (None, false),
        ] {
            assert_eq!(token.is_in(header.map(str::as_bytes)), passes, "{header:?}");
        }
        assert!(Token::new("short").is_err());
        assert!(Token::new("0123456789 abcdef").is_err());
    }
}
