//! The first step: which principal comes, which password it gets, and the pending version that holds both.

use super::{
    Inner, Phase, Settings, Site, Strategy,
    keeping::Held,
    machine::{Flow, StepError},
    record::Credential,
};
use crate::{
    kv::Payload,
    password::{Generator, GeneratorError},
    secret::SecretString,
    target::Target,
};

/// Letters and digits of a password that no policy rules: 190 bits, and nothing that needs quoting.
const DEFAULT_LENGTH: usize = 32;

/// The principal that comes.
struct Chosen {
    username: String,
    /// The one that the secret holds now.
    old: Option<String>,
    /// Whether the target does not know it yet.
    made: bool,
    /// The password policy of the connection; empty: it has none.
    policy: String,
}

impl Inner {
    pub(super) async fn create(&self, held: &mut Held) -> Result<Flow, StepError> {
        let base = self.current_version(&held.site).await?;
        let payload = if base == 0 { None } else { self.payload(&held.site, base).await? };
        let settings = held.rotation.settings.clone();
        let rehearsal = held.rotation.run.as_ref().is_some_and(|run| run.rehearsal);
        let chosen = match settings.strategy.has_target() {
            true if rehearsal => Some(rehearsed(&settings, payload.as_ref())?),
            true => Some(self.choose(&held.site, &settings, payload.as_ref()).await?),
            false => None,
        };
        let content = match settings.strategy {
            _ if rehearsal => Some(payload.ok_or_else(|| StepError::Never(NOTHING.to_owned()))?),
            Strategy::Hook => None,
            _ => Some(self.content(&held.site, &settings, payload, chosen.as_ref()).await?),
        };
        let before = held.clone();
        let Some(run) = &mut held.rotation.run else { return Err(StepError::Lost) };
        let id = run.id.clone();
        run.base = base;
        run.made = chosen.as_ref().is_some_and(|chosen| chosen.made);
        run.old = match &chosen {
            Some(chosen) => chosen.old.clone().map(|username| Credential { version: base, username }),
            None => (base > 0).then(|| Credential { version: base, username: String::new() }),
        };
        let username = chosen.map(|chosen| chosen.username).unwrap_or_default();
        let staged = self
            .stage_pending(&held.site.clone(), &id, content, base, |number| {
                if let Some(run) = &mut held.rotation.run {
                    run.new = Credential { version: number, username };
                }
                self.enter(held, Phase::Setting);
                held.batch()
            })
            .await;
        match staged {
            Ok(revision) => held.stored(revision),
            Err(error) => {
                *held = before;
                return Err(error.into());
            }
        }
        Ok(Flow::On)
    }

    async fn choose(&self, site: &Site, settings: &Settings, payload: Option<&Payload>) -> Result<Chosen, StepError> {
        let target = self.target(site, settings).await?;
        let existing = target.existing(&settings.users).await?;
        let held = payload.and_then(|payload| payload.secret_field(&settings.username_field));
        let held = held.map(|name| name.expose_secret().to_owned()).filter(|name| settings.users.contains(name));
        let held = held.filter(|name| existing.contains(name));
        let username = match settings.strategy {
            // Whoever makes a static role has its user's password changed, whatever it is.
            _ if held.is_none() && site.is_static_role() => settings.users.first().cloned().unwrap_or_default(),
            Strategy::Alternating => alternate(settings, &existing, held.as_deref())?,
            _ => only(settings, &existing, held.as_deref())?,
        };
        let made = !existing.contains(&username);
        if settings.strategy == Strategy::Alternating && !made && (held.is_some() || !site.is_static_role()) {
            refuse_if_in_use(&*target, &username).await?;
        }
        if made && settings.owner_role.is_empty() {
            return Err(StepError::Never(format!(
                "the target knows no {username:?}: make it there, or name the role (owner_role) that it is to be a member of"
            )));
        }
        Ok(Chosen { username, old: held, made, policy: target.password_policy().to_owned() })
    }

    async fn content(
        &self,
        site: &Site,
        settings: &Settings,
        base: Option<Payload>,
        chosen: Option<&Chosen>,
    ) -> Result<Payload, StepError> {
        let of_connection = chosen.map_or("", |chosen| chosen.policy.as_str());
        let policies = [settings.password_policy.as_str(), of_connection];
        let password = self.password(site, policies).await?;
        let name;
        let mut fields = Vec::new();
        if let Some(chosen) = chosen {
            name = SecretString::new(chosen.username.clone());
            fields.push((settings.username_field.as_str(), &name));
        }
        fields.push((settings.password_field.as_str(), &password));
        Ok(Payload::with_fields(base, &fields)?)
    }

    /// A password by the first policy that is named.
    async fn password(&self, site: &Site, policies: [&str; 2]) -> Result<SecretString, StepError> {
        let policy = policies.into_iter().find(|policy| !policy.is_empty()).unwrap_or_default();
        if policy.is_empty() && !site.is_static_role() {
            return Ok(self.store.random.base62(DEFAULT_LENGTH).map_err(crate::store::StoreError::from)?);
        }
        let never = |error: &dyn std::fmt::Display| StepError::Never(format!("password policy {policy:?}: {error}"));
        let generator = match policy {
            // As Vault makes them.
            "" => Generator::default(),
            policy => self.passwords.generator(policy).await.map_err(|error| never(&error))?,
        };
        generator.generate(&self.store.random).map_err(|error: GeneratorError| never(&error))
    }
}

const NOTHING: &str = "the secret holds no credential that could be tried";

/// The principal that the secret holds.
fn rehearsed(settings: &Settings, payload: Option<&Payload>) -> Result<Chosen, StepError> {
    let held = payload.and_then(|payload| payload.secret_field(&settings.username_field));
    let username = held.ok_or_else(|| StepError::Never(NOTHING.to_owned()))?.expose_secret().to_owned();
    Ok(Chosen { username, old: None, made: false, policy: String::new() })
}

/// The one of the two that the secret does not hold. At first, one that the target does not know yet: one that it knows
/// may be in use by somebody whom nobody here knows of.
fn alternate(settings: &Settings, existing: &[String], held: Option<&str>) -> Result<String, StepError> {
    let other = settings.users.iter().find(|user| match held {
        Some(held) => user.as_str() != held,
        None => !existing.contains(user),
    });
    other.cloned().ok_or_else(|| {
        StepError::Never(format!(
            "the target knows {} already and the secret holds the credential of neither: write the name and password \
             of one of them to the secret first",
            settings.users.join(" and ")
        ))
    })
}

fn only(settings: &Settings, existing: &[String], held: Option<&str>) -> Result<String, StepError> {
    let user = settings.users.first().cloned().unwrap_or_default();
    if existing.contains(&user) && held != Some(user.as_str()) {
        return Err(StepError::Never(format!(
            "the target knows {user:?} already and the secret does not hold its credential: write its name and password \
             to the secret first"
        )));
    }
    Ok(user)
}

async fn refuse_if_in_use(target: &dyn Target, username: &str) -> Result<(), StepError> {
    let sessions = target.sessions(&[username.to_owned()]).await?;
    let Some(session) = sessions.first() else { return Ok(()) };
    let from = if session.remote.is_empty() { "somewhere" } else { session.remote.as_str() };
    Err(StepError::Again(format!("{username:?}, which is to come, is in use: a session from {from} is open")))
}
