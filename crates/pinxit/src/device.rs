//! Where tensors live: the CPU, or a GPU if the build has one.

pub use burn::tensor::Device;

use crate::error::{Error, Result};
use crate::nn::ops;

/// A device that this build can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct DeviceKind {
    /// As typed after `--device`.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// The devices compiled into this program, the default first.
pub const DEVICES: &[DeviceKind] = &[
    DeviceKind { name: "cpu", about: "all cores of this machine" },
    #[cfg(feature = "wgpu")]
    DeviceKind { name: "gpu", about: "a graphics card through wgpu (Vulkan, Metal or DirectX)" },
];

/// Whether what this thread computes on the CPU from now on multiplies every tap of a convolution
/// (`train.exact` of a recipe) or takes Winograd's short cut.
pub fn set_exact(exact: bool) {
    ops::set_exact(exact);
}

/// The device called `name`; the CPU when no name is given.
///
/// # Errors
/// [`Error::Unsupported`] with the devices of this build.
pub fn select(name: Option<&str>) -> Result<Device> {
    match name.unwrap_or("cpu") {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        "gpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        other => {
            let names: Vec<_> = DEVICES.iter().map(|device| device.name).collect();
            let hint = if cfg!(feature = "wgpu") { "" } else { "; for a GPU, build with --features wgpu" };
            Err(Error::Unsupported(format!(
                "this program has no device \"{other}\"; it has: {}{hint}",
                names.join(", ")
            )))
        }
    }
}
