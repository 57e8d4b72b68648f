//! New deliveries of a stored event: a record of its own, in which each stands as it would have at admission.
//!
//! Promise: they are there once the record is on disk, or never. While an event is carried or purged, nothing is added to it, so
//! that the record that takes the place of all before it names all of its deliveries.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::StoreError;
use super::index::change::{Change, What};
use super::index::rows::Place;
use super::journal::{Appended, JournalError};
use super::local::Inner;
use super::record::{Added, Content};
use crate::delivery::Delivery;
use crate::id::EventId;

/// How it ends.
type Ended = Result<(), StoreError>;

impl Inner {
    pub(super) async fn add_deliveries(
        self: &Arc<Self>,
        event: EventId,
        deliveries: Vec<Delivery>,
    ) -> Result<(), StoreError> {
        let stopped = |_| StoreError::Unavailable("stopped".to_owned());
        self.begin_adding(event, &deliveries)?
            .await
            .map_err(stopped)?
    }

    fn begin_adding(
        self: &Arc<Self>,
        id: EventId,
        deliveries: &[Delivery],
    ) -> Result<oneshot::Receiver<Ended>, StoreError> {
        // from here to the append no other record of the event gets into the journal
        let _order = self.order();
        {
            let gate = self.gate();
            let indexed = gate.index()?.event(id)?;
            let mut state = self.state();
            state.usable()?;
            let event = state.events.get(&id).cloned().or(indexed);
            let event = event.filter(|event| event.at.segment >= state.floor);
            let event = event.ok_or(StoreError::NotFound)?;
            if event.purged_at.is_some() {
                return Err(StoreError::Purged);
            }
            if state.burying.contains(&id) || state.cleaning == Some(event.at.segment) {
                return Err(StoreError::Unavailable(
                    "the event is being purged, or its part of the journal cleaned".to_owned(),
                ));
            }
            state.begin_adding(id, &event);
        }
        let content = Content::Added(Added {
            at: self.due_now(),
            event: *id.as_bytes(),
            deliveries: deliveries.iter().map(Into::into).collect(),
        });
        let nowhere = Place {
            segment: 0,
            offset: 0,
        };
        let what = What::new(&content, nowhere);
        let (answer, receiver) = oneshot::channel();
        let inner = Arc::clone(self);
        self.append(content, true, move |result| {
            // nobody may be waiting any more; what is added counts all the same
            let _ = answer.send(inner.adding_ended(id, what, result));
        });
        Ok(receiver)
    }

    fn adding_ended(
        &self,
        id: EventId,
        mut what: What,
        result: Result<Appended, JournalError>,
    ) -> Ended {
        let mut state = self.state();
        let appended = match result {
            Ok(appended) => appended,
            Err(error) => {
                state.not_added(id);
                return Err(error.into());
            }
        };
        self.space.written(0, appended.bytes);
        let at = Place::from(appended.position);
        what.place(at, appended.sequence);
        if let What::Added { deliveries, .. } = &what {
            state.added(id, deliveries);
        }
        state.queue(Change {
            at,
            sequence: appended.sequence,
            what,
        });
        drop(state);
        self.work.notify_all();
        Ok(())
    }
}
