//! `sys/metrics`, and `/metrics` for Prometheus: what is counted, for Prometheus (`?format=prometheus`) or as Vault sums its own numbers up.

use bytes::Bytes;
use keyturn_core::metrics::{LeaseStatistics, Statistics};

use super::super::{
    Outcome,
    call::Call,
    error::Failure,
    metrics::{Family, Format, Kind, Requests, Value, alert_families, service_families, summary, text},
    reply::Reply,
};

/// Roles whose leases are counted apart; those with fewest leases are counted together beyond.
const MOST_ROLES: usize = 200;

pub(in super::super) async fn read(call: Call<'_>) -> Outcome {
    let format = match call.fields()?.text("format")?.as_deref() {
        None | Some("") if call.parsed.wants_open_metrics => Some(Format::OpenMetrics),
        None | Some("") => None,
        Some("prometheus") if call.parsed.wants_open_metrics => Some(Format::OpenMetrics),
        Some("prometheus") => Some(Format::Prometheus),
        Some(_) => return Err(Failure::bad_request("metric response format unknown: allowed is \"prometheus\"")),
    };
    let requests = &call.vault.requests;
    let mut families = families(requests, &call.core.statistics(call.permit));
    let others = call.vault.others.get();
    families.extend(others.iter().flat_map(|others| service_families(others)));
    let in_flight = requests.in_flight() + others.map_or(0, |others| others.in_flight());
    families.push(Family::gauge("vault_core_in_flight_requests", "Requests at work.", level(in_flight)));
    let Some(format) = format else {
        let told = summary(&families, call.core.now(), requests.started.elapsed());
        return Ok(Reply::plain("application/json", told.to_string()));
    };
    Ok(Reply::plain(format.content_type(), Bytes::from(text(&families, format))))
}

#[allow(clippy::cast_precision_loss, reason = "a count beyond 2^53 may be a little off")]
fn level(count: u64) -> f64 {
    count as f64
}

fn families(requests: &Requests, statistics: &Statistics) -> Vec<Family> {
    let counter = Family::counter;
    let Statistics { barrier, .. } = statistics;
    let mut families = Vec::from(requests.families());
    let mut created = Family::new("keyturn_tokens_created", Kind::Counter, "Tokens that were issued.");
    for (kind, count) in [("service", statistics.service_tokens), ("batch", statistics.batch_tokens)] {
        created.put(vec![("token_type", kind.to_owned())], Value::Count(count));
    }
    families.extend([
        created,
        counter("keyturn_tokens_removed", "Tokens that were revoked or have ended.", statistics.removed_tokens),
        counter("keyturn_requests_rate_limited", "Requests that a quota refused.", statistics.rate_limited),
        counter("keyturn_audit_failures", "Entries that no audit device took.", statistics.audit_failures),
        counter("keyturn_storage_commits", "Transactions that storage applied.", barrier.commits),
        counter("keyturn_storage_conflicts", "Transactions that others were ahead of.", barrier.conflicts),
        counter("keyturn_storage_failures", "Transactions that failed.", barrier.failures),
        counter("keyturn_cache_hits", "Reads of records that the cache served.", barrier.cache_hits),
        counter("keyturn_cache_misses", "Reads of records that went to storage.", barrier.cache_misses),
        Family::gauge("keyturn_cache_bytes", "Sealed bytes in the cache.", level(barrier.cache_bytes)),
        Family::gauge(
            "keyturn_uptime_seconds",
            "Time since the process began.",
            requests.started.elapsed().as_secs_f64(),
        ),
        // By Vault's names, for dashboards that look at nothing else.
        Family::gauge("vault_core_unsealed", "1 while the store is open.", 1.0),
    ]);
    families.extend(of_leases(&statistics.leases));
    families.extend(alert_families(&statistics.alerts));
    families
}

#[allow(clippy::cast_precision_loss, reason = "a count beyond 2^53 may be a little off")]
fn of_leases(leases: &LeaseStatistics) -> Vec<Family> {
    let (counter, gauge) = (Family::counter, |name, help, value: u64| Family::gauge(name, help, value as f64));
    let mut active = Family::new("keyturn_leases_active", Kind::Gauge, "Credentials in force, by mount and role.");
    let (named, rest) = leases.active.split_at(leases.active.len().min(MOST_ROLES));
    for (mount, role, count) in named {
        active.put(vec![("mount", mount.clone()), ("role", role.clone())], Value::Level(*count as f64));
    }
    if !rest.is_empty() {
        let others: u64 = rest.iter().map(|(_, _, count)| count).sum();
        active.put(vec![("mount", String::new()), ("role", "(others)".to_owned())], Value::Level(others as f64));
    }
    vec![
        counter("keyturn_leases_issued", "Credentials that were handed out.", leases.issued),
        counter("keyturn_leases_renewed", "Leases that were renewed.", leases.renewed),
        counter("keyturn_leases_revoked", "Credentials that were revoked.", leases.revoked),
        counter("keyturn_lease_revocation_failures", "Revocations that failed and are tried again.", leases.failures),
        counter("keyturn_leases_forced", "Leases dropped by force, unrevoked.", leases.forced),
        gauge("keyturn_lease_revocation_queue", "Leases that are to be revoked by now.", leases.queued),
        gauge(
            "keyturn_lease_oldest_overdue_seconds",
            "Time since the oldest of them was to be revoked.",
            leases.oldest_overdue,
        ),
        gauge("keyturn_leases_irrevocable", "Leases that could not be revoked.", leases.irrevocable),
        active,
    ]
}
