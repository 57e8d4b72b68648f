//! Where secrets come from.

use super::context::Context;
use super::file::SecretFile;
use super::yaml::{item, member};
use super::{Env, EnvSecret, Files, Purpose};
use crate::secret::{Secret, SecretName};
use crate::signature::{Key, Scheme, SecretError};

/// Most bytes of a secret; keys have some tens.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// The variable that names the folder of credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Fetches a secret; what is wrong goes to the report.
pub(super) fn resolve(cx: &mut Context<'_>, path: &str, written: &SecretFile) -> Option<Secret> {
    let forms = [
        ("env", &written.env),
        ("file", &written.file),
        ("credential", &written.credential),
        ("value", &written.value),
    ];
    let given: Vec<(&str, &String)> = forms
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_ref()?)))
        .collect();
    let [(form, value)] = given[..] else {
        cx.report.error(
            path,
            "a secret has exactly one of {env: NAME}, {file: PATH}, {credential: NAME} and {value: TEXT}",
        );
        return None;
    };
    let at = member(path, form);
    let fetched = match form {
        "env" => {
            cx.env_secrets.push(EnvSecret {
                path: at.clone(),
                variable: value.clone(),
            });
            from_env(cx.env, value)
        }
        "file" => from_file(&*cx.files, &cx.beside(value)),
        "credential" => from_credential(&*cx.files, cx.env, value),
        _ => {
            cx.report.warn(
                &at,
                "this secret stands in the configuration itself",
                Some("{env: NAME}, {file: PATH} and {credential: NAME} keep it out".to_owned()),
            );
            Ok(Secret::new(value.as_str()))
        }
    };
    match fetched {
        Ok(secret) if secret.is_empty() => {
            cx.report.error(&at, "the secret is empty");
            None
        }
        Ok(secret) => Some(secret),
        Err(message) => {
            cx.report.error(&at, message);
            None
        }
    }
}

fn from_env(env: &dyn Env, name: &str) -> Result<Secret, String> {
    env.var(name)
        .map(Secret::new)
        .ok_or_else(|| format!("the environment variable {name} is not set"))
}

pub(super) fn from_file(files: &dyn Files, path: &std::path::Path) -> Result<Secret, String> {
    if path.to_string_lossy().contains('\n') {
        // It may be the secret.
        return Err("a file's name is wanted here, and this has several lines".to_owned());
    }
    let mut bytes = files
        .read(path, MAX_SECRET_BYTES, Purpose::Secret)
        .map_err(|why| format!("the secret cannot be read from {}: {why}", path.display()))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(Secret::new(bytes))
}

fn from_credential(files: &dyn Files, env: &dyn Env, name: &str) -> Result<Secret, String> {
    let folder = env
        .var(CREDENTIALS)
        .ok_or_else(|| format!("there are no credentials: {CREDENTIALS} is not set"))?;
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(format!("{name:?} is not the name of a credential"));
    }
    from_file(files, &std::path::Path::new(&folder).join(name))
}

/// Where secrets come from, in their order; nothing of what they are.
pub(super) fn names(written: Option<&[SecretFile]>) -> Vec<SecretName> {
    written.unwrap_or_default().iter().map(name).collect()
}

/// Where a secret comes from.
pub(super) fn name(secret: &SecretFile) -> SecretName {
    match (&secret.env, &secret.file, &secret.credential) {
        (Some(name), ..) => SecretName::Env(name.clone()),
        (_, Some(name), _) => SecretName::File(name.clone()),
        (.., Some(name)) => SecretName::Credential(name.clone()),
        // Whatever stands there is the secret.
        (None, None, None) => SecretName::Value,
    }
}

/// Fetches and decodes the secrets of a scheme, newest first.
pub(super) fn keys(
    cx: &mut Context<'_>,
    path: &str,
    written: Option<&[SecretFile]>,
    scheme: Option<&Scheme>,
    decode: impl Fn(&Scheme, &Secret) -> Result<Key, SecretError>,
) -> Option<Vec<Key>> {
    let written = written.unwrap_or_default();
    if written.is_empty() {
        cx.report.key_error(
            path,
            "at least one secret is needed",
            Some("such as `secrets: [{env: NAME}]`".to_owned()),
        );
        return None;
    }
    let mut keys = Vec::new();
    for (i, one) in written.iter().enumerate() {
        let at = item(path, i);
        let secret = resolve(cx, &at, one);
        let (Some(secret), Some(scheme)) = (secret, scheme) else {
            continue;
        };
        match decode(scheme, &secret) {
            Ok(key) => {
                if let Some(advice) = scheme.advice(&key) {
                    cx.report.warn(&at, advice, None);
                }
                keys.push(key);
            }
            Err(error) => cx.report.error(&at, error.to_string()),
        }
    }
    (keys.len() == written.len()).then_some(keys)
}
