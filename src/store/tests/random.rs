//! Any order of operations, with restarts, crashes, cleaning and lost indexes, against a model in memory.
//!
//! A history is shrunk to the shortest one that fails, and is tried first from then on (see the folder
//! `proptest-regressions`). Where the fold runs by itself that may fail to repeat, so half of the histories have it run
//! only when they say so.

mod model;
mod world;

use std::time::Duration;

use proptest::prelude::*;

use super::cases;
use crate::order::OnDead;
use world::World;

/// What a store is asked to do. Numbers choose among what there is at the time.
#[derive(Debug, Clone)]
enum Op {
    Admit(Admit),
    Claim {
        target: u8,
        most: usize,
    },
    Settle {
        which: u8,
        freeze: bool,
        end: End,
    },
    Release {
        which: u8,
    },
    Hold {
        which: u8,
    },
    Resume {
        target: u8,
        other: bool,
    },
    Revive {
        which: u8,
    },
    /// Taken up again by a replay, rendered anew or not.
    Replay {
        which: u8,
        job: u8,
        anew: bool,
    },
    /// New deliveries of an event.
    Add {
        which: u8,
        legs: Vec<Leg>,
    },
    /// A target is paused, or not any more.
    Pause {
        target: u8,
        on: bool,
    },
    /// How far a replay is.
    Progress {
        job: u8,
        end: bool,
    },
    /// A configuration comes into force.
    Plan(u8),
    Discard {
        which: u8,
    },
    Purge {
        which: u8,
    },
    Audit,
    Pass(Duration),
    Clean,
    Fold(Fold),
    Restart(Index),
    Crash {
        index: Index,
        cleaning: bool,
    },
    Compare,
}

/// An event that comes in.
#[derive(Debug, Clone)]
struct Admit {
    key: Option<Key>,
    legs: Vec<Leg>,
    /// So that segments are filled.
    is_long: bool,
}

#[derive(Debug, Clone)]
struct Key {
    key: u8,
    body: u8,
    window: Duration,
}

/// One delivery of it.
#[derive(Debug, Clone)]
struct Leg {
    target: u8,
    /// By the route `other`, else by `orders`.
    other: bool,
    order: Option<(u8, OnDead)>,
    is_dead: bool,
}

/// What became of an attempt.
#[derive(Debug, Clone)]
enum End {
    Done,
    RetryIn(Duration),
    Bury,
}

/// What the fold does from here on.
#[derive(Debug, Clone, Copy)]
enum Fold {
    Pause,
    Run,
    /// It runs until nothing is left, and then does as before.
    CatchUp,
}

/// What the next process finds as the index.
#[derive(Debug, Clone, Copy)]
enum Index {
    Same,
    Removed,
    /// As it was when the store was last closed in good order, if it was.
    Older,
    /// The same, and nothing tells that it is old.
    OlderUnnoted,
}

/// What stays as it is throughout a history.
#[derive(Debug, Clone)]
struct Setting {
    window: usize,
    window_bytes: usize,
    fold_batch: usize,
    segment_bytes: u64,
    dead_retention: Option<Duration>,
    /// The fold runs only when it is told to.
    is_steady: bool,
    /// Whether it is restarted before all that is left is delivered.
    is_reopened: bool,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn seconds(some: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    some.prop_map(Duration::from_secs)
}

fn setting() -> impl Strategy<Value = Setting> {
    (
        1..=8usize,
        0..8000usize,
        1..20usize,
        prop_oneof![Just(2 << 10), Just(6 << 10), Just(16 << 10)],
        prop::option::of(seconds(DAY..10 * DAY)),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(
                window,
                window_bytes,
                fold_batch,
                segment_bytes,
                dead_retention,
                is_steady,
                is_reopened,
            )| Setting {
                window,
                window_bytes,
                fold_batch,
                segment_bytes,
                dead_retention,
                is_steady,
                is_reopened,
            },
        )
}

fn leg() -> impl Strategy<Value = Leg> {
    let on_dead = prop_oneof![Just(OnDead::Hold), Just(OnDead::Skip)];
    (
        0..3u8,
        prop::bool::weighted(0.2),
        prop::option::weighted(0.7, (0..3u8, on_dead)),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(target, other, order, is_dead)| Leg {
            target,
            other,
            order,
            is_dead,
        })
}

fn admit() -> impl Strategy<Value = Op> {
    let windows = prop_oneof![
        3 => Just(Duration::from_secs(60)),
        1 => Just(Duration::from_secs(2 * HOUR)),
        1 => Just(Duration::from_secs(10 * DAY)),
    ];
    let key = (0..6u8, 0..2u8, windows).prop_map(|(key, body, window)| Key { key, body, window });
    (
        prop::option::weighted(0.4, key),
        prop::collection::vec(leg(), 0..=3),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(key, legs, is_long)| Op::Admit(Admit { key, legs, is_long }))
}

fn settle() -> impl Strategy<Value = Op> {
    let end = prop_oneof![
        4 => Just(End::Done),
        2 => seconds(0..90).prop_map(End::RetryIn),
        1 => seconds(HOUR..3 * HOUR).prop_map(End::RetryIn),
        2 => Just(End::Bury),
    ];
    (any::<u8>(), any::<bool>(), end).prop_map(|(which, freeze, end)| Op::Settle {
        which,
        freeze,
        end,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let which = any::<u8>();
    let target = 0..3u8;
    let index = || {
        prop_oneof![
            4 => Just(Index::Same),
            2 => Just(Index::Removed),
            1 => Just(Index::Older),
            1 => Just(Index::OlderUnnoted),
        ]
    };
    let pass = prop_oneof![
        6 => (0..20_000u64).prop_map(Duration::from_millis),
        2 => seconds(MINUTE..3 * HOUR),
        1 => seconds(4 * DAY..8 * DAY),
    ];
    let fold = prop_oneof![
        2 => Just(Fold::CatchUp),
        1 => Just(Fold::Pause),
        1 => Just(Fold::Run),
    ];
    prop_oneof![
        28 => admit(),
        18 => (target.clone(), 1..12usize).prop_map(|(target, most)| Op::Claim { target, most }),
        20 => settle(),
        3 => which.prop_map(|which| Op::Release { which }),
        3 => which.prop_map(|which| Op::Hold { which }),
        2 => (target.clone(), any::<bool>())
            .prop_map(|(target, other)| Op::Resume { target, other }),
        3 => which.prop_map(|which| Op::Revive { which }),
        3 => (which, 0..3u8, any::<bool>())
            .prop_map(|(which, job, anew)| Op::Replay { which, job, anew }),
        4 => (which, prop::collection::vec(leg(), 1..=3))
            .prop_map(|(which, legs)| Op::Add { which, legs }),
        1 => (target.clone(), any::<bool>()).prop_map(|(target, on)| Op::Pause { target, on }),
        1 => (0..3u8, any::<bool>()).prop_map(|(job, end)| Op::Progress { job, end }),
        1 => (0..2u8).prop_map(Op::Plan),
        3 => which.prop_map(|which| Op::Discard { which }),
        2 => which.prop_map(|which| Op::Purge { which }),
        1 => Just(Op::Audit),
        7 => pass.prop_map(Op::Pass),
        2 => Just(Op::Clean),
        5 => fold.prop_map(Op::Fold),
        1 => index().prop_map(Op::Restart),
        1 => (index(), prop::bool::weighted(0.4))
            .prop_map(|(index, cleaning)| Op::Crash { index, cleaning }),
        1 => Just(Op::Compare),
    ]
}

fn play(setting: Setting, ops: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(setting).await;
        for op in ops {
            world.run(op).await;
        }
        world.end().await;
    });
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn any_history_agrees_with_the_model(
        setting in setting(),
        ops in prop::collection::vec(op(), 1..=80),
    ) {
        play(setting, ops);
    }
}

/// The smallest of everything, and the fold runs only when it is told to.
fn smallest() -> Setting {
    Setting {
        window: 1,
        window_bytes: 0,
        fold_batch: 1,
        segment_bytes: 2048,
        dead_retention: None,
        is_steady: true,
        is_reopened: false,
    }
}

/// Admits one delivery to the first target.
fn one(order: Option<u8>) -> Op {
    let leg = Leg {
        target: 0,
        other: false,
        order: order.map(|key| (key, OnDead::Hold)),
        is_dead: false,
    };
    Op::Admit(Admit {
        key: None,
        legs: vec![leg],
        is_long: false,
    })
}

fn claim(most: usize) -> Op {
    Op::Claim { target: 0, most }
}

fn done() -> Op {
    Op::Settle {
        which: 0,
        freeze: false,
        end: End::Done,
    }
}

fn wait() -> Op {
    Op::Pass(Duration::from_secs(1))
}

#[test]
fn the_next_in_line_goes_though_the_index_does_not_know_yet_that_it_is_first() {
    let ops = vec![
        one(Some(1)),
        wait(),
        one(None),
        one(None),
        one(None),
        wait(),
        one(Some(1)),
        Op::Fold(Fold::CatchUp),
        claim(1),
        done(),
        // takes the next in line into memory, and lets it go again
        claim(2),
        claim(8),
    ];
    play(smallest(), ops);
}
