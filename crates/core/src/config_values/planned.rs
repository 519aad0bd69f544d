//! Values of configs that are yet to be made, several projects of them at once: whether what they refer to will be there.

use std::collections::BTreeMap;

use super::{
    MANAGED,
    content::edited,
    reference::Reference,
    resolve::{Found, Lookup, Raw, Resolver},
};
use crate::{kv::Payload, project::ConfigName, secret::SecretString};

/// The payload of a secret that has these fields.
pub(crate) fn payload_of(values: BTreeMap<String, SecretString>) -> Payload {
    edited(None, &values.into_iter().map(|(name, value)| (name, Some(value))).collect())
}

/// What is to be made.
#[derive(Default)]
pub(crate) struct Planned<'p> {
    configs: Vec<PlannedConfig<'p>>,
    index: BTreeMap<ConfigName, usize>,
}

struct PlannedConfig<'p> {
    name: ConfigName,
    /// The config whose values it has where it has none of its own.
    root: Option<ConfigName>,
    values: BTreeMap<&'p str, &'p SecretString>,
    managed: [SecretString; MANAGED.len()],
}

impl<'p> Planned<'p> {
    /// Adds a config.
    pub(crate) fn add(&mut self, name: ConfigName, environment: &str) {
        let managed = [&name.config, environment, &name.project].map(SecretString::from);
        let root = ConfigName { project: name.project.clone(), config: environment.to_owned() };
        let root = Some(root).filter(|root| *root != name);
        self.index.insert(name.clone(), self.configs.len());
        self.configs.push(PlannedConfig { name, root, values: BTreeMap::new(), managed });
    }

    /// Says what a config holds. False: it was not added, or was filled before.
    pub(crate) fn fill(&mut self, name: &ConfigName, values: &'p BTreeMap<String, SecretString>) -> bool {
        let config = self.index.get(name).and_then(|at| self.configs.get_mut(*at));
        let Some(config) = config.filter(|config| config.values.is_empty()) else { return false };
        config.values = values.iter().map(|(name, value)| (name.as_str(), value)).collect();
        true
    }

    /// The first value that cannot be: where it is, its name, and why not.
    pub(crate) fn flaw(&self) -> Option<(&ConfigName, &'p str, String)> {
        let mut resolver = Resolver::new(self);
        for (at, config) in self.configs.iter().enumerate() {
            for (secret, value) in &config.values {
                let computed = resolver.compute(raw(at, secret, value));
                if let Some(missing) = computed.missing.first() {
                    return Some((&config.name, secret, format!("refers to {missing}, which is not in the template")));
                }
                if let Err(why) = &computed.value {
                    return Some((&config.name, secret, why.to_string()));
                }
            }
        }
        None
    }

    fn value(&self, at: usize, name: &str) -> Option<(&'p str, &'p SecretString)> {
        let config = self.configs.get(at)?;
        let root = || self.configs.get(*self.index.get(config.root.as_ref()?)?)?.values.get_key_value(name);
        config.values.get_key_value(name).or_else(root).map(|(name, value)| (*name, *value))
    }
}

fn raw<'v, 'p>(at: usize, name: &'p str, value: &'v SecretString) -> Raw<'v, (usize, &'p str)> {
    Raw { key: (at, name), value, restricted: false, masked: false }
}

impl<'p> Lookup for Planned<'p> {
    type Key = (usize, &'p str);

    fn find(&self, (from, _): Self::Key, reference: Reference<'_>) -> Found<'_, Self::Key> {
        let Some(here) = self.configs.get(from) else { return Found::Missing };
        let at = match reference.config {
            None => Some(from),
            Some(config) => {
                let project = reference.project.unwrap_or(&here.name.project).to_owned();
                self.index.get(&ConfigName { project, config: config.to_owned() }).copied()
            }
        };
        let Some(config) = at.and_then(|at| Some((at, self.configs.get(at)?))) else { return Found::Missing };
        let (at, config) = config;
        if let Some(managed) = MANAGED.iter().position(|managed| *managed == reference.name) {
            return Found::Value(raw(at, MANAGED[managed], &config.managed[managed]));
        }
        match self.value(at, reference.name) {
            Some((name, value)) => Found::Value(raw(at, name, value)),
            None => Found::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(config: &str) -> ConfigName {
        ConfigName { project: "app".to_owned(), config: config.to_owned() }
    }

    #[test]
    fn what_refers_to_nothing_or_itself_is_found() {
        let values = |pairs: &[(&str, &str)]| -> BTreeMap<String, SecretString> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
        };
        let flaw = |root: &[(&str, &str)], branch: &[(&str, &str)]| {
            let (root, branch) = (values(root), values(branch));
            let mut planned = Planned::default();
            planned.add(name("dev"), "dev");
            planned.add(name("dev_x"), "dev");
            assert!(planned.fill(&name("dev"), &root) && planned.fill(&name("dev_x"), &branch));
            assert!(!planned.fill(&name("prd"), &root));
            planned.flaw().map(|(config, name, why)| format!("{} {name} {why}", config.config))
        };
        assert_eq!(
            flaw(&[("A", "1"), ("B", "${A}${DOPPLER_CONFIG}")], &[("C", "${A}${dev.B}${app.dev_x.D}"), ("D", "")]),
            None
        );
        assert!(flaw(&[("A", "${B}")], &[("B", "1")]).is_some_and(|why| why.starts_with("dev A refers to ${B}")));
        assert!(flaw(&[], &[("B", "${B}")]).is_some_and(|why| why.starts_with("dev_x B refers to itself")));
        assert!(flaw(&[], &[("B", "${other.dev.B}")]).is_some());
    }
}
