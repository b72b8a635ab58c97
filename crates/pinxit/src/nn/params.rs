//! Parameters and buffers by name: the path of fields that leads to them, as in `conv_in.weight`.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::checkpoint::{Array, Snapshot};
use crate::error::{Error, Result};

/// What a [`Buffer`](super::Buffer) enters as a module on a visitor's way to its tensor.
pub(super) const BUFFER: &str = "(buffer)";

/// Number of trainable values.
pub fn count<M: Module>(module: &M) -> usize {
    let trainable = flat(module).into_values().filter(|flat| !flat.buffer);
    trainable.map(|flat| flat.shape.iter().product::<usize>()).sum()
}

/// The same module with parameters that want no gradients, for passes whose gradient is wanted with
/// respect to something else: a generator's step through the discriminator. What it computes costs
/// no gradient of its weights. Its buffers are its own.
#[must_use]
pub fn frozen<M: Module>(module: &M) -> M {
    module.clone().no_grad()
}

/// Copies the values of all parameters and buffers.
///
/// # Errors
/// If a tensor can't be read from its device.
pub fn export<M: Module>(module: &M) -> Result<BTreeMap<String, Array>> {
    flat(module).into_iter().map(|(name, flat)| Ok((name.clone(), array(&name, flat)?))).collect()
}

/// The same module with the values of `arrays`; devices and gradient settings stay.
///
/// # Errors
/// [`Error::Config`] with the names that are missing, unknown or of another shape, for the caller
/// to add the path.
pub fn import<M: Module>(module: M, arrays: &BTreeMap<String, Array>) -> Result<M> {
    check(&shapes(&module), arrays)?;
    Ok(module.map(&mut Import { path: Path::default(), arrays }))
}

/// Writes all parameters into `to`, each under `prefix/name`.
///
/// # Errors
/// If a tensor can't be read from its device.
pub fn save<M: Module>(module: &M, prefix: &str, to: &mut Snapshot) -> Result<()> {
    to.tensors.extend(export(module)?.into_iter().map(|(name, array)| (format!("{prefix}/{name}"), array)));
    Ok(())
}

/// The same module with the values that [`save`] wrote under `prefix`.
///
/// # Errors
/// Those of [`import`].
pub fn load<M: Module>(module: M, prefix: &str, from: &Snapshot) -> Result<M> {
    import(module, &under(prefix, from))
}

/// The tensors of `from` whose names begin with `prefix/`, without it.
pub(super) fn under(prefix: &str, from: &Snapshot) -> BTreeMap<String, Array> {
    let name = |full: &str| Some(full.strip_prefix(prefix)?.strip_prefix('/')?.to_string());
    from.tensors.iter().filter_map(|(full, array)| Some((name(full)?, array.clone()))).collect()
}

/// Compares names and shapes.
pub(super) fn check(expected: &BTreeMap<String, Vec<usize>>, found: &BTreeMap<String, Array>) -> Result<()> {
    let missing = expected.keys().filter(|name| !found.contains_key(*name)).cloned();
    let unexpected = found.keys().filter(|name| !expected.contains_key(*name)).cloned();
    let reshaped = expected.iter().filter_map(|(name, shape)| {
        let found = &found.get(name)?.shape;
        (found != shape).then(|| format!("{name} is {found:?}, the network has {shape:?}"))
    });
    let faults: Vec<String> = [
        ("missing", list(missing)),
        ("not in the network", list(unexpected)),
        ("of another shape", list(reshaped)),
    ]
    .into_iter()
    .filter_map(|(what, names)| Some(format!("{what}: {}", names?)))
    .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::config(format!("the weights do not fit the network; {}", faults.join("; "))))
}

/// Up to eight names and how many more there are; `None` for no names.
fn list(names: impl Iterator<Item = String>) -> Option<String> {
    const SHOWN: usize = 8;
    let names: Vec<_> = names.collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len() {
        0 => None,
        n if n > SHOWN => Some(format!("{shown} and {} more", n - SHOWN)),
        _ => Some(shown),
    }
}

/// A parameter or buffer as a vector `[n]` without autodiff, and its shape.
#[derive(Debug, Clone)]
pub(super) struct Flat {
    pub(super) shape: Vec<usize>,
    /// Whether it belongs to a [`Buffer`](super::Buffer).
    pub(super) buffer: bool,
    pub(super) values: Tensor<1>,
}

/// All parameters and buffers as vectors.
pub(super) fn flat<M: Module>(module: &M) -> BTreeMap<String, Flat> {
    struct Collect {
        path: Path,
        found: BTreeMap<String, Flat>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let flat = Flat {
                shape: param.shape().to_vec(),
                buffer: self.path.in_buffer(),
                values: param.val().inner().flatten(0, D - 1),
            };
            self.found.insert(self.path.name(), flat);
        }
    }
    let mut collect = Collect { path: Path::default(), found: BTreeMap::new() };
    module.visit(&mut collect);
    collect.found
}

/// Shapes of all parameters and buffers.
pub(super) fn shapes<M: Module>(module: &M) -> BTreeMap<String, Vec<usize>> {
    flat(module).into_iter().map(|(name, flat)| (name, flat.shape)).collect()
}

/// Reads `flat` from its device; `name` is for the error.
pub(super) fn array(name: &str, flat: Flat) -> Result<Array> {
    let unreadable = |e: String| Error::config(format!("can't read {name} from its device: {e}"));
    let data = flat.values.try_into_data_as::<f32>().map_err(|e| unreadable(e.to_string()))?;
    let values = data.try_into_vec().map_err(|e| unreadable(e.to_string()))?;
    Ok(Array { shape: flat.shape, values })
}

/// Gives a parameter the value that `update` makes of the old one, without a trace in the graph;
/// whether it takes part in autodiff and requires gradients stays as it is.
pub(super) fn replace<const D: usize>(
    param: Param<Tensor<D>>,
    update: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Param<Tensor<D>> {
    param.map(|tensor| {
        let strategy = tensor.gradient_checkpointing_strategy();
        let require_grad = tensor.is_require_grad();
        let updated = update(tensor.inner());
        match strategy {
            None => updated,
            Some(strategy) => updated
                .autodiff()
                .with_gradient_checkpointing_strategy(strategy)
                .set_require_grad(require_grad),
        }
    })
}

/// Where a visitor is in the tree of modules.
#[derive(Debug, Default)]
pub(super) struct Path(Vec<String>);

impl Path {
    pub(super) fn enter(&mut self, name: &str) {
        self.0.push(name.to_string());
    }

    pub(super) fn exit(&mut self) {
        self.0.pop();
    }

    pub(super) fn name(&self) -> String {
        self.0[..self.0.len() - usize::from(self.in_buffer())].join(".")
    }

    /// Whether what is visited belongs to a [`Buffer`](super::Buffer).
    pub(super) fn in_buffer(&self) -> bool {
        self.0.last().is_some_and(|name| name == BUFFER)
    }
}

struct Import<'a> {
    path: Path,
    arrays: &'a BTreeMap<String, Array>,
}

impl ModuleMapper for Import<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(array) = self.arrays.get(&self.path.name()) else { return param };
        let data = TensorData::new(array.values.clone(), array.shape.clone());
        replace(param, |old| Tensor::from_data(data, &old.device()))
    }
}
