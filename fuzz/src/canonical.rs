//! What must hold of signed requests, checked against an obvious, slow reading of what a request means.
//!
//! ```text
//! input = a request as HTTP/1.1 has it: method SP path [? query] LF, header: value LF …, LF, body
//! ```
//!
//! How the request is re-spelled and altered is drawn from a hash of the input, so that an input says all of a case.

use keyturn_core::{
    access_key::{CredentialScope, SigningKey},
    clock::Timestamp,
    secret::SecretString,
};
use keyturn_protocol::aws::sigv4::{
    AmzTime, CanonicalRequest, Place, Presented, SignedHeaders, Signer, Signing, decode, decode_form, hash,
    query_parameter,
};

/// Parameters that a query may have.
const MAX_PARAMETERS: usize = 1000;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Numbers that look random, always the same for a seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Checks all of it for one input.
///
/// # Panics
/// When something does not hold.
pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    read_everything(&text);
    let Some(sent) = parse(&text) else { return };
    let mut dice =
        Dice(data.iter().fold(data.len() as u64, |seed, byte| (seed ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)));
    presented_in_any_spelling(&sent, &mut dice);
    let names = signed_names(&sent.headers);
    let Some(signed) = SignedHeaders::parse(&names) else { return };
    one_form_for_one_meaning(&sent, signed, &mut dice);
    signatures_are_of_what_was_signed(&sent, &mut dice);
}

/// Nothing that is sent makes a reader panic, and what is read is what was sent.
fn read_everything(text: &str) {
    if let Some(signed) = SignedHeaders::parse(text) {
        assert!(text.split(';').all(|name| signed.contains(name)), "a signed header is not found");
    }
    if let Some(time) = AmzTime::parse(text) {
        assert_eq!(time.as_str(), text, "a time is told otherwise than it was sent");
        assert_eq!(AmzTime::of(time.timestamp()), time, "a time has two spellings");
    }
    if let Some(scope) = CredentialScope::parse(text) {
        assert_eq!(format!("{}/{}", scope.access_key_id, scope.without_key()), text, "a scope lost a part");
    }
    assert_eq!(decode(text).map(|bytes| bytes.into_owned()), slow_decode(text), "an escape is read in two ways");
    _ = decode_form(text);
    if let Ok(presented) = Presented::from_header(text) {
        assert!(presented.place == Place::Header && !presented.signature.is_empty());
    }
    _ = Presented::from_query(text);
}

/// However a query is spelled and ordered, the signature in it is read alike.
fn presented_in_any_spelling(sent: &Sent, dice: &mut Dice) {
    let told = |query: &str| {
        let presented = Presented::from_query(query);
        let session = query_parameter(query, "X-Amz-Security-Token").ok().flatten();
        format!("{presented:?} {session:?}")
    };
    let Some(respelled) = respelled_query(&sent.query, dice) else { return };
    assert_eq!(told(&sent.query), told(&respelled), "{} is presented otherwise than {respelled}", sent.query);
}

fn one_form_for_one_meaning(sent: &Sent, signed: SignedHeaders<'_>, dice: &mut Dice) {
    let form = canonical(sent, signed);
    let meant = meaning(sent, signed);
    assert_eq!(form.is_some(), meant.is_some(), "a form without a meaning, or a meaning without a form: {sent:?}");
    if form.is_none() {
        return;
    }
    let other = respelled(sent, dice);
    assert_eq!(meaning(&other, signed), meant, "the re-spelling is wrong: {sent:?} {other:?}");
    assert_eq!(canonical(&other, signed), form, "one meaning, two forms: {sent:?} {other:?}");
    for _ in 0..4 {
        let other = altered(sent, dice);
        let same = canonical(&other, signed) == form;
        assert_eq!(same, meaning(&other, signed) == meant, "form and meaning disagree: {sent:?} {other:?}");
    }
}

/// Signs as a client does, verifies as a server does.
fn signatures_are_of_what_was_signed(sent: &Sent, dice: &mut Dice) {
    let signer = Signer {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: SecretString::from(SECRET),
        session_token: dice.coin().then(|| SecretString::from("session")),
        region: "us-east-1".to_owned(),
        service: "secretsmanager".to_owned(),
    };
    let mut whole = sent.clone();
    whole.headers.retain(|(name, _)| {
        !["authorization", "x-amz-date", "x-amz-security-token"].contains(&name.to_ascii_lowercase().as_str())
    });
    let time = Timestamp::from_second(1_440_938_160).unwrap_or(Timestamp::UNIX_EPOCH);
    let Sent { method, path, query, body, .. } = sent;
    if signer.sign(&Signing { method, path, query, body, time }, &mut whole.headers).is_err() {
        return;
    }
    assert!(verifies(&whole), "what was signed does not verify: {whole:?}");
    assert!(verifies(&respelled(&whole, dice)), "a re-spelling does not verify: {whole:?}");
    let names = presented(&whole).map(|presented| presented.signed_headers).unwrap_or_default();
    let Some(signed) = SignedHeaders::parse(&names) else { return };
    for _ in 0..2 {
        let other = altered(&whole, dice);
        if presented(&other).is_some_and(|found| found.signed_headers == names) && signed_alike(&whole, &other) {
            let same = meaning(&other, signed) == meaning(&whole, signed);
            assert_eq!(verifies(&other), same, "a signature is good for another request: {whole:?} {other:?}");
        }
    }
}

/// Whether both present the same signature, made at the same time for the same scope.
fn signed_alike(one: &Sent, other: &Sent) -> bool {
    let of = |sent: &Sent| {
        let presented = presented(sent)?;
        Some((presented.signature, presented.credential, header(sent, "x-amz-date")))
    };
    of(one) == of(other)
}

fn header(sent: &Sent, name: &str) -> Option<String> {
    sent.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

fn presented(sent: &Sent) -> Option<Presented> {
    Presented::from_header(&header(sent, "authorization")?).ok()
}

fn verifies(sent: &Sent) -> bool {
    let Some(presented) = presented(sent) else { return false };
    let parts = CredentialScope::parse(&presented.credential).zip(SignedHeaders::parse(&presented.signed_headers));
    let Some((scope, signed)) = parts else { return false };
    let body_hash = hash(&sent.body);
    let Ok(string) = request(sent, signed, &body_hash)
        .string_to_sign(&header(sent, "x-amz-date").unwrap_or_default(), scope.without_key())
    else {
        return false;
    };
    let mut signature = [0; 32];
    hex::decode_to_slice(&presented.signature, &mut signature).is_ok()
        && SigningKey::derive(&SecretString::from(SECRET), &scope).verifies(string.as_bytes(), &signature)
}

fn request<'a>(
    sent: &'a Sent,
    signed: SignedHeaders<'a>,
    body_hash: &'a str,
) -> CanonicalRequest<'a, [(String, String)]> {
    let Sent { method, path, query, headers, .. } = sent;
    CanonicalRequest { method, path, query, headers, signed, body_hash }
}

fn canonical(sent: &Sent, signed: SignedHeaders<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    request(sent, signed, &hash(&sent.body)).write(&mut |piece| out.extend_from_slice(piece)).ok()?;
    Some(out)
}

// --- what a request means, read slowly --------------------------------------------------------------------------------

#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    method: String,
    segments: Vec<String>,
    ends_with_slash: bool,
    parameters: Vec<(Vec<u8>, Vec<u8>)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// `None`: the query is broken.
fn meaning(sent: &Sent, signed: SignedHeaders<'_>) -> Option<Meaning> {
    let pieces: Vec<&str> = sent.path.split('/').collect();
    let segments =
        resolved(pieces.iter().filter(|piece| !matches!(**piece, "" | ".")).map(|piece| (*piece).to_owned()));
    let mut names: Vec<String> = sent.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    let headers = names.into_iter().filter(|name| signed.contains(name)).map(|name| {
        let of_name = sent.headers.iter().filter(|(known, _)| known.to_ascii_lowercase() == name);
        let values: Vec<String> = of_name.map(|(_, value)| one_spaced(value)).collect();
        (name, values.join(","))
    });
    Some(Meaning {
        method: sent.method.clone(),
        ends_with_slash: segments.is_empty() || matches!(pieces.last(), Some(&("" | "." | ".."))),
        segments,
        parameters: parameters(&sent.query)?,
        // A header that is not there reads as one that is empty.
        headers: headers.filter(|(_, value)| !value.is_empty()).collect(),
        body: sent.body.clone(),
    })
}

/// Takes `..` away with what it goes up from, one at a time.
fn resolved(segments: impl Iterator<Item = String>) -> Vec<String> {
    let mut segments: Vec<String> = segments.collect();
    while let Some(at) = segments.iter().position(|segment| segment == "..") {
        segments.remove(at);
        if at > 0 {
            segments.remove(at - 1);
        }
    }
    segments
}

fn parameters(query: &str) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let pairs: Vec<&str> = query.split('&').collect();
    if !query.is_empty() && pairs.len() > MAX_PARAMETERS {
        return None;
    }
    let mut found = Vec::new();
    for pair in pairs.into_iter().filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.find('=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, ""),
        };
        found.push((slow_decode(name)?, slow_decode(value)?));
    }
    found.retain(|(name, _)| name != b"X-Amz-Signature");
    found.sort();
    Some(found)
}

fn slow_decode(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        if bytes[at] != b'%' {
            found.push(bytes[at]);
            at += 1;
            continue;
        }
        let digits = bytes.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        found.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        at += 3;
    }
    Some(found)
}

fn one_spaced(value: &str) -> String {
    let mut spaced = String::new();
    for char in value.trim_matches(is_space).chars() {
        match char {
            char if !is_space(char) => spaced.push(char),
            _ if !spaced.ends_with(' ') => spaced.push(' '),
            _ => {}
        }
    }
    spaced
}

fn is_space(char: char) -> bool {
    char.is_ascii_whitespace()
}

// --- other spellings and other requests -------------------------------------------------------------------------------

fn signed_names(headers: &[(String, String)]) -> String {
    let mut names: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.retain(|name| name != "authorization");
    names.sort();
    names.dedup();
    names.join(";")
}

/// The same request, written otherwise.
fn respelled(sent: &Sent, dice: &mut Dice) -> Sent {
    let mut other = sent.clone();
    if let Some(query) = respelled_query(&sent.query, dice) {
        other.query = query;
    }
    other.path = respelled_path(&sent.path, dice);
    for (name, value) in &mut other.headers {
        if dice.coin() {
            *name = name.to_ascii_uppercase();
        }
        *value =
            format!("{}{}", [" ", "\t ", ""][dice.below(3)], value.replace(' ', [" ", "  ", " \t"][dice.below(3)]));
    }
    if dice.coin() {
        other.headers.insert(dice.below(other.headers.len() + 1), ("x-not-signed-4711".to_owned(), "x".to_owned()));
    }
    other
}

fn respelled_path(path: &str, dice: &mut Dice) -> String {
    let pieces: Vec<&str> = path.split('/').collect();
    let mut other = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            other.push_str(["/", "//", "/./", "/x/../"][dice.below(4)]);
        }
        other.push_str(piece);
    }
    other
}

/// `None`: it is broken, or there is no room for another spelling.
fn respelled_query(query: &str, dice: &mut Dice) -> Option<String> {
    let mut pairs: Vec<&str> = query.split('&').collect();
    if pairs.len() >= MAX_PARAMETERS {
        return None;
    }
    dice.shuffle(&mut pairs);
    let mut other = Vec::new();
    for pair in pairs {
        if pair.is_empty() {
            other.push(String::new());
            continue;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        other.push(format!("{}={}", respelled_text(name, dice)?, respelled_text(value, dice)?));
    }
    if dice.coin() {
        other.push(String::new());
    }
    Some(other.join("&"))
}

fn respelled_text(text: &str, dice: &mut Dice) -> Option<String> {
    let mut other = String::new();
    for byte in slow_decode(text)? {
        let plain = byte.is_ascii_alphanumeric() || b"-._~+/:;,@!$'()*".contains(&byte);
        match dice.below(4) {
            0 => other.push_str(&format!("%{byte:02x}")),
            1 => other.push_str(&format!("%{byte:02X}")),
            _ if plain => other.push(char::from(byte)),
            _ => other.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(other)
}

/// Another request, or by chance the same.
fn altered(sent: &Sent, dice: &mut Dice) -> Sent {
    let mut other = sent.clone();
    match dice.below(6) {
        0 => other.method = ["GET", "POST", "PUT", "post"][dice.below(4)].to_owned(),
        1 => other.path = altered_text(&sent.path, dice),
        2 | 3 => other.query = altered_text(&sent.query, dice),
        4 => match other.body.len() {
            0 => other.body.push(b'x'),
            length => other.body[dice.below(length)] ^= 1 << dice.below(8),
        },
        _ if other.headers.is_empty() => {}
        _ => {
            let at = dice.below(other.headers.len());
            match dice.below(3) {
                0 => _ = other.headers.remove(at),
                1 => other.headers.push(sent.headers[at].clone()),
                _ => other.headers[at].1 = altered_text(&sent.headers[at].1, dice),
            }
        }
    }
    other
}

fn altered_text(text: &str, dice: &mut Dice) -> String {
    const PIECES: [&str; 20] = [
        "/",
        "//",
        "/.",
        "/..",
        "%",
        "%2",
        "%2F",
        "%2f",
        "%252F",
        "+",
        "%20",
        " ",
        "&",
        "=",
        "&&",
        ",",
        "a",
        "A",
        "é",
        "X-Amz-Signature=1",
    ];
    let mut chars: Vec<char> = text.chars().collect();
    let at = dice.below(chars.len() + 1);
    match dice.below(3) {
        0 if at < chars.len() => _ = chars.remove(at),
        1 if at + 1 < chars.len() => chars.swap(at, at + 1),
        _ => {
            let piece = PIECES[dice.below(PIECES.len())].chars();
            chars.splice(at..at, piece);
        }
    }
    chars.into_iter().collect()
}

/// A request as it is sent. What no HTTP server would hand on is none: line breaks, and names that are no tokens.
fn parse(text: &str) -> Option<Sent> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let line = lines.next()?;
    let (method, target) = line.strip_suffix(" HTTP/1.1").unwrap_or(line).split_once(' ')?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let is_token = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        if let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_token(name)) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    let fits = is_token(method) && !text.contains('\r');
    let sent = Sent {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: body.as_bytes().to_vec(),
    };
    fits.then_some(sent)
}
