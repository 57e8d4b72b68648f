//! Which deliveries an event gets, when it comes in or is routed anew. Pure.
//!
//! Not here: which routes take it (see `plan`).

use jiff::Timestamp;

use crate::delivery::{DeadReason, Delivery, State};
use crate::event::Event;
use crate::id::DeliveryId;
use crate::plan::{Plan, Route};

/// One delivery for each target of a route that takes the event.
#[must_use]
pub fn deliveries(plan: &Plan, route: &Route, event: &Event, now: Timestamp) -> Vec<Delivery> {
    let dead = if event.parts().hops > plan.max_hops {
        Some(DeadReason::Loop)
    } else if route.template.is_some() && event.json().is_none() {
        Some(DeadReason::NotJson)
    } else {
        None
    };
    let state = match dead {
        Some(reason) => State::Dead { at: now, reason },
        None => State::Pending { due: now },
    };
    let order = |target| {
        let by = plan.targets.get(target)?.order.as_ref()?;
        by.of(event.json())
    };
    route
        .to
        .iter()
        .map(|target| Delivery {
            id: DeliveryId::generate(),
            event: event.id(),
            route: route.name.clone(),
            target: target.clone(),
            state: state.clone(),
            attempts: 0,
            started_at: now,
            order: order(target),
            mark: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::event::EventParts;
    use crate::id::EventId;
    use crate::pattern::Pattern;
    use crate::plan::Revive;

    #[test]
    fn every_target_of_a_route_gets_a_delivery() {
        let now = Timestamp::UNIX_EPOCH;
        let route = Route {
            name: "r".parse().unwrap(),
            from: vec!["s".parse().unwrap()],
            pattern: Pattern::default(),
            template: None,
            schema: None,
            revive: Revive::Manual,
            to: vec!["one".parse().unwrap(), "two".parse().unwrap()],
        };
        let pending = State::Pending { due: now };
        let dead = State::Dead {
            at: now,
            reason: DeadReason::Loop,
        };
        let plan = Plan {
            max_hops: 3,
            ..Plan::bare()
        };
        for (hops, state) in [(0, &pending), (3, &pending), (4, &dead), (u32::MAX, &dead)] {
            let event = Event::from_stored(EventParts {
                id: EventId::generate(),
                source: "s".parse().unwrap(),
                message_id: None,
                event_type: "t".to_owned(),
                headers: Vec::new(),
                body: Bytes::from_static(b"not json"),
                received_at: now,
                hops,
            });
            let made = deliveries(&plan, &route, &event, now);
            let targets: Vec<_> = made.iter().map(|d| d.target.as_str()).collect();
            assert_eq!(targets, ["one", "two"]);
            for delivery in made {
                assert_eq!(delivery.state, *state, "{hops} hops");
                assert_eq!(delivery.event, event.id());
                assert_eq!((delivery.attempts, delivery.started_at), (0, now));
            }
        }
    }
}
