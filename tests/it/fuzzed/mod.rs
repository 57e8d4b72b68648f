//! Any bytes where a sender or an operator writes them: the header of a signature, a record of a scheme, a pattern, a whole
//! request to `intake::accept`. The bounded form of the fuzz targets: seeds changed at random, the same at every run;
//! `INGATE_RANDOM_SECONDS` makes it longer, each time with another seed.

mod checks;

use std::time::{Duration, Instant};

use checks::{Became, Door, MARK, SCHEMES, Tally, pattern, scheme_record, signature_header};
use fastrand::Rng;

const SEED: u64 = 7;

/// Most bytes of an input.
const LONGEST: usize = 4096;

/// How long to go on beyond a bounded number of rounds, and with which seed.
fn run(rounds: u64) -> impl Iterator<Item = Rng> {
    let seconds = std::env::var("INGATE_RANDOM_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(0);
    let seed = if seconds > 0 { fastrand::u64(..) } else { SEED };
    println!("seed {seed}");
    let until = Instant::now() + Duration::from_secs(seconds);
    (0..)
        .take_while(move |round| *round < rounds || Instant::now() < until)
        .map(move |round| Rng::with_seed(seed.wrapping_add(round)))
}

/// One of the seeds, changed in some places.
fn changed(rng: &mut Rng, seeds: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut data = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.usize(..6) {
        let at = rng.usize(..=data.len());
        let to = (at + rng.usize(..=16)).min(data.len());
        match rng.u8(..7) {
            0 => drop(data.drain(at..to)),
            1 => drop(data.splice(at..at, words[rng.usize(..words.len())].iter().copied())),
            2 => drop(data.splice(at..to, words[rng.usize(..words.len())].iter().copied())),
            3 => {
                let piece = data[at..to].to_vec();
                let times = rng.usize(1..20);
                data.splice(at..at, piece.repeat(times));
            }
            4 => {
                let other = &seeds[rng.usize(..seeds.len())];
                let from = rng.usize(..=other.len());
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            5 => data.insert(at, rng.u8(..)),
            _ => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << rng.u8(..8);
                }
            }
        }
        data.truncate(LONGEST);
    }
    data
}

fn owned(seeds: &[&[u8]]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.to_vec()).collect()
}

#[test]
fn no_header_verifies_without_the_right_signature() {
    let seeds = owned(&[
        &[MARK],
        b"sha256=\x01",
        b"t=1767607200,v1=\x01",
        b"v1,\x01",
        b"v1,AAAA v1,\x01 v2,x",
        b"v1a,\x01",
        b"Bearer \x01",
        b"v1=\x01,v1=\x01,v0=00",
        b"\x01,\x01",
    ]);
    let words: [&[u8]; 14] = [
        b"\x01",
        b"v1",
        b"v1,",
        b"v1=",
        b"t=",
        b",",
        b" ",
        b"=",
        b"sha256=",
        b"Bearer ",
        b"00",
        b"AA==",
        b"\xff",
        b"t=1767607200",
    ];
    let mut taken = 0;
    for mut rng in run(20_000) {
        taken += signature_header(&changed(&mut rng, &seeds, &words));
    }
    assert!(taken > 5_000, "this says little: {taken}");
}

#[test]
fn what_compiles_and_signs_verifies_what_it_signs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/signature/presets");
    let mut seeds: Vec<Vec<u8>> = SCHEMES
        .iter()
        .map(|(text, ..)| text.as_bytes().to_vec())
        .collect();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = std::fs::read_to_string(&path).unwrap();
            let preset: serde_json::Value = serde_yaml::from_str(&text).unwrap();
            // Where the record is one part of a preset, it is that part.
            let scheme = preset.get("scheme").unwrap_or(&preset);
            seeds.push(scheme.to_string().into_bytes());
        }
    }
    let words: [&[u8]; 40] = [
        b"{",
        b"}",
        b"\"",
        b":",
        b",",
        b"\"id\":",
        b"\"timestamp\":",
        b"\"type\":",
        b"\"signature\":",
        b"\"secret\":",
        b"\"content\":",
        b"\"algorithm\":",
        b"\"header\":",
        b"\"json\":",
        b"\"pair\":",
        b"\"prefix\":",
        b"\"list\":",
        b"\"keys\":",
        b"\"bare\":true",
        b"\"encoding\":",
        b"\"base64\"",
        b"\"hex\"",
        b"\"utf8\"",
        b"\"token\"",
        b"\"ed25519\"",
        b"\"hmac-sha512\"",
        b"{id}",
        b"{timestamp}",
        b"{body}",
        b"{url}",
        b"{method}",
        b"\"s\"",
        b"\"ms\"",
        b"\"rfc3339\"",
        b"\"/a/b\"",
        b"null",
        b"[]",
        b"\"\"",
        b"x-s",
        b"\"tolerance\":\"0s\"",
    ];
    let (mut compiled, mut signed) = (0, 0);
    for mut rng in run(6_000) {
        let data = changed(&mut rng, &seeds, &words);
        let (is_scheme, by) = scheme_record(&String::from_utf8_lossy(&data));
        compiled += usize::from(is_scheme);
        signed += by;
    }
    assert!(
        compiled > 500 && signed > 500,
        "this says little: {compiled}, {signed}"
    );
}

#[test]
fn patterns_match_or_not_and_say_why_soon() {
    let seeds = owned(&[
        b"{type: 'a.*'}\0{}\0a.b",
        b"{type: ['**', 'a.**.b', '*_*']}\0{\"a\":1}\0a.c.d.b",
        b"{headers: {x-a: 12, x-b: {prefix: '{'}}}\0{\"a\":[1,2,{\"b\":3}]}",
        b"{body: {a.b: [1, '2', null], \"a['x.y'].0\": {not: {gt: 1.5}}}}\0{\"a\":[{\"b\":\"2\"},{\"x.y\":[1]}]}",
        b"{body: {a: {exists: false, not: [1, {suffix: z}]}, n: {gte: -1e5, lt: 99999999999999999999}}}\0{\"n\":7e2}",
        b"{body: {a: {equals: {b: [1]}}}}\0{\"a\":{\"b\":[1.0]}}",
    ]);
    let words: [&[u8]; 26] = [
        b"*",
        b"**",
        b".",
        b"**.**.",
        b"*a*a*",
        b"\0",
        b"{",
        b"}",
        b"[",
        b"]",
        b"'",
        b"a",
        b"body: ",
        b"type: ",
        b"headers: ",
        b"{not: ",
        b"{gt: 1}",
        b"{prefix: a}",
        b"{equals: ",
        b"exists: true",
        b"1e999999",
        b"-0",
        b"null",
        b"a.b.c",
        b"\"\\ud800\"",
        b"['a.b']",
    ];
    let mut tally = Tally::default();
    for mut rng in run(20_000) {
        tally.add(pattern(&changed(&mut rng, &seeds, &words)));
    }
    for what in [Some(true), Some(false), None] {
        assert!(tally.of(what) > 500, "this says little: {tally:?}");
    }
}

#[test]
fn nothing_unsigned_is_accepted_whatever_the_bytes() {
    let door = Door::open();
    let seeds = owned(&[
        b"\x00\x00\nx-signature: \x01\n\n{\"type\":\"a.b\",\"n\":2}",
        b"\x01\x00\nx-signature: \x01\ncontent-type: application/json\n\n{\"type\":\"a.b\",\"id\":\"1\",\"n\":[2]}",
        b"\x02\x00\nx-signature: \x01\ncontent-type: application/cloudevents+json\n\n\
          {\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"a.b\",\"data\":{\"n\":2},\"x\":5}",
        b"\x02\x00\nx-signature: \x01\nce-specversion: 1.0\nce-id: 1\nce-source: /s%20\nce-type: \"a b\"\n\nabc",
        b"\x02\x00\nx-signature: \x01\ncontent-type: application/cloudevents+json\n\n\
          {\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"a.b\",\"data_base64\":\"AAE=\",\"datacontenttype\":\"a/b\"}",
        b"\x03\x01\nx-signature: \x01\n\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00",
        b"\x04\x0cc=x&t=a-plain-test-secret-of-40-characters-xyz\nhost: a\n\n",
        b"\x00\x00\nx-signature: 00\nx-signature: \x01\n\n{}",
    ]);
    let words: [&[u8]; 22] = [
        b"\x01",
        b"\n",
        b"\n\n",
        b"x-signature: ",
        b"x-signature: \x01\n",
        b"content-type: application/cloudevents+json\n",
        b"ce-id: x\n",
        b"ce-specversion: 1.0\n",
        b"%ff",
        b"%00",
        b"\"",
        b"{\"id\":\"2\"}",
        b"\"data\":null",
        b"[[[[",
        b"\xff",
        b"c=1",
        b"t=",
        b"&",
        b"\x1f\x8b\x08",
        b"content-encoding: gzip\n",
        b"ingate-hops: 99\n",
        b"traceparent: 00-",
    ];
    let mut tally = Tally::default();
    for mut rng in run(4_000) {
        tally.add(door.accept(&changed(&mut rng, &seeds, &words)));
    }
    for what in [Became::Event, Became::Reply, Became::Refused] {
        assert!(tally.of(what) > 50, "this says little: {tally:?}");
    }
}
