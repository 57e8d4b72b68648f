//! Routes.

use serde::Serialize;

use crate::id::{Digest, RouteName, SourceName, TargetName};
use crate::plan::{Plan, Route};

/// A route.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct RouteShape<'a> {
    name: &'a RouteName,
    from: &'a [SourceName],
    /// All must hold; none takes every event.
    #[serde(rename = "match")]
    rules: Vec<RuleShape<'a>>,
    /// Null if the body goes on unchanged.
    template: Option<&'a str>,
    template_hash: Option<Digest>,
    /// The file of the schema that the output must fit.
    schema: Option<&'a str>,
    to: &'a [TargetName],
    /// How many tests it declares.
    tests: usize,
    /// Whether it has a folder of cases.
    cases: bool,
    /// Whether what died rendering is taken up again by itself once the template has changed.
    revive: &'static str,
}

#[derive(Debug, Serialize)]
struct RuleShape<'a> {
    field: &'a str,
    wanted: &'a str,
}

impl<'a> RouteShape<'a> {
    /// The shape of a route of this plan.
    pub(in crate::admin) fn new(route: &'a Route, plan: &'a Plan) -> Self {
        let studio = &plan.studio;
        let rule = |(field, wanted)| RuleShape { field, wanted };
        Self {
            name: &route.name,
            from: &route.from,
            rules: route.pattern.written().map(rule).collect(),
            template: studio.of_route(&route.name).map(|file| file.file.as_str()),
            template_hash: route.template.as_ref().map(|template| template.hash()),
            schema: route.schema.as_ref().map(|schema| schema.schema.name()),
            to: &route.to,
            tests: studio.tests(&route.name).count(),
            cases: studio.cases.contains_key(&route.name),
            revive: route.revive.as_str(),
        }
    }
}
