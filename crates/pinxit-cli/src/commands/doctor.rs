//! `pinxit doctor`: what this machine has, and what would be used.

use std::path::{Path, PathBuf};

use pinxit::data::default_cache_dir;
use pinxit::device::{DEVICES, DeviceKind};
use pinxit::machine::{self, Machine};
use serde::Serialize;

use crate::failure::Outcome;
use crate::format;
use crate::options::Doctor;
use crate::settings::RUNS;
use crate::terminal::{BAD, DIM, HEAD, answer, table};

#[derive(Serialize)]
struct DoctorReport {
    version: &'static str,
    machine: Machine,
    /// The first one is used when no other is asked for.
    devices: &'static [DeviceKind],
    folders: [FolderReport; 2],
}

#[derive(Serialize)]
struct FolderReport {
    purpose: &'static str,
    path: PathBuf,
    writable: bool,
    free_bytes: Option<u64>,
}

pub(crate) fn run(options: &Doctor) -> Outcome {
    let folder = |purpose, path: &Path| FolderReport {
        purpose,
        path: path.into(),
        writable: machine::is_writable(path),
        free_bytes: machine::free_space(path),
    };
    let report = DoctorReport {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::look(),
        devices: DEVICES,
        folders: [folder("runs", Path::new(RUNS)), folder("picture cache", &default_cache_dir())],
    };
    answer(options.reporting.json, &report, show)
}

fn show(report: &DoctorReport) -> String {
    let machine = &report.machine;
    let memory = format!("{}, {} free", format::bytes(machine.memory), format::bytes(machine.memory_free));
    let facts = [
        ["processor", &machine.cpu],
        ["vectors", &machine.vectors],
        ["threads", &format!("{} of {} cores", machine.threads, machine.cores)],
        ["memory", &memory],
        ["system", &machine.system],
    ];
    let facts = facts.map(|row| row.map(String::from));
    let devices: Vec<_> = report
        .devices
        .iter()
        .enumerate()
        .map(|(i, device)| {
            let note = if i == 0 { " (used when no --device is given)" } else { "" };
            [device.name.into(), format!("{}{note}", device.about)]
        })
        .collect();
    let folders: Vec<_> = report
        .folders
        .iter()
        .map(|folder| {
            let room = folder
                .free_bytes
                .map_or("room unknown".into(), |free| format!("{} free", format::bytes(free)));
            let state =
                if folder.writable { String::new() } else { format!(", {BAD}can't be written{BAD:#}") };
            [folder.purpose.into(), format!("{}  ({room}{state})", folder.path.display())]
        })
        .collect();
    format!(
        "{HEAD}pinxit {}{HEAD:#}\n\n{HEAD}Machine{HEAD:#}\n{}\n{HEAD}Devices{HEAD:#}\n{}\n{HEAD}Folders{HEAD:#}\n{}",
        report.version,
        table(&facts, DIM),
        table(&devices, DIM),
        table(&folders, DIM),
    )
}
