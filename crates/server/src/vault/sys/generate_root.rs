//! `sys/generate-root/…` and, with an envelope and for those with a token, `sys/generate-root-token/…`: a root token from
//! the shares. `sys/decode-token` undoes what they do to the token.

use keyturn_core::ceremony::{OTP_LENGTH, RootProgress, RootStatus, decode_token};
use serde::Serialize;

use super::{
    super::{Outcome, call::Call, error::Failure},
    rekey::{is_bare, refuse_pgp, step, tell},
};

#[derive(Serialize)]
struct Told<'a> {
    nonce: &'a str,
    started: bool,
    progress: usize,
    required: u8,
    complete: bool,
    encoded_token: &'a str,
    encoded_root_token: &'a str,
    pgp_fingerprint: &'a str,
    otp: &'a str,
    otp_length: usize,
}

impl<'a> Told<'a> {
    fn new(status: &'a RootStatus) -> Self {
        Self {
            nonce: &status.nonce,
            started: status.started,
            progress: status.progress,
            required: status.required,
            complete: false,
            encoded_token: "",
            encoded_root_token: "",
            pgp_fingerprint: "",
            otp: "",
            otp_length: OTP_LENGTH,
        }
    }
}

pub(in super::super) async fn status(call: Call<'_>) -> Outcome {
    let bare = is_bare(&call)?;
    tell(bare, &Told::new(&call.node.root_status(call.permit).await?))
}

pub(in super::super) async fn start(call: Call<'_>) -> Outcome {
    let bare = is_bare(&call)?;
    let fields = call.fields()?;
    refuse_pgp(&fields, &["pgp_key"])?;
    let otp = fields.secret("otp")?.filter(|otp| !otp.is_empty());
    let (status, made) = call.node.start_root(call.permit, otp).await?;
    let otp = made.as_ref().map_or("", |otp| otp.expose_secret());
    tell(bare, &Told { otp, ..Told::new(&status) })
}

pub(in super::super) async fn cancel(call: Call<'_>) -> Outcome {
    call.node.cancel_root(call.permit).await?;
    Ok(super::super::reply::Reply::empty())
}

pub(in super::super) async fn update(call: Call<'_>) -> Outcome {
    let bare = is_bare(&call)?;
    let (share, nonce) = step(&call.fields()?)?;
    match call.node.give_root_share(call.permit, share, &nonce).await? {
        RootProgress::More(status) => tell(bare, &Told::new(&status)),
        RootProgress::Done { status, encoded, issued } => {
            let encoded = encoded.expose_secret();
            let told =
                Told { complete: true, encoded_token: encoded, encoded_root_token: encoded, ..Told::new(&status) };
            Ok(tell(bare, &told)?.recording(issued))
        }
    }
}

#[derive(Serialize)]
struct Decoded<'a> {
    token: &'a str,
}

pub(in super::super) async fn decode(call: Call<'_>) -> Outcome {
    let fields = call.fields()?;
    let (encoded, otp) = (fields.secret("encoded_token")?, fields.secret("otp")?);
    call.permit.spend();
    let (Some(encoded), Some(otp)) = (encoded, otp) else {
        return Err(Failure::bad_request("provided 'encoded_token' or 'otp' is empty"));
    };
    let token = decode_token(encoded.expose_secret(), &otp)
        .ok_or_else(|| Failure::bad_request("'encoded_token' is not base64, or not as long as 'otp'"))?;
    tell(false, &Decoded { token: token.expose_secret() })
}
