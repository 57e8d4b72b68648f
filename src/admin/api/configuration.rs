//! The configuration: read anew, and who changed what.

use std::sync::Arc;

use http::StatusCode;

use super::page_of;
use crate::admin::Door;
use crate::admin::answer::{Answer, Code, Refusal, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::AuditShape;
use crate::reload::Trigger;

/// `GET /api/v1/audit?limit=&before=`: who changed what.
pub(in crate::admin) async fn audit(door: Arc<Door>, call: Call) -> Answer {
    let page = query::audit(&call.query)?;
    let rows = door.admin.store.audits(page.before, page.limit + 1).await?;
    let rows = rows.into_iter().map(AuditShape::from).collect();
    Ok(page_of(rows, page.limit, |row: &AuditShape| row.id))
}

/// `POST /api/v1/reload?skip_tests=`: 200 if the configuration is in force, 422 if it was refused; what came of it.
pub(in crate::admin) async fn reload(door: Arc<Door>, call: Call) -> Answer {
    let skip_tests = query::reload(&call.query)?;
    let Some(reloader) = &door.admin.reloader else {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            Code::NoConfigurationFile,
            "this daemon was started without a configuration file",
        ));
    };
    let report = reloader
        .reload(Trigger::Operator(call.actor), skip_tests)
        .await;
    let status = if report.applied {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    Ok(json(status, &report))
}
