//! The instances that share the store, and which of them makes the attempts to a target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::admin::Door;
use crate::admin::answer::{Answer, json};
use crate::admin::query;
use crate::admin::routes::Call;
use crate::admin::shapes::{FleetShape, InstanceShape, OwnerShape};
use crate::dispatch::BreakerState;
use crate::fleet::{self, Member};
use crate::id::TargetName;
use crate::store::{Instance, StoreError};

/// The number of an instance that has the store for itself.
const ALONE: u64 = 1;

/// `GET /api/v1/fleet`: the instances that share the store, oldest first; only this one where none can.
pub(in crate::admin) async fn fleet(door: Arc<Door>, call: Call) -> Answer {
    query::nothing(&call.query)?;
    let shared = door.admin.store.is_shared();
    let members = members(&door).await?;
    let differs = members.iter().any(|member| member.differs);
    let items = members.into_iter().map(InstanceShape::from).collect();
    let shape = FleetShape {
        items,
        next: (),
        shared,
        differs,
    };
    Ok(json(StatusCode::OK, &shape))
}

/// All instances, this one among them.
pub(super) async fn members(door: &Door) -> Result<Vec<Member>, StoreError> {
    let instances = match door.admin.store.fleet().await? {
        Some(instances) => instances,
        None => vec![alone(door)],
    };
    Ok(fleet::members(instances))
}

/// This instance, where it has the store for itself.
fn alone(door: &Door) -> Instance {
    let (admin, plan) = (&door.admin, door.admin.plan.get());
    let is_down = |name: &&TargetName| {
        let breaker = admin.lanes.get(name).and_then(|view| view.breaker);
        breaker.is_some_and(|breaker| breaker.state != BreakerState::Closed)
    };
    let name = rustix::system::uname();
    Instance {
        id: ALONE,
        name: name.nodename().to_string_lossy().into_owned(),
        this: true,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: admin.live.started_at,
        silent: Duration::ZERO,
        plan: match (plan.generation.get(), plan.fingerprint.get()) {
            (Some(generation), Some(fingerprint)) => Some((generation.number, *fingerprint)),
            _ => None,
        },
        owns: plan.targets.keys().cloned().collect(),
        down: plan.targets.keys().filter(is_down).cloned().collect(),
    }
}

/// Which instance makes the attempts to each target; none of any where the store is not shared.
#[derive(Debug, Default)]
pub(super) struct Owners(BTreeMap<TargetName, Owner>);

/// The instance that makes the attempts to a target.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) shape: OwnerShape,
    /// Whether it takes the target to be down.
    pub(super) down: bool,
}

impl Owners {
    /// Those of now.
    pub(super) async fn of(door: &Door) -> Result<Self, StoreError> {
        if !door.admin.store.is_shared() {
            return Ok(Self::default());
        }
        Ok(Self::among(&members(door).await?))
    }

    /// Those of these instances.
    pub(super) fn among(members: &[Member]) -> Self {
        let mut owners = BTreeMap::new();
        for Member { instance, .. } in members {
            for target in &instance.owns {
                let owner = Owner {
                    shape: OwnerShape::from(instance),
                    down: instance.down.contains(target),
                };
                owners.insert(target.clone(), owner);
            }
        }
        Self(owners)
    }

    pub(super) fn get(&self, target: &TargetName) -> Option<&Owner> {
        self.0.get(target)
    }
}
