//! The query of a listing: which page, and which rows. Pure.
//!
//! What is unknown, doubled or malformed is refused, so that a slip of the pen does not list everything.

use std::str::FromStr;

use crate::delivery::StateKind;
use crate::id::{AuditId, DeliveryId, EventId};
use crate::store::DeliveryFilter;

/// Rows of a page unless the query says otherwise.
pub(super) const DEFAULT_LIMIT: usize = 50;

/// Most rows of a page.
pub(super) const MAX_LIMIT: usize = 500;

/// Why a query is refused, in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadQuery(pub(super) String);

/// Which page of a listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<Id> {
    /// Only rows older than this one.
    pub(super) before: Option<Id>,
    /// How many.
    pub(super) limit: usize,
}

/// `limit` and `before`.
pub(super) fn events(query: &str) -> Result<Page<EventId>, BadQuery> {
    let mut fields = Fields::read(query, &["limit", "before"])?;
    fields.page()
}

/// `limit` and `before`, of the audit log.
pub(super) fn audit(query: &str) -> Result<Page<AuditId>, BadQuery> {
    let mut fields = Fields::read(query, &["limit", "before"])?;
    fields.page()
}

/// `state`, `target`, `route`, `limit` and `before`.
pub(super) fn deliveries(query: &str) -> Result<(DeliveryFilter, Page<DeliveryId>), BadQuery> {
    let mut fields = Fields::read(query, &["state", "target", "route", "limit", "before"])?;
    let state = match fields.take("state") {
        None => None,
        Some(text) => Some(state(&text)?),
    };
    let filter = DeliveryFilter {
        state,
        target: fields.parse("target", "a name")?,
        route: fields.parse("route", "a name")?,
    };
    Ok((filter, fields.page()?))
}

/// Nothing.
pub(super) fn targets(query: &str) -> Result<(), BadQuery> {
    Fields::read(query, &[]).map(|_| ())
}

/// `skip_tests`.
pub(super) fn reload(query: &str) -> Result<bool, BadQuery> {
    let mut fields = Fields::read(query, &["skip_tests"])?;
    match fields.take("skip_tests").as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(BadQuery(format!(
            "`skip_tests` is true or false, not `{other}`"
        ))),
    }
}

fn state(text: &str) -> Result<StateKind, BadQuery> {
    StateKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| {
            let known = StateKind::ALL.map(StateKind::as_str).join(", ");
            BadQuery(format!("no state is named `{text}` (known: {known})"))
        })
}

struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(query: &str, known: &[&str]) -> Result<Self, BadQuery> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let known = match known {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                };
                return Err(BadQuery(format!(
                    "no parameter is named `{name}` (known: {known})"
                )));
            }
            if fields.iter().any(|(earlier, _)| *earlier == name) {
                return Err(BadQuery(format!("`{name}` is given twice")));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(found, _)| found == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn parse<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, BadQuery> {
        match self.take(name) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(BadQuery(format!("`{name}` must be {what}"))),
            },
        }
    }

    fn page<Id: FromStr>(&mut self) -> Result<Page<Id>, BadQuery> {
        let limit = self.parse("limit", "a number")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(BadQuery(format!("`limit` must be from 1 to {MAX_LIMIT}")));
        }
        Ok(Page {
            before: self.parse("before", "an id")?,
            limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_refused() {
        for query in [
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=ten",
            "limit=",
            "before=x",
            "stat=dead",
            "state=Dead",
            "state=",
            "target=a%2Fb",
            "route=",
            "state=dead&state=dead",
            "limit=5&limit=5",
        ] {
            assert!(deliveries(query).is_err(), "{query}");
        }
        assert!(events("state=dead").is_err());
    }

    #[test]
    fn what_is_right_is_read() {
        let id = DeliveryId::generate();
        let query = format!("state=dead&target=er%70&route=all&limit=500&before={id}");
        let (filter, page) = deliveries(&query).unwrap();
        let wanted = DeliveryFilter {
            state: Some(StateKind::Dead),
            target: "erp".parse().ok(),
            route: "all".parse().ok(),
        };
        assert_eq!(filter, wanted);
        let before = Some(id);
        assert_eq!(page, Page { before, limit: 500 });
        let (before, limit) = (None, DEFAULT_LIMIT);
        assert_eq!(events("").unwrap(), Page { before, limit });
    }
}
