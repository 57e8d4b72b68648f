//! What an author of templates works with: the folder of templates, those that are in force, and the samples of routes.
//!
//! Not here: reading the files (see `config`), trying texts on samples (see `studio`).

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::id::RouteName;
use crate::template::{Proof, Template};

/// What an author works with.
#[derive(Debug, Clone, Default)]
pub struct StudioPlan {
    /// The folder of the templates.
    pub folder: PathBuf,
    /// The templates that routes name, each once, in the order of the routes.
    pub templates: Vec<TemplateFile>,
    /// The samples of routes, those that are tests as well, in the order of the configuration.
    pub samples: Vec<RouteSample>,
    /// The folders of cases, by route.
    pub cases: BTreeMap<RouteName, Cases>,
}

/// A template that routes name.
#[derive(Debug, Clone)]
pub struct TemplateFile {
    /// As the routes name it.
    pub name: String,
    /// The name of its file in the folder of templates.
    pub file: String,
    /// The file.
    pub path: PathBuf,
    /// The routes that name it.
    pub routes: Vec<RouteName>,
    /// The template.
    pub template: Arc<Template>,
    /// What is proven of it.
    pub proof: Proof,
}

/// A folder of cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cases {
    /// As the configuration names it.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
}

/// An event that a route declares, for trying its template on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSample {
    /// The same as long as route and file are; 16 digits in hex.
    pub id: String,
    /// The route.
    pub route: RouteName,
    /// The file of the body, as the configuration names it.
    pub name: String,
    /// The body.
    pub body: Bytes,
    /// The headers that it comes with.
    pub headers: HeaderMap,
    /// Whether it says what must come out.
    pub test: bool,
    /// What must come out, where it says so and that can be read.
    pub expected: Option<Bytes>,
}

impl StudioPlan {
    /// The template in force whose file in the folder has this name.
    #[must_use]
    pub fn template(&self, file: &str) -> Option<&TemplateFile> {
        self.templates.iter().find(|known| known.file == file)
    }

    /// The template in force of this route.
    #[must_use]
    pub fn of_route(&self, route: &RouteName) -> Option<&TemplateFile> {
        let names = |known: &&TemplateFile| known.routes.contains(route);
        self.templates.iter().find(names)
    }

    /// The sample of this id.
    #[must_use]
    pub fn sample(&self, id: &str) -> Option<&RouteSample> {
        self.samples.iter().find(|sample| sample.id == id)
    }

    /// The tests among the samples of a route.
    pub fn tests<'a>(&'a self, route: &'a RouteName) -> impl Iterator<Item = &'a RouteSample> {
        let is_test = move |sample: &&RouteSample| sample.test && sample.route == *route;
        self.samples.iter().filter(is_test)
    }
}

/// Gives samples their ids. A file that a route names several times counts its turns.
pub fn number(samples: &mut [RouteSample]) {
    let mut turns: HashMap<(RouteName, String), u64> = HashMap::new();
    for sample in samples {
        let key = (sample.route.clone(), sample.name.clone());
        let turn = turns.entry(key).or_default();
        sample.id = sample_id(&sample.route, &sample.name, *turn);
        *turn += 1;
    }
}

fn sample_id(route: &RouteName, name: &str, turn: u64) -> String {
    let mut hasher = Sha256::new();
    // A name holds no such byte.
    hasher.update(route.as_str().as_bytes());
    hasher.update([0]);
    hasher.update(name.as_bytes());
    hasher.update(turn.to_be_bytes());
    let hash = hex::encode(hasher.finalize());
    hash.get(..16).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_samples_apart_and_stay() {
        let sample = |route: &str, name: &str| RouteSample {
            id: String::new(),
            route: route.parse().unwrap(),
            name: name.to_owned(),
            body: Bytes::new(),
            headers: HeaderMap::new(),
            test: false,
            expected: None,
        };
        let ids = |mut samples: Vec<RouteSample>| -> Vec<String> {
            number(&mut samples);
            samples.into_iter().map(|sample| sample.id).collect()
        };
        let all = ids(vec![
            sample("a", "x.json"),
            sample("a", "x.json"),
            sample("b", "x.json"),
            sample("a", "y.json"),
        ]);
        let mut distinct = all.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 4, "{all:?}");
        assert!(all.iter().all(|id| id.len() == 16));
        // What stands before it does not change an id.
        assert_eq!(ids(vec![sample("a", "y.json")]), all[3..]);
    }
}
