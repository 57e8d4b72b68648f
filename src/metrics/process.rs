//! The process as the system sees it, by the names that all exporters give it; read at each scrape.
//!
//! What the system does not tell (there is no `/proc`) is left out. Source: Prometheus, "Writing client libraries", process
//! metrics; `proc(5)`.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Reads `/proc/self`.
#[derive(Debug)]
pub(super) struct Process {
    /// When it began, in seconds since 1970.
    pub(super) started: f64,
}

/// What `/proc/self/stat` says.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let seconds = Unit::Seconds;
        gauge(
            &mut encoder,
            "process_start_time",
            "When the process started, in seconds since 1970",
            Some(&seconds),
            self.started,
        )?;
        if let Some(stat) = fs::read_to_string("/proc/self/stat")
            .ok()
            .and_then(|text| stat(&text))
        {
            encode_stat(&stat, &mut encoder)?;
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            // One of them is the folder that is read.
            let open = files.count().saturating_sub(1);
            let help = "Open file descriptors";
            gauge(
                &mut encoder,
                "process_open_fds",
                help,
                None,
                number(open as u64),
            )?;
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            let help = "Most file descriptors that may be open";
            gauge(&mut encoder, "process_max_fds", help, None, number(most))?;
        }
        Ok(())
    }
}

fn encode_stat(stat: &Stat, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let cpu = number(stat.cpu_ticks) / number(clock_ticks_per_second());
    let help = "Time that the processors have spent on the process";
    let descriptor = encoder.encode_descriptor(
        "process_cpu",
        help,
        Some(&Unit::Seconds),
        MetricType::Counter,
    )?;
    ConstCounter::new(cpu).encode(descriptor)?;
    let resident = stat.resident_pages.saturating_mul(page_size() as u64);
    for (name, help, unit, value) in [
        (
            "process_resident_memory",
            "Memory that the process has",
            Some(&Unit::Bytes),
            resident,
        ),
        (
            "process_virtual_memory",
            "Addresses that the process has",
            Some(&Unit::Bytes),
            stat.virtual_bytes,
        ),
        (
            "process_threads",
            "Threads of the process",
            None,
            stat.threads,
        ),
    ] {
        gauge(encoder, name, help, unit, number(value))?;
    }
    Ok(())
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: f64,
) -> Result<(), fmt::Error> {
    let descriptor = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    ConstGauge::new(value).encode(descriptor)
}

#[allow(clippy::cast_precision_loss)]
fn number(count: u64) -> f64 {
    count as f64
}

/// Reads the line; its second field is the name of the program in brackets, with anything in it.
fn stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    // The first of these is the third field of proc(5).
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
    Some(Stat {
        cpu_ticks: field(14)?.saturating_add(field(15)?),
        threads: field(20)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_system_is_read() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 9 0 123 4096000 250 18446744073709551615 1";
        let wanted = Stat {
            cpu_ticks: 46,
            threads: 9,
            virtual_bytes: 4_096_000,
            resident_pages: 250,
        };
        assert_eq!(stat(line), Some(wanted));
        assert_eq!(stat("7 (a) S 1"), None);
        assert_eq!(stat(""), None);
    }
}
