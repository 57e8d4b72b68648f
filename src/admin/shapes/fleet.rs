//! The instances that share a store.

use serde::Serialize;

use super::Time;
use crate::fleet::Member;
use crate::id::{Digest, TargetName};
use crate::store::Instance;

/// All instances, on one page.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct FleetShape {
    /// Oldest first.
    pub(in crate::admin) items: Vec<InstanceShape>,
    /// There is no other page.
    pub(in crate::admin) next: (),
    /// Whether several can share the store; if not, there is this one alone.
    pub(in crate::admin) shared: bool,
    /// Whether any goes by another configuration than the one that came into force last.
    pub(in crate::admin) differs: bool,
}

/// One of the processes that share a store.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct InstanceShape {
    id: u64,
    name: String,
    /// Whether it is the one that answers.
    this: bool,
    version: String,
    started_at: Time,
    /// How long ago the others heard of it.
    silent_seconds: f64,
    /// What it goes by; null if it has not told yet.
    plan: Option<InstancePlanShape>,
    /// Whether that is another configuration than the one that came into force last.
    differs: bool,
    /// Targets to which it makes the attempts.
    targets: Vec<TargetName>,
    /// Those of them that it takes to be down.
    down: Vec<TargetName>,
}

/// The configuration of an instance.
#[derive(Debug, Serialize)]
struct InstancePlanShape {
    generation: u64,
    /// A hash of all files that it was made of.
    fingerprint: Digest,
}

impl From<Member> for InstanceShape {
    fn from(member: Member) -> Self {
        let Member { instance, differs } = member;
        Self {
            id: instance.id,
            name: instance.name,
            this: instance.this,
            version: instance.version,
            started_at: Time(instance.started_at),
            silent_seconds: instance.silent.as_secs_f64(),
            plan: instance
                .plan
                .map(|(generation, fingerprint)| InstancePlanShape {
                    generation,
                    fingerprint,
                }),
            differs,
            targets: instance.owns,
            down: instance.down,
        }
    }
}

/// How many instances there are, and how many of them differ.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct FleetCountShape {
    pub(in crate::admin) instances: usize,
    pub(in crate::admin) differing: usize,
}

impl FleetCountShape {
    pub(in crate::admin) fn of(members: &[Member]) -> Self {
        Self {
            instances: members.len(),
            differing: members.iter().filter(|member| member.differs).count(),
        }
    }
}

/// The instance that makes the attempts to a target.
#[derive(Debug, Clone, Serialize)]
pub(in crate::admin) struct OwnerShape {
    id: u64,
    name: String,
    /// Whether it is the one that answers.
    pub(in crate::admin) this: bool,
}

impl From<&Instance> for OwnerShape {
    fn from(instance: &Instance) -> Self {
        Self {
            id: instance.id,
            name: instance.name.clone(),
            this: instance.this,
        }
    }
}
