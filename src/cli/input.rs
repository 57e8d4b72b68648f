//! What several commands read: sample events, header arguments, and which scheme and secret to use.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use super::{ConfigArg, Exit, Failure};
use crate::config;
use crate::event::Event;
use crate::id::{EventId, SourceName};
use crate::plan::{Plan, Source};
use crate::secret::Secret;
use crate::signature::{Checks, Key, Preset, Sample, Scheme, SchemeRecord, Way};
use crate::trial::{self, Request};

/// A sample event, as options of a command.
#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// The event's body as the vendor sends it (`-` is stdin); without it, the sample of the source's preset
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// The source that it comes in by; not needed where there is only one
    #[arg(long, value_name = "NAME")]
    pub(super) source: Option<String>,
    /// The event's type, where the body or headers do not tell it
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// A header of the request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
}

/// A sample, read.
pub(super) struct Given {
    pub(super) body: Bytes,
    pub(super) headers: HeaderMap,
    pub(super) event_type: Option<String>,
}

impl SampleArgs {
    /// The event that this sample would become. `source` tells where its type and id are; without one the type is
    /// looked for at `/type`.
    pub(super) fn to_event(&self, source: Option<&Source>) -> Result<Event, Failure> {
        let given = self.read(source)?;
        trial::event(Request {
            id: EventId::generate(),
            source,
            headers: &given.headers,
            body: given.body,
            event_type: given.event_type,
            now: Timestamp::now(),
        })
        .map_err(|error| Failure::caused(Exit::Usage, &error))
    }

    /// The file that is named, else the sample of the source's preset.
    pub(super) fn read(&self, source: Option<&Source>) -> Result<Given, Failure> {
        let mut headers = parse_headers(&self.headers)?;
        let Some(path) = &self.event else {
            let sample = self.of_preset(source)?;
            if !headers.contains_key(CONTENT_TYPE)
                && let Ok(kind) = HeaderValue::from_str(&sample.content_type)
            {
                headers.insert(CONTENT_TYPE, kind);
            }
            return Ok(Given {
                body: Bytes::from_static(sample.body),
                headers,
                event_type: self.event_type.clone().or(sample.event_type),
            });
        };
        Ok(Given {
            body: Bytes::from(read(path)?),
            headers,
            event_type: self.event_type.clone(),
        })
    }

    fn of_preset(&self, source: Option<&Source>) -> Result<Sample, Failure> {
        let Some(source) = source else {
            return Err(Failure::usage("error: --event FILE is missing"));
        };
        let preset = &source.checks.first().name;
        Preset::sample(preset).ok_or_else(|| {
            let name = &source.name;
            Failure::usage(format!(
                "error: --event FILE is missing, since the scheme of {name} is no preset with a sample"
            ))
        })
    }

    /// What the sample is called.
    pub(super) fn name(&self) -> String {
        match &self.event {
            Some(path) => path.display().to_string(),
            None => "the sample".to_owned(),
        }
    }
}

/// The source of this name, or the only one there is.
pub(super) fn pick_source<'a>(
    plan: &'a Plan,
    name: Option<&str>,
) -> Result<&'a Arc<Source>, Failure> {
    let known = || {
        let names: Vec<&str> = plan.sources.keys().map(SourceName::as_str).collect();
        names.join(", ")
    };
    match name {
        Some(name) => plan.sources.get(name).ok_or_else(|| {
            Failure::usage(format!(
                "error: no source named `{name}` (known: {})",
                known()
            ))
        }),
        None => match plan.sources.values().next() {
            Some(only) if plan.sources.len() == 1 => Ok(only),
            _ => Err(Failure::usage(format!(
                "error: --source is missing (known: {})",
                known()
            ))),
        },
    }
}

/// The keys that the source's vendor signs with; where it has several ways, by the first.
pub(super) fn sender_keys(source: &Source) -> Result<Vec<Key>, Failure> {
    let keys = source.checks.first().keys.iter();
    keys.map(|key| signing_key(source, key.configured()))
        .collect()
}

/// The key of a secret that the source's vendor signs with.
pub(super) fn signing_key(source: &Source, secret: &Secret) -> Result<Key, Failure> {
    let scheme = &source.checks.first().scheme;
    scheme.signing_key(secret).map_err(|error| {
        let words = format!("error: source {} cannot be played: {error}", source.name);
        Failure::new(Exit::Failed, words)
    })
}

/// The secret in a file, without the line ends behind it.
pub(super) fn secret_of(file: &Path) -> Result<Secret, Failure> {
    let mut bytes = read(file)?;
    while bytes
        .last()
        .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
    {
        bytes.pop();
    }
    Ok(Secret::new(bytes))
}

/// Reads a file, or stdin for `-`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    match result {
        Ok(()) => Ok(bytes),
        Err(error) => Err(cannot_read(path, error)),
    }
}

/// The failure of a file that was named on the command line.
pub(super) fn cannot_read(path: &Path, error: std::io::Error) -> Failure {
    Failure::usage(format!(
        "error: cannot read {}: {}",
        path.display(),
        config::in_words(error)
    ))
}

/// Headers as `Name: value`.
pub(super) fn parse_headers(lines: &[String]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let wrong = || Failure::usage(format!("error: `{line}` is not a header (Name: value)"));
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| wrong())?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Whose scheme and secrets: a source's of the configuration, or a preset with a secret given apart.
/// A secret is never an argument, since arguments can be seen by every user of the machine.
#[derive(Debug, Args)]
pub(super) struct SchemeArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Use the scheme and secrets of this source of the configuration
    #[arg(long, value_name = "NAME", conflicts_with = "preset")]
    source: Option<String>,
    /// Use this preset, with --secret-env or --secret-file
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// The environment variable that holds the secret
    #[arg(
        long,
        value_name = "VAR",
        requires = "preset",
        conflicts_with = "secret_file"
    )]
    secret_env: Option<String>,
    /// The file that holds the secret
    #[arg(long, value_name = "FILE", requires = "preset")]
    secret_file: Option<PathBuf>,
}

/// How a source verifies.
pub(super) struct Verifier {
    pub(super) checks: Checks,
    pub(super) url: Option<String>,
}

/// A scheme with the keys that sign by it.
pub(super) struct Signer {
    pub(super) scheme: Scheme,
    pub(super) keys: Vec<Key>,
    pub(super) url: Option<String>,
}

impl SchemeArgs {
    pub(super) fn verifier(&self) -> Result<Verifier, Failure> {
        let Some(preset) = &self.preset else {
            let compiled = self.config.load()?;
            let source = pick_source(&compiled.plan, self.source.as_deref())?;
            return Ok(Verifier {
                checks: source.checks.clone(),
                url: source.url.clone(),
            });
        };
        let scheme = compiled(&self::preset(preset)?.scheme)?;
        let key = scheme
            .verifying_key(&self.secret()?)
            .map_err(|error| Failure::caused(Exit::Config, &error))?;
        Ok(Verifier {
            checks: Checks::one(Way::new(scheme, preset, vec![key])),
            url: None,
        })
    }

    pub(super) fn signer(&self) -> Result<Signer, Failure> {
        let Some(preset) = &self.preset else {
            let compiled = self.config.load()?;
            let source = pick_source(&compiled.plan, self.source.as_deref())?;
            return Ok(Signer {
                scheme: source.checks.first().scheme.clone(),
                keys: sender_keys(source)?,
                url: source.url.clone(),
            });
        };
        let scheme = compiled(&self::preset(preset)?.scheme)?;
        let key = scheme
            .signing_key(&self.secret()?)
            .map_err(|error| Failure::caused(Exit::Config, &error))?;
        Ok(Signer {
            scheme,
            keys: vec![key],
            url: None,
        })
    }

    fn secret(&self) -> Result<Secret, Failure> {
        match (&self.secret_env, &self.secret_file) {
            (Some(var), _) => match std::env::var(var) {
                Ok(value) => Ok(Secret::new(value)),
                Err(_) => Err(Failure::usage(format!(
                    "error: the environment variable {var} is not set"
                ))),
            },
            (None, Some(file)) => secret_of(file),
            (None, None) => Err(Failure::usage(
                "error: --preset wants --secret-env VAR or --secret-file FILE",
            )),
        }
    }
}

/// The preset of this name.
pub(super) fn preset(name: &str) -> Result<Preset, Failure> {
    Preset::named(name).ok_or_else(|| {
        let (message, help) = config::unknown_preset(name);
        Failure::usage(format!("error: {message}\n  help: {help}"))
    })
}

/// The scheme of a record.
pub(super) fn compiled(record: &SchemeRecord) -> Result<Scheme, Failure> {
    Scheme::compile(record).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(Exit::Config, format!("error: {}", errors.join("; ")))
    })
}
