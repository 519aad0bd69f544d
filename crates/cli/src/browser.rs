//! Waits on loopback for a browser that comes back from an identity provider.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    time::Duration,
};

use percent_encoding::percent_decode_str;

/// The longest request head that is read, in bytes; a code may have some kilobytes.
const MAX_HEAD: usize = 16 * 1024;
/// How long a browser may take to send it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the browser comes back to, below the address.
const PATH: &str = "/oidc/callback";

/// What the browser brings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Returned {
    pub(crate) state: String,
    pub(crate) code: String,
    pub(crate) error: String,
}

/// A port on loopback that a browser can be sent back to.
#[derive(Debug)]
pub(crate) struct Landing(TcpListener);

impl Landing {
    /// Listens on `port` of loopback.
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) fn open(port: u16) -> io::Result<Self> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(Self)
    }

    /// What the provider is told to send the browser back to.
    pub(crate) fn redirect_uri(&self) -> io::Result<String> {
        Ok(format!("http://localhost:{}{PATH}", self.0.local_addr()?.port()))
    }

    /// Waits for the browser. Whatever else comes is answered with 404.
    pub(crate) fn wait(self) -> io::Result<Returned> {
        loop {
            let (stream, _) = self.0.accept()?;
            // A connection that breaks or stands still is not the one that is waited for.
            if let Ok(Some(returned)) = serve(stream) {
                return Ok(returned);
            }
        }
    }
}

fn serve(mut stream: TcpStream) -> io::Result<Option<Returned>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let returned = parse(&read_head(&mut stream)?);
    let (status, text) = match returned {
        Some(_) => ("200 OK", "You can close this page and go back to the terminal.\n"),
        None => ("404 Not Found", "Nothing is here.\n"),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    )?;
    Ok(returned)
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut part)?;
        if read == 0 || head.len() + read > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(&part[..read]);
    }
    String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The parameters of `GET /oidc/callback?…`; `None` for any other request.
fn parse(head: &str) -> Option<Returned> {
    let target = head.lines().next()?.strip_prefix("GET ")?.split(' ').next()?;
    let query = target.strip_prefix(PATH)?.strip_prefix('?')?;
    let mut returned = Returned::default();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = percent_decode_str(&value.replace('+', " ")).decode_utf8().ok()?.into_owned();
        match name {
            "state" => returned.state = value,
            "code" => returned.code = value,
            "error" => returned.error = value,
            _ => {}
        }
    }
    (!returned.state.is_empty()).then_some(returned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_way_back_is_understood() {
        let returned = parse("GET /oidc/callback?state=a%2Bb&code=x+y&extra=1 HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!((returned.state.as_str(), returned.code.as_str()), ("a+b", "x y"));
        assert_eq!(parse("GET /oidc/callback?state=s&error=access_denied HTTP/1.1").unwrap().error, "access_denied");
        for other in [
            "POST /oidc/callback?state=a HTTP/1.1",
            "GET /favicon.ico HTTP/1.1",
            "GET /oidc/callback HTTP/1.1",
            "GET /oidc/callback?code=x HTTP/1.1",
            "GET /oidc/callback?state=%ff HTTP/1.1",
            "",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn strangers_get_nothing_and_the_browser_is_thanked() {
        let landing = Landing::open(0).unwrap();
        let address = landing.0.local_addr().unwrap();
        assert!(landing.redirect_uri().unwrap().starts_with("http://localhost:"));
        let waiting = std::thread::spawn(|| landing.wait().unwrap());
        let ask = |path: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        assert!(ask("/favicon.ico").starts_with("HTTP/1.1 404"));
        assert!(ask("/oidc/callback?state=s&code=c").starts_with("HTTP/1.1 200"));
        assert_eq!(waiting.join().unwrap(), Returned { state: "s".into(), code: "c".into(), ..Returned::default() });
    }
}
