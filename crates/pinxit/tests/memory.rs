//! What training keeps in memory, counted by the allocator: a process of its own, which nothing else disturbs.
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Tensor};
use pinxit::machine;
use pinxit::memory::Recycling;
use pinxit::nn::{Adam, AdamConfig, Ema, Init, Mode, UNet2d, UNetConfig};

#[global_allocator]
static MEMORY: Recycling = Recycling::new();

/// A U-Net in training on a batch of `[2, 1, size, size]`.
struct Training {
    network: UNet2d,
    average: Ema<UNet2d>,
    adam: Adam,
    size: usize,
    device: Device,
}

impl Training {
    fn new(size: usize, channels: &[usize], checkpoint_blocks: bool) -> Self {
        let device = Device::flex().autodiff();
        let attention = vec![false; channels.len()];
        let config = UNetConfig {
            norm_num_groups: 4,
            add_attention: false,
            checkpoint_blocks,
            ..UNetConfig::symmetric(1, channels, &attention)
        };
        let network = UNet2d::new(&config, &mut Init::new(0, &device));
        let average = Ema::new(&network);
        Self { network, average, adam: Adam::new(AdamConfig::default()), size, device }
    }

    fn step(&mut self, step: u32) {
        let x = Tensor::ones([2, 1, self.size, self.size], &self.device) * 0.3;
        let t = Tensor::from_floats([0.2, 0.8], &self.device);
        let mode = Mode::Train { seed: 0, step, offset: 0 };
        let y = self.network.forward(x.clone(), t, &[], &mode);
        let mut gradients = (y - x).square().mean().backward();
        let average = Some((&mut self.average, 0.99));
        self.adam.update(&mut self.network, &mut gradients, 1e-3, 1.0, average);
    }

    /// The most bytes of large blocks that a step needs at a time.
    fn peak(mut self) -> usize {
        self.step(0);
        MEMORY.reset_peak();
        self.step(1);
        MEMORY.usage().peak
    }
}

/// Residual blocks of 128 x 128 pixels keep their inputs alone.
fn checkpointing_saves_memory() {
    let peak = |checkpoint| Training::new(128, &[16, 32], checkpoint).peak();
    let (plain, checkpointed) = (peak(false), peak(true));
    assert!(plain > 40 << 20, "plain {plain}");
    assert!(checkpointed < plain * 6 / 10, "checkpointed {checkpointed}, plain {plain}");
    println!("128 x 128: {} MB, checkpointed {} MB", plain >> 20, checkpointed >> 20);
}

/// After the first steps, `steps` more leave the process as large as it was.
fn memory_stays_flat(steps: u32) {
    let mut training = Training::new(16, &[16, 32], false);
    let warm = 100;
    (0..warm).for_each(|step| training.step(step));
    let before = machine::resident_memory().unwrap() as f64;
    (warm..warm + steps).for_each(|step| training.step(step));
    let drift = machine::resident_memory().unwrap() as f64 / before - 1.0;
    println!("{steps} steps: resident memory {:.1} MB, drift {:.2} %", before / 1e6, 100.0 * drift);
    assert!(drift < 0.02, "{drift}");
}

#[test]
fn training_keeps_what_it_needs() {
    checkpointing_saves_memory();
    memory_stays_flat(200);
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_steps_leave_memory_flat() {
    memory_stays_flat(10_000);
}
