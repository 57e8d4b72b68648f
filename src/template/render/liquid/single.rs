//! Single tags: variables, counters, comments, `raw`, `liquid`, partials.

use super::{ERROR, check};

#[test]
fn assign_and_capture() {
    check(&[
        ("{% assign q = s | upcase | append: '!' %}{{ q }}", "HELLO!"),
        ("{% assign q = (1..3) %}{{ q | join: '-' }}", "1-2-3"),
        ("{% assign q = o['y'] %}{{ q }}", "2"),
        ("{% assign q=1%}{{q}}", "1"),
        ("{% assign q 1 %}", ERROR),
        ("{% assign q == 1 %}", ERROR),
        ("{% assign q = 1 = 2 %}", ERROR),
        ("{% assign q = 1 2 %}", ERROR),
        ("{% assign = 1 %}", ERROR),
        ("{% assign %}", ERROR),
        ("{% assign q = true and false %}", ERROR),
        (
            "{% capture q %}{{ s }}{% if true %}!{% endif %}{% endcapture %}{{ q | upcase }}",
            "HELLO!",
        ),
        (
            "{% capture q %}{% endcapture %}{% if q == empty and q %}T{% endif %}",
            "T",
        ),
        (
            "{% capture q %}1{% endcapture %}{% if q == 1 %}n{% else %}s{% endif %}",
            "s",
        ),
        ("{% capture q %}x", ERROR),
        (
            "{% for i in (1..3) %}{% capture q %}{{ q }}{{ i }}{% endcapture %}{% endfor %}{{ q }}",
            "123",
        ),
    ]);
}

#[test]
fn counters() {
    check(&[
        (
            "{% increment q %}{% decrement q %}{% decrement q %}{{ q }}",
            "00-1-1",
        ),
        ("{% decrement q %}{% decrement q %}{{ q }}", "-1-2-2"),
        (
            "{% assign q = 5 %}{% increment q %}{{ q }}{% increment q %}",
            "051",
        ),
        (
            "{% increment q %}{% assign q = 'x' %}{{ q }}{% increment q %}{{ q }}",
            "0x1x",
        ),
        ("{% increment n %}{{ n }}{% increment n %}", "344"),
        ("{% decrement n %}{{ n }}", "22"),
        ("{% increment q-r %}{% increment q-r %}", "01"),
        (
            "{% for q in (7..8) %}{% increment q %}{{ q }}{% endfor %}",
            "0718",
        ),
        ("{% increment %}", ERROR),
        ("{% increment 'q' %}", ERROR),
        ("{% increment q r %}", ERROR),
        ("{% increment q | plus: 1 %}", ERROR),
    ]);
}

#[test]
fn comments() {
    check(&[
        ("{% comment %}{% if %}{{ | }}{% endcomment %}x", "x"),
        (
            "{% comment %}{% comment %}{% endcomment %}{% endcomment %}x",
            "x",
        ),
        ("{% comment %}{% comment %}{% endcomment %}x", ERROR),
        (
            "{% comment %}{% raw %}{% endcomment %}{% endraw %}{% endcomment %}x",
            "x",
        ),
        ("{% comment %}{{ {% endcomment %}x", ERROR),
        ("{% comment %}{{ } {% endcomment %}x", "x"),
        ("{% comment %}{{ {% b %} {% endcomment %}x", "x"),
        ("{% comment %}{% {% endcomment %}x", ERROR),
        ("{% comment of a kind %}{% endcomment now %}x", "x"),
        ("{% comment %}{%-endcomment-%} x", "x"),
        ("{%# a %}{% #b %}{%-# c -%}x", "x"),
        ("{% # a\n # b\n\n # c %}x", "x"),
        ("{% # a\n b %}x", ERROR),
        ("{% #\n a %}x", "x"),
        ("{% # 'a %}{% # {{ a %}x", "x"),
    ]);
}

#[test]
fn raw_and_doc() {
    check(&[
        ("{% raw %}{{ a }}{% b %}{% endraw %}", "{{ a }}{% b %}"),
        ("{% raw %} {{ {% } {% endraw %}x", " {{ {% } x"),
        ("{% raw %}{% raw %}{% endraw %}x", "{% raw %}x"),
        ("{% raw %}{% endrawing %}{% endraw %}", "{% endrawing %}"),
        ("{% raw %}a{% endraw now %}b", "ab"),
        ("{% raw %}a{%- endraw -%} b", "ab"),
        (" {%- raw -%} a {%- endraw -%} b", " a b"),
        ("{% raw x %}{% endraw %}", ERROR),
        ("{% raw %}{% endraw", ERROR),
        ("{% raw %}{%{% endraw %}", "{%"),
        ("{% doc %}{% if %}{{ {% enddoc %}x", "x"),
        ("{% doc %}{% a {% enddoc %}x", "x"),
        ("{% doc %}{% doc %}{% enddoc %}x", ERROR),
        ("{% doc %}{% raw %}{% enddoc %}x", "x"),
        ("{% doc x %}{% enddoc %}", ERROR),
        ("{% doc %}x", ERROR),
        ("{% liquid\ndoc\nx\nenddoc\n%}", ERROR),
        ("{% liquid\nraw\nx\nendraw\n%}", ERROR),
    ]);
}

#[test]
fn liquid_and_echo() {
    check(&[
        ("{% liquid\n assign q = 1\n\n # a\n echo q\n%}", "1"),
        ("{% liquid\r\n if true\r\n echo 'a' \r\n endif\r\n%}", "a"),
        ("{% liquid echo 'a' %}", "a"),
        ("{% liquid %}x", "x"),
        ("{% liquid\n echo 'a' echo 'b'\n%}", ERROR),
        ("{% liquid\n if true\n%}x{% endif %}", ERROR),
        ("{% if true %}{% liquid\n endif %}", ERROR),
        ("{% liquid\n nosuch\n%}", ERROR),
        ("{% liquid\n {{ s }}\n%}", ERROR),
        ("{% liquid\n comment\n if\n endcomment\n echo 'a'\n%}", "a"),
        (
            "{% liquid\n case s\n when 'hello'\n echo 1\n else\n echo 2\n endcase\n%}",
            "1",
        ),
        (
            "{% for i in (1..3) %}{% liquid\n if i == 2\n continue\n endif\n echo i\n%}{% endfor %}",
            "13",
        ),
        (
            "{% liquid\n capture q\n echo 'a'\n endcapture\n echo q\n%}{{ q }}",
            "aa",
        ),
        (
            "{% liquid\n render 'p', p: 1\n include 'p', q: 2\n%}",
            "[1][]",
        ),
        ("{% liquid\n echo\n%}x", "x"),
        ("{% echo s | upcase %}{% echo %}{%echo 1%}", "HELLO1"),
        ("{% echo s s %}", ERROR),
        ("{% echo s, %}", ERROR),
    ]);
}

#[test]
fn ifchanged() {
    check(&[
        (
            "{% for i in nest %}{% ifchanged %}x{% endifchanged %}{% endfor %}",
            "x",
        ),
        (
            "{% ifchanged %}a{% endifchanged %}{% ifchanged %}b{% endifchanged %}{% ifchanged %}b{% endifchanged %}",
            "ab",
        ),
        (
            "{% ifchanged %}{% endifchanged %}{% ifchanged %}a{% endifchanged %}",
            "a",
        ),
        ("{% ifchanged %}a", ERROR),
    ]);
}

#[test]
fn partials() {
    check(&[
        ("{% render 'p' %}", "[]"),
        (
            "{% render 'p', p: 1 %}{% render 'p' p: 1 %}{% render 'p',p:1, %}",
            "[1][1][1]",
        ),
        (
            "{% render 'p' with s %}{% render 'x' with s as x %}",
            "[hello]hello",
        ),
        ("{% render 'p' with a %}", "[123456]"),
        ("{% render 'p' for (1..2) %}", "[1][2]"),
        ("{% render 'p' for o %}", "[x1][y2]"),
        (
            "{% render 'p' for s %}{% render 'p' for n %}{% render 'p' for ea %}",
            "[hello][3]",
        ),
        ("{% render 'p', p: 1, p: 2 %}", "[2]"),
        (
            "{% render 'p', with: 1, p: 2 %}{% render 'p', for: 1 %}",
            "[2][]",
        ),
        ("{% render 'fl' for nest, fl: 'x' %}", "1/212 2/23 "),
        (
            "{% for i in a %}{% render 'fl', fl: i %}{% endfor %}",
            "/1 /2 /3 /4 /5 /6 ",
        ),
        (
            "{% assign q = 0 %}{% render 'ret' %}{% render 'set' %}{{ q }}",
            "0",
        ),
        (
            "{% increment c %}{% increment c %}{% render 'inc' %}{{ c }}",
            "0102",
        ),
        (
            "{% for i in (1..2) %}{% render 'brk' %}{{ i }}{% endfor %}",
            "b1b2",
        ),
        ("{% render 'deep', p: s %}", "<[hello]>"),
        ("{% render s %}", ERROR),
        ("{% render %}", ERROR),
        ("{% render 'nosuch' %}", ERROR),
        ("{% render 'p' p 1 %}", ERROR),
        ("{% include 'set' %}{{ q }}{{ n }}", "10"),
        ("{% assign q = 0 %}{% include 'ret' %}", "0"),
        ("{% include 'ret', q: 7 %}{{ q }}", "7"),
        (
            "{% include 'p' with s %}{% include 'p' for a %}{% include 'p' with a %}",
            "[hello][1][2][3][4][5][6][1][2][3][4][5][6]",
        ),
        (
            "{% include 'p' for (1..2) %}{% include 'p' with (1..2) %}",
            "[1..2][1..2]",
        ),
        ("{% include 'x' for s as x %}", "hello"),
        ("{% increment c %}{% include 'inc' %}{{ c }}", "012"),
        (
            "{% for i in (1..2) %}{{ i }}{% include 'brk' %}{% endfor %}x",
            "1bx",
        ),
        (
            "{% for i in (1..2) %}{% include 'fl' %}{% endfor %}",
            "1/22.5 2/22.5 ",
        ),
        ("{% include 'nosuch' %}", ERROR),
        ("{% include 'p', with: 1 %}", "[]"),
    ]);
}
