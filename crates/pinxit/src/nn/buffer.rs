//! State of a layer that is not learned by gradient: running statistics, power iterations.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use burn::module::{
    Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param, ParamId,
};
use burn::tensor::{Device, Tensor};

use super::params;

/// A tensor that a forward pass in training moves on and that is saved, loaded and exported by name
/// beside the parameters, as a buffer of PyTorch is.
///
/// No gradient flows through it and no optimizer changes it. A copy of the layer has a copy of its
/// own. Its value is a function of the forward passes in their order.
pub struct Buffer<const D: usize> {
    id: ParamId,
    /// Without autodiff.
    value: Mutex<Tensor<D>>,
}

impl<const D: usize> Buffer<D> {
    /// Starts at `value`.
    pub fn new(value: Tensor<D>) -> Self {
        Self { id: ParamId::new(), value: Mutex::new(value.inner()) }
    }

    /// What it holds, without autodiff.
    pub fn value(&self) -> Tensor<D> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Holds `value` from now on.
    pub fn set(&self, value: Tensor<D>) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = value.inner();
    }

    fn map_value(self, f: impl FnOnce(Tensor<D>) -> Tensor<D>) -> Self {
        let value = f(self.value.into_inner().unwrap_or_else(PoisonError::into_inner));
        Self { id: self.id, value: Mutex::new(value) }
    }
}

impl<const D: usize> Clone for Buffer<D> {
    fn clone(&self) -> Self {
        Self { id: self.id, value: Mutex::new(self.value()) }
    }
}

impl<const D: usize> fmt::Debug for Buffer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Buffer").field(&self.value().dims()).finish()
    }
}

impl<const D: usize> ModuleDisplayDefault for Buffer<D> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_single(&format!("Buffer {:?}", self.value().dims())).optional()
    }
}

impl<const D: usize> ModuleDisplay for Buffer<D> {}

impl<const D: usize> Module for Buffer<D> {
    fn collect_devices(&self, mut devices: Vec<Device>) -> Vec<Device> {
        let device = self.value().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn to_device(self, device: &Device) -> Self {
        self.map_value(|value| value.to_device(&device.clone().inner()))
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.enter_module(params::BUFFER, params::BUFFER);
        visitor.visit_float(&Param::initialized(self.id, self.value()));
        visitor.exit_module(params::BUFFER, params::BUFFER);
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let id = self.id;
        self.map_value(|value| {
            mapper.enter_module(params::BUFFER, params::BUFFER);
            let mapped = mapper.map_float(Param::initialized(id, value));
            mapper.exit_module(params::BUFFER, params::BUFFER);
            mapped.into_value().inner()
        })
    }

    fn train(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn materialize(self) -> Self {
        self
    }
}
