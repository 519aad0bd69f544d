//! `configs/config/trusted_ips`: from where a config may be read and written, through whichever API.

use hyper::StatusCode;
use ipnet::IpNet;
use keyturn_core::policy::Operation;
use serde_json::json;

use super::{Outcome, call::Call, error::Failure, reply::Reply};

/// What is said where nothing is.
const EVERYWHERE: &str = "0.0.0.0/0";

pub(super) async fn list(call: &Call) -> Outcome {
    let target = call.target()?;
    call.through(Operation::Read, &call.config_path("metadata", &target), |permit| async {
        let (_, config) = call.core.projects().read_config(permit).await?;
        let mut ips: Vec<String> = config.trusted.iter().map(ToString::to_string).collect();
        if ips.is_empty() {
            ips.push(EVERYWHERE.to_owned());
        }
        Ok(Reply::ok(&json!({ "ips": ips })))
    })
    .await
}

pub(super) async fn add(call: &Call) -> Outcome {
    let (target, network) = (call.target()?, network(call)?);
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        let added = call.core.projects().trust(permit, network).await?;
        Ok(if added { Reply::ok(&json!({ "ip": network.to_string() })) } else { Reply::nothing() })
    })
    .await
}

pub(super) async fn remove(call: &Call) -> Outcome {
    let (target, network) = (call.target()?, network(call)?);
    call.through(Operation::Update, &call.config_path("metadata", &target), |permit| async {
        if call.core.projects().distrust(permit, network).await? {
            Ok(Reply::nothing())
        } else {
            Err(Failure::new(StatusCode::NOT_FOUND, format!("Could not find trusted IP '{network}'")))
        }
    })
    .await
}

/// A network, or one address.
fn network(call: &Call) -> Result<IpNet, Failure> {
    let text = call.parameters.required("ip")?;
    let one = || text.parse().ok().map(|address: std::net::IpAddr| IpNet::from(address));
    let network = text.parse::<IpNet>().ok().or_else(one);
    network
        .map(|network| network.trunc())
        .ok_or_else(|| Failure::bad_request("ip must be an address or a network, such as 192.0.2.7 or 10.0.0.0/8"))
}
