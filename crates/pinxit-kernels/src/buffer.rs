//! Memory for outputs.

/// `len` numbers for an output that is written whole: they hold anything until then, so they must not be read.
///
/// Clearing an output first costs a pass over memory that no thread shares.
#[allow(clippy::uninit_vec)]
pub(crate) fn unwritten(len: usize) -> Vec<f32> {
    let mut buffer = Vec::with_capacity(len);
    // SAFETY: the memory is there, every pattern of bits is an `f32`, and the callers write before they read.
    unsafe { buffer.set_len(len) };
    buffer
}
