//! Words: names, paths, values, filters on the way, what is not closed.

use super::{ERROR, check};

#[test]
fn names() {
    check(&[
        ("{% assign 1 = 'x' %}{{ ['1'] }}{{ 1 }}", "x1"),
        ("{% assign 1a = 'x' %}{{ 1a }}", ERROR),
        ("{% assign _ = 'x' %}{{ _ }}", "x"),
        ("{% assign a-b = 'x' %}{{ a-b }}", "x"),
        ("{% assign a- = 'x' %}{{ a- }}", "x"),
        ("{% assign q? = 'x' %}", ERROR),
        ("{{ q? }}{{ h-y }}", "askhy"),
        ("{% assign -q = 'x' %}", ERROR),
        ("{% assign q.r = 'x' %}", ERROR),
        ("{% assign 'q' = 'x' %}", ERROR),
        ("{{ größe }}", ERROR),
        ("{{ o.größe }}", ERROR),
        ("{% for ö in a %}{% endfor %}", ERROR),
        ("{% capture ä %}x{% endcapture %}", ERROR),
        ("{{ 日本 }}", ERROR),
        ("{% capture 'q' %}x{% endcapture %}{{ q }}", "x"),
        ("{% capture \"q\" %}x{% endcapture %}{{ q }}", "x"),
        ("{% capture 12 %}x{% endcapture %}{{ ['12'] }}", "x"),
        ("{% capture q-r %}x{% endcapture %}{{ q-r }}", "x"),
        ("{% capture %}x{% endcapture %}", ERROR),
        ("{% assign if = 'x' %}{{ if }}", "x"),
        ("{% assign nil = 'x' %}{{ nil }}", ""),
        ("{% assign empty = 'x' %}{{ empty }}", ""),
    ]);
}

#[test]
fn paths() {
    check(&[
        (
            "{{ a[0] }}{{ a[-1] }}{{ a[-6] }}{{ a[-7] }}{{ a[6] }}",
            "161",
        ),
        ("{{ a[n] }}{{ a[missing] }}{{ a['0'] }}{{ a[true] }}", "4"),
        ("{{ a[fl] }}{{ a[1.5] }}", ""),
        ("{{ a[a[0]] }}{{ a[o.x] }}{{ a[o['x']] }}", "222"),
        ("{{ a.first }}{{ a.last }}{{ a.size }}", "166"),
        (
            "{{ a['first'] }}{{ a['size'] }}{{ o['size'] }}{{ o.size }}",
            "2",
        ),
        ("{{ o.first | join: '=' }}{{ o.last }}", "x=1"),
        ("{{ s.size }}{{ s[0] }}{{ s.x }}", "5"),
        ("{{ ['s'] }}{{ ['o'].x }}{{ ['o']['y'] }}", "hello12"),
        ("{{ [missing] }}{{ [nil] }}{{ [empty] }}", ""),
        ("{{ ps[0].t }}{{ ps[-1]['t'] }}{{ ps.first.t }}", "aba"),
        ("{{ ps [ 0 ] . t }}", "a"),
        ("{{ o.x.y.z }}{{ n.x }}{{ t.x }}", ""),
        ("{{ o. }}", ERROR),
        ("{{ .o }}", ERROR),
        ("{{ o..x }}", ERROR),
        ("{{ o[ }}", ERROR),
        ("{{ o[] }}", ERROR),
        ("{{ o['x }}", ERROR),
        ("{{ a[- 1] }}", ERROR),
        ("{{ (1..3).first }}", ERROR),
    ]);
}

#[test]
fn values() {
    check(&[
        ("{{ 1 }}{{ -1 }}{{ 1.5 }}{{ -0.5 }}", "1-11.5-0.5"),
        ("{{ 007 }}", "7"),
        ("{{ .5 }}", ERROR),
        ("{{ 5. }}", ERROR),
        ("{{ +1 }}", ERROR),
        ("{{ 1e5 }}", ERROR),
        ("{{ --1 }}", ERROR),
        ("{{ 'a\"b' }}{{ \"a'b\" }}", "a\"ba'b"),
        ("{{ 'a\\'b' }}", ERROR),
        ("{{ 'a }}", ERROR),
        ("{{ true }}{{ false }}{{ nil }}{{ null }}", "truefalse"),
        ("{{ True }}", ""),
        ("{{ a }}{{ nest }}{{ ea }}", "123456123"),
        (
            "{{ (1..3) }}{{ (3..1) }}{{ ( 1 .. 3 ) }}{{ (1..n) }}",
            "1..33..11..31..3",
        ),
        ("{{ (1) }}", ERROR),
        ("{{ (1..) }}", ERROR),
        ("{{ (1..2 }}", ERROR),
        ("{{ (false..2) }}", ERROR),
        ("{{ }}{{}}{{-}}", ""),
        ("{{ s s }}", ERROR),
        ("{{ s, s }}", ERROR),
        ("{{ s = 1 }}", ERROR),
        ("{{ s == 'hello' }}", ERROR),
        ("{{ s and n }}", ERROR),
        ("{{ 1 + 1 }}", ERROR),
        ("{{ n - 1 }}", ERROR),
        ("{{ n - }}", ERROR),
        ("{{ s ? 1 : 2 }}", ERROR),
        ("{{ s; }}", ERROR),
        ("{{ @s }}", ERROR),
        ("{{ s & n }}", ERROR),
    ]);
}

#[test]
fn filters_on_the_way() {
    check(&[
        ("{{ s|upcase|downcase }}", "hello"),
        ("{{ s | append: 'x' , }}", "hellox"),
        ("{{ s | replace: 'l' , 'L' }}", "heLLo"),
        ("{{ s | replace: 'l' 'L' }}", ERROR),
        ("{{ s | append 'x' }}", ERROR),
        ("{{ s | append: }}", ERROR),
        ("{{ s | }}", ERROR),
        ("{{ s | | upcase }}", ERROR),
        ("{{ s || upcase }}", ERROR),
        ("{{ | upcase }}", ERROR),
        ("{{ s | 'x' }}", ERROR),
        ("{{ f | default: 'x', allow_false: true }}", "false"),
        ("{{ f | default: allow_false: true, 'x' }}", "false"),
        ("{{ s | append: (1..2) }}", "hello1..2"),
        ("{{ s | append: -1 }}", "hello-1"),
    ]);
}

#[test]
fn unclosed() {
    check(&[
        ("{{", ERROR),
        ("{%", ERROR),
        ("{{ s", ERROR),
        ("{{ s }", ERROR),
        ("{{ s %}", ERROR),
        ("{% assign q = 1 }}", ERROR),
        ("{% if true", ERROR),
        ("a {% raw %} b", ERROR),
        ("a {% comment %} b", ERROR),
        ("{% %}", ERROR),
        ("{%%}", ERROR),
        ("{%-%}", ERROR),
        ("{% - if true %}{% endif %}", ERROR),
        ("{% nosuch %}", ERROR),
        ("{% 'a' %}", ERROR),
        ("{% endif %}", ERROR),
        ("{% else %}", ERROR),
        ("{% when 1 %}", ERROR),
        ("{% endraw %}", ERROR),
        ("{% endcomment %}", ERROR),
        (
            "{% if true %}{% for i in a %}{% endif %}{% endfor %}",
            ERROR,
        ),
        ("a }} b %} c { d } e", "a }} b %} c { d } e"),
    ]);
}
