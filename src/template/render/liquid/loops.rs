//! Loops: `for`, `tablerow`, `cycle`.

use super::{ERROR, check};

#[test]
fn limits_and_offsets() {
    check(&[
        ("{% for i in a limit: 2 %}{{ i }}{% endfor %}", "12"),
        ("{% for i in a offset: 4 %}{{ i }}{% endfor %}", "56"),
        ("{% for i in a limit:2 offset:1 %}{{ i }}{% endfor %}", "23"),
        (
            "{% for i in a offset:1, limit:2 %}{{ i }}{% endfor %}",
            "23",
        ),
        ("{% for i in a, limit: 2 %}{{ i }}{% endfor %}", "12"),
        (
            "{% for i in a reversed limit: 2 %}{{ i }}{% endfor %}",
            "21",
        ),
        (
            "{% for i in a reversed offset: 4 %}{{ i }}{% endfor %}",
            "65",
        ),
        (
            "{% for i in a reversed limit: 2 offset: 1 %}{{ i }}{% endfor %}",
            "32",
        ),
        (
            "{% for i in a reversed, limit: 2 %}{{ i }}{% endfor %}",
            "21",
        ),
        (
            "{% for i in a limit: 2 reversed %}{{ i }}{% endfor %}",
            ERROR,
        ),
        (
            "{% for i in a reversed reversed %}{{ i }}{% endfor %}",
            ERROR,
        ),
        ("{% for i in a, reversed %}{{ i }}{% endfor %}", ERROR),
        (
            "{% for i in a limit: 0 %}{{ i }}{% else %}none{% endfor %}",
            "none",
        ),
        (
            "{% for i in a limit: -1 %}{{ i }}{% else %}none{% endfor %}",
            "none",
        ),
        ("{% for i in a offset: -1 %}{{ i }}{% endfor %}", "123456"),
        (
            "{% for i in a offset: -1 limit: 3 %}{{ i }}{% endfor %}",
            "12",
        ),
        (
            "{% for i in a offset: 9 %}{{ i }}{% else %}none{% endfor %}",
            "none",
        ),
        ("{% for i in a limit: nil %}{{ i }}{% endfor %}", "123456"),
        (
            "{% for i in a limit: missing offset: missing %}{{ i }}{% endfor %}",
            "123456",
        ),
        ("{% for i in a limit: '2' %}{{ i }}{% endfor %}", "12"),
        ("{% for i in a limit: str %}{{ i }}{% endfor %}", "12"),
        ("{% for i in a limit: ' 2 ' %}{{ i }}{% endfor %}", "12"),
        ("{% for i in a limit: 'two' %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a offset: 'two' %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a limit: '' %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a limit: 2.5 %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a offset: fl %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a limit: true %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a limit: o %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a limit: o.y %}{{ i }}{% endfor %}", "12"),
        (
            "{% for i in a limit: 1 limit: 3 %}{{ i }}{% endfor %}",
            "123",
        ),
        ("{% for i in a limt: 2 %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a limit 2 %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a limit %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a cols: 2 %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in a | reverse %}{{ i }}{% endfor %}", ERROR),
    ]);
}

#[test]
fn going_on() {
    check(&[
        (
            "{% for i in a limit:2 %}{{ i }}{% endfor %} {% for i in a limit:2 offset:continue %}{{ i }}{% endfor %} {% for i in a offset:continue %}{{ i }}{% endfor %}",
            "12 34 56",
        ),
        (
            "{% for i in a limit:2 %}{% endfor %}{% for j in a offset:continue %}{{ j }}{% endfor %}",
            "123456",
        ),
        (
            "{% for i in a limit:2 %}{% endfor %}{% for i in a reversed offset:continue %}{{ i }}{% endfor %}",
            "6543",
        ),
        (
            "{% for i in a offset:9 %}{% endfor %}{% for i in a offset:continue %}{{ i }}{% else %}none{% endfor %}",
            "none",
        ),
        (
            "{% for i in (1..4) limit:1 %}{% endfor %}{% for i in ( 1 .. 4 ) offset:continue %}{{ i }}{% endfor %}",
            "234",
        ),
        (
            "{% for i in a offset: 'continue' %}{{ i }}{% endfor %}",
            ERROR,
        ),
    ]);
}

#[test]
fn collections() {
    check(&[
        ("{% for i in s %}({{ i }}){% endfor %}", "(hello)"),
        ("{% for i in s limit: 0 %}({{ i }}){% endfor %}", "(hello)"),
        (
            "{% for i in s offset: 3 limit: 1 %}({{ i }}){% endfor %}",
            "(hello)",
        ),
        ("{% for i in s reversed %}({{ i }}){% endfor %}", "(hello)"),
        ("{% for i in e %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in nil %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in n %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in true %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in empty %}x{% else %}none{% endfor %}", "none"),
        (
            "{% for i in missing.deep %}x{% else %}none{% endfor %}",
            "none",
        ),
        ("{% for i in o %}{{ i[0] }}{{ i.last }}{% endfor %}", "x1y2"),
        ("{% for i in o reversed %}{{ i }} {% endfor %}", "y2 x1 "),
        (
            "{% for i in o limit: 1 %}{{ i | join: '=' }}{% endfor %}",
            "x=1",
        ),
        ("{% for i in eo %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in nest %}{{ i }};{% endfor %}", "12;3;"),
        (
            "{% for i in nest %}{% for j in i %}{{ j }}{% endfor %};{% endfor %}",
            "12;3;",
        ),
        ("{% for i in a[0] %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in (n..5) %}{{ i }}{% endfor %}", "345"),
        ("{% for i in (1..str) %}{{ i }}{% endfor %}", "12"),
        ("{% for i in (5..1) %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in (-1..1) %}{{ i }}{% endfor %}", "-101"),
        (
            "{% for i in (a.first..a.last) %}{{ i }}{% endfor %}",
            "123456",
        ),
        ("{% for i in (missing..2) %}{{ i }}{% endfor %}", "012"),
        ("{% for i in (1.9..3.9) %}{{ i }}{% endfor %}", "123"),
        ("{% for i in (1..fl) %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in (1.5..n) %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in (1..true) %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in (1..t) %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in (1..a) %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in 1..3 %}{{ i }}{% endfor %}", ERROR),
        ("{% for i in (1...3) %}{{ i }}{% endfor %}", ERROR),
    ]);
}

#[test]
fn variables_and_forloop() {
    check(&[
        (
            "{% for i in a limit:3 %}{{ forloop.index }}{{ forloop.index0 }}{{ forloop.rindex }}{{ forloop.rindex0 }} {% endfor %}",
            "1032 2121 3210 ",
        ),
        (
            "{% for i in a limit:2 %}{{ forloop.first }}{{ forloop.last }} {% endfor %}",
            "truefalse falsetrue ",
        ),
        ("{% for i in o.x %}{% endfor %}{{ forloop.index }}", ""),
        (
            "{% for i in (1..1) %}{{ forloop.name }}{{ forloop.other }}{% endfor %}",
            "i-(1..1)",
        ),
        (
            "{% for i in ( 1 .. 1 ) %}{{ forloop.name }}{% endfor %}",
            "i-(1..1)",
        ),
        (
            "{% for i in nest %}{% for j in i %}{{ forloop.parentloop.index }}{{ forloop.index }} {% endfor %}{% endfor %}",
            "11 12 21 ",
        ),
        (
            "{% for i in a limit:1 %}{{ forloop.parentloop.index }}x{% endfor %}",
            "x",
        ),
        (
            "{% for i in (1..2) %}{% for i in (7..8) %}{{ i }}{% endfor %}{{ i }};{% endfor %}",
            "781;782;",
        ),
        (
            "{% assign i = 9 %}{% for i in (1..2) %}{{ i }}{% assign i = 5 %}{{ i }}{% endfor %}{{ i }}",
            "11225",
        ),
        (
            "{% for a in a limit:2 %}{{ a }}{% endfor %}{{ a.size }}",
            "126",
        ),
        ("{% for forloop in (1..2) %}{{ forloop }}{% endfor %}", "12"),
        (
            "{% for i in (1..2) %}{% assign forloop = 'x' %}{{ forloop.index }}{% endfor %}{{ forloop }}",
            "12x",
        ),
        ("{% for i-j in (1..2) %}{{ i-j }}{% endfor %}", "12"),
        ("{% for i.j in (1..2) %}x{% endfor %}", ERROR),
        ("{% for 'i' in (1..2) %}x{% endfor %}", ERROR),
        ("{% for 1 in (1..2) %}x{% endfor %}", ERROR),
        ("{% for i of a %}x{% endfor %}", ERROR),
        ("{% for i a %}x{% endfor %}", ERROR),
        ("{% for i in %}x{% endfor %}", ERROR),
        ("{% for %}x{% endfor %}", ERROR),
        ("{% for in in (1..2) %}{{ in }}{% endfor %}", "12"),
    ]);
}

#[test]
fn break_continue_else() {
    check(&[
        (
            "{% for i in a %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "12",
        ),
        (
            "{% for i in a %}{% if i == 3 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
            "12456",
        ),
        (
            "{% for i in (1..2) %}{% for j in a %}{% if j == 2 %}{% break %}{% endif %}{{ j }}{% endfor %}{{ i }}{% endfor %}",
            "1112",
        ),
        (
            "{% for i in (1..2) %}{% for j in (1..3) %}{% if j == 2 %}{% continue %}{% endif %}{{ j }}{% endfor %}{{ i }}{% endfor %}",
            "131132",
        ),
        (
            "{% for i in a %}{% break %}{% else %}none{% endfor %}x",
            "x",
        ),
        ("a{% break %}b", "a"),
        ("a{% continue %}b", "a"),
        ("a{% if true %}{% break %}{% endif %}b", "a"),
        (
            "{% for i in nil %}x{% else %}1{% else %}2{% endfor %}",
            ERROR,
        ),
        ("{% for i in a %}x{% endif %}", ERROR),
        ("{% for i in a %}x", ERROR),
        ("{% endfor %}", ERROR),
        (
            "{% for i in a %}{% capture c %}{{ i }}{% if i == 2 %}{% break %}{% endif %}{% endcapture %}{% endfor %}{{ c }}",
            "2",
        ),
    ]);
}

#[test]
fn tablerow() {
    check(&[
        (
            "{% tablerow i in (1..3) cols:2 %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">1</td><td class=\"col2\">2</td></tr>\n<tr class=\"row2\"><td class=\"col1\">3</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..3) cols:2, limit:2 %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">1</td><td class=\"col2\">2</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..5) cols:2 offset:3 %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">4</td><td class=\"col2\">5</td></tr>\n",
        ),
        (
            "{% tablerow i in ea %}x{% endtablerow %}",
            "<tr class=\"row1\">\n</tr>\n",
        ),
        ("{% tablerow i in nil %}x{% endtablerow %}", ""),
        ("{% tablerow i in f %}x{% endtablerow %}", ""),
        (
            "{% tablerow i in s limit: 0 %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">hello</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..2) limit: nil %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n</tr>\n",
        ),
        (
            "{% tablerow i in (1..2) cols: 0 %}{{ tablerowloop.col_last }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">false</td><td class=\"col2\">false</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..2) cols: 'x' %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">1</td><td class=\"col2\">2</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..3) cols: 2.9 %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">1</td><td class=\"col2\">2</td></tr>\n<tr class=\"row2\"><td class=\"col1\">3</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..3) limit: '2.5' %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">1</td><td class=\"col2\">2</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..2) limit: true %}{{ i }}{% endtablerow %}",
            ERROR,
        ),
        (
            "{% tablerow i in a limit:1 %}{{ i }}{% endtablerow %}{% tablerow i in a limit:1 offset:continue %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">1</td></tr>\n<tr class=\"row1\">\n<td class=\"col1\">1</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..2) %}{{ tablerowloop.index }}{{ tablerowloop.rindex0 }}{{ tablerowloop.col }}{{ tablerowloop.row }}{% endtablerow %}{{ tablerowloop }}",
            "<tr class=\"row1\">\n<td class=\"col1\">1111</td><td class=\"col2\">2021</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..3) %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">1</td><td class=\"col2\"></td><td class=\"col3\">3</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..3) cols:2 %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">1</td><td class=\"col2\"></td></tr>\n",
        ),
        (
            "{% tablerow i in o %}{{ i[0] }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\">x</td><td class=\"col2\">y</td></tr>\n",
        ),
        (
            "{% tablerow i in (1..2) col: 1 %}{{ i }}{% endtablerow %}",
            ERROR,
        ),
        ("{% tablerow i of a %}x{% endtablerow %}", ERROR),
        (
            "{% tablerow i in (1..1) %}{{ forloop.index }}{% endtablerow %}",
            "<tr class=\"row1\">\n<td class=\"col1\"></td></tr>\n",
        ),
    ]);
}

#[test]
fn cycle() {
    check(&[
        (
            "{% cycle 'a','b' %}{% cycle \"a\", \"b\" %}{% cycle 'a','b' %}",
            "aba",
        ),
        ("{% cycle 1, 2 %}{% cycle '1', '2' %}", "11"),
        ("{% cycle 'a','b' %}{% cycle 'a','b','c' %}", "aa"),
        ("{% cycle s, n %}{% cycle s, n %}", "hellohello"),
        (
            "{% for i in (1..3) %}{% cycle s, n %}{% endfor %}",
            "hello3hello",
        ),
        ("{% cycle 'g': 1, 2 %}{% cycle \"g\": 3, 4 %}", "14"),
        ("{% cycle 1: 'a','b' %}{% cycle '1': 'a','b' %}", "aa"),
        ("{% cycle s: 'a','b' %}{% cycle 'hello': 'a','b' %}", "ab"),
        (
            "{% cycle missing: 'a','b' %}{% cycle other: 'a','b' %}{% cycle '': 'a','b' %}",
            "aba",
        ),
        (
            "{% cycle 'g': 1,2,3 %}{% cycle 'g': 1,2,3 %}{% cycle 'g': 9 %}{% cycle 'g': 4,5 %}",
            "124",
        ),
        ("{% cycle s, %}{% cycle s, %}", "hellohello"),
        ("{% cycle %}", ERROR),
        ("{% cycle 'g': %}", ERROR),
        ("{% cycle 'a' 'b' %}", ERROR),
        ("{% cycle o.x, 2 %}", "1"),
        ("{% cycle a: 1, 2 %}", "1"),
    ]);
}
