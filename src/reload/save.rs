//! Saving: a template, or a sample with what must come out of it, written by somebody at the operator's door.
//!
//! Promise: what is saved compiles and passes all tests of routes before a byte of it is written; a file that has changed
//! meanwhile is not replaced; each file is there as a whole or not at all, also through a power cut; and what was tried
//! is exactly what comes into force. The one gap: an editor that writes between the last look at a file and its replacement.
//! Not here: whether somebody may (see `admin`), which names are templates' (see `config`).

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Loaded, Reloader, Report, Trigger, inadmissible, load_changed, refuse};
use crate::config::{
    self, BODY_ENDING, Diagnostic, EXPECTED_ENDING, HEADERS_ENDING, Place, Severity,
    TemplateFolder, headers_text,
};
use crate::id::RouteName;
use crate::plan::Plan;
use crate::store::AuditNote;
use crate::template::{PartialText, Partials, Template};

/// What must be true of a file for it to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Its bytes have this SHA-256, in hex.
    Hash(String),
    /// There is none.
    Absent,
}

/// A sample to be saved in a route's folder of cases.
#[derive(Debug, Clone)]
pub struct NewSample {
    /// The route.
    pub route: RouteName,
    /// The name of its files, without an ending.
    pub name: String,
    /// The body of the event, JSON.
    pub body: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// What must come out, JSON; without it, it is no test.
    pub expected: Option<String>,
}

/// A template that was saved.
#[derive(Debug)]
pub struct Saved {
    /// The SHA-256 of what its file holds now, in hex.
    pub etag: String,
    /// What came of putting it in force.
    pub report: Report,
}

/// Why nothing was saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The configuration does not allow it.
    #[error("templates and samples are saved only with `admin.edit_templates: true`")]
    Off,
    /// The name is none of a template in the folder.
    #[error(
        "this is no name of a template: it lies in a folder that is there, leads nowhere else, and ends in .liquid"
    )]
    Name,
    /// There is no such route.
    #[error("the configuration has no route of this name")]
    Route,
    /// The route has no folder for it.
    #[error("the route has no folder of cases (`cases: DIR`)")]
    NoCases,
    /// There is one of this name.
    #[error("there is a sample of this name")]
    Exists,
    /// What was to be replaced is not what is there.
    #[error("{0}")]
    Changed(&'static str),
    /// What was sent cannot be it.
    #[error("{0}")]
    Form(String),
    /// The configuration does not compile with it, or a test fails. Nothing was written.
    #[error("{}", .0.text)]
    Refused(Box<Report>),
    /// The disk said no.
    #[error("{0}")]
    Disk(String),
}

const OTHER_TEXT: &str = "the file has another text by now";
const IS_THERE: &str = "there is such a file already";
const IS_GONE: &str = "there is no such file any more";

impl Reloader {
    /// Saves a template and puts it in force. One at a time; of two who replace the same text, the second is told.
    ///
    /// # Errors
    /// Why it was not saved.
    pub async fn save_template(
        &self,
        who: String,
        name: &str,
        text: String,
        expected: Expected,
    ) -> Result<Saved, SaveError> {
        let _one = self.one.lock().await;
        let result = self.template_alone(&who, name, text, &expected).await;
        let detail = match &result {
            Ok(saved) => match &expected {
                Expected::Hash(old) => format!("from {old} to {}", saved.etag),
                Expected::Absent => format!("new, {}", saved.etag),
            },
            Err(error) => error.to_string(),
        };
        self.note_saving(
            who,
            "save_template",
            name.to_owned(),
            result.is_ok(),
            detail,
        )
        .await;
        result
    }

    /// Saves a sample and puts it in force, as a test if it says what must come out.
    ///
    /// # Errors
    /// Why it was not saved.
    pub async fn save_sample(&self, who: String, sample: NewSample) -> Result<Report, SaveError> {
        let _one = self.one.lock().await;
        let subject = format!("{}/{}", sample.route, sample.name);
        let result = self.sample_alone(&who, &sample).await;
        let detail = match &result {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        self.note_saving(who, "save_sample", subject, result.is_ok(), detail)
            .await;
        result
    }

    async fn template_alone(
        &self,
        who: &str,
        name: &str,
        text: String,
        expected: &Expected,
    ) -> Result<Saved, SaveError> {
        let plan = self.editable()?;
        let folder = TemplateFolder::new(plan.studio.folder.clone());
        let named = plan.studio.template(name).is_some();
        let place = folder.place(name, named).ok_or(SaveError::Name)?;
        if u64::try_from(text.len()).is_ok_and(|bytes| bytes > TemplateFolder::MAX_BYTES) {
            let most = TemplateFolder::MAX_BYTES;
            return Err(SaveError::Form(format!(
                "a template has at most {most} bytes"
            )));
        }
        unchanged(&place, expected)?;
        let etag = hash(text.as_bytes());
        let changes = BTreeMap::from([(place.path.clone(), text.into_bytes())]);
        let loaded = self.tried(who, &plan, changes.clone()).await?;
        if !named {
            self.compiles(who, &plan, name, &changes)?;
        }
        let expected = expected.clone();
        let write = move || -> Result<(), SaveError> {
            let bytes = changes.get(&place.path).map_or(&[][..], Vec::as_slice);
            match place.exists {
                true => replace(&place, bytes, &expected),
                false => create(&[(place.path.clone(), bytes)])
                    .map_err(|error| of_creating(&error, SaveError::Changed(IS_THERE))),
            }
        };
        blocking(write).await?;
        let report = self.take(&trigger(who), false, loaded).await;
        Ok(Saved { etag, report })
    }

    async fn sample_alone(&self, who: &str, sample: &NewSample) -> Result<Report, SaveError> {
        let plan = self.editable()?;
        if plan.router.get(&sample.route).is_none() {
            return Err(SaveError::Route);
        }
        let cases = plan.studio.cases.get(&sample.route);
        let cases = cases.ok_or(SaveError::NoCases)?;
        let files = files_of(&plan, sample)?;
        let folder = real_folder(&cases.folder).map_err(SaveError::Disk)?;
        // Each ending counts, so that nothing that lies there becomes part of it by chance.
        for ending in [BODY_ENDING, EXPECTED_ENDING, HEADERS_ENDING] {
            let path = folder.join(format!("{}{ending}", sample.name));
            if path.symlink_metadata().is_ok() {
                return Err(SaveError::Exists);
            }
        }
        let files: Vec<(PathBuf, Vec<u8>)> = files
            .into_iter()
            .map(|(ending, text)| {
                let path = folder.join(format!("{}{ending}", sample.name));
                (path, text.into_bytes())
            })
            .collect();
        let loaded = self
            .tried(who, &plan, files.iter().cloned().collect())
            .await?;
        let write = move || -> Result<(), SaveError> {
            let disk = |error: io::Error| SaveError::Disk(words(&folder, &error));
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(&folder)
                .map_err(disk)?;
            let files: Vec<(PathBuf, &[u8])> = files
                .iter()
                .map(|(path, bytes)| (path.clone(), bytes.as_slice()))
                .collect();
            create(&files).map_err(|error| of_creating(&error, SaveError::Exists))
        };
        blocking(write).await?;
        Ok(self.take(&trigger(who), false, loaded).await)
    }

    /// The plan in force, if it allows saving.
    fn editable(&self) -> Result<Arc<Plan>, SaveError> {
        let plan = self.plan.get();
        match plan.admin.edit_templates {
            true => Ok(plan),
            false => Err(SaveError::Off),
        }
    }

    /// Loads the configuration as it would be, and runs its tests.
    async fn tried(
        &self,
        who: &str,
        plan: &Plan,
        changes: BTreeMap<PathBuf, Vec<u8>>,
    ) -> Result<Loaded, SaveError> {
        let config = self.config.clone();
        let mut report = self.empty_report(&trigger(who), false);
        let load = move || load_changed(&config, changes, false);
        let broke_down = |error: tokio::task::JoinError| {
            SaveError::Disk(format!("trying it broke down: {error}"))
        };
        let loaded = tokio::task::spawn_blocking(load)
            .await
            .map_err(broke_down)?;
        match &loaded.outcome {
            Ok(compiled) => {
                let why = inadmissible(plan, &compiled.plan);
                why.map_or(Ok(loaded), |why| {
                    report.text = why;
                    Err(SaveError::Refused(Box::new(report)))
                })
            }
            Err(refused) => {
                refuse(refused, &mut report);
                Err(SaveError::Refused(Box::new(report)))
            }
        }
    }

    /// Whether a template that no route names compiles; those that routes name are compiled with them.
    fn compiles(
        &self,
        who: &str,
        plan: &Plan,
        name: &str,
        changes: &BTreeMap<PathBuf, Vec<u8>>,
    ) -> Result<(), SaveError> {
        let folder = TemplateFolder::changed(plan.studio.folder.clone(), changes.clone());
        let Some(PartialText { path, text }) = folder.find(name) else {
            return Err(SaveError::Name);
        };
        match Template::compile(&path, &text, &folder) {
            Ok(_) => Ok(()),
            Err(error) => {
                let mut report = self.empty_report(&trigger(who), false);
                let error = Diagnostic::of_template(Severity::Error, "", &error);
                report.text = error.to_string();
                report.errors = vec![error];
                Err(SaveError::Refused(Box::new(report)))
            }
        }
    }

    async fn note_saving(
        &self,
        actor: String,
        action: &str,
        subject: String,
        ok: bool,
        detail: String,
    ) {
        tracing::info!(
            action,
            subject,
            ok,
            detail,
            "somebody at the operator's door saves"
        );
        let noted = self.store.audit(AuditNote {
            actor,
            action: action.to_owned(),
            subject,
            ok,
            detail,
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "what was saved could not be noted in the store");
        }
    }
}

fn trigger(who: &str) -> Trigger {
    Trigger::Operator(who.to_owned())
}

/// The files of a sample: how their names end, and what they hold. Those beside the body come first, so that a case is
/// whole when its body comes.
fn files_of(plan: &Plan, sample: &NewSample) -> Result<Vec<(&'static str, String)>, SaveError> {
    let form = |what: &str, why: String| SaveError::Form(format!("{what} {why}"));
    for ending in [EXPECTED_ENDING, HEADERS_ENDING] {
        let ending = ending.trim_end_matches(BODY_ENDING);
        if sample.name.ends_with(ending) {
            let why = format!(
                "cannot end in {ending}: such files say what comes out and which headers come in"
            );
            return Err(form("the name of a sample", why));
        }
    }
    is_json(&sample.body).map_err(|why| form("`body`", why))?;
    if sample.body.len() > plan.limits.body_bytes {
        let why = format!(
            "has more than the {} bytes of limits.body",
            plan.limits.body_bytes
        );
        return Err(form("`body`", why));
    }
    let mut files = Vec::new();
    if let Some(expected) = &sample.expected {
        is_json(expected).map_err(|why| form("`expected`", why))?;
        files.push((EXPECTED_ENDING, expected.clone()));
    }
    if !sample.headers.is_empty() {
        files.push((HEADERS_ENDING, headers_text(&sample.headers)));
    }
    files.push((BODY_ENDING, sample.body.clone()));
    Ok(files)
}

fn is_json(text: &str) -> Result<(), String> {
    let read: Result<Value, _> = serde_json::from_str(text);
    read.map(drop)
        .map_err(|error| format!("is not JSON: {error}"))
}

/// A folder with links followed as far as it is there.
fn real_folder(folder: &Path) -> Result<PathBuf, String> {
    let folder = std::path::absolute(folder).map_err(config::in_words)?;
    for known in folder.ancestors() {
        if let (Ok(real), Ok(rest)) = (known.canonicalize(), folder.strip_prefix(known)) {
            return Ok(match rest.as_os_str().is_empty() {
                true => real,
                false => real.join(rest),
            });
        }
    }
    Ok(folder)
}

/// Whether a file is still what somebody wants to replace.
fn unchanged(place: &Place, expected: &Expected) -> Result<(), SaveError> {
    match (expected, place.exists) {
        (Expected::Absent, false) => Ok(()),
        (Expected::Absent, true) => Err(SaveError::Changed(IS_THERE)),
        (Expected::Hash(_), false) => Err(SaveError::Changed(IS_GONE)),
        (Expected::Hash(wanted), true) => {
            let bytes = std::fs::read(&place.path)
                .map_err(|error| SaveError::Disk(words(&place.path, &error)))?;
            match hash(&bytes) == *wanted {
                true => Ok(()),
                false => Err(SaveError::Changed(OTHER_TEXT)),
            }
        }
    }
}

/// Replaces a file in one step, by one with the same owner and rights.
fn replace(place: &Place, bytes: &[u8], expected: &Expected) -> Result<(), SaveError> {
    let path = &place.path;
    let disk = |error: io::Error| SaveError::Disk(words(path, &error));
    let known = std::fs::metadata(path).map_err(disk)?;
    let beside = beside(path);
    let written = write_new(&beside, bytes, Some(&known))
        .map_err(disk)
        // Once more, as late as can be.
        .and_then(|()| unchanged(place, expected))
        .and_then(|()| std::fs::rename(&beside, path).map_err(disk));
    if written.is_err() {
        // It may never have been made.
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    sync_folder(path).map_err(disk)
}

/// Makes new files, in this order, each whole or not at all; none if one of them is there already.
fn create(files: &[(PathBuf, &[u8])]) -> io::Result<()> {
    let mut temporary = Vec::new();
    let mut made = Vec::new();
    let mut write = || -> io::Result<()> {
        for (path, bytes) in files {
            let beside = beside(path);
            temporary.push(beside.clone());
            write_new(&beside, bytes, None)?;
        }
        for ((path, _), beside) in files.iter().zip(&temporary) {
            // Unlike a rename, a link replaces nothing.
            std::fs::hard_link(beside, path)?;
            made.push(path);
        }
        Ok(())
    };
    let written = write();
    for path in &temporary {
        let _ = std::fs::remove_file(path);
    }
    if written.is_err() {
        for path in made {
            let _ = std::fs::remove_file(path);
        }
    }
    written?;
    files.first().map_or(Ok(()), |(path, _)| sync_folder(path))
}

fn of_creating(error: &io::Error, exists: SaveError) -> SaveError {
    match error.kind() {
        io::ErrorKind::AlreadyExists => exists,
        _ => SaveError::Disk(format!("it cannot be written: {error}")),
    }
}

/// A name in the same folder that nobody else uses; hidden, so that it is neither a template nor a case.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".ingate-{}.tmp", uuid::Uuid::now_v7()))
}

fn write_new(path: &Path, bytes: &[u8], like: Option<&Metadata>) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    if let Some(known) = like {
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (known.uid(), known.gid()) {
            std::os::unix::fs::fchown(&file, Some(known.uid()), Some(known.gid())).map_err(
                |error| {
                    let why =
                        format!("it belongs to another user and would change hands ({error})");
                    io::Error::new(error.kind(), why)
                },
            )?;
        }
        file.set_permissions(known.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn words(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}

/// The SHA-256 of bytes, in hex.
fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

async fn blocking(
    work: impl FnOnce() -> Result<(), SaveError> + Send + 'static,
) -> Result<(), SaveError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(SaveError::Disk(format!("writing broke down: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_only_if_it_is_what_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.liquid");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let place = Place {
            path: path.clone(),
            exists: true,
        };
        let old = Expected::Hash(hash(b"old"));
        replace(&place, b"new", &old).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        for expected in [&old, &Expected::Absent] {
            let error = replace(&place, b"newer", expected).unwrap_err();
            assert!(matches!(error, SaveError::Changed(_)), "{error:?}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["a.liquid"], "nothing is left behind");
    }

    #[test]
    fn new_files_replace_nothing_and_come_all_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        create(&[(path("a"), b"1"), (path("b"), b"2")]).unwrap();
        assert_eq!(std::fs::read(path("b")).unwrap(), b"2");
        let error = create(&[(path("c"), b"3"), (path("a"), b"4")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(names(dir.path()), ["a", "b"]);
        assert_eq!(std::fs::read(path("a")).unwrap(), b"1");
        assert!(create(&[(path("none/x"), b"")]).is_err());
    }

    #[test]
    fn what_cannot_be_a_sample_is_refused() {
        let plan = Plan::bare();
        let sample = NewSample {
            route: "r".parse().unwrap(),
            name: "paid".to_owned(),
            body: "{\"a\": 1}".to_owned(),
            headers: HeaderMap::from_iter([(http::header::HOST, "x".parse().unwrap())]),
            expected: Some("[]".to_owned()),
        };
        let files = files_of(&plan, &sample).unwrap();
        let endings: Vec<&str> = files.iter().map(|(ending, _)| *ending).collect();
        assert_eq!(endings, [".out.json", ".headers.json", ".json"]);
        type Change = fn(&mut NewSample);
        let changes: [(&str, Change); 5] = [
            ("`body` is not JSON", |s| s.body = "{".to_owned()),
            ("`expected` is not JSON", |s| {
                s.expected = Some(String::new())
            }),
            ("limits.body", |s| {
                s.body = format!("\"{}\"", "x".repeat(2 << 20))
            }),
            ("cannot end in .out", |s| s.name = "a.out".to_owned()),
            ("cannot end in .headers", |s| {
                s.name = "a.headers".to_owned()
            }),
        ];
        for (wanted, change) in changes {
            let mut sample = sample.clone();
            change(&mut sample);
            let error = files_of(&plan, &sample).unwrap_err().to_string();
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }
}
