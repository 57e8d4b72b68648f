//! The place of the signature, taken apart: lists, pairs, prefixes.

use crate::signature::scheme::{SignatureForm, Style};
use crate::signature::{MAX_SIGNATURES, VerifyError};

/// What stands in the place of the signature.
pub(super) struct Fields<'a> {
    /// Never empty; at most [`MAX_SIGNATURES`].
    pub(super) signatures: Vec<&'a str>,
    pub(super) timestamp: Option<&'a str>,
}

impl<'a> Fields<'a> {
    pub(super) fn split(
        form: &SignatureForm,
        text: &'a str,
        time_key: Option<&str>,
    ) -> Result<Self, VerifyError> {
        let items: Vec<&str> = match &form.list {
            Some(separator) => text.split(separator.as_str()).collect(),
            None => vec![text],
        };
        let mut fields = Self {
            signatures: Vec::new(),
            timestamp: None,
        };
        for item in items.into_iter().filter(|item| !item.is_empty()) {
            let signature = match &form.style {
                Style::Plain => Some(item),
                Style::Prefix { text, optional } => item
                    .strip_prefix(text.as_str())
                    .or(optional.then_some(item)),
                Style::Pairs {
                    separator,
                    keys,
                    bare,
                } => match item.split_once(separator.as_str()) {
                    None => bare.then_some(item),
                    Some((key, value)) if time_key == Some(key) => {
                        if fields.timestamp.replace(value).is_some() {
                            return Err(VerifyError::DuplicateField);
                        }
                        None
                    }
                    Some((key, value)) => keys.iter().any(|known| known == key).then_some(value),
                },
            };
            if fields.signatures.len() < MAX_SIGNATURES {
                fields.signatures.extend(signature);
            }
        }
        if fields.signatures.is_empty() {
            return Err(VerifyError::NoSignature);
        }
        Ok(fields)
    }
}
