//! The recipes that ship inside the program: the files of the folder `recipes/`.

/// A recipe that ships.
#[derive(Debug, Clone, Copy)]
pub struct BuiltinRecipe {
    /// As typed after `--recipe`, and the name of its file.
    pub name: &'static str,
    /// Its TOML text.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal,)+) => {
        /// The recipes of the folder `recipes/`.
        pub static BUILTIN_RECIPES: &[BuiltinRecipe] = &[$(BuiltinRecipe {
            name: $name,
            text: include_str!(concat!("../../../../recipes/", $name, ".toml")),
        }),+];
    };
}

shipped! {
    "binarised-mnist-iwae",
    "binarised-mnist-pixelcnn",
    "binarised-mnist-pixelrnn",
    "binarised-mnist-vae",
    "cifar10-dcgan",
    "cifar10-pixelcnn",
    "cifar10-pixelcnn-plus-plus",
    "cifar10-pixelrnn",
    "cifar10-r3gan",
    "cifar10-sngan",
    "cifar10-vqvae",
    "cifar10-wgan-gp",
    "coco-style",
    "demo",
    "digits-cdcgan",
    "digits-cgan",
    "digits-dcgan",
    "digits-ddpm",
    "digits-edm",
    "digits-gan",
    "digits-iwae",
    "digits-pixelcnn",
    "digits-pixelcnn-masked",
    "digits-pixelcnn-plus-plus",
    "digits-pixelrnn",
    "digits-pixelrnn-row",
    "digits-r3gan",
    "digits-sngan",
    "digits-unet-gan",
    "digits-vae",
    "digits-vqvae",
    "digits-wgan",
    "digits-wgan-gp",
    "div2k-srgan",
    "div2k-srresnet",
    "facades-pix2pix",
    "glyphs",
    "glyphs-cdcgan",
    "glyphs-cgan",
    "glyphs-dcgan",
    "glyphs-ddpm",
    "glyphs-edm",
    "glyphs-gan",
    "glyphs-pixelcnn",
    "glyphs-pixelrnn",
    "glyphs-r3gan",
    "glyphs-sngan",
    "glyphs-unet-gan",
    "glyphs-vae",
    "glyphs-vqvae",
    "glyphs-wgan",
    "glyphs-wgan-gp",
    "horse2zebra-cyclegan",
    "mnist-pixelcnn",
    "mnist-vae",
    "monet2photo-cyclegan",
    "patches-srgan",
    "sprites",
    "sprites-cyclegan",
    "sprites-palette",
    "sprites-pix2pix",
    "sprites-sr3",
    "sprites-srgan",
    "sprites-style",
}
