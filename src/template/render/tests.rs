//! Rendering as an author sees it: values, blocks, partials, errors.

use std::sync::Arc;

use serde_json::json;

use crate::json::Document;
use crate::template::{
    EventFacts, PartialText, Partials, RenderLimits, Rendered, Scene, Template, TemplateError,
};

/// Partials by name.
pub struct Files(pub Vec<(&'static str, String)>);

impl Partials for Files {
    fn find(&self, name: &str) -> Option<PartialText> {
        let (_, text) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(PartialText {
            path: format!("{name}.liquid"),
            text: Arc::from(text.as_str()),
        })
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }
}

pub fn files(files: &[(&'static str, &str)]) -> Files {
    Files(
        files
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .collect(),
    )
}

pub fn render_all(text: &str, payload: &str, partials: &Files) -> Result<Rendered, TemplateError> {
    let template = Template::compile("t.liquid", text, partials)?;
    let document = Document::parse(payload.as_bytes()).unwrap();
    let vars = json!({"region": "eu", "vat": 0.19});
    let headers = [
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-tag".to_owned(), "a".to_owned()),
        ("x-tag".to_owned(), "b".to_owned()),
    ];
    let scene = Scene {
        payload: document.root().into(),
        event: EventFacts {
            id: "evt-1",
            message_id: None,
            source: "wreno",
            event_type: "vendor.updated",
            received_at: "2026-02-03T04:05:06Z".parse().unwrap(),
        },
        headers: &headers,
        route: "vendors",
        target: "erp",
        vars: vars.as_object().unwrap(),
    };
    let limits = RenderLimits {
        output_bytes: 1 << 20,
    };
    template.render(&scene, limits)
}

pub fn render(text: &str, payload: &str) -> Result<Rendered, TemplateError> {
    render_all(text, payload, &files(&[]))
}

fn body(text: &str, payload: &str) -> String {
    let rendered = render(text, payload).unwrap_or_else(|error| panic!("{}", error.pretty()));
    String::from_utf8(rendered.body).unwrap()
}

#[test]
fn a_template_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Template>();
    shared::<Scene<'_>>();
    // A render can be handed to another thread, and its outcome back.
    fn sent<T: Send + 'static>() {}
    sent::<Result<Rendered, TemplateError>>();
}

#[test]
fn vendor_update() {
    let template = r#"{
  "kind": "vendor",
  "name": {{ payload.data.vendor.name }},
  "note": "seen {{ event.received_at | date: '%F' }} by {{ event.source }}",
  "phone": {{ payload.data.vendor.phone | default: '' }},
  "tags": [{% for t in payload.data.tags %}{{ t | upcase }}{% unless forloop.last %},{% endunless %}{% endfor %}]
}"#;
    let payload = r#"{"data":{"vendor":{"name":"Acme \"&\" Söhne\n"},"tags":["a","b\\"]}}"#;
    let expected = r#"{"kind":"vendor","name":"Acme \"&\" Söhne\n","note":"seen 2026-02-03 by wreno","phone":"","tags":["A","B\\"]}"#;
    assert_eq!(body(template, payload), expected);
}

#[test]
fn invoice_paid() {
    let template = r#"{%- assign invoice = payload.object -%}
{
  "invoice": {{ invoice.id }}, "total": {{ invoice.total }}, "exact": {{ invoice.ref }},
  "lines": [
    {%- for line in invoice.lines -%}
      {"sku": {{ line.sku }}, "net": {{ line.net }}, "gross": {{ line.net | times: 2 }}},
    {%- endfor -%}
  ],
  "paid": {{ invoice.paid }}, "region": {{ vars.region }},
  "due": {% if invoice.due %}{{ invoice.due }}{% else %}null{% endif %}
}"#;
    let payload = r#"{"object":{"id":"in_1","total":199.90,"ref":18446744073709551615,"paid":true,"lines":[
        {"sku":"A","net":1.0},{"sku":"B","net":123456789012345678901234567890}]}}"#;
    let rendered = render(template, payload).unwrap();
    let expected = r#"{"invoice":"in_1","total":199.90,"exact":18446744073709551615,"lines":[{"sku":"A","net":1.0,"gross":2.0},{"sku":"B","net":123456789012345678901234567890,"gross":246913578024691357802469135780}],"paid":true,"region":"eu","due":null}"#;
    assert_eq!(String::from_utf8(rendered.body).unwrap(), expected);
    let repairs: Vec<_> = rendered
        .repairs
        .iter()
        .map(|r| (r.what.as_str(), r.line))
        .collect();
    assert_eq!(
        repairs,
        [(
            "trailing comma dropped: the array's length depends on the payload",
            6
        )]
    );
}

#[test]
fn order_status() {
    let template = r#"{"order": "{{ payload.id }}", "state": {% case payload.status %}{% when 'paid', 'shipped' %}"open"{% when 'done' or 'returned' %}"closed"{% else %}{{ payload.status }}{% endcase %}, "late": {% if payload.days > 3 and payload.status != 'done' %}true{% else %}false{% endif %}}"#;
    let rows = [
        (
            r#"{"id":7,"status":"paid","days":4}"#,
            r#"{"order":"7","state":"open","late":true}"#,
        ),
        (
            r#"{"id":7,"status":"done","days":4}"#,
            r#"{"order":"7","state":"closed","late":false}"#,
        ),
        (
            r#"{"id":"x","status":null}"#,
            r#"{"order":"x","state":null,"late":false}"#,
        ),
        (
            r#"{"id":[1],"status":{"a":1}}"#,
            r#"{"order":"[1]","state":{"a":1},"late":false}"#,
        ),
    ];
    for (payload, expected) in rows {
        assert_eq!(body(template, payload), expected, "{payload}");
    }
}

#[test]
fn compliance_result_with_partials() {
    let template = r#"{"checks": [{% for check in payload.checks %}{% render 'check', check: check, position: forloop.index %}{% unless forloop.last %},{% endunless %}{% endfor %}], {% include 'footer' %}}"#;
    let partials = files(&[
        (
            "check",
            r#"{"n": {{ position }}, "name": {{ check.name }}, "passed": {{ check.ok | default: false }}, "outer": {{ outside }}}"#,
        ),
        (
            "footer",
            r#""by": "{{ route }}/{{ target }}", "type": {{ headers['content-type'] }}, "tags": {{ headers.x-tag }}"#,
        ),
    ]);
    let payload = r#"{"checks":[{"name":"w9","ok":true},{"name":"insurance"}]}"#;
    let rendered = render_all(template, payload, &partials).unwrap();
    let expected = r#"{"checks":[{"n":1,"name":"w9","passed":true,"outer":null},{"n":2,"name":"insurance","passed":false,"outer":null}],"by":"vendors/erp","type":"application/json","tags":"a, b"}"#;
    assert_eq!(String::from_utf8(rendered.body).unwrap(), expected);
}

#[test]
fn passing_on_with_a_json_block() {
    let template = r#"{% json address %}{"street": {{ payload.street }}, "zip": {{ payload.zip | append: '' }}}{% endjson %}
{% capture label %}{{ payload.street }}, {{ payload.zip }}{% endcapture %}
{"address": {{ address }}, "zip": {{ address.zip | json }}, "label": {{ label }}, "all": {{ payload }}, "as_text": "{{ payload | json }}", "picked": {{ payload.rows | where: 'a', 1 }}}"#;
    let payload =
        r#"{"zip":10115,"street":"A \"B\"","rows":[{"z":1,"a":1},{"a":2},{"b":0.10,"a":1}]}"#;
    let expected = r#"{"address":{"street":"A \"B\"","zip":"10115"},"zip":"10115","label":"A \"B\", 10115","all":{"zip":10115,"street":"A \"B\"","rows":[{"z":1,"a":1},{"a":2},{"b":0.10,"a":1}]},"as_text":"{\"zip\":10115,\"street\":\"A \\\"B\\\"\",\"rows\":[{\"z\":1,\"a\":1},{\"a\":2},{\"b\":0.10,\"a\":1}]}","picked":[{"z":1,"a":1},{"b":0.10,"a":1}]}"#;
    assert_eq!(body(template, payload), expected);
}

#[test]
fn tags_print_typed_values() {
    let rows: &[(&str, &str)] = &[
        (
            "[{% for n in (1..3) %}{% cycle 'a', 2 %}{% unless forloop.last %},{% endunless %}{% endfor %}]",
            r#"["a",2,"a"]"#,
        ),
        (
            "[{% increment n %},{% increment n %},{% decrement m %}]",
            "[0,1,-1]",
        ),
        (
            "[{% for p in payload.o %}{{ p }},{% endfor %}]",
            r#"[["k",1]]"#,
        ),
        (
            "[{% for x in payload.s %}{% ifchanged %}{{ x }},{% endifchanged %}{% endfor %}]",
            r#"["a","\"b"]"#,
        ),
        ("{{ forloop }}", "null"),
        (
            "[{% for x in (1..1) %}{{ forloop }}{% endfor %}]",
            r#"[{"name":"x-(1..1)","length":1,"index":1,"index0":0,"rindex":1,"rindex0":0,"first":true,"last":true,"parentloop":null}]"#,
        ),
        ("{{ (1..3) }}", "[1,2,3]"),
        ("{{ ['payload'].s[-1] }}", r#""\"b""#),
        ("{{ payload.missing.deep[0].x }}", "null"),
        ("{{ event.message_id }}", "null"),
        ("{{{ payload.s[0] }}: 1}", r#"{"a":1}"#),
        ("{{% if true %}\"a\": 1{% endif %}}", r#"{"a":1}"#),
        ("{% liquid\n assign x = 'q'\n echo x\n%}", r#""q""#),
        ("{{ payload.s | size }}", "3"),
        ("{{ empty }}", "null"),
        ("{% assign 1 = 'x' %}{{ ['1'] }}", r#""x""#),
        ("{% assign forloop = payload.o %}{{ forloop.k }}", "1"),
        ("[{% for x in payload.s %}{% break %}{% endfor %}]", "[]"),
        (
            "{% if payload.o.k >= 1 and payload.s contains 'a' or nil %}1{% endif %}",
            "1",
        ),
        (
            "{% unless payload.o %}1{% elsif payload.o == blank %}2{% else %}3{% endunless %}",
            "3",
        ),
        (
            "[{% for x in payload.s limit: 1 %}{% endfor %}{% for x in payload.s offset: continue %}{{ x }},{% endfor %}]",
            r#"["a","\"b"]"#,
        ),
        (
            "[{% for i in (1..2) %}{% for j in (1..2) %}{{ forloop.parentloop.index }},{% endfor %}{% endfor %}]",
            "[1,1,2,2]",
        ),
        (
            "{% # a comment\n # goes on\n %}{% comment %}{{ x }{% endcomment %}{% doc %}{% if %}{% enddoc %}1",
            "1",
        ),
        ("\"{% raw %}{{ a }}{% endraw %}\"", r#""{{ a }}""#),
    ];
    let payload = r#"{"o":{"k":1},"s":["a","a","\"b"]}"#;
    for (template, expected) in rows {
        let rendered = render(template, payload)
            .unwrap_or_else(|error| panic!("{template}\n{}", error.pretty()));
        assert_eq!(
            String::from_utf8(rendered.body).unwrap(),
            *expected,
            "{template}"
        );
    }
}

#[test]
fn the_hash_follows_the_text_and_its_partials() {
    let hash = |text: &str, partial: &str| {
        let partials = files(&[("p", partial)]);
        Template::compile("t", text, &partials).unwrap().hash()
    };
    let first = hash("{% render 'p' %}", "1");
    assert_eq!(first, hash("{% render 'p' %}", "1"));
    assert_ne!(first, hash("{% render 'p' %}", "2"));
    assert_ne!(first, hash("{% render 'p' %} ", "1"));
}

#[test]
fn the_attributes_of_a_cloudevent_are_there_decoded() {
    let template = "{\"of\": {{ event.cloudevent.subject }}, \"all\": {{ event.cloudevent }}, \"type\": \"{{ event.cloudevent.datacontenttype }}\"}";
    let rendered = |headers: &[(&str, &str)]| {
        let template = Template::compile("t.liquid", template, &files(&[])).unwrap();
        assert!(template.prove().findings.is_empty());
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let scene = Scene {
            payload: (&json!(null)).into(),
            event: EventFacts {
                id: "evt-1",
                message_id: None,
                source: "shop",
                event_type: "paid",
                received_at: "2026-02-03T04:05:06Z".parse().unwrap(),
            },
            headers: &headers,
            route: "vendors",
            target: "erp",
            vars: &serde_json::Map::new(),
        };
        let limits = RenderLimits {
            output_bytes: 1 << 20,
        };
        String::from_utf8(template.render(&scene, limits).unwrap().body).unwrap()
    };
    assert_eq!(
        rendered(&[
            ("ce-specversion", "1.0"),
            ("ce-subject", "Euro%20%E2%82%AC%20%22"),
            ("ce-broken", "%ff"),
            ("content-type", "application/json"),
        ]),
        "{\"of\":\"Euro \u{20ac} \\\"\",\"all\":{\"specversion\":\"1.0\",\"subject\":\"Euro \u{20ac} \\\"\",\
         \"datacontenttype\":\"application/json\"},\"type\":\"application/json\"}"
    );
    assert_eq!(
        rendered(&[("ce-subject", "a"), ("content-type", "text/plain")]),
        r#"{"of":null,"all":null,"type":""}"#
    );
}
