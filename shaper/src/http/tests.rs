use std::io::ErrorKind;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use hyper::Method;
use tokio::net::UnixListener;

use super::{Client, Error};
use crate::scratch::Directory;

/// A server at a socket of its own, which ends with the runtime.
fn serve(router: Router) -> (Directory, Client) {
    let directory = Directory::new();
    let path = directory.file("socket");
    let listener = UnixListener::bind(&path).expect("a new directory");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (directory, Client::at(path))
}

#[tokio::test]
async fn a_call_sends_its_body_and_brings_status_and_body() {
    let echo = post(|body: String| async move { (StatusCode::CREATED, format!("got {body}")) });
    let (_directory, client) = serve(Router::new().route("/echo", echo));
    let answer = client.call(Method::POST, "/echo?a=b", "{}").await.unwrap();
    assert_eq!((answer.status, &*answer.body), (StatusCode::CREATED, &b"got {}"[..]));
    let answer = client.call(Method::GET, "/none", "").await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn lines_come_one_by_one_however_they_were_sent() {
    let (_directory, client) = serve(Router::new().route("/", get(|| async { "one\n\nthree\nno end" })));
    let mut lines = client.lines("/").await.unwrap();
    let mut all = Vec::new();
    while let Some(line) = lines.next().await.unwrap() {
        all.push(String::from_utf8(line).unwrap());
    }
    assert_eq!(all, ["one", "", "three"]);
    assert!(matches!(client.lines("/none").await, Err(Error::Status { status: StatusCode::NOT_FOUND, .. })));
}

#[tokio::test]
async fn who_does_not_listen_is_named() {
    let directory = Directory::new();
    let client = Client::at(directory.file("socket"));
    let error = client.call(Method::GET, "/", "").await.unwrap_err();
    assert!(
        matches!(&error, Error::Connect { source, .. } if source.kind() == ErrorKind::NotFound),
        "{error}"
    );
    assert!(error.to_string().contains("socket"), "{error}");
}
