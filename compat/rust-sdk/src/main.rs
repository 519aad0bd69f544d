//! The AWS SDK for Rust as an application uses it, unmodified: credentials, region and endpoint come from the environment.
//!
//! ```text
//! keyturn-compat-rust-sdk NAME     works on the secrets NAME and NAME-binary; prints what it saw, a line each: what, TAB, value
//! ```

use std::{error::Error, process::ExitCode};

use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId,
    primitives::Blob,
    types::{Filter, FilterNameStringType, Tag},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("usage: keyturn-compat-rust-sdk NAME");
        return ExitCode::from(2);
    };
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::from_env().http_client(http).load().await;
    match work(&Client::new(&config), &name).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn work(client: &Client, name: &str) -> Result<(), Box<dyn Error>> {
    let tag = Tag::builder().key("team").value("a").build();
    let made = client.create_secret().name(name).secret_string("one").tags(tag).send().await?;
    saw("created", made.arn());
    saw("request id", made.request_id());
    client.put_secret_value().secret_id(name).secret_string("zwei ü").send().await?;
    let read = client.get_secret_value().secret_id(name).send().await?;
    saw("text", read.secret_string());
    saw("stages", Some(&read.version_stages().join(",")));
    let previous = client.get_secret_value().secret_id(name).version_stage("AWSPREVIOUS").send().await?;
    saw("previous", previous.secret_string());
    saw("created date", previous.created_date().map(|date| date.secs().to_string()).as_deref());

    let binary = format!("{name}-binary");
    client.create_secret().name(&binary).secret_binary(Blob::new([0, 255])).send().await?;
    let read = client.get_secret_value().secret_id(&binary).send().await?;
    saw("bytes", read.secret_binary().map(|bytes| format!("{:?}", bytes.as_ref())).as_deref());

    let told = client.describe_secret().secret_id(name).send().await?;
    saw("tag", told.tags().first().and_then(Tag::value));
    let filter = Filter::builder().key(FilterNameStringType::Name).values(name).build();
    let mut pages = client.list_secrets().filters(filter).max_results(1).into_paginator().send();
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        names.extend(page?.secret_list().iter().filter_map(|entry| entry.name().map(str::to_owned)));
    }
    names.sort();
    saw("listed", Some(&names.join(",")));

    let error = client.get_secret_value().secret_id(format!("{name}-never")).send().await.expect_err("there is none");
    saw("error", error.code());
    let is_not_found = error.into_service_error().is_resource_not_found_exception();
    saw("is not found", Some(&is_not_found.to_string()));
    let error = client.list_secrets().max_results(0).send().await.expect_err("too few");
    saw("invalid", error.code());
    saw("status", status(&error).as_deref());
    for name in [name, &binary] {
        client.delete_secret().secret_id(name).force_delete_without_recovery(true).send().await?;
    }
    Ok(())
}

fn status<E>(error: &SdkError<E>) -> Option<String> {
    error.raw_response().map(|response| response.status().to_string())
}

fn saw(what: &str, value: Option<&str>) {
    println!("{what}\t{}", value.unwrap_or("-"));
}
