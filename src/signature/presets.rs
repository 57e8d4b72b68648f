//! The embedded presets: records that vendors' pages describe, each with the sample of an event.
//!
//! One file each in `presets/`, one sample each in `presets/samples/`, one row each in [`FILES`]. Samples are made
//! up, in the shape that the vendor's events have. Not here: what the records mean (see `compile`).

use serde::{Deserialize, Serialize};

use super::record::SchemeRecord;

/// A preset's name, its file, its sample, and the sample's content type.
type File = (&'static str, &'static str, &'static str, &'static str);

/// A row for each preset; sorted by name.
macro_rules! files {
    ($($name:literal $kind:ident,)*) => {
        &[$((
            $name,
            include_str!(concat!("presets/", $name, ".yaml")),
            include_str!(concat!("presets/samples/", $name, ".", stringify!($kind))),
            files!(@$kind),
        ),)*]
    };
    (@json) => { "application/json" };
    (@form) => { "application/x-www-form-urlencoded" };
}

/// The embedded files, sorted by name.
const FILES: &[File] = files![
    "asana" json,
    "aws-sns" json,
    "basic" json,
    "bearer" json,
    "bitbucket" json,
    "calendly" json,
    "clerk" json,
    "cloudevents" json,
    "compliancely" json,
    "convoy-advanced" json,
    "convoy-simple-sha512" json,
    "discord-events" json,
    "discord-interactions" json,
    "dropbox" json,
    "github" json,
    "gitlab-signed" json,
    "gitlab-token" json,
    "hmac" json,
    "hubspot-v3" json,
    "intercom" json,
    "jira" json,
    "linear" json,
    "mailgun" json,
    "meta" json,
    "microsoft-graph" json,
    "openai" json,
    "paddle" json,
    "pagerduty" json,
    "razorpay" json,
    "resend" json,
    "sendgrid" json,
    "sentry" json,
    "shopify" json,
    "slack" json,
    "square" json,
    "standard-webhooks" json,
    "standard-webhooks-v1a" json,
    "stripe" json,
    "svix" json,
    "twilio" form,
    "twitter-x" json,
    "typeform" json,
    "wingspan" json,
    "wismolabs" json,
    "wreno" json,
    "wundaflow" json,
    "xero" json,
    "zendesk" json,
    "zoom" json,
];

/// The key of a preset's file whose value is the record; the last one, so that all that follows is the record.
const SCHEME_KEY: &str = "\nscheme:\n";

/// By how much the record is indented in a preset's file.
const INDENT: &str = "  ";

/// How a vendor signs, and from where that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The vendor, as it writes itself.
    pub vendor: String,
    /// Its page about this; none for what is no vendor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The day on which that was read.
    pub read: String,
    /// Who makes the secret.
    #[serde(default)]
    pub secrets: Maker,
    /// What the page does not say.
    #[serde(default)]
    pub assumed: Vec<String>,
    /// What one should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the sample's request has besides its body.
    #[serde(default)]
    pub sample: SampleHead,
    /// The record.
    pub scheme: SchemeRecord,
}

/// Who makes a secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Maker {
    /// The vendor hands it out.
    #[default]
    Vendor,
    /// One chooses it oneself and gives it to the vendor.
    Yours,
}

/// What a sample's request has besides its body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleHead {
    /// The event's type, where the vendor sends it in a header.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// The content type, where it is not that of its kind of file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

/// The sample of a vendor's event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The body.
    pub body: &'static [u8],
    /// Its content type.
    pub content_type: String,
    /// The event's type, where the vendor sends it in a header.
    pub event_type: Option<String>,
}

impl Preset {
    /// The preset of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (_, text, ..) = file(name)?;
        // That every preset parses and compiles is a test.
        serde_yaml::from_str(text).ok()
    }

    /// The record of the preset of this name as it is written, ready to be changed.
    #[must_use]
    pub fn scheme_text(name: &str) -> Option<String> {
        let (_, text, ..) = file(name)?;
        let (_, record) = text.split_once(SCHEME_KEY)?;
        let lines = record.lines();
        let lines: Vec<&str> = lines
            .map(|line| line.strip_prefix(INDENT).unwrap_or(line))
            .collect();
        Some(lines.join("\n"))
    }

    /// The sample of the preset of this name.
    #[must_use]
    pub fn sample(name: &str) -> Option<Sample> {
        let (_, _, body, content_type) = file(name)?;
        let head = Self::named(name)?.sample;
        Some(Sample {
            body: body.as_bytes(),
            content_type: head
                .content_type
                .unwrap_or_else(|| (*content_type).to_owned()),
            event_type: head.event_type,
        })
    }
}

fn file(name: &str) -> Option<&'static File> {
    FILES.iter().find(|(known, ..)| *known == name)
}

impl SchemeRecord {
    /// The record of the preset of this name.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        Preset::named(name).map(|preset| preset.scheme)
    }

    /// The names of all presets, sorted.
    #[must_use]
    pub fn preset_names() -> Vec<&'static str> {
        FILES.iter().map(|(name, ..)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Scheme;

    #[test]
    fn presets_are_sorted_and_say_where_they_are_from() {
        let names = SchemeRecord::preset_names();
        assert!(names.is_sorted());
        for (name, text, ..) in FILES {
            let preset: Preset =
                serde_yaml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(!preset.vendor.is_empty(), "{name}");
            let page = preset.page.as_deref();
            assert!(page.is_none_or(|url| url.starts_with("https://")), "{name}");
            assert!(preset.read.parse::<jiff::civil::Date>().is_ok(), "{name}");
            for line in preset.assumed.iter().chain(&preset.notes) {
                assert!(!line.contains('\n'), "{name}: {line}");
            }
        }
        assert_eq!(Preset::named("nobody"), None);
        assert_eq!(SchemeRecord::preset("nobody"), None);
    }

    #[test]
    fn every_file_has_its_row() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/signature/presets");
        let files = std::fs::read_dir(folder).unwrap();
        let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        for name in files.filter_map(|file| Some(file.strip_suffix(".yaml")?.to_owned())) {
            assert!(file(&name).is_some(), "{name}");
        }
    }

    #[test]
    fn samples_are_what_they_say() {
        for (name, ..) in FILES {
            let sample = Preset::sample(name).unwrap();
            let scheme = Scheme::compile(&Preset::named(name).unwrap().scheme).unwrap();
            if !sample.content_type.ends_with("json") {
                continue;
            }
            let parsed: Result<serde_json::Value, _> = serde_json::from_slice(sample.body);
            assert!(parsed.is_ok(), "{name}: {parsed:?}");
            for (what, pointer) in scheme.read_from_body() {
                let parsed: serde_json::Value = serde_json::from_slice(sample.body).unwrap();
                assert!(
                    parsed.pointer(pointer).is_some(),
                    "{name}: {what} at {pointer}"
                );
            }
        }
        assert_eq!(Preset::sample("nobody"), None);
    }

    #[test]
    fn presets_compile_and_survive_being_written() {
        for name in SchemeRecord::preset_names() {
            let preset = Preset::named(name).unwrap();
            let compiled = Scheme::compile(&preset.scheme);
            assert!(compiled.is_ok(), "{name}: {compiled:?}");
            let text = serde_yaml::to_string(&preset).unwrap();
            let again: Preset = serde_yaml::from_str(&text).unwrap();
            assert_eq!(again, preset, "{name}");
        }
    }
}
