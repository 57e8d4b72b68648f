//! What a template costs: compiling, proving, and rendering to JSON that is valid by construction, against the plain
//! render of the `liquid` crate over the same template and the same data. The last lines are ratios to that render,
//! measured in turns so that both sides see the same machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use ingate::template::{
    EventFacts, NoPartials, RenderLimits, Scene, Template as Compiled, Verdict,
};
use serde_json::{Value as Json, json};

/// 1.5 KB, 20 outputs and more, a loop of ten orders with five lines each.
const TEMPLATE: &str = include_str!("template.liquid");
const LIMITS: RenderLimits = RenderLimits {
    output_bytes: 1 << 20,
};
/// Renders before the other side has its turn.
const TURN: u32 = 20;
/// Turns of each side.
const TURNS: usize = 501;

/// All that a template reads, in the shape that the stock crate takes for its globals.
fn data() -> Json {
    let line = |order: usize, line: usize| json!({"sku": format!("SKU-{order}-{line}"), "quantity": line + 1, "price": 100 + order});
    let order = |order: usize| {
        let lines: Vec<Json> = (0..5).map(|at| line(order, at)).collect();
        json!({"id": format!("ord_{order}"), "lines": lines})
    };
    json!({
        "payload": {"data": {
            "id": "in_5f1c9e", "number": "2026-0117", "currency": "eur", "amount": 1599, "status": "paid",
            "note": "  deliver_to the_back door ",
            "payer": {"name": "Acme Söhne", "email": "Billing@Acme.example", "address": {"city": "Köln", "zip": "50667"}},
            "orders": (0..10).map(order).collect::<Vec<Json>>(),
        }},
        "event": {"id": "0192", "message_id": "msg_1", "source": "wingspan", "type": "InvoicePaid",
            "received_at": "2026-01-05T10:00:00Z"},
        "headers": {"content-type": "application/json", "x-request-id": "7f-11"},
        "route": "invoices", "target": "ledger", "vars": {"region": "eu"},
    })
}

/// The crate's own values; it cannot read the exact numbers of serde_json itself.
fn stock_value(json: &Json) -> liquid::model::Value {
    use liquid::model::Value;
    match json {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::scalar(*b),
        Json::Number(number) => Value::scalar(number.as_i64().unwrap()),
        Json::String(text) => Value::scalar(text.clone()),
        Json::Array(items) => Value::array(items.iter().map(stock_value)),
        Json::Object(members) => Value::Object(stock_object(members)),
    }
}

fn stock_object(members: &serde_json::Map<String, Json>) -> liquid::Object {
    let pairs = members.iter();
    pairs
        .map(|(key, value)| (key.clone().into(), stock_value(value)))
        .collect()
}

fn text<'j>(json: &'j Json, path: &str) -> &'j str {
    json.pointer(path).and_then(Json::as_str).unwrap()
}

/// The time of each turn, one side after the other.
fn in_turns(mut first: impl FnMut(), mut second: impl FnMut()) -> (Vec<Duration>, Vec<Duration>) {
    let turn = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..TURN {
            work();
        }
        start.elapsed() / TURN
    };
    (0..TURNS)
        .map(|_| (turn(&mut first), turn(&mut second)))
        .unzip()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    middle.as_secs_f64() * 1e6
}

fn main() {
    let data = data();
    let headers: Vec<(String, String)> = data["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let scene = Scene {
        payload: (&data["payload"]).into(),
        event: EventFacts {
            id: text(&data, "/event/id"),
            message_id: Some(text(&data, "/event/message_id")),
            source: text(&data, "/event/source"),
            event_type: text(&data, "/event/type"),
            received_at: text(&data, "/event/received_at").parse().unwrap(),
        },
        headers: &headers,
        route: text(&data, "/route"),
        target: text(&data, "/target"),
        vars: data["vars"].as_object().unwrap(),
    };
    let globals = stock_object(data.as_object().unwrap());
    let parser = liquid::ParserBuilder::with_stdlib().build().unwrap();
    let stock = parser.parse(TEMPLATE).unwrap();
    let ours = Compiled::compile("template.liquid", TEMPLATE, &NoPartials).unwrap();

    let rendered = ours.render(&scene, LIMITS).unwrap();
    assert_eq!(rendered.repairs, []);
    assert_eq!(ours.prove().verdict, Verdict::Proven);
    let ours_json: Json = serde_json::from_slice(&rendered.body).unwrap();
    let stock_json: Json = serde_json::from_str(&stock.render(&globals).unwrap()).unwrap();
    assert_eq!(ours_json, stock_json, "both sides do the same work");

    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("compile", |bench| {
        bench.iter(|| Compiled::compile("template.liquid", black_box(TEMPLATE), &NoPartials));
    });
    criterion.bench_function("prove", |bench| bench.iter(|| black_box(&ours).prove()));
    criterion.bench_function("compile, stock", |bench| {
        bench.iter(|| parser.parse(black_box(TEMPLATE)));
    });
    let render_ours = || ours.render(black_box(&scene), LIMITS).unwrap();
    let render_stock = || stock.render(black_box(&globals)).unwrap();
    criterion.bench_function("render", |bench| bench.iter(render_ours));
    criterion.bench_function("render, stock", |bench| bench.iter(render_stock));
    criterion.final_summary();

    let against_stock = |name: &str, work: &dyn Fn()| {
        let (ours, stock) = in_turns(work, || drop(black_box(render_stock())));
        let (ours, stock) = (median(ours), median(stock));
        let ratio = ours / stock;
        println!("{name}: {ours:.1} µs, stock render: {stock:.1} µs, ratio {ratio:.2}");
    };
    against_stock("prove", &|| drop(black_box(ours.prove())));
    against_stock("render", &|| drop(black_box(render_ours())));
}
