//! What version 3 says more: it stands behind the payload, which is as it always was.
//!
//! It begins with a byte that is never 0, since zeros behind a payload count for nothing, and is left out where there is nothing
//! to say. Version 2 has the orders of deliveries there, and nothing else.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{
    Added, Attempted, Carried, Content, Purged, RecordError, Revived, StoredAttempt,
    StoredDelivery, StoredMark, StoredOrder, StoredReceipt, StoredSent,
};

/// How it begins.
const TAG: u8 = 3;

/// Of a delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct DeliveryExtra {
    order: Option<StoredOrder>,
    mark: Option<StoredMark>,
    had_success: bool,
}

/// Of an event: its receipt, its deliveries, what their attempts sent, and whether deliveries were added to it; lists are
/// left empty where there is nothing to say.
type EventExtra<Receipt> = (
    Option<Receipt>,
    Vec<DeliveryExtra>,
    Vec<Vec<Option<StoredSent>>>,
    bool,
);

/// Of one that was taken up again: by what, and whether its frozen body counts no more.
type RevivedExtra = (Option<StoredMark>, bool);

/// Appends to a payload what version 3 says more of it.
pub(super) fn append(content: &Content, payload: Vec<u8>) -> Result<Vec<u8>, RecordError> {
    match content {
        Content::Accepted(it) => event(it.receipt.as_ref(), &it.deliveries, None, payload),
        Content::Added(it) => event(None, &it.deliveries, None, payload),
        Content::Carried(it) | Content::Purged(Purged { remains: it, .. }) => {
            let deliveries = it.deliveries.iter();
            let deliveries: Vec<_> = deliveries.map(|one| one.delivery.clone()).collect();
            event(it.receipt.as_ref(), &deliveries, Some(it), payload)
        }
        Content::Attempted(it) => match &it.attempt.sent {
            Some(sent) => tagged(sent, payload),
            None => Ok(payload),
        },
        Content::Revived(Revived { mark, anew, .. }) => {
            if mark.is_none() && !anew {
                return Ok(payload);
            }
            tagged(&(mark, anew), payload)
        }
        Content::Discarded(_) | Content::Operator(_) => Ok(payload),
    }
}

fn event(
    receipt: Option<&StoredReceipt>,
    deliveries: &[StoredDelivery],
    carried: Option<&Carried>,
    payload: Vec<u8>,
) -> Result<Vec<u8>, RecordError> {
    let mut extras: Vec<_> = deliveries
        .iter()
        .map(|one| DeliveryExtra {
            order: one.order,
            mark: one.mark,
            had_success: one.had_success,
        })
        .collect();
    if extras.iter().all(|one| *one == DeliveryExtra::default()) {
        extras.clear();
    }
    let sent = |log: &[StoredAttempt]| log.iter().map(|attempt| attempt.sent).collect();
    let with_logs = carried.map_or(&[][..], |it| it.deliveries.as_slice());
    let mut logs: Vec<Vec<Option<StoredSent>>> =
        with_logs.iter().map(|one| sent(&one.log)).collect();
    if logs.iter().flatten().all(Option::is_none) {
        logs.clear();
    }
    let added = carried.is_some_and(|it| it.added);
    if receipt.is_none() && extras.is_empty() && logs.is_empty() && !added {
        return Ok(payload);
    }
    let extra: EventExtra<&StoredReceipt> = (receipt, extras, logs, added);
    tagged(&extra, payload)
}

fn tagged(extra: &impl Serialize, mut payload: Vec<u8>) -> Result<Vec<u8>, RecordError> {
    payload.push(TAG);
    Ok(postcard::to_extend(extra, payload)?)
}

/// What stands behind a payload of version 3; the default if nothing does.
fn read<T: DeserializeOwned + Default>(rest: &[u8]) -> Result<T, RecordError> {
    match rest.split_first() {
        Some((&TAG, extra)) => Ok(postcard::from_bytes(extra)?),
        _ => Ok(T::default()),
    }
}

/// Puts what stands behind a payload of this version where it belongs.
pub(super) fn put(content: &mut Content, version: u8, rest: &[u8]) -> Result<(), RecordError> {
    match version {
        0 | 1 => Ok(()),
        2 => put_orders(content, rest),
        _ => put_extra(content, rest),
    }
}

fn put_orders(content: &mut Content, rest: &[u8]) -> Result<(), RecordError> {
    if rest.is_empty() {
        return Ok(());
    }
    let holds_deliveries = matches!(
        content,
        Content::Accepted(_) | Content::Carried(_) | Content::Purged(_)
    );
    if holds_deliveries {
        let orders: Vec<Option<StoredOrder>> = postcard::from_bytes(rest)?;
        for (delivery, order) in deliveries(content).into_iter().zip(orders) {
            delivery.order = order;
        }
    }
    Ok(())
}

fn put_extra(content: &mut Content, rest: &[u8]) -> Result<(), RecordError> {
    match content {
        Content::Accepted(_) | Content::Added(_) | Content::Carried(_) | Content::Purged(_) => {
            put_event(content, read(rest)?);
        }
        Content::Attempted(Attempted { attempt, .. }) => {
            if let Some((&TAG, extra)) = rest.split_first() {
                attempt.sent = Some(postcard::from_bytes(extra)?);
            }
        }
        Content::Revived(it) => {
            let (mark, anew): RevivedExtra = read(rest)?;
            (it.mark, it.anew) = (mark, anew);
        }
        Content::Discarded(_) | Content::Operator(_) => {}
    }
    Ok(())
}

fn put_event(content: &mut Content, extra: EventExtra<StoredReceipt>) {
    let (receipt, extras, logs, added) = extra;
    for (delivery, extra) in deliveries(content).into_iter().zip(extras) {
        delivery.order = extra.order;
        delivery.mark = extra.mark;
        delivery.had_success = extra.had_success;
    }
    match content {
        Content::Accepted(it) => it.receipt = receipt,
        Content::Carried(it) | Content::Purged(Purged { remains: it, .. }) => {
            (it.receipt, it.added) = (receipt, added);
            for (one, log) in it.deliveries.iter_mut().zip(logs) {
                for (attempt, sent) in one.log.iter_mut().zip(log) {
                    attempt.sent = sent;
                }
            }
        }
        _ => {}
    }
}

/// The deliveries that a record holds.
fn deliveries(content: &mut Content) -> Vec<&mut StoredDelivery> {
    match content {
        Content::Accepted(it) => it.deliveries.iter_mut().collect(),
        Content::Added(Added { deliveries, .. }) => deliveries.iter_mut().collect(),
        Content::Carried(it) | Content::Purged(Purged { remains: it, .. }) => {
            let all = it.deliveries.iter_mut();
            all.map(|one| &mut one.delivery).collect()
        }
        _ => Vec::new(),
    }
}

/// Appends to a payload what version 2 says more of it.
pub(super) fn append_orders(content: &Content, payload: Vec<u8>) -> Result<Vec<u8>, RecordError> {
    let orders: Vec<_> = match content {
        Content::Accepted(it) => it.deliveries.iter().map(|one| one.order).collect(),
        Content::Carried(it) | Content::Purged(Purged { remains: it, .. }) => {
            it.deliveries.iter().map(|one| one.delivery.order).collect()
        }
        _ => Vec::new(),
    };
    if orders.iter().all(Option::is_none) {
        return Ok(payload);
    }
    Ok(postcard::to_extend(&orders, payload)?)
}
