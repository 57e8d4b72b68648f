//! A record as changes to another one.

use super::{
    FormRecord, IdRecord, SchemeRecord, SecretRecord, SignatureRecord, TimestampRecord, TypeRecord,
};

impl SchemeRecord {
    /// This record's fields where it has them, else those of `base`; one level into the parts.
    ///
    /// Fields that stand for each other replace each other: a `prefix` drops the base's `list`, `pair`,
    /// `keys` and `bare`; `pair`, `keys` and `bare` drop its `prefix`; a place (`header`, `json`, `query`,
    /// `pair`, `const`) drops the base's other place; `secret.after` and `secret.prefix` drop each other; the
    /// algorithms `token` and `address` drop what only signatures have; `content` and `builtin` drop each
    /// other. What then still does not fit together is told by [`crate::signature::Scheme::compile`].
    #[must_use]
    pub fn over(self, mut base: Self) -> Self {
        if matches!(self.algorithm.as_deref(), Some("token" | "address")) {
            (base.content, base.body, base.builtin) = (None, None, None);
            base.body_unsigned = None;
            if let Some(signature) = &mut base.signature {
                signature.encoding = None;
            }
        }
        if self.algorithm.as_deref() == Some("address") {
            (base.signature, base.secret) = (None, None);
        }
        if self.content.is_some() {
            (base.builtin, base.body_unsigned) = (None, None);
        }
        if self.builtin.is_some() {
            (base.content, base.body_unsigned) = (None, None);
        }
        Self {
            algorithm: self.algorithm.or(base.algorithm),
            content: self.content.or(base.content),
            body_unsigned: self.body_unsigned.or(base.body_unsigned),
            builtin: self.builtin.or(base.builtin),
            topics: self.topics.or(base.topics),
            confirm_subscriptions: self.confirm_subscriptions.or(base.confirm_subscriptions),
            body: self.body.or(base.body),
            signature: merge(self.signature, base.signature, SignatureRecord::over),
            secret: merge(self.secret, base.secret, SecretRecord::over),
            timestamp: merge(self.timestamp, base.timestamp, TimestampRecord::over),
            id: merge(self.id, base.id, IdRecord::over),
            event_type: merge(self.event_type, base.event_type, TypeRecord::over),
            form: merge(self.form, base.form, FormRecord::over),
            envelope: self.envelope.or(base.envelope),
            handshake: self.handshake.or(base.handshake),
        }
    }
}

fn merge<T>(change: Option<T>, base: Option<T>, over: fn(T, T) -> T) -> Option<T> {
    match (change, base) {
        (Some(change), Some(base)) => Some(over(change, base)),
        (change, base) => change.or(base),
    }
}

impl SignatureRecord {
    fn over(self, mut base: Self) -> Self {
        if self.header.is_some() || self.json.is_some() || self.query.is_some() {
            (base.header, base.json, base.query) = (None, None, None);
        }
        if self.prefix.as_deref().is_some_and(|text| !text.is_empty()) {
            (base.list, base.pair, base.keys, base.bare) = (None, None, None, None);
        }
        if self.pair.is_some() || self.keys.is_some() || self.bare.is_some() {
            (base.prefix, base.prefix_optional) = (None, None);
        }
        if self.prefix.as_deref() == Some("") {
            base.prefix_optional = None;
        }
        if self.pair.as_deref() == Some("") {
            (base.keys, base.bare) = (None, None);
        }
        Self {
            header: self.header.or(base.header),
            json: self.json.or(base.json),
            query: self.query.or(base.query),
            list: self.list.or(base.list),
            pair: self.pair.or(base.pair),
            keys: self.keys.or(base.keys),
            bare: self.bare.or(base.bare),
            prefix: self.prefix.or(base.prefix),
            prefix_optional: self.prefix_optional.or(base.prefix_optional),
            encoding: self.encoding.or(base.encoding),
        }
    }
}

impl SecretRecord {
    fn over(self, mut base: Self) -> Self {
        if self.prefix.is_some() || self.after.is_some() {
            (base.prefix, base.after) = (None, None);
        }
        Self {
            prefix: self.prefix.or(base.prefix),
            encoding: self.encoding.or(base.encoding),
            after: self.after.or(base.after),
        }
    }
}

impl TimestampRecord {
    fn over(self, mut base: Self) -> Self {
        let places = [&self.header, &self.json, &self.query, &self.pair];
        if places.iter().any(|place| place.is_some()) {
            (base.header, base.json, base.query, base.pair) = (None, None, None, None);
        }
        Self {
            header: self.header.or(base.header),
            json: self.json.or(base.json),
            query: self.query.or(base.query),
            pair: self.pair.or(base.pair),
            unit: self.unit.or(base.unit),
            tolerance: self.tolerance.or(base.tolerance),
        }
    }
}

impl IdRecord {
    fn over(self, mut base: Self) -> Self {
        if self.header.is_some() || self.json.is_some() || self.query.is_some() {
            (base.header, base.json, base.query) = (None, None, None);
        }
        Self {
            header: self.header.or(base.header),
            json: self.json.or(base.json),
            query: self.query.or(base.query),
            otherwise: self.otherwise.or(base.otherwise),
        }
    }
}

impl TypeRecord {
    fn over(self, mut base: Self) -> Self {
        let places = [&self.header, &self.json, &self.query, &self.constant];
        if places.iter().any(|place| place.is_some()) {
            (base.header, base.json, base.query, base.constant) = (None, None, None, None);
        }
        if self.constant.is_some() {
            base.otherwise = None;
        }
        Self {
            header: self.header.or(base.header),
            json: self.json.or(base.json),
            query: self.query.or(base.query),
            constant: self.constant.or(base.constant),
            otherwise: self.otherwise.or(base.otherwise),
        }
    }
}

impl FormRecord {
    fn over(self, base: Self) -> Self {
        Self {
            json: self.json.or(base.json),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(yaml: &str) -> SchemeRecord {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn changes_go_over_a_base() {
        for (change, base, wanted) in [
            ("{}", "{content: a}", "{content: a}"),
            (
                "{signature: {encoding: base64}}",
                "{signature: {header: x, prefix: 'sha256='}}",
                "{signature: {header: x, prefix: 'sha256=', encoding: base64}}",
            ),
            (
                "{signature: {prefix: 'sha256='}}",
                "{signature: {header: x, list: ' ', pair: ',', keys: v1, bare: true}}",
                "{signature: {header: x, prefix: 'sha256='}}",
            ),
            (
                "{signature: {pair: '=', keys: [v1, v2]}}",
                "{signature: {header: x, prefix: 'sha256=', prefix_optional: true}}",
                "{signature: {header: x, pair: '=', keys: [v1, v2]}}",
            ),
            (
                "{signature: {prefix: ''}}",
                "{signature: {header: x, prefix: 'sha256=', prefix_optional: true}}",
                "{signature: {header: x, prefix: ''}}",
            ),
            (
                "{signature: {json: /sig}}",
                "{signature: {header: x}}",
                "{signature: {json: /sig}}",
            ),
            (
                "{secret: {after: _}}",
                "{secret: {prefix: whsec_, encoding: base64}}",
                "{secret: {after: _, encoding: base64}}",
            ),
            (
                "{timestamp: {header: ts}}",
                "{timestamp: {pair: t, tolerance: 60s}}",
                "{timestamp: {header: ts, tolerance: 60s}}",
            ),
            (
                "{signature: {query: sig}, id: {query: i}}",
                "{signature: {header: x}, id: {header: i}}",
                "{signature: {query: sig}, id: {query: i}}",
            ),
            (
                "{timestamp: {query: ts}}",
                "{timestamp: {pair: t}}",
                "{timestamp: {query: ts}}",
            ),
            (
                "{builtin: sns}",
                "{content: '{timestamp}', body_unsigned: true}",
                "{builtin: sns}",
            ),
            ("{content: a}", "{builtin: twilio}", "{content: a}"),
            (
                "{algorithm: address}",
                "{content: a, body: wire, signature: {header: x}, secret: {encoding: hex}, id: {json: /i}}",
                "{algorithm: address, id: {json: /i}}",
            ),
            ("{form: {json: p}}", "{form: {}}", "{form: {json: p}}"),
            (
                "{type: {const: a.b}}",
                "{type: {json: /type, else: c}}",
                "{type: {const: a.b}}",
            ),
            (
                "{id: {json: /id}, handshake: []}",
                "{id: {header: x, else: body_sha256}, handshake: [{}]}",
                "{id: {json: /id, else: body_sha256}, handshake: []}",
            ),
        ] {
            let merged = record(change).over(record(base));
            assert_eq!(merged, record(wanted), "{change} over {base}");
        }
    }
}
