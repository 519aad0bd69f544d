//! `logs`: what happened to projects, environments and configs.

use keyturn_core::{policy::Operation, project::Activity};
use keyturn_protocol::doppler::{LogShape, LoggedUser};
use serde_json::json;

use super::{Outcome, call::Call, reply::Reply, shape};

pub(super) async fn list(call: &Call) -> Outcome {
    let page = call.parameters.page()?;
    let path = format!("{}metadata/", call.mount());
    call.through(Operation::List, &path, |permit| async {
        let skip = (page.number - 1).saturating_mul(page.size);
        let lines = call.core.projects().activity(permit, skip, page.size).await?;
        let logs: Vec<_> = lines.iter().map(|(id, activity)| told(id, activity)).collect();
        Ok(Reply::ok(&json!({ "page": page.number, "logs": logs, "success": true })))
    })
    .await
}

pub(super) async fn read(call: &Call) -> Outcome {
    let id = call.parameters.required("log")?;
    let path = format!("{}metadata/", call.mount());
    call.through(Operation::List, &path, |permit| async {
        let activity = call.core.projects().activity_line(permit, &id).await?;
        Ok(Reply::ok(&json!({ "log": told(&id, &activity), "success": true })))
    })
    .await
}

fn told(id: &str, activity: &Activity) -> LogShape {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    LogShape {
        id: id.to_owned(),
        text: activity.text.clone(),
        html: escaped(&activity.text),
        created_at: shape::time(activity.time),
        config: activity.config.clone(),
        environment: activity.environment.clone(),
        project: activity.project.clone(),
        enclave_config: text(&activity.config),
        enclave_environment: text(&activity.environment),
        enclave_project: text(&activity.project),
        rollback: false,
        user: user(&activity.by),
    }
}

/// Who did something: what is known is the display name of a token.
pub(super) fn user(name: &str) -> LoggedUser {
    LoggedUser {
        email: String::new(),
        name: name.to_owned(),
        username: name.to_owned(),
        profile_image_url: String::new(),
    }
}

/// Text as a page may hold it.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
