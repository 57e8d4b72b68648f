//! Conditions: operators, truth, `if`, `unless`, `case`.

use super::{ERROR, check};

#[test]
fn right_to_left() {
    check(&[
        (
            "{% if true or false and false %}T{% else %}F{% endif %}",
            "T",
        ),
        (
            "{% if false and true or true %}T{% else %}F{% endif %}",
            "F",
        ),
        (
            "{% if true and false or true %}T{% else %}F{% endif %}",
            "T",
        ),
        (
            "{% if false or true and true %}T{% else %}F{% endif %}",
            "T",
        ),
        (
            "{% if true and true and false or true %}T{% else %}F{% endif %}",
            "T",
        ),
        (
            "{% if 1 == 1 or 2 == 3 and 3 == 4 %}T{% else %}F{% endif %}",
            "T",
        ),
        ("{% if s == 'hello'and n ==3 %}T{% else %}F{% endif %}", "T"),
        (
            "{% if (true or false) and false %}T{% else %}F{% endif %}",
            ERROR,
        ),
        ("{% if not true %}T{% else %}F{% endif %}", ERROR),
        ("{% if true && true %}T{% endif %}", ERROR),
        ("{% if true || true %}T{% endif %}", ERROR),
        ("{% if !true %}T{% endif %}", ERROR),
        ("{% if true and %}T{% endif %}", ERROR),
        ("{% if and true %}T{% else %}F{% endif %}", ERROR),
        ("{% if true false %}T{% endif %}", ERROR),
        ("{% if 1 < 2 < 3 %}T{% endif %}", ERROR),
        ("{% if s | size == 5 %}T{% endif %}", ERROR),
    ]);
}

#[test]
fn equal() {
    check(&[
        ("{% if 1 == 1.0 %}T{% else %}F{% endif %}", "T"),
        ("{% if '1' == 1 %}T{% else %}F{% endif %}", "F"),
        ("{% if 1 == true %}T{% else %}F{% endif %}", "F"),
        ("{% if 1 <> 2 %}T{% else %}F{% endif %}", "T"),
        ("{% if 'a' <> 'a' %}T{% else %}F{% endif %}", "F"),
        ("{% if nil == missing %}T{% else %}F{% endif %}", "T"),
        ("{% if f == nil %}T{% else %}F{% endif %}", "F"),
        ("{% if missing != nil %}T{% else %}F{% endif %}", "F"),
        ("{% if o == o %}T{% else %}F{% endif %}", "T"),
        ("{% if a == a %}T{% else %}F{% endif %}", "T"),
        ("{% if (1..3) == (1..n) %}T{% else %}F{% endif %}", "T"),
        ("{% if (1..3) == '1..3' %}T{% else %}F{% endif %}", "F"),
        ("{% if a == (1..6) %}T{% else %}F{% endif %}", "F"),
        ("{% if 1 = 1 %}T{% endif %}", ERROR),
        ("{% if 1 === 1 %}T{% endif %}", ERROR),
        ("{% if 1 eq 1 %}T{% endif %}", ERROR),
        ("{% if 1 is 1 %}T{% endif %}", ERROR),
        ("{% if 1 == %}T{% endif %}", ERROR),
        ("{% if == 1 %}T{% endif %}", ERROR),
        ("{% if 1 => 1 %}T{% endif %}", ERROR),
    ]);
}

#[test]
fn order() {
    check(&[
        ("{% if 1 < 1.5 %}T{% else %}F{% endif %}", "T"),
        ("{% if 10 > 9 %}T{% else %}F{% endif %}", "T"),
        ("{% if '10' > '9' %}T{% else %}F{% endif %}", "F"),
        ("{% if 'B' < 'a' %}T{% else %}F{% endif %}", "T"),
        ("{% if nil < 1 %}T{% else %}F{% endif %}", "F"),
        ("{% if 1 >= missing %}T{% else %}F{% endif %}", "F"),
        ("{% if nil <= nil %}T{% else %}F{% endif %}", "F"),
        ("{% if a < 1 %}T{% else %}F{% endif %}", "F"),
        ("{% if true > false %}T{% else %}F{% endif %}", "F"),
        ("{% if 1 < 'a' %}T{% else %}F{% endif %}", ERROR),
        ("{% if '1' > 0 %}T{% else %}F{% endif %}", ERROR),
        ("{% if (1..3) < (1..4) %}T{% else %}F{% endif %}", "F"),
        ("{% if empty < 1 %}T{% else %}F{% endif %}", "F"),
    ]);
}

#[test]
fn contains() {
    check(&[
        ("{% if s contains 'ell' %}T{% else %}F{% endif %}", "T"),
        ("{% if s contains '' %}T{% else %}F{% endif %}", "T"),
        ("{% if s contains missing %}T{% else %}F{% endif %}", "F"),
        ("{% if 'a1b' contains 1 %}T{% else %}F{% endif %}", "T"),
        ("{% if s contains ea %}T{% else %}F{% endif %}", "F"),
        ("{% if a contains 2 %}T{% else %}F{% endif %}", "T"),
        ("{% if a contains '2' %}T{% else %}F{% endif %}", "F"),
        ("{% if a contains 2.0 %}T{% else %}F{% endif %}", "T"),
        ("{% if o contains 'x' %}T{% else %}F{% endif %}", "T"),
        ("{% if o contains 'z' %}T{% else %}F{% endif %}", "F"),
        ("{% if (1..3) contains 2 %}T{% else %}F{% endif %}", "T"),
        ("{% if (1..3) contains '2' %}T{% else %}F{% endif %}", "F"),
        ("{% if missing contains 'x' %}T{% else %}F{% endif %}", "F"),
        ("{% if n contains 3 %}T{% else %}F{% endif %}", "F"),
        (
            "{% if a contains 2 and s contains 'h' %}T{% else %}F{% endif %}",
            "T",
        ),
        ("{% if a Contains 2 %}T{% endif %}", ERROR),
        ("{% if a containss 2 %}T{% endif %}", ERROR),
    ]);
}

#[test]
fn truth_empty_blank() {
    check(&[
        ("{% if 0 %}T{% else %}F{% endif %}", "T"),
        ("{% if '' %}T{% else %}F{% endif %}", "T"),
        ("{% if ea %}T{% else %}F{% endif %}", "T"),
        ("{% if empty %}T{% else %}F{% endif %}", "T"),
        ("{% if nil %}T{% else %}F{% endif %}", "F"),
        ("{% if 'false' %}T{% else %}F{% endif %}", "T"),
        ("{% if ea == empty %}T{% else %}F{% endif %}", "T"),
        ("{% if eo == blank %}T{% else %}F{% endif %}", "T"),
        ("{% if ' ' == blank %}T{% else %}F{% endif %}", "T"),
        ("{% if ' ' == empty %}T{% else %}F{% endif %}", "F"),
        ("{% if f == blank %}T{% else %}F{% endif %}", "T"),
        ("{% if missing == blank %}T{% else %}F{% endif %}", "T"),
        ("{% if missing == empty %}T{% else %}F{% endif %}", "F"),
        ("{% if 0 == blank %}T{% else %}F{% endif %}", "F"),
        ("{% if (3..1) == empty %}T{% else %}F{% endif %}", "F"),
        ("{% if empty == empty %}T{% else %}F{% endif %}", "F"),
        ("{% if blank == blank %}T{% else %}F{% endif %}", "F"),
        ("{% if blank == empty %}T{% else %}F{% endif %}", "F"),
        ("{% if empty != empty %}T{% else %}F{% endif %}", "T"),
        ("{% if empty == '' %}T{% else %}F{% endif %}", "T"),
        (
            "{% assign q = empty %}{{ q.size }}{% if q == empty and q == '' %}T{% endif %}",
            "0T",
        ),
        ("{% assign q = blank %}{% if q == blank %}T{% endif %}", "T"),
        ("{{ empty.size }}{{ blank | append: 'x' }}", "x"),
        ("{{ 'x' | append: empty }}", "x"),
    ]);
}

#[test]
fn if_and_unless() {
    check(&[
        (
            "{% if false %}1{% elsif false %}2{% elsif true %}3{% elsif true %}4{% else %}5{% endif %}",
            "3",
        ),
        ("{% if false %}1{% else %}2{% else %}3{% endif %}", "2"),
        (
            "{% if false %}1{% else %}2{% elsif true %}3{% endif %}",
            "2",
        ),
        ("{% if false %}1{% else other %}2{% endif %}", "2"),
        ("{% if false %}{% else %}{% elsif == %}{% endif %}", ERROR),
        (
            "{% unless true %}1{% elsif true %}2{% else %}3{% endunless %}",
            "2",
        ),
        ("{% unless false %}1{% else %}2{% endunless %}", "1"),
        ("{% unless nil and true %}1{% endunless %}", "1"),
        ("{% if %}x{% endif %}", ERROR),
        ("{% if false %}{% elsif %}{% endif %}", ERROR),
        ("{% if true %}x{% endunless %}", ERROR),
        ("{% if true %}x{% end %}", ERROR),
        ("{% if true %}{% elseif true %}{% endif %}", ERROR),
        ("{% IF true %}x{% ENDIF %}", ERROR),
        ("{%if true%}x{%endif%}", "x"),
        ("{% if\ntrue\nand\nfalse %}x{% else %}y{% endif %}", "y"),
    ]);
}

#[test]
fn case() {
    check(&[
        ("{% case s %}{% when 'a', 'hello' %}1{% endcase %}", "1"),
        ("{% case s %}{% when 'a' or 'hello' %}1{% endcase %}", "1"),
        (
            "{% case s %}{% when 'hello' or 'hello', 'hello' %}1{% endcase %}",
            "111",
        ),
        (
            "{% case s %}{% when 'hello' %}1{% when 'hello' %}2{% else %}3{% endcase %}",
            "12",
        ),
        (
            "{% case s %}{% else %}1{% when 'hello' %}2{% endcase %}",
            "12",
        ),
        (
            "{% case s %}{% else %}1{% when 'x' %}2{% else %}3{% endcase %}",
            "13",
        ),
        (
            "{% case s %}{% when 'hello' %}1{% else %}2{% when 'hello' %}3{% endcase %}",
            "13",
        ),
        (
            "{% case s %}junk{{ n }}{% when 'hello' %}1{% endcase %}",
            "1",
        ),
        (
            "{% case s %}{% if %}{% when 'hello' %}1{% endcase %}",
            ERROR,
        ),
        ("{% case n %}{% when 3.0 %}1{% endcase %}", "1"),
        ("{% case '3' %}{% when n %}1{% else %}2{% endcase %}", "2"),
        ("{% case e %}{% when empty %}1{% else %}2{% endcase %}", "1"),
        (
            "{% case missing %}{% when blank %}1{% else %}2{% endcase %}",
            "1",
        ),
        (
            "{% case empty %}{% when blank %}1{% endcase %}{% case blank %}{% when nil %}2{% when '' %}3{% endcase %}",
            "13",
        ),
        ("{% case f %}{% when false %}1{% else %}2{% endcase %}", "1"),
        (
            "{% case (1..3) %}{% when (1..n) %}1{% else %}2{% endcase %}",
            "1",
        ),
        (
            "{% case s %}{% when 'hello' and 'x' %}1{% endcase %}",
            ERROR,
        ),
        (
            "{% case s %}{% when 'a' 'hello' %}1{% else %}2{% endcase %}",
            ERROR,
        ),
        ("{% case s %}{% when %}1{% endcase %}", ERROR),
        ("{% case s %}{% when 'hello', %}1{% endcase %}", ERROR),
        ("{% case s %}{% else other %}1{% endcase %}", ERROR),
        ("{% case s other %}{% endcase %}", ERROR),
        ("{% case %}{% endcase %}", ERROR),
        ("{% case s %}{% elsif true %}1{% endcase %}", ERROR),
        ("{% case s %}{% when 'hello' %}1", ERROR),
    ]);
}
