//! The embedded presets: records that vendors' pages describe.
//!
//! One file each in `presets/`, one row each in [`FILES`]. Not here: what the records mean (see `compile`).

use serde::{Deserialize, Serialize};

use super::record::SchemeRecord;

/// A row for each file; sorted by name.
macro_rules! files {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("presets/", $name, ".yaml"))),)*]
    };
}

/// The embedded files, sorted by name.
const FILES: &[(&str, &str)] = files![
    "compliancely",
    "github",
    "hmac",
    "shopify",
    "slack",
    "standard-webhooks",
    "standard-webhooks-v1a",
    "stripe",
    "svix",
    "wingspan",
    "wismolabs",
    "wreno",
    "wundaflow",
];

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
    /// What the page does not say.
    #[serde(default)]
    pub assumed: Vec<String>,
    /// The record.
    pub scheme: SchemeRecord,
}

impl Preset {
    /// The preset of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = FILES.iter().find(|(known, _)| *known == name)?;
        // That every preset parses and compiles is a test.
        serde_yaml::from_str(text).ok()
    }
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
        FILES.iter().map(|(name, _)| *name).collect()
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
        for (name, text) in FILES {
            let preset: Preset =
                serde_yaml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(!preset.vendor.is_empty(), "{name}");
            let page = preset.page.as_deref();
            assert!(page.is_none_or(|url| url.starts_with("https://")), "{name}");
            assert!(preset.read.parse::<jiff::civil::Date>().is_ok(), "{name}");
        }
        assert_eq!(Preset::named("nobody"), None);
        assert_eq!(SchemeRecord::preset("nobody"), None);
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
