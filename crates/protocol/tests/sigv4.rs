//! Signature Version 4 against AWS's own vectors, and what is signed against what is verified.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use keyturn_core::{
    access_key::{CredentialScope, SigningKey},
    clock::Timestamp,
    secret::SecretString,
};
use keyturn_protocol::aws::sigv4::{CanonicalRequest, Place, Presented, SignedHeaders, Signer, Signing, hash};
use proptest::prelude::*;

const VECTORS: &str = include_str!("sigv4_vectors.txt");
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

type HeaderList = Vec<(String, String)>;

/// A request as it is sent: method, path, query, headers, body.
fn parse(request: &str) -> (&str, &str, &str, HeaderList, &str) {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let line = lines.next().and_then(|line| line.strip_suffix(" HTTP/1.1")).expect("a request line");
    let (method, target) = line.split_once(' ').expect("a method");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderList::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with(' ') => headers.push((name.to_owned(), value.to_owned())),
            // A line that begins with a space continues the one before.
            _ => headers.last_mut().expect("a header").1.push_str(line),
        }
    }
    (method, path, query, headers, body.trim_end_matches('\n'))
}

fn header<'h>(headers: &'h HeaderList, name: &str) -> Option<&'h str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[test]
fn every_vector_of_aws_comes_out() {
    let mut count = 0;
    for vector in VECTORS.split("=== ").skip(1) {
        let (name, rest) = vector.split_once('\n').expect("a name");
        let (request, rest) = rest.split_once("\n--- canonical\n").expect("a request");
        let (canonical, rest) = rest.split_once("\n--- to sign\n").expect("a canonical request");
        let (to_sign, signature) = rest.split_once("\n--- signature\n").expect("a string to sign");
        let (method, path, query, headers, body) = parse(request);
        let presented = match header(&headers, "authorization") {
            Some(value) => Presented::from_header(value).expect(name),
            None => Presented::from_query(query).expect(name).expect("signed"),
        };
        let date = presented.date.as_deref().or(header(&headers, "x-amz-date")).expect("a date");
        let scope = CredentialScope::parse(&presented.credential).expect("a scope");
        let signed = SignedHeaders::parse(&presented.signed_headers).expect("signed headers");
        let request = CanonicalRequest {
            method,
            path,
            query,
            headers: headers.as_slice(),
            signed,
            body_hash: &hash(body.as_bytes()),
        };
        let mut written = Vec::new();
        request.write(&mut |piece| written.extend_from_slice(piece)).expect("canonical");
        assert_eq!(String::from_utf8(written).expect("UTF-8"), canonical, "{name}");
        let string = request.string_to_sign(date, scope.without_key()).expect("canonical");
        assert_eq!(string, to_sign, "{name}");
        let made = SigningKey::derive(&SecretString::from(SECRET), &scope).sign(string.as_bytes());
        assert_eq!(hex::encode(made), signature.trim(), "{name}");
        assert_eq!(presented.signature, signature.trim(), "{name}");
        count += 1;
    }
    assert!(count >= 60, "{count}");
}

/// Verifies as a server does, from nothing but what was sent.
fn verifies(what: &Signing<'_>, headers: &HeaderList, secret: &SecretString) -> bool {
    let presented = header(headers, "authorization").and_then(|value| Presented::from_header(value).ok());
    let Some(presented) = presented.filter(|presented| presented.place == Place::Header) else { return false };
    let (scope, signed) = CredentialScope::parse(&presented.credential)
        .zip(SignedHeaders::parse(&presented.signed_headers))
        .expect("read");
    let request = CanonicalRequest {
        method: what.method,
        path: what.path,
        query: what.query,
        headers: headers.as_slice(),
        signed,
        body_hash: &hash(what.body),
    };
    let date = header(headers, "x-amz-date").expect("a date");
    let string = request.string_to_sign(date, scope.without_key()).expect("canonical");
    let mut signature = [0; 32];
    hex::decode_to_slice(&presented.signature, &mut signature).expect("hex");
    SigningKey::derive(secret, &scope).verifies(string.as_bytes(), &signature)
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else_does(
        path in "/[a-zA-Z0-9/._~%2-]{0,20}",
        query in "([a-z]{1,5}=[a-z0-9+]{0,8}(&[a-z]{1,5}=[a-z0-9]{0,8}){0,3})?",
        body in proptest::collection::vec(any::<u8>(), 0..64),
        value in "[ -~]{0,30}",
        second in 0_i64..4_000_000_000,
        token in proptest::option::of("[A-Za-z0-9]{1,40}"),
    ) {
        let time = Timestamp::from_second(second).expect("a time");
        let signer = Signer {
            access_key_id: "AKIAEXAMPLE".to_owned(),
            secret_access_key: SecretString::from(SECRET),
            session_token: token.map(SecretString::new),
            region: "eu-west-1".to_owned(),
            service: "secretsmanager".to_owned(),
        };
        let what = Signing { method: "POST", path: &path, query: &query, body: &body, time };
        let mut headers = vec![("Host".to_owned(), "localhost:8200".to_owned()), ("X-Amz-Target".to_owned(), value)];
        signer.sign(&what, &mut headers).expect("signed");
        let secret = &signer.secret_access_key;
        prop_assert!(verifies(&what, &headers, secret));
        prop_assert!(!verifies(&what, &headers, &SecretString::from("another")));
        let (longer_body, longer_path) = ([&body[..], b"x"].concat(), format!("{path}x"));
        let longer_query = format!("{query}&x=1");
        for other in [
            Signing { method: "GET", ..what },
            Signing { body: &longer_body, ..what },
            Signing { path: &longer_path, ..what },
            Signing { query: &longer_query, ..what },
        ] {
            prop_assert!(!verifies(&other, &headers, secret));
        }
        let mut altered = headers.clone();
        altered[0].1 = "elsewhere".to_owned();
        prop_assert!(!verifies(&what, &altered, secret));
    }
}
