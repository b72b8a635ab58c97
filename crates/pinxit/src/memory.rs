//! The memory of a program that trains or samples.
//!
//! [`Recycling`] is a global allocator that keeps the large blocks of a step for the next one. It is the
//! program's choice: `pinxit` the command has it, and a program of yours gets it with two lines.
//!
//! ```
//! #[global_allocator]
//! static MEMORY: pinxit::memory::Recycling = pinxit::memory::Recycling::new();
//! ```

pub use pinxit_kernels::{Recycling, Usage};
