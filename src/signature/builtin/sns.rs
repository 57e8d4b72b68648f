//! Amazon SNS: messages signed by a key whose certificate is fetched from where the message says, which must be AWS.
//!
//! Source: <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>, read on 2026-11-28.
//! `SignatureVersion` 1 is RSA with SHA-1, 2 with SHA-256. Raw delivery has no signature and is refused.
//!
//! Promise: a certificate counts only from `https://sns.REGION.amazonaws.com` (`.cn`), and nobody is asked for one on
//! behalf of another topic than those of the configuration: that a message is signed says only that it is of some
//! topic of anybody. All fields but `Message` are one line, so that the signed lines can be read in one way. Not here:
//! fetching (see `intake`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use jiff::Timestamp;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    UnparsedPublicKey,
};

use crate::certificate;
use crate::json::Ref;
use crate::secret::Secret;
use crate::signature::{Subscription, VerifyError};

/// Longest field but the message, in bytes; the URLs of confirmations are the longest, with some 400.
const MAX_FIELD_BYTES: usize = 2048;

/// What hosts begin and end with; between them stands the region.
const HOST: (&str, [&str; 2]) = ("sns.", [".amazonaws.com", ".amazonaws.com.cn"]);

/// What a record says of SNS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::signature) struct Rule {
    /// The ARNs of the topics whose messages count.
    pub(in crate::signature) topics: Vec<String>,
    /// Whether subscriptions are confirmed as soon as that is asked for.
    pub(in crate::signature) confirm: bool,
}

/// A message as it came, of one of the topics.
struct Message<'a> {
    json: Ref<'a>,
    kind: &'a str,
    topic: &'a str,
    certificate: Uri,
}

/// Where the certificate of a message is; `None` for what cannot verify whatever is there.
pub(in crate::signature) fn certificate_url(rule: &Rule, json: Option<Ref<'_>>) -> Option<Uri> {
    let message = Message::read(rule, json).ok()?;
    message.content().ok()?;
    Some(message.certificate)
}

/// Proves a message by the certificate that was fetched for it.
///
/// # Errors
/// Why it is not proven.
pub(in crate::signature) fn prove(
    rule: &Rule,
    json: Option<Ref<'_>>,
    certificate: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), VerifyError> {
    let message = Message::read(rule, json)?;
    let content = message.content()?;
    let parameters = message.parameters()?;
    let signature = message.field("Signature")?;
    let signature = STANDARD
        .decode(signature)
        .map_err(|_| VerifyError::BadEncoding)?;
    let der = certificate.ok_or(VerifyError::NoCertificate)?;
    let facts = certificate::read(der).ok_or(VerifyError::BadCertificate)?;
    if now < facts.not_before || now > facts.not_after {
        return Err(VerifyError::BadCertificate);
    }
    let key = certificate::rsa_key(&facts).ok_or(VerifyError::BadCertificate)?;
    UnparsedPublicKey::new(parameters, key)
        .verify(content.as_bytes(), &signature)
        .map_err(|_| VerifyError::SignatureMismatch)
}

/// What a message that is proven asks for, if it is no notification.
///
/// # Errors
/// If it is to be confirmed at a place that is not of AWS.
pub(in crate::signature) fn asks_for(
    rule: &Rule,
    json: Option<Ref<'_>>,
) -> Result<Option<(&'static str, Option<Subscription>)>, VerifyError> {
    let message = Message::read(rule, json)?;
    if message.kind == "UnsubscribeConfirmation" {
        return Ok(Some(("unsubscribe_confirmation", None)));
    }
    if message.kind != "SubscriptionConfirmation" {
        return Ok(None);
    }
    let url = message.field("SubscribeURL")?;
    let asks = of_aws(url).is_some_and(|rest| rest.starts_with("/?Action=ConfirmSubscription&"));
    if !asks {
        return Err(VerifyError::BadCertificate);
    }
    let subscription = Subscription {
        topic: message.topic.to_owned(),
        url: Secret::new(url),
        at_once: rule.confirm,
    };
    Ok(Some(("subscription_confirmation", Some(subscription))))
}

impl<'a> Message<'a> {
    fn read(rule: &Rule, json: Option<Ref<'a>>) -> Result<Self, VerifyError> {
        let json = json.ok_or(VerifyError::MissingSignature)?;
        if json.get("Signature").is_none() {
            return Err(VerifyError::MissingSignature);
        }
        let kind = line(json, "Type")?;
        let topic = line(json, "TopicArn")?;
        if !rule.topics.iter().any(|known| known == topic) {
            return Err(VerifyError::NoSignature);
        }
        let url = line(json, "SigningCertURL")?;
        let certificate = certificate_of_aws(url).ok_or(VerifyError::BadCertificate)?;
        let message = Self {
            json,
            kind,
            topic,
            certificate,
        };
        message.parameters()?;
        Ok(message)
    }

    fn parameters(&self) -> Result<&'static RsaParameters, VerifyError> {
        match line(self.json, "SignatureVersion")? {
            "1" => Ok(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
            "2" => Ok(&RSA_PKCS1_2048_8192_SHA256),
            _ => Err(VerifyError::NoSignature),
        }
    }

    fn field(&self, name: &str) -> Result<&'a str, VerifyError> {
        line(self.json, name)
    }

    /// The lines that are signed: names and values of fields.
    fn content(&self) -> Result<String, VerifyError> {
        let names: &[&str] = match self.kind {
            "Notification" => &["MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => &[
                "MessageId",
                "SubscribeURL",
                "Timestamp",
                "Token",
                "TopicArn",
                "Type",
            ],
            _ => return Err(VerifyError::NoSignature),
        };
        let message = self.json.get("Message").and_then(Ref::as_str);
        let message = message.ok_or(VerifyError::MissingPart)?;
        let mut content = format!("Message\n{message}\n");
        for name in names {
            let value = match (*name, self.json.get(name)) {
                ("Subject", None) => continue,
                ("Subject", Some(value)) if value.is_null() => continue,
                _ => self.field(name)?,
            };
            for part in [name, "\n", value, "\n"] {
                content.push_str(part);
            }
        }
        Ok(content)
    }
}

/// A field that is a text of one line.
fn line<'a>(json: Ref<'a>, name: &str) -> Result<&'a str, VerifyError> {
    let text = json.get(name).and_then(Ref::as_str);
    text.filter(|text| text.len() <= MAX_FIELD_BYTES && !text.chars().any(char::is_control))
        .ok_or(VerifyError::MissingPart)
}

/// The URL of a certificate, if it is one of AWS.
fn certificate_of_aws(url: &str) -> Option<Uri> {
    let path = of_aws(url)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.".contains(&byte);
    let sound = path.ends_with(".pem") && path.bytes().all(plain) && !path.contains("..");
    url.parse().ok().filter(|_| sound)
}

/// What follows the host in a URL of SNS: https, the host of a region, and no port, name or password.
fn of_aws(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let (host, path) = rest.split_at(rest.find('/')?);
    let (begin, ends) = HOST;
    let inner = host.strip_prefix(begin)?;
    let region = ends.iter().find_map(|end| inner.strip_suffix(end))?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_region = !region.is_empty() && region.bytes().all(plain);
    let visible = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    (is_region && visible).then_some(path)
}

#[cfg(test)]
mod tests;
