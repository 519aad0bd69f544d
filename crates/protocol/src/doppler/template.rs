//! Project templates, `doppler-template.yaml`: projects with their environments, configs and first secrets.
//!
//! ```yaml
//! projects:
//!   - name: backend
//!     description: what it is            # may be left out, as may all below
//!     environments:
//!       - slug: dev
//!         name: Development
//!         configs:
//!           - slug: dev                  # the root, which is there anyhow
//!           - slug: dev_ann
//!     secrets:
//!       dev:
//!         NAME: value                    # text, or a number or a boolean as it is spelled
//! ```
//!
//! It is read event by event into the shape above. What YAML could make grow or mean two things is refused: aliases,
//! tags, members that are there twice or that nobody knows.

use std::collections::BTreeMap;

use keyturn_core::secret::SecretString;
use saphyr_parser::{Event, Parser, ScalarStyle};

/// How deep a template nests; its own shape needs eight.
const MAX_DEPTH: usize = 12;
/// Values, lists and maps of a template at the most.
const MAX_NODES: usize = 200_000;

/// A template.
#[derive(Debug, Default)]
pub struct Template {
    /// What is to be made, in the order of the file.
    pub projects: Vec<TemplateProject>,
}

/// A project of a template.
#[derive(Debug, Default)]
pub struct TemplateProject {
    /// What people call it.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its environments.
    pub environments: Vec<TemplateEnvironment>,
    /// The first secrets of its configs.
    pub secrets: BTreeMap<String, BTreeMap<String, SecretString>>,
}

/// An environment of a template.
#[derive(Debug, Default)]
pub struct TemplateEnvironment {
    /// What its configs' names begin with.
    pub slug: String,
    /// What people call it; empty: as its slug.
    pub name: String,
    /// The names of its configs.
    pub configs: Vec<String>,
}

/// A template that cannot be read. It names a line and quotes no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadTemplate {
    /// The line, from one.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl BadTemplate {
    fn new(line: usize, reason: impl Into<String>) -> Self {
        Self { line: line.max(1), reason: reason.into() }
    }
}

/// Reads a template.
///
/// # Errors
/// When it is no YAML, or says something else than a template can.
pub fn parse(text: &str) -> Result<Template, BadTemplate> {
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0 };
    let root = reader.document()?;
    let mut members = root.members("a template", &["projects"])?;
    let projects = members.take("projects").map(|node| node.each("projects", project)).transpose()?;
    Ok(Template { projects: projects.ok_or_else(|| BadTemplate::new(1, "projects is missing"))? })
}

fn project(node: Node) -> Result<TemplateProject, BadTemplate> {
    let mut members = node.members("a project", &["name", "description", "environments", "secrets"])?;
    Ok(TemplateProject {
        name: members.required("name")?,
        description: members.text("description")?.unwrap_or_default(),
        environments: members.list("environments", environment)?,
        secrets: members.take("secrets").map_or_else(|| Ok(BTreeMap::new()), secrets)?,
    })
}

fn environment(node: Node) -> Result<TemplateEnvironment, BadTemplate> {
    let mut members = node.members("an environment", &["slug", "name", "configs"])?;
    Ok(TemplateEnvironment {
        slug: members.required("slug")?,
        name: members.text("name")?.unwrap_or_default(),
        configs: members.list("configs", |node| node.members("a config", &["slug"])?.required("slug"))?,
    })
}

fn secrets(node: Node) -> Result<BTreeMap<String, BTreeMap<String, SecretString>>, BadTemplate> {
    let configs = node.map("secrets")?.into_iter();
    let values = |node: Node| -> Result<BTreeMap<String, SecretString>, BadTemplate> {
        node.map("the secrets of a config")?
            .into_iter()
            .map(|(name, node)| Ok((name, node.scalar("a secret")?)))
            .collect()
    };
    configs.map(|(config, node)| Ok((config, values(node)?))).collect()
}

/// A value of the file and the line it begins on.
struct Node {
    line: usize,
    content: Content,
}

enum Content {
    /// Nothing, or `null`.
    Nothing,
    Scalar(SecretString),
    List(Vec<Node>),
    Map(BTreeMap<String, Node>),
}

/// The members of a map of which all are known.
struct Members {
    line: usize,
    map: BTreeMap<String, Node>,
}

impl Node {
    fn wrong(&self, what: &str, wanted: &str) -> BadTemplate {
        BadTemplate::new(self.line, format!("{what} must be {wanted}"))
    }

    fn map(self, what: &str) -> Result<BTreeMap<String, Self>, BadTemplate> {
        match self.content {
            Content::Map(map) => Ok(map),
            Content::Nothing => Ok(BTreeMap::new()),
            _ => Err(self.wrong(what, "a map")),
        }
    }

    fn members(self, what: &str, known: &[&str]) -> Result<Members, BadTemplate> {
        let line = self.line;
        let map = self.map(what)?;
        if let Some((_, node)) = map.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(BadTemplate::new(node.line, format!("{what} has no such member: it has {}", known.join(", "))));
        }
        Ok(Members { line, map })
    }

    fn each<T>(self, what: &str, read: impl Fn(Self) -> Result<T, BadTemplate>) -> Result<Vec<T>, BadTemplate> {
        match self.content {
            Content::List(nodes) => nodes.into_iter().map(read).collect(),
            Content::Nothing => Ok(Vec::new()),
            _ => Err(self.wrong(what, "a list")),
        }
    }

    fn scalar(self, what: &str) -> Result<SecretString, BadTemplate> {
        match self.content {
            Content::Scalar(text) => Ok(text),
            Content::Nothing => Ok(SecretString::default()),
            _ => Err(self.wrong(what, "one value")),
        }
    }
}

impl Members {
    fn take(&mut self, name: &str) -> Option<Node> {
        self.map.remove(name)
    }

    /// A text that is no secret.
    fn text(&mut self, name: &str) -> Result<Option<String>, BadTemplate> {
        let Some(node) = self.take(name) else { return Ok(None) };
        Ok(Some(node.scalar(name)?.expose_secret().to_owned()))
    }

    fn required(&mut self, name: &str) -> Result<String, BadTemplate> {
        let line = self.line;
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| BadTemplate::new(line, format!("{name} is missing")))
    }

    fn list<T>(&mut self, name: &str, read: impl Fn(Node) -> Result<T, BadTemplate>) -> Result<Vec<T>, BadTemplate> {
        self.take(name).map_or_else(|| Ok(Vec::new()), |node| node.each(name, read))
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), BadTemplate> {
        match self.parser.next() {
            // The parser's own words may quote what it read.
            Some(Err(error)) => Err(BadTemplate::new(error.marker().line(), "this is not YAML")),
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            None => Ok((Event::StreamEnd, 1)),
        }
    }

    fn document(&mut self) -> Result<Node, BadTemplate> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd, line) => return Ok(Node { line, content: Content::Nothing }),
                (event, line) => {
                    let root = self.node(event, line, MAX_DEPTH)?;
                    return self.end().map(|()| root);
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), BadTemplate> {
        loop {
            match self.next()? {
                (Event::DocumentEnd | Event::Nothing, _) => {}
                (Event::StreamEnd, _) => return Ok(()),
                (_, line) => return Err(BadTemplate::new(line, "a template is one document")),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, line: usize, room: usize) -> Result<Node, BadTemplate> {
        self.nodes += 1;
        let room = room.checked_sub(1).filter(|_| self.nodes <= MAX_NODES);
        let room = room.ok_or_else(|| BadTemplate::new(line, "the template is too large or nests too deep"))?;
        let unfit = || BadTemplate::new(line, "a template has no anchors, aliases and tags: write the value out");
        let content = match event {
            Event::Scalar(text, style, 0, None) => scalar(text.into_owned(), style),
            Event::SequenceStart(0, None) => self.list(room)?,
            Event::MappingStart(0, None) => self.map(line, room)?,
            _ => return Err(unfit()),
        };
        Ok(Node { line, content })
    }

    fn list(&mut self, room: usize) -> Result<Content, BadTemplate> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(nodes)),
                (event, line) => nodes.push(self.node(event, line, room)?),
            }
        }
    }

    fn map(&mut self, line: usize, room: usize) -> Result<Content, BadTemplate> {
        let mut map = BTreeMap::new();
        loop {
            let (event, at) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Content::Map(map)),
                other => other,
            };
            let name = self.node(event, at, room)?.scalar("a name")?;
            let (event, at) = self.next()?;
            let value = self.node(event, at, room)?;
            if map.insert(name.expose_secret().to_owned(), value).is_some() {
                return Err(BadTemplate::new(line, "one of the names of this map is there twice"));
            }
        }
    }
}

fn scalar(text: String, style: ScalarStyle) -> Content {
    let nothing = style == ScalarStyle::Plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
    if nothing { Content::Nothing } else { Content::Scalar(SecretString::new(text)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = "
# a comment
projects:
  - name: backend
    description: What it is
    environments:
      - slug: dev
        name: Development
        configs:
          - slug: dev
          - slug: dev_ann
      - slug: prd
    secrets:
      # Never store what is sensitive here
      dev:
        TEXT: \"a\\nb\"
        NUMBER: 01.50
        BOOLEAN: yes
        NOTHING:
        EMPTY: ''
        BLOCK: |
          one
          two
  - name: bare
";

    fn reason(text: &str) -> (usize, String) {
        let BadTemplate { line, reason } = parse(text).expect_err(text);
        (line, reason)
    }

    #[test]
    fn a_template_is_read_as_it_is_written() {
        let template = parse(WHOLE).expect("a template");
        let [backend, bare] = template.projects.as_slice() else { panic!("two projects") };
        assert_eq!((backend.name.as_str(), backend.description.as_str()), ("backend", "What it is"));
        let environments: Vec<_> = backend
            .environments
            .iter()
            .map(|environment| (environment.slug.as_str(), environment.name.as_str(), environment.configs.join(" ")))
            .collect();
        assert_eq!(environments, [("dev", "Development", "dev dev_ann".to_owned()), ("prd", "", String::new())]);
        let values: Vec<_> =
            backend.secrets["dev"].iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        let wanted = [
            ("BLOCK", "one\ntwo\n"),
            ("BOOLEAN", "yes"),
            ("EMPTY", ""),
            ("NOTHING", ""),
            ("NUMBER", "01.50"),
            ("TEXT", "a\nb"),
        ];
        assert_eq!(values, wanted);
        assert!(bare.environments.is_empty() && bare.secrets.is_empty());
        // JSON is YAML.
        assert_eq!(parse(r#"{"projects": [{"name": "x"}]}"#).expect("a template").projects[0].name, "x");
        assert!(parse("projects: []").expect("a template").projects.is_empty());
    }

    #[test]
    fn what_is_no_template_says_where() {
        assert_eq!(reason("").1, "projects is missing");
        assert_eq!(
            reason("projects:\n  - name: a\n    colour: red"),
            (3, { "a project has no such member: it has name, description, environments, secrets".to_owned() })
        );
        assert_eq!(reason("projects:\n  - description: a").1, "name is missing");
        assert_eq!(reason("projects: 1").1, "projects must be a list");
        assert_eq!(reason("projects:\n  - name: [1]").1, "name must be one value");
        assert_eq!(reason("projects:\n  - name: a\n    name: b").1, "one of the names of this map is there twice");
        assert_eq!(reason("projects: []\n---\nprojects: []").1, "a template is one document");
        assert_eq!(reason("projects: [").1, "this is not YAML");
        for text in ["projects: &a []", "projects: [*a]", "projects: !!set []", "a: &x {b: 1}\nprojects: *x"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(reason(&format!("projects: {}{}", "[".repeat(50), "]".repeat(50))).1.contains("deep"));
    }

    #[test]
    fn what_is_wrong_is_told_without_values() {
        for text in
            ["projects:\n - name: a\n   secrets: {dev: {A: [hunter2]}}", "projects: hunter2", "hunter2: 1", "\"hunter2"]
        {
            assert!(!reason(text).1.contains("hunter2"), "{text}");
        }
        assert!(!format!("{:?}", parse("projects: [{name: a, secrets: {dev: {A: hunter2}}}]")).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_makes_it_panic(text in "(?s)[\\-:{}\\[\\] \na-c\"'|>&*!#%?,~]{0,80}") {
            let _ = parse(&text);
        }
    }
}
