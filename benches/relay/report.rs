//! What is printed: Markdown tables.

use crate::phase::Figures;

/// A row: what it says, and how a column's figure is made.
type Row<'r, F> = (&'r str, &'r dyn Fn(&Figures) -> F);

fn table(corner: &str, columns: &[&str], rows: &[(String, Vec<String>)]) {
    println!("| {corner} | {} |", columns.join(" | "));
    println!("|---|{}", "---:|".repeat(columns.len()));
    for (name, cells) in rows {
        println!("| {name} | {} |", cells.join(" | "));
    }
    println!();
}

/// All figures of the phases, one column each.
pub fn figures(phases: &[(&str, &Figures)]) {
    let rows: [Row<'_, String>; 18] = [
        ("events", &|f| f.events.to_string()),
        ("accepted/s", &|f| whole(f.accepted)),
        ("end to end, events/s", &|f| whole(f.through)),
        ("delivered/s", &|f| whole(f.delivered)),
        ("accept p50, ms", &|f| fine(f.accept.p50)),
        ("accept p99, ms", &|f| fine(f.accept.p99)),
        ("accept p99.9, ms", &|f| fine(f.accept.p999)),
        ("accept to delivery p50, ms", &|f| fine(f.delivery.p50)),
        ("accept to delivery p99, ms", &|f| fine(f.delivery.p99)),
        ("CPU s per 100k events", &|f| fine(f.cpu)),
        ("RSS growth per 100k events, MiB", &|f| {
            whole((f.rss.1 - f.rss.0) * 1e5 / f.events as f64)
        }),
        ("RSS before, MiB", &|f| whole(f.rss.0)),
        ("RSS after, MiB", &|f| whole(f.rss.1)),
        ("RSS peak, MiB", &|f| whole(f.rss.2)),
        ("events for each fdatasync", &|f| fine(f.per_sync)),
        ("refused (503) and sent again", &|f| f.refused.to_string()),
        ("load and targets, CPU s per 100k", &|f| fine(f.bench_cpu)),
        ("others on the machine, % of its CPU", &|f| whole(f.others)),
    ];
    let columns: Vec<&str> = phases.iter().map(|(name, _)| *name).collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, figure)| {
            let cells = phases.iter().map(|(_, figures)| figure(figures)).collect();
            ((*name).to_owned(), cells)
        })
        .collect();
    table("", &columns, &rows);
}

/// CPU by thread, in seconds per 100k events.
pub fn threads(phases: &[(&str, &Figures)]) {
    let mut names: Vec<&String> = phases
        .iter()
        .flat_map(|(_, figures)| figures.threads.keys())
        .collect();
    names.sort();
    names.dedup();
    let columns: Vec<&str> = phases.iter().map(|(name, _)| *name).collect();
    let rows: Vec<_> = names
        .into_iter()
        .map(|name| {
            let of = |figures: &Figures| figures.threads.get(name).copied().unwrap_or(0.0);
            let cells = phases.iter().map(|(_, figures)| fine(of(figures)));
            (name.clone(), cells.collect())
        })
        .collect();
    table("CPU s per 100k events, by thread", &columns, &rows);
}

/// Each phase against the bare proxy, whose figures are the means of its runs.
pub fn ratios(bare: &[Figures], phases: &[(&str, &Figures)]) {
    let mean =
        |figure: &dyn Fn(&Figures) -> f64| bare.iter().map(figure).sum::<f64>() / bare.len() as f64;
    let rows: [Row<'_, f64>; 5] = [
        ("accepted/s", &|f| f.accepted),
        ("end to end, events/s", &|f| f.through),
        ("delivered/s", &|f| f.delivered),
        ("CPU per event", &|f| f.cpu),
        ("accept p50", &|f| f.accept.p50),
    ];
    let columns: Vec<&str> = phases.iter().map(|(name, _)| *name).collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|(name, figure)| {
            let cells = phases.iter().map(|(_, f)| fine(figure(f) / mean(figure)));
            ((*name).to_owned(), cells.collect())
        })
        .collect();
    table("ratio to the bare proxy", &columns, &rows);
}

/// Without a fraction.
pub fn whole(figure: f64) -> String {
    format!("{figure:.0}")
}

/// With two places.
pub fn fine(figure: f64) -> String {
    format!("{figure:.2}")
}
