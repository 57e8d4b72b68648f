//! White space: dashes, and blocks that hold nothing but white space.

use super::check;

#[test]
fn dashes() {
    check(&[
        ("a {{- s -}} b", "ahellob"),
        ("a {%- if true -%} b {%- endif -%} c", "abc"),
        ("a\n\t{{- 1 }}\r\n{{ 2 -}}\n b", "a1\r\n2b"),
        ("a {{-1-}} b", "a1b"),
        ("a {{- -1 -}} b", "a-1b"),
        ("a {{-}} b", "ab"),
        ("a\u{a0}{{- 1 -}}\u{a0}b", "a\u{a0}1\u{a0}b"),
        (
            "a\u{2003}{%- assign q = 1 -%}\u{2003}b",
            "a\u{2003}\u{2003}b",
        ),
        ("a\u{b}{{- 1 -}}\u{c}b", "a1b"),
        (" {%- comment -%} a {%- endcomment -%} b", "b"),
        (" {%- # a -%} b", "b"),
        (" {%- liquid\n echo 'a'\n-%} b", "ab"),
        (" {%- capture q -%} a {%- endcapture -%} [{{ q }}]", "[a]"),
        ("{%- case n -%} x {%- when 3 -%} a {%- endcase -%} b", "ab"),
        ("{%- for i in (1..2) -%} {{ i }} {%- endfor -%} b", "12b"),
        (" {%- include 'sp' -%} b", " b"),
        ("{% if true- %}x{% endif %}", ""),
        ("{{ h-y-}}x", "hyx"),
    ]);
}

#[test]
fn blank_blocks() {
    check(&[
        ("!{% if true %} {% assign q = 1 %} {% endif %}!", "!!"),
        ("!{% if true %} {{ '' }} {% endif %}!", "!  !"),
        ("!{% if true %} {% echo '' %} {% endif %}!", "!  !"),
        ("!{% if true %} {% echo %} {% endif %}!", "!  !"),
        ("!{% if true %} {{ }} {% endif %}!", "!  !"),
        (
            "!{% if true %} {% comment %}x{% endcomment %} {% endif %}!",
            "!!",
        ),
        ("!{% if true %} {% doc %}x{% enddoc %} {% endif %}!", "!  !"),
        ("!{% if true %} {% # x %} {% endif %}!", "!!"),
        (
            "!{% if true %} {% raw %} {% endraw %} {% endif %}!",
            "!   !",
        ),
        ("!{% if true %} {% raw %}{% endraw %} {% endif %}!", "!!"),
        ("!{% if true %} {% increment q %} {% endif %}!", "! 0 !"),
        ("!{% if true %} {% render 'sp' %} {% endif %}!", "!   !"),
        ("!{% if true %} {% cycle '' %} {% endif %}!", "!  !"),
        ("!{% if true %} {% break %} {% endif %}!", "! "),
        (
            "!{% if true %} {% capture q %}x{% endcapture %} {% endif %}!",
            "!!",
        ),
        (
            "!{% if true %} {% if true %} {% endif %} {% endif %}!",
            "!!",
        ),
        (
            "!{% if true %} {% if false %}x{% endif %} {% endif %}!",
            "!  !",
        ),
        ("!{% if true %} {% else %}x{% endif %}!", "! !"),
        (
            "!{% if true %} {% tablerow i in nil %} {% endtablerow %} {% endif %}!",
            "!!",
        ),
        (
            "!{% if true %} {% liquid\n assign q = 1\n%} {% endif %}!",
            "!!",
        ),
        (
            "!{% if true %} {% liquid\n echo ''\n%} {% endif %}!",
            "!  !",
        ),
        (
            "!{% if true %} {% for i in a %} {% endfor %} {% endif %}!",
            "!!",
        ),
        ("!{% for i in (1..2) %} {% endfor %}!", "!!"),
        ("!{% for i in nil %} {% else %} {% endfor %}!", "!!"),
        (
            "!{% case n %}{% when 3 %} {% when 4 %} {% else %} {% endcase %}!",
            "!!",
        ),
        (
            "!{% case n %}{% when 3 %} {% when 4 %}x{% endcase %}!",
            "! !",
        ),
        ("!{% unless false %} {% endunless %}!", "!!"),
        ("!{% if true %}\u{a0}{% endif %}!", "!\u{a0}!"),
        ("!{% if true %}\u{b}\u{c}{% endif %}!", "!!"),
        (
            "!{% if true %} {% ifchanged %} {% endifchanged %} {% endif %}!",
            "! !",
        ),
        ("!{% capture q %} {% endcapture %}[{{ q }}]", "![ ]"),
    ]);
}
