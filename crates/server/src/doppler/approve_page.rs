//! How the page looks on which a login of a device is approved: one document without a script, a cookie or anything from
//! elsewhere, for light and dark screens and for small ones.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{
    StatusCode,
    header::{self, HeaderValue},
};
use keyturn_core::secret::SecretBytes;
use keyturn_protocol::aws::sigv4::hash;

use super::{activity::escaped, reply::Reply};

/// What the page shows.
pub(super) enum View<'a> {
    /// The form, with what was typed before, and what was wrong with it.
    Form { code: &'a str, problem: Option<&'a str> },
    /// It is done.
    Approved { code: &'a str, host: &'a str },
    /// Nothing can be sent from here.
    Refused(&'a str),
}

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#f3f4f7;--card:#fff;--text:#1a2130;--soft:#5a6475;--line:#d5dae3;--field:#fff;\
--accent:#1d5bd0;--on-accent:#fff;--bad:#a31515;--bad-page:#fdf0f0;--good:#0b6634;--good-page:#edf8f1}\
@media(prefers-color-scheme:dark){:root{--page:#12161d;--card:#1b212b;--text:#e8ecf3;--soft:#a3adbd;--line:#39424f;\
--field:#12161d;--accent:#7aa7ff;--on-accent:#0b1526;--bad:#ff9d9d;--bad-page:#3a1d20;--good:#85dcaa;--good-page:#17301f}}\
*{box-sizing:border-box}\
body{margin:0;padding:1rem;background:var(--page);color:var(--text);font:16px/1.5 system-ui,sans-serif}\
main{max-width:28rem;margin:6vh auto;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}\
header{margin-bottom:1.25rem;color:var(--soft);font-size:.875rem;font-weight:600;letter-spacing:.04em}\
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25}\
p{margin:.5rem 0}.soft{color:var(--soft);font-size:.9375rem}\
label{display:block;margin:1rem 0 .375rem;font-weight:600;font-size:.9375rem}\
input{width:100%;padding:.625rem .75rem;font:inherit;color:inherit;background:var(--field);border:1px solid var(--line);\
border-radius:8px}\
input:focus,button:focus,summary:focus{outline:3px solid var(--accent);outline-offset:1px}\
.code{font:600 2rem/1.3 ui-monospace,monospace;letter-spacing:.12em;text-align:center;text-transform:uppercase}\
input.code{padding:.75rem}div.code{margin:1rem 0;padding:.75rem;border:1px dashed var(--line);border-radius:8px}\
input::placeholder{color:var(--soft);opacity:.5}\
details{margin-top:1rem;border:1px solid var(--line);border-radius:8px;padding:0 1rem}\
details[open]{padding-bottom:1rem}summary{padding:.75rem 0;cursor:pointer;font-weight:600;font-size:.9375rem}\
button{width:100%;margin-top:1.5rem;padding:.75rem;font:inherit;font-weight:600;color:var(--on-accent);\
background:var(--accent);border:0;border-radius:8px;cursor:pointer}\
.note{margin:0 0 1rem;padding:.75rem 1rem;border-radius:8px}\
.bad{color:var(--bad);background:var(--bad-page)}.good{color:var(--good);background:var(--good-page)}\
@media(max-width:30rem){body{padding:0}main{margin:0;min-height:100vh;border:0;border-radius:0;padding:1.5rem}}";

/// The page, and the headers that keep it to itself.
pub(super) fn page(status: StatusCode, view: &View<'_>) -> Reply {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
        <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
    );
    html.push_str(match view {
        View::Form { problem: None, .. } => "Approve a login",
        View::Form { .. } => "Not approved yet",
        View::Approved { .. } => "Login approved",
        View::Refused(_) => "Not approved",
    });
    html.push_str("</title><style>");
    html.push_str(STYLE);
    html.push_str("</style></head><body><main><header>Keyturn</header>");
    match view {
        View::Form { code, problem } => form(&mut html, code, *problem),
        View::Approved { code, host } => {
            // Writing to a text cannot fail.
            let _ = write!(
                html,
                "<h1>Login approved</h1><p class=\"note good\" role=\"status\">Approved. <strong>{}</strong> is logged in as \
                 you.</p><div class=\"code\">{}</div><p class=\"soft\">You can close this page and go back to the command \
                 line. Its token ends with the one that you approved with.</p>",
                escaped(host),
                escaped(code)
            );
        }
        View::Refused(why) => {
            let _ = write!(
                html,
                "<h1>Not approved</h1><p class=\"note bad\" role=\"alert\">{}</p><p class=\"soft\">Open the address that the \
                 command line shows, and type the code there.</p>",
                escaped(why)
            );
        }
    }
    html.push_str("</main></body></html>");
    with_headers(status, html)
}

fn form(html: &mut String, code: &str, problem: Option<&str>) {
    html.push_str("<h1>Approve a login</h1>");
    if let Some(problem) = problem {
        let _ = write!(html, "<p class=\"note bad\" role=\"alert\">{}</p>", escaped(problem));
    }
    let code: String = code.chars().take(20).collect();
    let _ = write!(
        html,
        "<p>A command line asks to act as you. Type the code that it shows.</p>\
         <p class=\"soft\">Only a code that you see on a machine of yours: whoever sent you here with a code of their own would \
         get your access.</p>\
         <form method=\"post\" action=\"approve\" autocomplete=\"off\">\
         <label for=\"code\">Code</label><input class=\"code\" id=\"code\" name=\"code\" required maxlength=\"20\" \
         placeholder=\"ABCD-EFGH\" autocapitalize=\"characters\" spellcheck=\"false\" value=\"{}\"{}>\
         <label for=\"token\">Your token</label>\
         <input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"off\" spellcheck=\"false\">\
         <details{}><summary>Or your username and password</summary>\
         <label for=\"username\">Username</label><input id=\"username\" name=\"username\" autocapitalize=\"none\" \
         spellcheck=\"false\"><label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\"><label for=\"mount\">Auth method</label>\
         <input id=\"mount\" name=\"mount\" placeholder=\"userpass\" autocapitalize=\"none\" spellcheck=\"false\"></details>\
         <button>Approve</button></form>",
        escaped(&code),
        if code.is_empty() { " autofocus" } else { "" },
        // Somebody who was here with a password comes back to it.
        if problem.is_some_and(|problem| problem.contains("assword")) { " open" } else { "" },
    );
}

fn with_headers(status: StatusCode, html: String) -> Reply {
    let digest = STANDARD.encode(hex::decode(hash(STYLE.as_bytes())).unwrap_or_default());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    let audited = SecretBytes::new(b"{}".to_vec());
    let reply = Reply::text(status, "text/html; charset=utf-8", SecretBytes::new(html.into_bytes()), audited)
        .with(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))
        .with(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    match HeaderValue::from_str(&policy) {
        Ok(policy) => reply.with(header::CONTENT_SECURITY_POLICY, policy),
        Err(_) => reply,
    }
}
