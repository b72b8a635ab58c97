//! What this machine has, for estimates and reports.

use std::path::Path;

use sysinfo::{
    CpuRefreshKind, DiskRefreshKind, Disks, MemoryRefreshKind, ProcessesToUpdate, RefreshKind, System,
};

/// The parts of a machine that decide what can be trained on it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Machine {
    /// The processor's own name.
    pub cpu: String,
    /// Vector instructions that the kernels use.
    pub vectors: String,
    /// Logical processors.
    pub cores: usize,
    /// Threads that Pinxit works with.
    pub threads: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of memory that programs could take now.
    pub memory_free: u64,
    /// Operating system and architecture.
    pub system: String,
}

impl Machine {
    /// Looks at this machine.
    pub fn look() -> Self {
        let what = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(what);
        let cpu = system.cpus().first().map_or_else(String::new, |cpu| cpu.brand().trim().to_string());
        Self {
            cpu,
            vectors: vectors().into(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            memory: system.total_memory(),
            memory_free: system.available_memory(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// The widest vector instructions of this processor that the kernels have code for.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "AVX2 + FMA";
        }
    }
    "portable"
}

/// Bytes of memory that this process holds now, if the system tells.
pub fn resident_memory() -> Option<u64> {
    let id = sysinfo::get_current_pid().ok()?;
    let mut system = System::new();
    system.refresh_processes(ProcessesToUpdate::Some(&[id]), false);
    system.process(id).map(sysinfo::Process::memory)
}

/// The most bytes of memory that this process has held so far, if the system tells (Linux does).
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Whether `folder` (or the nearest folder above it that exists) can be written to.
pub fn is_writable(folder: &Path) -> bool {
    let existing = folder.ancestors().find(|f| f.is_dir()).unwrap_or(Path::new("."));
    std::fs::metadata(existing).is_ok_and(|metadata| !metadata.permissions().readonly())
}

/// Bytes that can still be written on the disk of `folder` (or of the nearest folder above it that
/// exists), if the system tells.
pub fn free_space(folder: &Path) -> Option<u64> {
    let absolute = std::path::absolute(folder).ok()?;
    let existing = absolute.ancestors().find_map(|folder| folder.canonicalize().ok())?;
    let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_storage());
    let holding = disks.iter().filter(|disk| existing.starts_with(disk.mount_point()));
    holding.max_by_key(|disk| disk.mount_point().as_os_str().len()).map(|disk| disk.available_space())
}
