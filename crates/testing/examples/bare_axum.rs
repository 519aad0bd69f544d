//! The yardstick of `benches/server.py`: a bare axum server that answers every request with so many bytes of JSON.
//!
//! `bare_axum SIZE` listens on a free port of loopback and prints its address.

use std::io::Write;

use axum::{
    Router,
    body::Bytes,
    http::{HeaderValue, header},
    response::IntoResponse,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size: usize = std::env::args().nth(1).ok_or("usage: bare_axum SIZE")?.parse()?;
    let mut body = br#"{"data":""#.to_vec();
    body.resize(size.saturating_sub(2), b'x');
    body.extend_from_slice(b"\"}");
    let body = Bytes::from(body);
    let answer = move || {
        let body = body.clone();
        async move { ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response() }
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    let router = Router::new()
        .route("/v1/{*path}", axum::routing::any(answer.clone()))
        .route("/v3/{*path}", axum::routing::any(answer.clone()));
    axum::serve(listener, router.route("/", axum::routing::any(answer))).await?;
    Ok(())
}
