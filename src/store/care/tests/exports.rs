//! What is exported and counted agrees with what the store answers.

use bytes::Bytes;
use serde_json::Value;

use super::super::super::DeliveryFilter;
use super::super::{EventFilter, Exported, Folder, Viewer, export, stats};
use super::*;
use crate::delivery::StateKind;
use crate::event::EventParts;
use crate::redact::{Redaction, View};

fn whole(_: &EventParts) -> View {
    View::whole()
}

fn lines(path: &Path, filter: &EventFilter, viewer: &Viewer<'_>) -> Vec<Value> {
    let mut out = Vec::new();
    let folder = Folder::open(path).unwrap();
    let exported = export(&folder, filter, viewer, &mut out).unwrap();
    let lines: Vec<Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events = lines.len() as u64;
    assert_eq!(exported, Exported { events, damaged: 0 });
    lines
}

#[tokio::test]
async fn every_event_is_exported_once_and_oldest_first_also_after_cleaning() {
    let world = World::new().await;
    world.fill().await;
    for cleaned in [false, true] {
        if cleaned {
            world.clock.advance(Duration::from_secs(30 * 24 * 3600));
            world.admit(&["erp"], "\"young\"").await;
            assert!(world.store.clean_once().await.unwrap() > 1);
        }
        let exported = lines(&world.path(), &EventFilter::default(), &whole);
        let mut rows = world.store.events(None, 9999).await.unwrap();
        rows.reverse();
        assert_eq!(exported.len(), rows.len());
        for (line, row) in exported.iter().zip(&rows) {
            let event = world.store.event(row.id).await.unwrap();
            let parts = event.parts();
            let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
            assert_eq!(id(line), row.id.to_string());
            assert_eq!(line["body"].as_str().unwrap().as_bytes(), parts.body);
            assert_eq!(line["source"], "wreno");
            assert_eq!(line["type"], "order.paid");
            assert_eq!(line["message_id"], format!("msg-{}", row.id));
            assert_eq!(line["received_at"], parts.received_at.to_string());
            assert_eq!(line["headers"][0]["name"], "x-test");
            let shown: Vec<_> = line["deliveries"].as_array().unwrap().iter().collect();
            assert_eq!(shown.len(), row.deliveries.len());
            for (shown, id_known) in shown.into_iter().zip(&row.deliveries) {
                let delivery = world.store.delivery(*id_known).await.unwrap();
                assert_eq!(id(shown), delivery.id.to_string());
                assert_eq!(shown["target"], delivery.target.as_str());
                assert_eq!(shown["state"], delivery.state.kind().as_str());
                assert_eq!(shown["attempts_made"], delivery.attempts);
            }
        }
    }
}

#[tokio::test]
async fn filters_and_redaction_choose_what_is_shown() {
    let world = World::new().await;
    let start = world.clock.now();
    let (dead, _) = world.admit(&["erp"], "{\"n\":1}").await;
    world.settle("erp", Next::Bury(DeadReason::Gone)).await;
    let mut binary = admission(world.clock.now(), &[], "");
    let mut parts = binary.event.parts().clone();
    parts.body = Bytes::from_static(b"\xff\x00");
    parts.source = "compliancely".parse().unwrap();
    binary.event = Arc::new(crate::event::Event::from_stored(parts));
    let binary = world.store.admit(binary).await.unwrap().event;
    world.clock.advance(Duration::from_secs(60));
    let (late, _) = world.admit(&["erp"], "{}").await;
    let minute = start + Duration::from_secs(30);
    let all = EventFilter::default;
    type Case = (EventFilter, Vec<EventId>);
    let cases: Vec<Case> = vec![
        (all(), vec![dead, binary, late]),
        (
            EventFilter {
                source: Some("wreno".parse().unwrap()),
                ..all()
            },
            vec![dead, late],
        ),
        (
            EventFilter {
                since: Some(minute),
                ..all()
            },
            vec![late],
        ),
        (
            EventFilter {
                until: Some(minute),
                ..all()
            },
            vec![dead, binary],
        ),
        (
            EventFilter {
                since: Some(start),
                until: Some(start),
                ..all()
            },
            vec![],
        ),
        (
            EventFilter {
                state: Some(StateKind::Dead),
                ..all()
            },
            vec![dead],
        ),
        (
            EventFilter {
                state: Some(StateKind::Pending),
                ..all()
            },
            vec![late],
        ),
        (
            EventFilter {
                state: Some(StateKind::Discarded),
                ..all()
            },
            vec![],
        ),
    ];
    for (filter, wanted) in cases {
        let shown = lines(&world.path(), &filter, &whole);
        let ids: Vec<_> = shown
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        assert_eq!(ids, wanted, "{filter:?}");
    }
    let shown = lines(&world.path(), &all(), &whole);
    assert_eq!(shown[0]["deliveries"][0]["reason"], "gone");
    assert_eq!(shown[1]["body_base64"], "/wA=");
    assert_eq!(shown[1].get("body"), None);
    let bare = lines(
        &world.path(),
        &EventFilter {
            no_bodies: true,
            ..all()
        },
        &whole,
    );
    assert!(
        bare.iter()
            .all(|it| it.get("body").is_none() && it.get("body_base64").is_none())
    );
    let redaction = Redaction::compile(&["/n".to_owned()]).unwrap();
    let viewer = |parts: &EventParts| redaction.view(&parts.body);
    let shown = lines(&world.path(), &all(), &viewer);
    assert_eq!(shown[0]["body"], "{\"n\":\"[redacted]\"}");
    assert_eq!(shown[0]["body_redacted"], "values");
    assert_eq!(shown[1]["body_redacted"], "not_json");
    assert_eq!(shown[1].get("body_base64"), None);
}

#[tokio::test]
async fn stats_count_what_the_store_counts() {
    let world = World::new().await;
    world.fill().await;
    let found = stats(&Folder::open(&world.path()).unwrap()).unwrap();
    assert!(found.in_use);
    assert_eq!(
        (found.events, found.unmatched, found.damaged),
        (FILLED, ROUNDS, 0)
    );
    let filter = DeliveryFilter::default();
    let all = world.store.deliveries(&filter, None, 9999);
    let all = all.await.unwrap();
    for target in &found.targets {
        let of = |kind: StateKind| {
            let mine = all.iter().filter(|it| it.target == target.target);
            mine.filter(|it| it.state.kind() == kind).count() as u64
        };
        let wanted = StateKind::ALL.map(of);
        let counted = [
            target.pending,
            target.delivered,
            target.dead,
            target.discarded,
        ];
        assert_eq!(counted, wanted);
    }
    assert_eq!(found.targets.len(), 2);
    let dead: u64 = found.dead.iter().map(|it| it.count).sum();
    let groups = world.store.dead_groups().await.unwrap();
    assert_eq!(dead, groups.iter().map(|it| it.count).sum::<u64>());
    let depths = world.store.depths().await.unwrap();
    let oldest = depths.iter().filter_map(|it| it.oldest_pending).min();
    assert_eq!(found.oldest_pending.map(|it| it.started_at), oldest);
    assert!(found.segments > 2 && found.bytes.journal > 30_000 && found.bytes.index > 0);
    assert!(found.free_bytes.is_some());
    let (_folder, path) = world.closed().await;
    assert!(!stats(&Folder::open(&path).unwrap()).unwrap().in_use);
}
