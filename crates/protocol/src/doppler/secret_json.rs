//! Secrets as JSON, written into a buffer that does not grow.

use keyturn_core::secret::{SecretBytes, SecretString};

/// A secret of a config.
#[derive(Debug, Clone, Copy)]
pub struct SecretShape<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value as it is written; `None`: not for this reader.
    pub raw: Option<&'a SecretString>,
    /// Its value with references resolved; `None`: not for this reader, or it cannot be computed.
    pub computed: Option<&'a SecretString>,
    /// For people.
    pub note: &'a str,
    /// `masked`, `unmasked` or `restricted`.
    pub raw_visibility: &'static str,
    /// The same for the computed value.
    pub computed_visibility: &'static str,
    /// What kind of text it is.
    pub value_type: &'a str,
}

impl SecretShape<'_> {
    /// The bytes that it takes at the most: escaping makes at most six of one.
    fn room(&self) -> usize {
        let value = |value: Option<&SecretString>| value.map_or(4, |value| value.len() * 6 + 2);
        256 + (self.name.len() + self.note.len() + self.value_type.len() * 2) * 6
            + value(self.raw)
            + value(self.computed)
    }

    fn write(&self, out: &mut Vec<u8>) {
        field(out, b"{\"raw\":", self.raw.map(SecretString::expose_secret));
        field(out, b",\"computed\":", self.computed.map(SecretString::expose_secret));
        field(out, b",\"note\":", Some(self.note));
        field(out, b",\"rawVisibility\":", Some(self.raw_visibility));
        field(out, b",\"computedVisibility\":", Some(self.computed_visibility));
        field(out, b",\"rawValueType\":{\"type\":", Some(self.value_type));
        field(out, b"},\"computedValueType\":{\"type\":", Some(self.value_type));
        out.extend_from_slice(b"}}");
    }
}

fn field(out: &mut Vec<u8>, before: &[u8], text: Option<&str>) {
    out.extend_from_slice(before);
    // Writing text to memory cannot fail.
    _ = serde_json::to_writer(out, &text);
}

/// `{"secrets":{NAME:{…},…},"success":true}`.
#[must_use]
pub fn secrets(shapes: &[SecretShape<'_>]) -> SecretBytes {
    let mut text = SecretBytes::new(Vec::with_capacity(shapes.iter().map(SecretShape::room).sum::<usize>() + 64));
    let out = text.expose_secret_mut();
    out.extend_from_slice(b"{\"secrets\":{");
    for (index, shape) in shapes.iter().enumerate() {
        field(out, if index == 0 { b"" } else { b"," }, Some(shape.name));
        out.push(b':');
        shape.write(out);
    }
    out.extend_from_slice(b"},\"success\":true}");
    text
}

/// `{"name":NAME,"value":{…},"success":true}`.
#[must_use]
pub fn secret(shape: &SecretShape<'_>) -> SecretBytes {
    let mut text = SecretBytes::new(Vec::with_capacity(shape.room() + shape.name.len() * 6 + 64));
    let out = text.expose_secret_mut();
    field(out, b"{\"name\":", Some(shape.name));
    out.extend_from_slice(b",\"value\":");
    shape.write(out);
    out.extend_from_slice(b",\"success\":true}");
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_secret_has_all_that_clients_look_for() {
        let (raw, computed) = (SecretString::from("a\"\n\u{1}"), SecretString::from("b"));
        let shape = SecretShape {
            name: "A",
            raw: Some(&raw),
            computed: Some(&computed),
            note: "n",
            raw_visibility: "masked",
            computed_visibility: "restricted",
            value_type: "string",
        };
        let hidden = SecretShape { name: "B", raw: None, computed: None, ..shape };
        let expected = json!({
            "raw": "a\"\n\u{1}", "computed": "b", "note": "n", "rawVisibility": "masked",
            "computedVisibility": "restricted", "rawValueType": {"type": "string"},
            "computedValueType": {"type": "string"},
        });
        let read = |text: SecretBytes| serde_json::from_slice::<Value>(text.expose_secret()).expect("JSON");
        let all = read(secrets(&[shape, hidden]));
        assert_eq!(all["secrets"]["A"], expected);
        assert_eq!((&all["secrets"]["B"]["raw"], &all["secrets"]["B"]["computed"]), (&Value::Null, &Value::Null));
        assert_eq!(read(secret(&shape)), json!({"name": "A", "value": expected, "success": true}));
        assert_eq!(read(secrets(&[])), json!({"secrets": {}, "success": true}));
        let large = SecretString::new("\u{1}".repeat(5000));
        let text = secrets(&[SecretShape { raw: Some(&large), computed: Some(&large), ..shape }]);
        assert!(text.len() <= shape.room() + 2 * 30_000 + 64, "the buffer did not grow");
    }
}
