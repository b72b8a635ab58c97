//! Autoregressive networks: who sees whom, and that painting pixel by pixel computes what the network
//! computes. Oracles: the definition of causality, the network applied to whole pictures, and PyTorch
//! (oracle/autoregressive.py).

use std::collections::BTreeMap;
use std::time::Instant;

use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Device, Distribution, Gradients, Tensor};
use pinxit::checkpoint::Array;
use pinxit::data::{DataFacts, ImageShape};
use pinxit::families::find;
use pinxit::families::pixelcnn::{MaskedPixelCnn, PixelCnnPlusPlus};
use pinxit::families::pixelrnn::{PixelRnn, Variant};
use pinxit::likelihood::autoregressive::gated::GatedPixelCnn;
use pinxit::likelihood::autoregressive::paint::Painting;
use pinxit::likelihood::autoregressive::setup::NetworkConfig;
use pinxit::likelihood::autoregressive::{Autoregressive, Start, Walk};
use pinxit::likelihood::levels::Levels;
use pinxit::likelihood::pixel::{Kind, PixelDistribution};
use pinxit::model::{Given, Request};
use pinxit::nn::{Init, Mode, params};
use pinxit::recipe::Recipe;
use pinxit::watch::Unwatched;

use crate::golden::{Golden, distance, values};

/// Something that holds of every network.
trait Check {
    /// `sees_all`: whether the network has no blind spot.
    fn check<N: Autoregressive>(&self, name: &str, network: &N, case: &Case, sees_all: bool);
}

/// What a network is built for.
struct Case {
    config: NetworkConfig,
    pixels: PixelDistribution,
}

impl Case {
    fn new(kind: Kind, channels: usize, size: [usize; 2], [width, layers]: [usize; 2]) -> Self {
        let levels = Levels::new(5).unwrap();
        let pixels = PixelDistribution { kind, levels, mixtures: 2, channels };
        let (colours, output) = (pixels.draws().len(), pixels.parameters());
        let config =
            NetworkConfig { input: channels, size, classes: 2, width, layers, dropout: 0.0, colours, output };
        Self { config, pixels }
    }

    /// The parameters of each channel: those that may depend on the channels before.
    fn parameters_of(&self, channel: usize) -> std::ops::Range<usize> {
        let each = self.config.output / self.config.colours;
        match self.config.colours {
            1 => 0..self.config.output,
            _ => channel * each..(channel + 1) * each,
        }
    }

    fn picture(&self, batch: usize, seed: u64) -> Tensor<4> {
        let device = Device::flex();
        device.seed(seed);
        let [height, width] = self.config.size;
        let shape = [batch, self.config.input, height, width];
        self.pixels.levels.rounded(Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device))
    }
}

fn each(check: &impl Check, size: [usize; 2], scale: [usize; 2]) {
    each_of(check, size, scale, 3);
}

/// PixelCNN++ at this number of sizes.
fn each_of(check: &impl Check, size: [usize; 2], scale: [usize; 2], sizes: usize) {
    let device = Device::flex();
    for channels in [1, 3] {
        let softmax = Case::new(Kind::Softmax, channels, size, scale);
        let init = &mut Init::new(channels as u64, &device);
        check.check("masked", &MaskedPixelCnn::new(&softmax.config, init), &softmax, false);
        check.check("gated", &GatedPixelCnn::new(&softmax.config, init), &softmax, true);
        check.check("row", &PixelRnn::new(&softmax.config, Variant::Row, init), &softmax, false);
        check.check("diagonal", &PixelRnn::new(&softmax.config, Variant::Diagonal, init), &softmax, true);
        let logistic = Case::new(Kind::Logistic, channels, size, scale);
        check.check("plus-plus", &PixelCnnPlusPlus::new(&logistic.config, sizes, init), &logistic, true);
    }
}

/// A network with PyTorch's weights: loss, and gradient of every parameter.
struct EqualsPyTorch;

/// Compares two sums over every gradient with those of a golden file.
struct CheckGradients<'a> {
    path: Vec<String>,
    gradients: &'a Gradients,
    expected: BTreeMap<String, Array>,
}

impl ModuleVisitor for CheckGradients<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.join(".");
        let found = param.grad(self.gradients).map_or_else(Vec::new, values);
        let sums = [
            found.iter().map(|&g| f64::from(g.abs())).sum::<f64>(),
            found.iter().enumerate().map(|(i, &g)| f64::from(g) * (i as f64).cos()).sum(),
        ];
        let expected = self.expected.remove(&name).unwrap().values;
        let far = distance(&sums.map(|s| s as f32), &expected);
        assert!(far <= 1e-4 || expected == [0.0; 2] && sums == [0.0; 2], "{name}: {far}");
    }
}

impl Check for EqualsPyTorch {
    fn check<N: Autoregressive>(&self, name: &str, network: &N, case: &Case, _: bool) {
        if case.config.input == 1 {
            return; // the golden networks see three colours
        }
        let golden = Golden::read("autoregressive");
        let device = Device::flex().autodiff();
        let part = |part: &str| golden.under(&format!("{name}/{part}"));
        let network = params::import(network.clone().train(), &part("weights")).unwrap();
        let x: Tensor<4> = golden.tensor(&format!("{name}/x"), &device);
        let labels = &golden.array(&format!("{name}/labels")).values;
        let labels: Vec<u32> = labels.iter().map(|&label| label as u32).collect();
        let nats = case.pixels.nats(network.forward(x.clone(), &labels, &Mode::Eval), x);
        let gradients = nats.clone().sum().backward();
        let far = distance(&values(nats.inner()), &golden.array(&format!("{name}/nats")).values);
        assert!(far <= 1e-4, "{name}: the loss is off by {far}");
        let expected = part("gradient_sums");
        let mut check = CheckGradients { path: vec![], gradients: &gradients, expected };
        network.visit(&mut check);
        assert!(check.expected.is_empty(), "{name}: no gradient of {:?}", check.expected.keys());
    }
}

/// Oracle: oracle/autoregressive.py.
#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    each_of(&EqualsPyTorch, [4, 5], [6, 2], 2);
}

/// Changes every value of a picture in turn.
struct Causality;

impl Check for Causality {
    fn check<N: Autoregressive>(&self, name: &str, network: &N, case: &Case, sees_all: bool) {
        let ([height, width], channels) = (case.config.size, case.config.input);
        let (area, parameters) = (height * width, case.config.output);
        let picture = case.picture(1, 1);
        let forward = |x: Tensor<4>| values(network.forward(x, &[1], &Mode::Eval));
        let before = forward(picture.clone());
        let ordered = case.config.colours > 1;
        for (pixel, channel) in (0..area).flat_map(|pixel| (0..channels).map(move |channel| (pixel, channel)))
        {
            let mut changed = values(picture.clone());
            changed[channel * area + pixel] += 7.0; // far enough to be seen at the end of a long row
            let changed = Tensor::<1>::from_floats(changed.as_slice(), &Device::flex());
            let after = forward(changed.reshape([1, channels, height, width]));
            for other in 0..area {
                for of in 0..channels {
                    let differs = case
                        .parameters_of(of)
                        .any(|p| before[p * area + other].to_bits() != after[p * area + other].to_bits());
                    let may = other > pixel || other == pixel && ordered && of > channel;
                    let what = format!(
                        "{name}, {channels} channels: channel {channel} of pixel {pixel} and channel {of} of \
                         pixel {other}"
                    );
                    assert!(may || !differs, "{what}: it sees what comes after");
                    assert!(!sees_all || !may || differs, "{what}: a blind spot");
                }
            }
            assert_eq!(after.len(), parameters * area);
        }
    }
}

#[test]
fn no_value_depends_on_itself_or_on_what_comes_after_and_only_masks_and_row_lstms_have_blind_spots() {
    each(&Causality, [5, 6], [12, 4]);
}

/// Walks along a picture that the network also sees whole.
struct WalkIsForward;

impl Check for WalkIsForward {
    fn check<N: Autoregressive>(&self, name: &str, network: &N, case: &Case, _: bool) {
        let ([height, width], channels) = (case.config.size, case.config.input);
        let (area, batch, classes) = (height * width, 3, vec![1, 0, 1]);
        let picture = case.picture(batch, 2);
        let whole = values(network.forward(picture.clone(), &classes, &Mode::Eval));
        let mut walk = network.walk(&Start { batch, width, classes, device: Device::flex() });
        let compare = |found: Tensor<2>, pixel: usize, parameters: std::ops::Range<usize>| {
            let (found, count) = (values(found), case.config.output);
            for (picture, p) in (0..batch).flat_map(|picture| parameters.clone().map(move |p| (picture, p))) {
                let (ours, theirs) =
                    (found[picture * count + p], whole[(picture * count + p) * area + pixel]);
                let far = (ours - theirs).abs();
                assert!(far <= 1e-5, "{name}, {channels} channels, pixel {pixel}: {ours} is not {theirs}");
            }
        };
        for pixel in 0..area {
            let place = picture.clone().narrow(2, pixel / width, 1).narrow(3, pixel % width, 1);
            let value = place.reshape([batch, channels]);
            if case.config.colours > 1 {
                // A channel's parameters are there as soon as the channels before it are known.
                for channel in 0..channels {
                    let mut known = Tensor::<2>::zeros([batch, channels], &Device::flex());
                    if channel > 0 {
                        let rest = known.narrow(1, channel, channels - channel);
                        known = Tensor::cat(vec![value.clone().narrow(1, 0, channel), rest], 1);
                    }
                    compare(walk.predict(known), pixel, case.parameters_of(channel));
                }
            }
            compare(walk.predict(value.clone()), pixel, 0..case.config.output);
            walk.advance(value);
        }
    }
}

#[test]
fn walking_computes_what_the_whole_network_computes() {
    each(&WalkIsForward, [5, 6], [12, 2]);
    each(&WalkIsForward, [6, 7], [12, 1]);
}

/// The plain way to sample: the whole network for every pixel.
struct NaiveWalk<'a, N> {
    network: &'a N,
    classes: Vec<u32>,
    size: [usize; 2],
    /// `[H W]` pixels `[B, C]`.
    canvas: Vec<Tensor<2>>,
    pixel: usize,
}

impl<N: Autoregressive> NaiveWalk<'_, N> {
    fn new<'a>(network: &'a N, case: &Case, classes: &[u32]) -> NaiveWalk<'a, N> {
        let size = case.config.size;
        let empty = Tensor::zeros([classes.len(), case.config.input], &Device::flex());
        NaiveWalk {
            network,
            classes: classes.to_vec(),
            size,
            canvas: vec![empty; size[0] * size[1]],
            pixel: 0,
        }
    }
}

impl<N: Autoregressive> Walk for NaiveWalk<'_, N> {
    fn predict(&mut self, known: Tensor<2>) -> Tensor<2> {
        let [height, width] = self.size;
        self.canvas[self.pixel] = known;
        let [batch, channels] = self.canvas[0].dims();
        let picture = Tensor::stack::<3>(self.canvas.clone(), 2).reshape([batch, channels, height, width]);
        let parameters = self.network.forward(picture, &self.classes, &Mode::Eval);
        let count = parameters.dims()[1];
        parameters.narrow(2, self.pixel / width, 1).narrow(3, self.pixel % width, 1).reshape([batch, count])
    }

    fn advance(&mut self, pixel: Tensor<2>) {
        self.canvas[self.pixel] = pixel;
        self.pixel += 1;
    }
}

fn painting<'a>(case: &Case, seeds: &'a [u64], device: &'a Device) -> Painting<'a> {
    let [height, width] = case.config.size;
    Painting { shape: [case.config.input, height, width], seeds, given: None, temperature: 1.0, device }
}

struct SamplersAgree;

impl Check for SamplersAgree {
    fn check<N: Autoregressive>(&self, name: &str, network: &N, case: &Case, _: bool) {
        let (device, classes) = (Device::flex(), [0, 1]);
        let painting = painting(case, &[7, 9], &device);
        let naive = Box::new(NaiveWalk::new(network, case, &classes));
        let naive = painting.paint(naive, &case.pixels, &mut Unwatched).unwrap();
        let width = case.config.size[1];
        let start = Start { batch: 2, width, classes: classes.to_vec(), device: device.clone() };
        let walked = painting.paint(network.walk(&start), &case.pixels, &mut Unwatched).unwrap();
        let (naive, walked) = (values(naive), values(walked));
        assert!(naive.iter().any(|&value| value != naive[0]), "{name}: a picture");
        assert_eq!(naive, walked, "{name}, {} channels", case.config.input);
    }
}

#[test]
fn the_sampler_that_remembers_paints_what_the_naive_one_paints() {
    each(&SamplersAgree, [4, 5], [12, 2]);
}

/// Time of the naive sampler over that of the one that remembers.
struct Speed;

impl Check for Speed {
    fn check<N: Autoregressive>(&self, name: &str, network: &N, case: &Case, _: bool) {
        const PIXELS: usize = 12;
        let (device, classes) = (Device::flex(), [0]);
        let width = case.config.size[1];
        let painting = painting(case, &[7], &device);
        let start = Start { batch: 1, width, classes: classes.to_vec(), device: device.clone() };
        let walk = || _ = painting.paint(network.walk(&start), &case.pixels, &mut Unwatched).unwrap();
        let mut naive = NaiveWalk::new(network, case, &classes);
        let mut full = || {
            let pixel = Tensor::<2>::zeros([1, case.config.input], &device);
            for _ in 0..case.config.colours {
                naive.predict(pixel.clone()).into_data();
            }
            naive.advance(pixel);
        };
        let time = |run: &mut dyn FnMut()| {
            let begin = Instant::now();
            run();
            begin.elapsed().as_secs_f64()
        };
        full();
        let slow = time(&mut || (0..PIXELS).for_each(|_| full())) / PIXELS as f64;
        let fast = time(&mut { walk }) / (width * case.config.size[0]) as f64;
        let (channels, ratio) = (case.config.input, slow / fast);
        println!(
            "{name:10} {channels} channels: a pixel {:7.3} ms by the whole network, {:6.3} ms walking, {ratio:5.1} \
             times faster",
            1e3 * slow,
            1e3 * fast
        );
        assert!(ratio > 20.0, "{name}");
    }
}

/// At 28x28 with networks of a usual size.
#[test]
#[ignore = "measures; run it alone: cargo test --release --workspace -- --ignored --nocapture twenty_times"]
fn walking_is_twenty_times_faster_than_the_whole_network_for_every_pixel() {
    each(&Speed, [28, 28], [60, 4]);
}

/// A learner of `family` with fresh weights for pictures of 6x5 pixels in two colours.
fn fresh(family: &str, settings: &[(&str, &str)]) -> (Recipe, Box<dyn pinxit::model::Learner>) {
    let family = find(family).unwrap();
    let facts = DataFacts {
        shape: ImageShape { channels: 2, height: 6, width: 5 },
        classes: vec!["a".into(), "b".into()],
        count: 4,
        inputs: None,
    };
    let mut recipe = Recipe { family: family.name.into(), ..Recipe::default() };
    for (key, value) in settings {
        recipe.set(key, value).unwrap();
    }
    (family.resolve)(&mut recipe, &facts, None).unwrap();
    let learner = (family.learner)(&recipe, &facts, &Device::flex()).unwrap();
    assert_eq!(
        learner.parameters() as u64,
        (family.cost)(&recipe, &facts).unwrap().parameters,
        "{settings:?}"
    );
    (recipe, learner)
}

const FRESH: [(&str, &[(&str, &str)]); 5] = [
    ("pixelcnn", &[("model.variant", "masked")]),
    ("pixelcnn", &[("model.variant", "gated"), ("model.levels", "9")]),
    ("pixelcnn", &[("model.variant", "plus-plus"), ("model.layers", "1")]),
    ("pixelrnn", &[("model.variant", "row")]),
    ("pixelrnn", &[("model.variant", "diagonal"), ("model.layers", "1")]),
];

#[test]
fn a_picture_completed_from_its_own_first_rows_is_itself() {
    for (family, settings) in FRESH {
        let (recipe, learner) = fresh(family, &[settings, &[("model.width", "12")]].concat());
        let model = learner.model();
        let request = Request { seeds: vec![3, 4, 5], classes: vec![0, 1, 1], options: recipe.sample };
        let whole = model.generate().unwrap().generate(&request, &mut Unwatched).unwrap();
        let complete = model.complete().unwrap();
        for rows in [0, 2, 6] {
            let given = Given { images: whole.clone(), rows };
            let completed = complete.complete(&given, &request, &mut Unwatched).unwrap();
            assert_eq!(values(completed), values(whole.clone()), "{settings:?} from row {rows}");
        }
        let too_many = Given { images: whole.clone(), rows: 7 };
        assert!(complete.complete(&too_many, &request, &mut Unwatched).is_err());
        let too_few = Given { images: whole.narrow(0, 0, 2), rows: 1 };
        assert!(complete.complete(&too_few, &request, &mut Unwatched).is_err());
    }
}

#[test]
fn settings_that_can_not_work_are_refused_by_name() {
    let facts = DataFacts {
        shape: ImageShape { channels: 3, height: 6, width: 5 },
        classes: vec![],
        count: 4,
        inputs: None,
    };
    for (family, key, value) in [
        ("pixelcnn", "model.width", "16"),
        ("pixelcnn", "model.width", "0"),
        ("pixelcnn", "model.layers", "0"),
        ("pixelcnn", "model.levels", "1"),
        ("pixelcnn", "model.dropout", "1.0"),
        ("pixelcnn", "model.sizes", "2"),
        ("pixelcnn", "model.mixtures", "0"),
        ("pixelrnn", "sample.temperature", "-0.1"),
    ] {
        let family = find(family).unwrap();
        let mut recipe = Recipe { family: family.name.into(), ..Recipe::default() };
        recipe.set(key, value).unwrap();
        let message = (family.resolve)(&mut recipe, &facts, None).unwrap_err().to_string();
        assert!(message.contains(key), "{message}");
    }
}
