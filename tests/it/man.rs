//! The manual pages: each can be read, and together they name every command.

use std::path::Path;
use std::process::Command;

use crate::process::{data, ingate};

/// Sections that the page of the whole program has.
const SECTIONS: [&str; 9] = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "SUBCOMMANDS",
    "OPTIONS",
    "EXIT STATUS",
    "SIGNALS",
    "ENVIRONMENT",
    "FILES",
];

/// The names that a help lists under `Commands:`.
fn commands() -> Vec<String> {
    let help = data(&ingate(&["--help"]));
    let listed = help.split("Commands:\n").nth(1).unwrap();
    listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// A page as a reader sees it, by the first reader of manual pages that is there; `None` where there is none.
fn read(page: &Path) -> Option<String> {
    let readers: [(&str, &[&str]); 2] = [
        ("mandoc", &["-T", "ascii", "-W", "error"]),
        ("man", &["--warnings", "-l"]),
    ];
    readers.iter().find_map(|(reader, options)| {
        let output = Command::new(reader)
            .args(*options)
            .arg(page)
            .env("MANPAGER", "cat")
            .env("MANWIDTH", "100")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .ok()?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && words.is_empty(),
            "{reader}: {words}"
        );
        Some(plain(&String::from_utf8_lossy(&output.stdout)))
    })
}

/// Text without the overstrikes that make it bold or underlined on a terminal.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if c == '\u{8}' {
            plain.pop();
        } else {
            plain.push(c);
        }
    }
    plain
}

#[test]
fn there_is_a_page_for_every_command_and_readers_take_it() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    let written = ingate(&["man", "--dir", pages.to_str().unwrap()]);
    assert!(written.status.success(), "{written:?}");
    let commands = commands();
    assert!(commands.len() > 9, "{commands:?}");
    for command in &commands {
        let page = pages.join(format!("ingate-{command}.1"));
        let roff = std::fs::read_to_string(&page).unwrap_or_else(|why| panic!("{command}: {why}"));
        assert!(roff.contains(".SH \"SEE ALSO\""), "{command}");
    }
    let mut unread = 0;
    for page in std::fs::read_dir(&pages).unwrap() {
        let page = page.unwrap().path();
        match read(&page) {
            Some(text) => assert!(text.contains("SYNOPSIS"), "{}:\n{text}", page.display()),
            None => unread += 1,
        }
    }
    if unread > 0 {
        println!("passed over: neither mandoc nor man is here to read {unread} pages");
    }
}

#[test]
fn the_page_of_the_program_has_every_section_and_names_every_command() {
    let roff = data(&ingate(&["man"]));
    let headings: Vec<&str> = roff
        .lines()
        .filter_map(|line| line.strip_prefix(".SH "))
        .map(|heading| heading.trim_matches('"'))
        .collect();
    assert_eq!(headings, SECTIONS);
    for command in commands() {
        let named = format!("ingate\\-{}(1)", command.replace('-', "\\-"));
        assert!(roff.contains(&named), "{command} is not in\n{roff}");
    }
    for code in ["0", "1", "2", "69", "74", "78"] {
        assert!(roff.contains(&format!("\\fB{code}\\fR")), "{code}");
    }
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("ingate.1");
    std::fs::write(&page, &roff).unwrap();
    if let Some(text) = read(&page) {
        let mut lines = text.lines();
        for section in SECTIONS {
            assert!(lines.any(|line| line == section), "{section} in\n{text}");
        }
    } else {
        println!("passed over: neither mandoc nor man is here to read the page");
    }
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = data(&ingate(&["completions", shell]));
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
}
